# SPDX-License-Identifier: Apache-2.0
"""The 3-2-1 before a neutral pose is taken, and what came of it. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

__all__ = ["Calibration"]

_STEP_MS = 1000
_STEPS = 3
_ANSWER_MS = 4000  # half a second of frames is needed; without a face none comes


class Calibration(QObject):
    """Counts down, then waits for the engine's answer.

    Signals:
        counting(int): seconds left; 0 while the pose is being taken. begun: now the engine may look.
        accepted(float): quality, [0, 1]. rejected(str): why, and what to do. cancelled: nothing came of it.
    """

    counting = Signal(int)
    begun = Signal()
    accepted = Signal(float)
    rejected = Signal(str)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None, *, step_ms: int = _STEP_MS, answer_ms: int = _ANSWER_MS) -> None:
        super().__init__(parent)
        self.step_ms = step_ms
        self._answer_ms = answer_ms
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

    def accept(self, quality: float) -> None:
        """The engine has a pose."""
        self._end()
        self.accepted.emit(quality)

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
        self.begun.emit()
        self._timer.start(self._answer_ms)

    def _end(self) -> None:
        self._timer.stop()
        self._waiting, self._left = False, 0
