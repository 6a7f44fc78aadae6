# SPDX-License-Identifier: Apache-2.0
"""From the engine's threads to the GUI thread: a doorbell without payload; whoever answers takes the newest.

The engine rings, from any thread, as often as it likes; rings that were not answered yet count once. When the GUI
thread gets to it, it takes what is newest from slots. A window that was blocked for two seconds therefore shows one
fresh frame, not sixty old ones, and the engine never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from engine.worker import Worker

__all__ = ["Doorbell", "Tasks"]

_log = logging.getLogger(__name__)
_JOIN_S = 10.0


class Doorbell(QObject):
    """Rung from any thread, answered on the GUI thread.

    Signals:
        answered: on the GUI thread, once for all rings since the last time.
    """

    answered = Signal()
    _rung = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._waiting = False
        self._closed = False
        # Queued even within one thread: an answer never runs inside the call that rang.
        self._rung.connect(self._answer, Qt.ConnectionType.QueuedConnection)

    def ring(self) -> None:
        """Have `answered` sent soon. Thread: any; returns at once."""
        with self._lock:
            if self._waiting or self._closed:
                return
            self._waiting = True
            self._rung.emit()

    def close(self) -> None:
        """Ring no more; a ring under way is not answered."""
        with self._lock:
            self._closed = True

    @Slot()
    def _answer(self) -> None:
        with self._lock:
            self._waiting = False  # before answering: what comes meanwhile rings again
            if self._closed:
                return
        self.answered.emit()


class Tasks(QObject):
    """Runs what would block the window on threads of its own, and reports back on the GUI thread.

    Signals:
        idle: the last task has reported.
    """

    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bell = Doorbell(self)
        self._bell.answered.connect(self._report)
        self._done: deque[tuple[Worker, Callable[[], None]]] = deque()
        self._running: list[Worker] = []
        self._ending: list[Worker] = []  # have reported, and are about to end

    @property
    def busy(self) -> bool:
        """Whether anything runs or has not reported."""
        return bool(self._running)

    def run(
        self,
        name: str,
        work: Callable[[], Any],
        *,
        done: Callable[[Any], None] = lambda _result: None,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run `work()` on a thread, then `done(result)` or `failed(error)` on the GUI thread."""

        def body(_stopping: threading.Event) -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - handed to whoever asked, on the GUI thread
                _log.debug("task %s ended by %s", name, type(error).__name__, exc_info=error)
                report: Callable[[], None] = lambda error=error: failed(error)  # type: ignore[misc]  # noqa: E731
            else:
                report = lambda: done(result)  # noqa: E731
            self._done.append((worker, report))
            self._bell.ring()

        worker = Worker(f"task {name}", body, on_error=lambda error: _log.debug("task %s: %s", name, error))
        self._running.append(worker)
        worker.start()

    def close(self, *, timeout_s: float = _JOIN_S) -> None:
        """Wait for what runs, and for what its reports start; then nothing reports any more."""
        self._bell.close()
        while self._running:
            for worker in tuple(self._running):
                if not worker.join(timeout_s):
                    _log.info("The thread %s did not end in time.", worker.name)
                    self._running.remove(worker)
            self._report()
        for worker in self._ending:
            worker.join(timeout_s)
        self._ending.clear()

    def _report(self) -> None:
        while self._done:
            worker, report = self._done.popleft()
            if worker in self._running:
                self._running.remove(worker)
            self._ending = [*(one for one in self._ending if one.alive), worker]
            report()
        if not self._running:
            self.idle.emit()
