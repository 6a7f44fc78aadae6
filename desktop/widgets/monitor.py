# SPDX-License-Identifier: Apache-2.0
"""The performer's own picture, small, with what the tracker found. Off until switched on; it goes nowhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.theme import current_theme
from desktop.widgets.stage import fitted
from engine.types import MonitorView

__all__ = ["MonitorPicture"]

_EVERY = 3  # every third landmark is enough to see that tracking sits


class MonitorPicture(QWidget):
    """Shows a `MonitorView`, mirrored as a mirror would unless told otherwise; the neutral pose as a ghost."""

    def __init__(self, empty_text: str = "The camera view is off", *, mirrored: bool = True) -> None:
        super().__init__()
        self._mirrored = mirrored
        self.setAccessibleName("Your camera")
        self.setAccessibleDescription("Only you see this picture.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(150)
        self._view: MonitorView | None = None
        self._image = QImage()
        self._empty_text = empty_text

    @property
    def view(self) -> MonitorView | None:
        """What is shown."""
        return self._view

    def show_view(self, view: MonitorView | None) -> None:
        """Show a moment; None clears it."""
        self._view = view
        if view is None:
            self._image = QImage()
        else:
            height, width = view.rgb.shape[:2]
            self._image = QImage(view.rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.update()

    def say(self, text: str) -> None:
        """Clear the picture and write something in its place."""
        self._empty_text = text
        self.show_view(None)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        room = QRectF(self.rect())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(current_theme().well))
        painter.drawRoundedRect(room, 8, 8)
        if self._view is None:
            painter.setPen(QColor(current_theme().soft))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(room.adjusted(12, 8, -12, -8), int(flags), self._empty_text)
            painter.end()
            return
        where = fitted(self._image.size(), room)
        painter.translate(where.right() if self._mirrored else where.left(), where.top())
        scale = where.width() / self._image.width()
        painter.scale(-scale if self._mirrored else scale, scale)
        painter.drawImage(0, 0, self._image)
        if self._view.neutral is not None:
            self._paint_points(painter, self._view.neutral, QColor(255, 255, 255, 90), 1.6)
        if self._view.landmarks is not None:
            self._paint_points(painter, self._view.landmarks, QColor(95, 209, 155, 230), 1.2)
        painter.end()

    def _paint_points(self, painter: QPainter, points: NDArray[np.float32], colour: QColor, size: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for x, y in points[::_EVERY].tolist():
            painter.drawEllipse(QPointF(x, y), size, size)
