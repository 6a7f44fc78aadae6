# SPDX-License-Identifier: Apache-2.0
"""Curves of the last minutes: frames a second, frame age, and what the stages cost. Made when first opened."""

from __future__ import annotations

from collections import deque
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop.figures import Figures
from desktop.theme import Theme

__all__ = ["PlotPane"]

_KEPT = 240  # two minutes, two a second


class PlotPane(QWidget):
    """Three small plots side by side."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        import pyqtgraph as pg

        self._pg: Any = pg
        self.setAccessibleName("Plots")
        self.setFixedHeight(150)
        self._series: dict[str, deque[float]] = {}
        self._curves: dict[str, Any] = {}
        self._plots: list[Any] = []
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 8)
        layout.setSpacing(8)
        for title, curves in (
            ("Frames per second", ("fps",)),
            ("Age p95, ms", ("age",)),
            ("Stages, ms", ("Track", "Warp", "Compose", "Output")),
        ):
            plot = pg.PlotWidget()
            plot.setMenuEnabled(False)
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.hideAxis("bottom")
            plot.plotItem.setContentsMargins(2, 2, 4, 10)
            plot.setAccessibleName(title)
            plot.getAxis("left").setWidth(30)
            for curve in curves:
                self._curves[curve] = plot.plot([], name=curve)
                self._series[curve] = deque(maxlen=_KEPT)
            self._plots.append((plot, title, curves))
            layout.addWidget(plot)
        self.show_theme(theme)

    @property
    def points(self) -> dict[str, list[float]]:
        """What is drawn, curve by curve."""
        return {name: list(values) for name, values in self._series.items()}

    def show_figures(self, figures: Figures) -> None:
        """Add one measurement."""
        values = {"fps": figures.fps, "age": figures.age_p95_ms}
        values.update({load.name: load.took_ms for load in figures.loads})
        for name, value in values.items():
            if name in self._series:
                self._series[name].append(value)
                self._curves[name].setData(list(self._series[name]))
        for plot, _, _ in self._plots:
            plot.setYRange(0, max(1.0, plot.getViewBox().childrenBounds()[1][1] * 1.1), padding=0)

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        colours = {
            "fps": theme.good, "age": theme.busy, "Track": theme.busy, "Warp": theme.accent, "Compose": theme.good,
            "Output": theme.warn,
        }  # fmt: skip
        for plot, title, curves in self._plots:
            names = [f'<span style="color: {colours[name]}">{name}</span>' for name in curves if len(curves) > 1]
            plot.setBackground(theme.panel)
            words = " ".join([*names, "ms"]) if names else title  # four names leave no room for more
            plot.setTitle(words, size="9pt", color=theme.soft)
            axis = plot.getAxis("left")
            axis.setPen(theme.line)
            axis.setTextPen(theme.soft)
        for name, curve in self._curves.items():
            curve.setPen(self._pg.mkPen(colours[name], width=1.6))
