# SPDX-License-Identifier: Apache-2.0
"""One picture with its portrait box: drag it, pull its corners, turn the wheel, or use the keys. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.bridge.studio_views import Crop, PictureView
from desktop.theme import current_theme
from desktop.widgets.stage import fitted

__all__ = ["CropView"]

_HANDLE = 13.0
_LEAST, _MOST = 0.05, 3.0
_STEP, _BIG_STEP, _ZOOM = 0.005, 0.03, 1.04


class CropView(QWidget):
    """Shows a picture and what the model gets of it.

    Signals:
        cropped(str, object): the user set this picture's box, a `Crop`.
    """

    cropped = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Crop of the picture")
        self.setAccessibleDescription(
            "Arrow keys move the box, plus and minus change its size; Shift takes bigger steps."
        )
        self.setToolTip("Drag the box or its corners · wheel: size · arrow keys, + and −")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(260, 200)
        self.setMouseTracking(True)
        self._view: PictureView | None = None
        self._box: Crop | None = None
        self._grip = ""
        self._from = QPointF()
        self._words = ""

    @property
    def box(self) -> Crop | None:
        """The box as it is painted."""
        return self._box

    def sizeHint(self) -> QSize:
        """Room for a portrait."""
        return QSize(520, 420)

    def show_picture(self, view: PictureView | None, words: str = "") -> None:
        """Show a picture; words: what is said where there is none."""
        if self._grip and view is not None and self._view is not None and view.file == self._view.file:
            return  # the user holds the box: what comes in meanwhile does not pull it away
        self._view, self._words = view, words
        self._box = view.box if view is not None else None
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._from = event.position()
        self._grip = self._grip_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._grip:
            shapes = {"": Qt.CursorShape.ArrowCursor, "box": Qt.CursorShape.SizeAllCursor}
            grip = self._grip_at(event.position())
            self.setCursor(shapes.get(grip, Qt.CursorShape.SizeFDiagCursor))
            return
        where, box = self._where(), self._box
        if box is None or where.isEmpty():
            return
        moved, self._from = event.position() - self._from, event.position()
        if self._grip == "box":
            self._set(box.x + moved.x() / where.width(), box.y + moved.y() / where.height(), box.size)
            return
        middle = self._rect().center()
        reach = max(abs(event.position().x() - middle.x()), abs(event.position().y() - middle.y()))
        self._set(box.x, box.y, 2 * reach / min(where.width(), where.height()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grip:
            self._grip = ""
            self._tell()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._box is not None and event.angleDelta().y():
            zoom = _ZOOM if event.angleDelta().y() > 0 else 1 / _ZOOM
            self._set(self._box.x, self._box.y, self._box.size * zoom)
            self._tell()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = _BIG_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP
        moves = {
            Qt.Key.Key_Left: (-step, 0.0),
            Qt.Key.Key_Right: (step, 0.0),
            Qt.Key.Key_Up: (0.0, -step),
            Qt.Key.Key_Down: (0.0, step),
        }
        box, key = self._box, event.key()
        plain = not event.modifiers() & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier)
        if box is not None and plain and key in moves:
            x, y = moves[Qt.Key(key)]
            self._set(box.x + x, box.y + y, box.size)
            self._tell()
        elif box is not None and plain and event.text() in ("+", "=", "-"):
            self._set(box.x, box.y, box.size * (1 / _ZOOM if event.text() == "-" else _ZOOM))
            self._tell()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, painter = current_theme(), QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        where = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(QPen(QColor(theme.accent if self.hasFocus() else theme.line), 1))
        painter.setBrush(QColor(theme.well))
        painter.drawRoundedRect(where, 10, 10)
        view = self._view
        if view is None or view.image is None:
            self._paint_empty(painter, where)
            painter.end()
            return
        shown = self._where()
        painter.drawImage(shown, view.image)
        if self._box is not None:
            self._paint_box(painter, shown)
        painter.end()

    def _paint_empty(self, painter: QPainter, where: QRectF) -> None:
        """A place to drop things on: a dashed frame, a plus, what to do as headline, and the rest below."""
        headline, _, rest = self._words.partition("\n\n")
        if not headline:
            return
        theme = current_theme()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.soft), 1.4, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(where.adjusted(22, 22, -22, -22), 10, 10)
        middle = where.center()
        painter.setPen(QPen(QColor(theme.accent), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        for across, down in ((16, 0), (0, 16)):
            away = QPointF(across, down)
            above = middle - QPointF(0, 84)
            painter.drawLine(above - away, above + away)
        font = QFont(self.font())
        flags = int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap)
        for words, size_px, colour, down in ((headline, 17, theme.text, -48), (rest, 13, theme.soft, 0)):
            font.setPixelSize(size_px)
            font.setWeight(QFont.Weight.DemiBold if size_px > 13 else QFont.Weight.Normal)
            painter.setFont(font)
            painter.setPen(QColor(colour))
            painter.drawText(QRectF(where.left() + 48, middle.y() + down, where.width() - 96, 120), flags, words)

    def _paint_box(self, painter: QPainter, shown: QRectF) -> None:
        view, rect = self._view, self._rect()
        outside = QPainterPath()
        outside.addRect(shown)
        inside = QPainterPath()
        inside.addRect(rect)
        painter.fillPath(outside.subtracted(inside), QColor(0, 0, 0, 120))
        by_hand = view is not None and view.by_hand
        colour = QColor(current_theme().accent) if by_hand or self._grip else QColor("#ffffff")
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(0, 0, 0, 150), 3.4))
        painter.drawRect(rect)
        painter.setPen(QPen(colour, 1.8))
        painter.drawRect(rect)
        painter.setBrush(colour)
        painter.setPen(QPen(QColor(0, 0, 0, 150), 1))
        for corner in _corners(rect):
            painter.drawEllipse(corner, 5.0, 5.0)

    def _where(self) -> QRectF:
        if self._view is None or self._view.image is None:
            return QRectF()
        return fitted(self._view.image.size(), QRectF(self.rect()).adjusted(8, 8, -8, -8))

    def _rect(self) -> QRectF:
        where, box = self._where(), self._box
        if box is None:
            return QRectF()
        side = box.size * min(where.width(), where.height())
        return QRectF(
            where.left() + box.x * where.width() - side / 2, where.top() + box.y * where.height() - side / 2, side, side
        )

    def _grip_at(self, point: QPointF) -> str:
        if self._box is None:
            return ""
        rect = self._rect()
        for corner in _corners(rect):
            if (corner - point).manhattanLength() < _HANDLE:
                return "corner"
        return "box" if rect.contains(point) else ""

    def _set(self, x: float, y: float, size: float) -> None:
        self._box = Crop(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0), min(max(size, _LEAST), _MOST))
        self.update()

    def _tell(self) -> None:
        if self._view is not None and self._box is not None and self._box != self._view.box:
            self.cropped.emit(self._view.file, self._box)


def _corners(rect: QRectF) -> tuple[QPointF, ...]:
    return rect.topLeft(), rect.topRight(), rect.bottomLeft(), rect.bottomRight()
