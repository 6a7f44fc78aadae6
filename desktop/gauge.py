# SPDX-License-Identifier: Apache-2.0
"""Looks at a run's counters twice a second and gives out figures. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.figures import FigureMeter
from desktop.run import Run
from desktop.settings_keeper import SettingsKeeper
from desktop.shown import Shown
from engine.state import Phase

__all__ = ["Gauge"]

_POLL_MS = 500


class Gauge(QObject):
    """Measures while a session is live.

    Signals:
        figures(Figures): how the run does.
    """

    figures = Signal(object)

    def __init__(self, run: Run, keeper: SettingsKeeper, shown: Shown, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run, self._keeper, self._shown = run, keeper, shown
        self._meter = FigureMeter()
        self._timer = QTimer(self, interval=_POLL_MS)
        self._timer.timeout.connect(self._measure)
        run.opening.connect(self._meter.reset)
        run.opened.connect(lambda _session: self._timer.start())
        run.ending.connect(self._timer.stop)

    def _measure(self) -> None:
        session, state = self._run.session, self._shown.now
        if session is not None and state.live:
            steady, fps = state.phase is Phase.RUNNING, self._keeper.now.live.output.fps
            self.figures.emit(self._meter.measure(session.stats(), wanted_fps=fps, steady=steady))
