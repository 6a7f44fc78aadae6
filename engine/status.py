# SPDX-License-Identifier: Apache-2.0
"""What a pipeline is doing and what went wrong: its state, the reasons that hold, and the events that tell of them.

The threads of a pipeline share one `Status`; the states themselves are in `engine.state`, the events in
`engine.events`. Any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine import state as states
from engine.clock import NS_PER_S, Clock
from engine.events import EventBox, StateChanged, Warned
from engine.state import PipelineState

__all__ = ["Status"]

_MOST_WARNED = 256
_WARN_EVERY_NS = NS_PER_S  # the same trouble is told once a second at most


class Status:
    """The current state of one pipeline.

    lock: hold it to look at the state and then move it. events: what happened, for the outside.
    """

    def __init__(self, clock: Clock, *, doorbell: Callable[[], None] | None = None) -> None:
        self.lock = threading.RLock()
        self.events = EventBox(doorbell)
        self._clock = clock
        self._state = PipelineState()
        self._standing: dict[str, None] = {}  # reasons that hold, oldest first
        self._warned_ns: dict[str, int] = {}

    @property
    def state(self) -> PipelineState:
        """The state now."""
        with self.lock:
            return self._state

    def move(self, new: PipelineState) -> None:
        """Go to another state and tell of it."""
        with self.lock:
            old, self._state = self._state, new
        if old != new:
            self.events.post(StateChanged(self._clock.now_ns(), str(old), str(new)))

    def note(self, reason: str, holds: bool) -> None:
        """Set or clear one reason for being degraded; those met while loading count from `recall` on."""
        with self.lock:
            if holds:
                self._standing.setdefault(reason)
            else:
                self._standing.pop(reason, None)
            if holds != (reason in self._state.reasons):
                self.move((states.degrade if holds else states.clear)(self._state, reason))

    def recall(self) -> None:
        """Note again every reason that holds: a state that was not live has ignored them."""
        with self.lock:
            for reason in tuple(self._standing):
                self.note(reason, True)

    def warn(self, where: str, error: BaseException) -> None:
        """Tell of a trouble that does not end the run. where: stage or sink."""
        now_ns = self._clock.now_ns()
        with self.lock:
            key = f"{where} {type(error).__name__} {error}"
            if now_ns - self._warned_ns.get(key, -_WARN_EVERY_NS) < _WARN_EVERY_NS:
                return
            if len(self._warned_ns) >= _MOST_WARNED:  # sentences with numbers in them must not add up
                self._warned_ns.clear()
            self._warned_ns[key] = now_ns
        self.events.post(Warned(now_ns, where, error))
