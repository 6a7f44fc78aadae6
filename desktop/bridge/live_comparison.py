# SPDX-License-Identifier: Apache-2.0
"""Models side by side while the character is live: `engine.evaluation.live_compare` beside the run. GUI thread.

The comparison shows the performer, because the user asked for that. Its frames go to the compare page and to nobody
else: they never meet an output. The panic key covers it like everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from desktop.bridge.comparison import live_models
from desktop.bridge.doorbell import Doorbell, Tasks
from desktop.bridge.outputs import HIDDEN, OPENING, card
from desktop.run import Run
from desktop.settings import AppSettings
from desktop.settings_keeper import SettingsKeeper
from desktop.shown import Shown

if TYPE_CHECKING:
    from engine.evaluation.live_compare import LiveCompare

__all__ = ["LiveComparing"]

_NAME = "comparison"
_JOIN_S = 30.0  # models may just be loading


class LiveComparing(QObject):
    """At most one comparison beside the run.

    Signals:
        frame(OutputFrame): a newer one, or a holding card. figures(Mapping[str, float], float): what each model takes
        in ms, comparisons a second. running_changed(bool): it was switched on or off. failed(BaseException): it ended.
    """

    frame = Signal(object)
    figures = Signal(object, float)
    running_changed = Signal(bool)
    failed = Signal(object)

    def __init__(
        self, run: Run, keeper: SettingsKeeper, shown: Shown, tasks: Tasks, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._run, self._keeper, self._shown, self._tasks = run, keeper, shown, tasks
        self._bell, self._error_bell = Doorbell(self), Doorbell(self)
        self._bell.answered.connect(self._take)
        self._error_bell.answered.connect(self._give_up)
        self._error: BaseException | None = None
        self._compare: LiveCompare | None = None
        self._wanted = False
        self._turn = 0
        run.opened.connect(lambda _session: self._watch())
        shown.hidden_changed.connect(self._hide)
        keeper.changed.connect(self._follow)

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self._wanted

    def begin(self) -> None:
        """Compare, from the next driving frame on; begins anew where it runs."""
        self._stop()
        self._wanted, self._turn = True, self._turn + 1
        turn = self._turn
        self._show_card(OPENING)  # drawn beforehand: another text takes longer than a frame
        self.running_changed.emit(True)
        self._tasks.run(
            "load comparison", _load, done=lambda _: self._begin(turn), failed=lambda error: self._end_with(error)
        )

    def _begin(self, turn: int) -> None:
        """The libraries are loaded; it may have been switched off, or begun anew, meanwhile."""
        if not self._wanted or turn != self._turn or self._compare is not None:
            return
        from engine.evaluation.live_compare import LiveCompare

        now = self._keeper.now
        self._compare = LiveCompare(
            live_models(now.model),
            now.source_set,
            motion=now.live.motion,
            doorbell=self._bell.ring,
            on_error=self._broken,
        )
        self._watch()

    def end(self) -> None:
        """Compare no more."""
        if self._wanted:
            self._wanted = False
            self._stop()
            self.running_changed.emit(False)

    def close(self) -> None:
        """End for good, waiting for it."""
        self.end()
        self._bell.close()
        self._error_bell.close()

    def _stop(self) -> None:
        compare, self._compare = self._compare, None
        if compare is None:
            return
        if self._run.session is not None:
            self._run.session.watch(_NAME, None)
        compare.stop()
        self._tasks.run("end comparison", lambda: compare.join(_JOIN_S), failed=self.failed.emit)

    def _watch(self) -> None:
        if self._run.session is not None and self._compare is not None:
            self._run.session.watch(_NAME, self._compare)

    def _follow(self, before: AppSettings, now: AppSettings) -> None:
        if self._wanted and (before.source_set, before.model) != (now.source_set, now.model):
            self.begin()
        elif self._compare is not None:
            self._compare.motion = now.live.motion

    def _hide(self, hidden: bool) -> None:
        if self._wanted and hidden:
            self._show_card(HIDDEN)

    def _show_card(self, reason: str) -> None:
        self.frame.emit(card(self._keeper.now.live.output, reason))

    def _take(self) -> None:
        newest = self._compare.take() if self._compare is not None else None
        if newest is None or self._shown.hidden or not self._shown.may_show(newest.frame.captured_ns):
            return
        took: Mapping[str, float] = newest.took_ms
        self.frame.emit(newest.frame)
        self.figures.emit(took, newest.fps)

    def _broken(self, error: BaseException) -> None:
        self._error = error
        self._error_bell.ring()

    def _give_up(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._end_with(error)

    def _end_with(self, error: BaseException) -> None:
        self.end()
        self.failed.emit(error)


def _load() -> None:
    """Load what a comparison needs, on the task's thread: the window must not wait for libraries."""
    import engine.evaluation.live_compare  # noqa: F401 - loading it is the point
