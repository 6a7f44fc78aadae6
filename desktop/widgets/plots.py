# SPDX-License-Identifier: Apache-2.0
"""Curves of the last minutes: frames a second, frame age, and what the stages cost. Made when first opened."""

from __future__ import annotations

from collections import deque
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop.figures import Figures
from desktop.theme import Theme

__all__ = ["PlotPane", "load_plots"]

_KEPT = 240  # two minutes, two a second


def load_plots() -> None:
    """Load the plots' library, which takes half a second: on a task's thread, before the first pane is made."""
    import pyqtgraph  # noqa: F401 - loading it is the point


class PlotPane(QWidget):
    """Three small plots side by side, made one after the other: each takes as long as a frame."""

    _PLOTS = (
        ("Frames per second", ("fps",)),
        ("Age p95, ms", ("age",)),
        ("Stages, ms", ("Track", "Warp", "Compose", "Output")),
    )

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        import pyqtgraph as pg

        self._pg: Any = pg
        self._theme = theme
        self.setAccessibleName("Plots")
        self.setFixedHeight(150)
        names = [name for _, curves in self._PLOTS for name in curves]
        self._series: dict[str, deque[float]] = {name: deque(maxlen=_KEPT) for name in names}
        self._curves: dict[str, Any] = {}
        self._plots: list[Any] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(8, 0, 8, 8)
        self._row.setSpacing(8)
        self._maker = QTimer(self, interval=0)
        self._maker.timeout.connect(self._make_next)
        self._maker.start()

    @property
    def complete(self) -> bool:
        """Whether all plots are there."""
        return len(self._plots) == len(self._PLOTS)

    def _make_next(self) -> None:
        title, curves = self._PLOTS[len(self._plots)]
        plot = self._pg.PlotWidget()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        plot.hideAxis("bottom")
        plot.plotItem.setContentsMargins(2, 2, 4, 10)
        plot.setAccessibleName(title)
        plot.getAxis("left").setWidth(30)
        for curve in curves:
            self._curves[curve] = plot.plot(list(self._series[curve]), name=curve)
        self._plots.append((plot, title, curves))
        self._row.addWidget(plot)
        self.show_theme(self._theme)
        if self.complete:
            self._maker.stop()

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
            if name in self._curves:
                self._curves[name].setData(list(self._series[name]))
        for plot, _, _ in self._plots:
            plot.setYRange(0, max(1.0, plot.getViewBox().childrenBounds()[1][1] * 1.1), padding=0)

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        self._theme = theme
        colours = {
            "fps": theme.good, "age": theme.busy, "Track": theme.busy, "Warp": theme.accent, "Compose": theme.good,
            "Output": theme.warn,
        }  # fmt: skip
        for plot, title, curves in self._plots:
            names = [f'<span style="color: {colours[name]}">{name}</span>' for name in curves if len(curves) > 1]
            plot.setBackground(theme.panel)
            words = " ".join(names) if names else title  # four names leave no room for more
            plot.setTitle(words, size="8pt" if names else "9pt", color=theme.soft)
            axis = plot.getAxis("left")
            axis.setPen(theme.line)
            axis.setTextPen(theme.soft)
        for name, curve in self._curves.items():
            curve.setPen(self._pg.mkPen(colours[name], width=1.6))
