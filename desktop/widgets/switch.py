# SPDX-License-Identifier: Apache-2.0
"""An on/off switch: a check box drawn as a knob in a groove, in the theme's colours."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QCheckBox

from desktop.theme import current_theme

__all__ = ["Switch"]

_TRACK_WH = (34, 18)
_GAP = 10


class Switch(QCheckBox):
    """A check box in another dress; keyboard, screen readers and signals are Qt's own."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.setAccessibleName(text)
        self.setAccessibleDescription(hint)
        self.setToolTip(hint)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """Room for groove, gap and text."""
        text = self.fontMetrics().horizontalAdvance(self.text())
        return QSize(_TRACK_WH[0] + _GAP + text + 8, max(_TRACK_WH[1], self.fontMetrics().height()) + 10)

    def minimumSizeHint(self) -> QSize:
        """As small as the groove; the text is then cut with an ellipsis."""
        return QSize(_TRACK_WH[0] + 8, self.sizeHint().height())

    def hitButton(self, pos: object) -> bool:
        """The whole row takes the click."""
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        accent = palette.color(QPalette.ColorRole.Highlight)
        text = QColor(current_theme().text)
        soft = QColor(current_theme().soft)
        if not self.isEnabled():
            accent = text = soft
        width, height = _TRACK_WH
        track = QRectF(3, (self.height() - height) / 2, width, height)
        painter.setPen(QPen(accent if self.isChecked() else soft, 1.4))
        painter.setBrush(accent if self.isChecked() else QColor(0, 0, 0, 0))
        painter.drawRoundedRect(track, height / 2, height / 2)
        knob = height - 7
        left = track.right() - knob - 3.5 if self.isChecked() else track.left() + 3.5
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(palette.color(QPalette.ColorRole.HighlightedText) if self.isChecked() else soft)
        painter.drawEllipse(QRectF(left, track.center().y() - knob / 2, knob, knob))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(palette.color(QPalette.ColorRole.Highlight), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setPen(text)
        room = self.rect().adjusted(width + _GAP, 0, -4, 0)
        words = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), words)
        painter.end()
