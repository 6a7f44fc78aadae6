# SPDX-License-Identifier: Apache-2.0
"""The 3-2-1 before a neutral pose is taken, what came of it, and where it is kept. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.bridge import Tasks
from desktop.run import Run
from desktop.settings_keeper import SettingsKeeper
from desktop.words import error_words
from engine.events import Calibrated, CalibrationFailed, PipelineEvent

__all__ = ["Calibration"]

_STEP_MS = 1000
_STEPS = 3
_ANSWER_MS = 4000  # half a second of frames is needed; without a face none comes


class Calibration(QObject):
    """Counts down, then waits for the engine's answer.

    Signals:
        counting(int): seconds left; 0 while the pose is being taken. begun: now the engine may look.
        accepted(float): quality, [0, 1]. rejected(str): why, and what to do. cancelled: nothing came of it.
        failed(BaseException): the pose is in use but could not be kept.
    """

    counting = Signal(int)
    begun = Signal()
    accepted = Signal(float)
    rejected = Signal(str)
    cancelled = Signal()
    failed = Signal(object)

    def __init__(
        self,
        run: Run,
        keeper: SettingsKeeper,
        tasks: Tasks,
        parent: QObject | None = None,
        *,
        step_ms: int = _STEP_MS,
        answer_ms: int = _ANSWER_MS,
    ) -> None:
        super().__init__(parent)
        self._run, self._keeper, self._tasks = run, keeper, tasks
        self.step_ms = step_ms
        self.answer_ms = answer_ms
        self._left = 0
        self._waiting = False
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._tick)

    @property
    def waiting(self) -> bool:
        """Whether an answer of the engine is awaited."""
        return self._waiting

    def count_down(self) -> None:
        """Begin, again if it is under way."""
        self._waiting, self._left = False, _STEPS
        self._next()

    def hear(self, event: PipelineEvent) -> None:
        """Take the engine's answer, where one is awaited: the calibration that runs by itself asks nobody."""
        if not self._waiting:
            return
        if isinstance(event, Calibrated):
            self._accept()
        elif isinstance(event, CalibrationFailed):
            self.reject(error_words(event.error))

    def reject(self, reason: str) -> None:
        """The engine refused what it saw."""
        self._end()
        self.rejected.emit(reason)

    def cancel(self) -> None:
        """Forget it."""
        if self._timer.isActive() or self._waiting:
            self._end()
            self.cancelled.emit()

    def _next(self) -> None:
        self.counting.emit(self._left)
        self._timer.start(self.step_ms)

    def _tick(self) -> None:
        if self._waiting:
            self.reject("The neutral pose was not taken: no face was found. Look into the camera and try again.")
            return
        self._left -= 1
        if self._left > 0:
            self._next()
            return
        self._waiting = True
        self.counting.emit(0)
        if self._run.session is not None:
            self._run.session.pipeline.calibrate()
        self.begun.emit()
        self._timer.start(self.answer_ms)

    def _accept(self) -> None:
        session, person = self._run.session, self._keeper.now.person
        neutral = session.pipeline.neutral if session is not None else None
        if session is None or neutral is None:
            return
        self._end()
        self.accepted.emit(neutral.quality)
        self._tasks.run("neutral", lambda: session.keep_neutral(person), failed=self.failed.emit)

    def _end(self) -> None:
        self._timer.stop()
        self._waiting, self._left = False, 0
