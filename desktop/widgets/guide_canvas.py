# SPDX-License-Identifier: Apache-2.0
"""A picture with guide points to drag and the face mesh that follows them; wheel and keys zoom. GUI thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.bridge.guides import OUTLINES, POINT_WORDS, GuidePoints, mesh_of, move_all, move_point
from desktop.theme import current_theme
from desktop.widgets.stage import fitted
from engine.errors import InvalidSetting

__all__ = ["GuideCanvas"]

_REACH_PX = 14.0
_ZOOM, _LEAST, _MOST = 1.2, 0.5, 16.0
_STEP_PX, _BIG_STEP_PX = 1.0, 6.0
_SCALE, _TURN_DEG = 1.03, 2.0  # a step of all points together
_ALL, _PICTURE = "all", "picture"  # what is dragged besides one point
_FACE_SHARE = 0.62  # of the canvas that the guide points take when a picture is first shown


class GuideCanvas(QWidget):
    """Where guide points are placed.

    Signals:
        placed(GuidePoints): a point was put elsewhere. chosen(str): this point is the selected one.
        refused(str): why a point cannot lie there.
    """

    placed = Signal(object)
    chosen = Signal(str)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Landmarks of the picture")
        self.setAccessibleDescription(
            "Page Up and Page Down choose a guide point, the arrow keys move it, with Control all; < and > change "
            "their size, [ and ] turn them; plus and minus zoom, 0 shows the face."
        )
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(360, 300)
        self.setMouseTracking(True)
        self._image = QImage()
        self._guides: GuidePoints | None = None
        self._mesh: NDArray[np.float32] | None = None
        self._selected = next(iter(POINT_WORDS))
        self._zoom, self._middle = 1.0, QPointF(0.5, 0.5)
        self._dragged = ""  # a point's name, all, or the picture
        self._from = QPointF()

    @property
    def guides(self) -> GuidePoints | None:
        """The points as they are painted."""
        return self._guides

    @property
    def selected(self) -> str:
        """The point that the keys move."""
        return self._selected

    def sizeHint(self) -> QSize:
        """Much room."""
        return QSize(760, 640)

    def show_picture(self, image: QImage, guides: GuidePoints, *, anew: bool) -> None:
        """Show a picture and its points. anew: it is another picture, so the face is brought into view."""
        if self._dragged and not anew:
            return
        self._image = image
        self._take(guides)
        if anew:
            self._dragged = ""
            self.show_face()

    def choose(self, name: str) -> None:
        """Select a point."""
        self._selected = name
        self.update()

    def show_face(self) -> None:
        """Zoom to the guide points."""
        if self._guides is None or self._image.isNull():
            return
        places = np.array(list(self._guides.points.values()))
        low, high = places.min(0), places.max(0)
        room = fitted(self._image.size(), QRectF(self.rect()))
        across, down = (high - low) * (room.width() / self.width(), room.height() / self.height())
        self._zoom = min(max(_FACE_SHARE / max(float(across), float(down), 1e-3), _LEAST), _MOST)
        self._middle = QPointF(float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._from = event.position()
        name = self._near(event.position())
        together = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        self._dragged = _ALL if together else name or _PICTURE
        if name and not together:
            self._select(name)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._dragged:
            near = self._near(event.position())
            self.setCursor(Qt.CursorShape.PointingHandCursor if near else Qt.CursorShape.OpenHandCursor)
            self.setToolTip(POINT_WORDS[near] if near else "")
            return
        moved, self._from = event.position() - self._from, event.position()
        where = self._where()
        if self._dragged == _ALL:
            self._shift_all(by=(moved.x() / where.width(), moved.y() / where.height()))
        elif self._dragged == _PICTURE:
            self._middle -= QPointF(moved.x() / where.width(), moved.y() / where.height())
            self.update()
        else:
            self._shift(self._dragged, moved)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        dragged, self._dragged = self._dragged, ""
        if dragged not in ("", _PICTURE) and self._guides is not None:
            self.placed.emit(self._guides)

    def wheelEvent(self, event: QWheelEvent) -> None:
        up = event.angleDelta().y() or event.angleDelta().x()  # Alt makes it a sideways turn on some systems
        if not up:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._change_all(scale=_SCALE if up > 0 else 1 / _SCALE)
        elif event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self._change_all(turn_deg=_TURN_DEG if up > 0 else -_TURN_DEG)
        else:
            self._zoom_at(event.position(), _ZOOM if up > 0 else 1 / _ZOOM)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = _BIG_STEP_PX if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP_PX
        moves = {
            Qt.Key.Key_Left: QPointF(-step, 0),
            Qt.Key.Key_Right: QPointF(step, 0),
            Qt.Key.Key_Up: QPointF(0, -step),
            Qt.Key.Key_Down: QPointF(0, step),
        }
        turns = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        key, names = event.key(), list(POINT_WORDS)
        changes = {
            "[": {"turn_deg": -_TURN_DEG},
            "]": {"turn_deg": _TURN_DEG},
            "<": {"scale": 1 / _SCALE},
            ">": {"scale": _SCALE},
        }
        if key in moves and self._guides is not None:
            moved, where = moves[Qt.Key(key)], self._where()
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                self._shift_all(by=(moved.x() / where.width(), moved.y() / where.height()))
            else:
                self._shift(self._selected, moved)
            self.placed.emit(self._guides)
        elif event.text() in changes:
            self._change_all(**changes[event.text()])
        elif key in turns:
            self._select(names[(names.index(self._selected) + turns[Qt.Key(key)]) % len(names)])
        elif event.text() in ("+", "=", "-"):
            self._zoom_at(QRectF(self.rect()).center(), 1 / _ZOOM if event.text() == "-" else _ZOOM)
        elif event.text() == "0":
            self.show_face()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, painter = current_theme(), QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(QPen(QColor(theme.accent if self.hasFocus() else theme.line), 1))
        painter.setBrush(QColor(theme.well))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 10, 10)
        if self._image.isNull() or self._guides is None:
            painter.end()
            return
        painter.setClipRect(self.rect().adjusted(3, 3, -3, -3))
        where = self._where()
        painter.drawImage(where, self._image)
        self._paint_mesh(painter, where)
        for name in self._guides.points:
            if name != self._selected:
                self._paint_point(painter, name)
        self._paint_point(painter, self._selected)
        painter.end()

    def _paint_mesh(self, painter: QPainter, where: QRectF) -> None:
        if self._mesh is None:
            return
        corner, size = np.array([where.left(), where.top()]), np.array([where.width(), where.height()])
        points = [QPointF(x, y) for x, y in (self._mesh * size + corner).tolist()]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for ring in OUTLINES:
            polygon = QPolygonF([points[index] for index in ring])
            painter.setPen(QPen(QColor(0, 0, 0, 110), 3.0))
            painter.drawPolygon(polygon)
            painter.setPen(QPen(QColor(255, 214, 64, 220), 1.3))
            painter.drawPolygon(polygon)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(70, 220, 255, 190))
        for point in points:
            painter.drawEllipse(point, 1.3, 1.3)

    def _paint_point(self, painter: QPainter, name: str) -> None:
        if self._guides is None or name not in self._guides.points:
            return
        point, chosen = self._on_screen(name), name == self._selected
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1.4))
        painter.setBrush(QColor(current_theme().accent) if chosen else QColor("#ff5468"))
        radius = 7.0 if chosen else 5.0
        painter.drawEllipse(point, radius, radius)
        if chosen:
            words = POINT_WORDS[name]
            width = painter.fontMetrics().horizontalAdvance(words) + 14
            plate = QRectF(point.x() + 12, point.y() - 26, width, 22)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 170))
            painter.drawRoundedRect(plate, 5, 5)
            painter.setPen(QColor("#ffffff"))
            painter.drawText(plate, int(Qt.AlignmentFlag.AlignCenter), words)

    def _where(self) -> QRectF:
        """Where the picture lies on the canvas now."""
        whole = fitted(self._image.size(), QRectF(self.rect()))
        width, height = whole.width() * self._zoom, whole.height() * self._zoom
        centre = QRectF(self.rect()).center()
        return QRectF(centre.x() - self._middle.x() * width, centre.y() - self._middle.y() * height, width, height)

    def _on_screen(self, name: str) -> QPointF:
        assert self._guides is not None
        where, (x, y) = self._where(), self._guides.points[name]
        return QPointF(where.left() + x * where.width(), where.top() + y * where.height())

    def _near(self, place: QPointF) -> str:
        if self._guides is None or self._image.isNull():
            return ""
        apart = {name: (self._on_screen(name) - place).manhattanLength() for name in self._guides.points}
        nearest = min(apart, key=lambda name: apart[name])
        return nearest if apart[nearest] < _REACH_PX else ""

    def _select(self, name: str) -> None:
        if name != self._selected:
            self._selected = name
            self.chosen.emit(name)
        self.update()

    def _shift(self, name: str, moved: QPointF) -> None:
        if self._guides is None or name not in self._guides.points:
            return
        where, (x, y) = self._where(), self._guides.points[name]
        try:
            self._take(move_point(self._guides, name, (x + moved.x() / where.width(), y + moved.y() / where.height())))
        except InvalidSetting as error:
            self.refused.emit(str(error))

    def _shift_all(self, **change: Any) -> None:
        if self._guides is None:
            return
        try:
            self._take(move_all(self._guides, (self._image.width(), self._image.height()), **change))
        except InvalidSetting as error:
            self.refused.emit(str(error))

    def _change_all(self, **change: float) -> None:
        self._shift_all(**change)
        if self._guides is not None:
            self.placed.emit(self._guides)

    def _take(self, guides: GuidePoints) -> None:
        self._guides = guides
        self._mesh = mesh_of(guides, (self._image.width(), self._image.height()))
        self.update()

    def _zoom_at(self, place: QPointF, factor: float) -> None:
        if self._image.isNull():
            return
        before = self._where()
        held = QPointF((place.x() - before.left()) / before.width(), (place.y() - before.top()) / before.height())
        self._zoom = min(max(self._zoom * factor, _LEAST), _MOST)
        after = self._where()
        moved = QPointF((place.x() - after.left()) / after.width(), (place.y() - after.top()) / after.height()) - held
        self._middle -= moved
        self.update()
