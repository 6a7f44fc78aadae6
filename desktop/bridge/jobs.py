# SPDX-License-Identifier: Apache-2.0
"""Long work beside the window, one piece after the other, with progress and a way out. GUI thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from desktop.bridge.doorbell import Doorbell, Tasks

__all__ = ["Advance", "Jobs"]

Advance = Callable[[int, int | None], None]
"""What the work calls with (steps done, steps in all or None); it raises where the user no longer wants the work."""


class _Cancelled(Exception):
    """The user no longer wants it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    words: str
    work: Callable[[Advance], Any]
    done: Callable[[Any], None]
    quiet: bool


class Jobs(QObject):
    """A queue of work.

    Signals:
        progress(str, int, int): what is done now, steps done, steps in all (0 where unknown); never of quiet work.
        idle: no work is left that is not quiet. failed(BaseException): a piece could not be done; the next goes on.
        cancelled(str): this was given up, and nothing of it was kept.
    """

    progress = Signal(str, int, int)
    idle = Signal()
    failed = Signal(object)
    cancelled = Signal(str)

    def __init__(self, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._bell = Doorbell(self)
        self._bell.answered.connect(self._tell_progress)
        self._waiting: deque[_Job] = deque()
        self._now: _Job | None = None
        self._unwanted = threading.Event()
        self._counted = (0, 0)
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether something runs or waits that is not quiet."""
        return any(not job.quiet for job in (*self._waiting, *([self._now] if self._now else [])))

    def begin(
        self, words: str, work: Callable[[Advance], Any], *, done: Callable[[Any], None], quiet: bool = False
    ) -> None:
        """Do this after what waits already. words: for the user, e.g. "Looking at the pictures".

        Args:
            work: called on a thread with an `Advance`. done: called with its result on the GUI thread. quiet: it shows
                no progress, gives way to what is not quiet, and is cancelled by nobody but `close`.
        """
        if self._closed:
            return
        job = _Job(words, work, done, quiet)
        if quiet:
            self._waiting.append(job)
        else:
            before = sum(not each.quiet for each in self._waiting)
            self._waiting.insert(before, job)
        self._next()

    def cancel(self) -> None:
        """Give up what runs and what waits, quiet work excepted."""
        self._waiting = deque(job for job in self._waiting if job.quiet)
        if self._now is not None and not self._now.quiet:
            self._unwanted.set()

    def close(self) -> None:
        """Give up everything; what runs ends by itself within a step."""
        self._closed = True
        self._waiting.clear()
        self._unwanted.set()
        self._bell.close()

    def _next(self) -> None:
        if self._now is not None or not self._waiting:
            return
        job = self._now = self._waiting.popleft()
        unwanted = self._unwanted = threading.Event()
        self._counted = (0, 0)
        if not job.quiet:
            self._tell_progress()

        def advance(count: int, total: int | None) -> None:
            if unwanted.is_set():
                raise _Cancelled
            self._counted = (count, total or 0)
            self._bell.ring()

        self._tasks.run(
            job.words, lambda: job.work(advance), done=lambda result: self._end(job, result), failed=self._give_up
        )

    def _tell_progress(self) -> None:
        if self._now is not None and not self._now.quiet:
            self.progress.emit(self._now.words, *self._counted)

    def _end(self, job: _Job, result: object) -> None:
        self._now = None
        if not self._closed:
            job.done(result)
        self._go_on()

    def _give_up(self, error: BaseException) -> None:
        job, self._now = self._now, None
        if not self._closed and isinstance(error, _Cancelled):
            self.cancelled.emit(job.words if job is not None else "")
        elif not self._closed:
            self.failed.emit(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._closed:
            return
        self._next()
        if not self.busy:
            self.idle.emit()
