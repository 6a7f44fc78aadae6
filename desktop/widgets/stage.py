# SPDX-License-Identifier: Apache-2.0
"""The big picture: exactly what goes out. It accepts nothing but sealed frames.

Over it, for the performer alone: the countdown of a calibration and what came of it.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPainterPath, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.errors import ShapeError
from engine.types import OutputFrame

__all__ = ["Stage", "fitted"]

_RADIUS = 12.0


def fitted(size: QSize, into: QRectF) -> QRectF:
    """Return the biggest rectangle of this aspect in the middle of another."""
    if size.isEmpty() or into.isEmpty():
        return QRectF(into.center(), into.center())
    scale = min(into.width() / size.width(), into.height() / size.height())
    width, height = size.width() * scale, size.height() * scale
    return QRectF(into.center().x() - width / 2, into.center().y() - height / 2, width, height)


class Stage(QWidget):
    """Shows the newest sealed frame, aspect kept."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Live output")
        self.setAccessibleDescription("What other programs see; never the camera itself.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 180)
        self._frame: OutputFrame | None = None
        self._image = QImage()
        self._big = ""
        self._small = ""

    @property
    def frame(self) -> OutputFrame | None:
        """What is shown."""
        return self._frame

    def show_frame(self, frame: OutputFrame) -> None:
        """Show a frame.

        Raises:
            ShapeError: it is no sealed frame.
        """
        if not isinstance(frame, OutputFrame):
            raise ShapeError("Stage frame", "an OutputFrame from engine.watermark.gate", type(frame).__name__)
        height, width = frame.rgb.shape[:2]
        # No copy: the frame's pixels never change, and keeping the frame keeps them alive.
        self._frame = frame
        self._image = QImage(frame.rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.update()

    def show_words(self, big: str, small: str = "") -> None:
        """Write something over the picture, here only; empty takes it away."""
        self._big, self._small = big, small
        self.update()

    @property
    def words(self) -> tuple[str, str]:
        """What is written over the picture."""
        return self._big, self._small

    def sizeHint(self) -> QSize:
        """A quarter of full HD."""
        return QSize(960, 540)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        where = fitted(self._image.size(), QRectF(self.rect()))
        if not self._image.isNull():
            outline = QPainterPath()
            outline.addRoundedRect(where, _RADIUS, _RADIUS)
            painter.setClipPath(outline)
            painter.drawImage(where, self._image)
        if self._big:
            self._paint_words(painter, where)
        painter.end()

    def _paint_words(self, painter: QPainter, where: QRectF) -> None:
        painter.fillRect(where, QColor(0, 0, 0, 130))
        painter.setPen(self.palette().color(QPalette.ColorRole.BrightText))
        painter.setPen(QColor("#ffffff"))
        font = QFont(self.font())
        font.setPixelSize(max(24, round(where.height() / (3.2 if len(self._big) < 3 else 9))))
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        upper = QRectF(where.left(), where.top(), where.width(), where.height() * 0.62)
        painter.drawText(upper, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, self._big)
        font.setPixelSize(max(14, round(where.height() / 26)))
        font.setWeight(QFont.Weight.Normal)
        painter.setFont(font)
        lower = QRectF(where.left() + 40, upper.bottom() + 12, where.width() - 80, where.height() * 0.3)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(lower, int(flags), self._small)
