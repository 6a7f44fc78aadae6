# SPDX-License-Identifier: Apache-2.0
"""Which picture each pixel comes from: a switch, and the pictures with their colours."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from desktop.bridge.heat import SourceColour
from desktop.theme import current_theme
from desktop.widgets.parts import label
from desktop.widgets.switch import Switch

__all__ = ["HeatPanel"]

_ACROSS, _CELL, _GAP = 3, 84, 6
_EMPTY = "The pictures of the character are listed here while it is live."


class HeatPanel(QWidget):
    """A panel of the live page.

    Signals:
        switched(bool): the user wants the heat map, or the character as it is.
    """

    switched = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        hint = "Every part of the character takes the colour of the picture it comes from (Ctrl+H)"
        self.switch = Switch("Show where pixels come from", hint=hint)
        self.switch.clicked.connect(lambda: self.switched.emit(self.switch.isChecked()))
        self.said = label("Outputs show it too while it is on.", "small", wraps=True)
        self.legend = SourceLegend()
        self._empty = label(_EMPTY, "small", wraps=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 12, 12)
        layout.setSpacing(8)
        for each in (self.switch, self.said, self._empty, self.legend):
            layout.addWidget(each)
        self.show_sources([])

    def show_sources(self, sources: list[SourceColour]) -> None:
        """Show these pictures and their colours."""
        self.legend.show_sources(sources)
        self.legend.setVisible(bool(sources))
        self._empty.setVisible(not sources)

    def show_switch(self, on: bool) -> None:
        """Show whether the heat map is on."""
        self.switch.setChecked(on)


class SourceLegend(QWidget):
    """Pictures in a grid, each framed in its colour."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._sources: list[SourceColour] = []

    def sizeHint(self) -> QSize:
        """As many rows as there are pictures for."""
        rows = -(-len(self._sources) // _ACROSS)
        return QSize(_ACROSS * (_CELL + _GAP), max(1, rows) * (_CELL + 22))

    def show_sources(self, sources: list[SourceColour]) -> None:
        """Show these."""
        self._sources = sources
        self.setAccessibleName("Colours: " + ", ".join(f"{each.name} {each.colour}" for each in sources))
        self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        wide = (self.width() - _GAP * (_ACROSS - 1)) / _ACROSS
        side = min(wide, _CELL)
        for number, source in enumerate(self._sources):
            left, top = number % _ACROSS * (wide + _GAP), number // _ACROSS * (_CELL + 22)
            place = QRectF(left, top, side, side).adjusted(2, 2, -2, -2)
            painter.drawImage(place, source.image)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(source.colour), 4))
            painter.drawRoundedRect(place, 4, 4)
            painter.setPen(QColor(current_theme().soft))
            words = painter.fontMetrics().elidedText(source.name, Qt.TextElideMode.ElideRight, int(side))
            painter.drawText(QRectF(left, top + side, side, 18), int(Qt.AlignmentFlag.AlignCenter), words)
        painter.end()
