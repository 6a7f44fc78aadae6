# SPDX-License-Identifier: Apache-2.0
"""A named thread that cannot die unnoticed.

An exception inside a plain Python thread reaches neither the caller nor `sys.excepthook`; `Worker` hands every one
to `on_error`. The body polls `stopping` (an Event that `Clock.wait_until` accepts) or ends on `Closed`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from engine.errors import Closed

__all__ = ["Worker"]

_log = logging.getLogger(__name__)


class Worker:
    """Runs `body(stopping)` on a thread of its own.

    Args:
        name: the thread's name, shown in events and debuggers.
        body: called once; returns when `stopping` is set or its work is done.
        on_error: called on the worker's thread with whatever the body raised, `Closed` excepted.
    """

    def __init__(
        self, name: str, body: Callable[[threading.Event], None], *, on_error: Callable[[BaseException], None]
    ) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._body = body
        self._on_error = on_error
        # Daemon: a thread stuck in a driver must not keep the process alive after `join` has reported it.
        self._thread = threading.Thread(target=self._run, name=f"bunraku-{name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; once only."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the body to end; returns at once."""
        self.stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended. Joining an unstarted or the own thread is not waiting."""
        if self._thread.ident is None:
            return True
        if self._thread is threading.current_thread():
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Its owner is bound to it: kept, each would hold the other, and all they own, until a garbage collection.
        body, self._body = self._body, _nothing
        try:
            body(self.stopping)
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - the whole point: nothing may vanish with the thread
            _log.debug("worker %s ended by %s", self.name, type(error).__name__, exc_info=error)
            self._on_error(error)


def _nothing(_stopping: threading.Event) -> None:
    """What is left to do for a worker that has begun."""
