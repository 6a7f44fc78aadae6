# SPDX-License-Identifier: Apache-2.0
"""What the engine tells the outside: small frozen events, collected in a box with a doorbell.

Any thread posts; the outside drains. The doorbell is a callback without payload that rings once per batch, so that
a blocked window is never flooded (it finds the newest events when it looks).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import Closed

__all__ = [
    "Calibrated",
    "CalibrationFailed",
    "Drifted",
    "EventBox",
    "Failed",
    "Finished",
    "PipelineEvent",
    "SourceSetReady",
    "StateChanged",
    "ThreadStuck",
    "TrackingLost",
    "TrackingRecovered",
    "Warned",
]

_CAPACITY = 1024  # more unread events than a minute of the worst stream; older ones are dropped


@dataclass(frozen=True, slots=True)
class PipelineEvent:
    """Base of all events. at_ns: monotonic time."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class StateChanged(PipelineEvent):
    """The pipeline moved from one state to another. old, new: as text, such as "degraded (tracking lost)"."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SourceSetReady(PipelineEvent):
    """A source set is the one on screen now."""

    name: str


@dataclass(frozen=True, slots=True)
class TrackingLost(PipelineEvent):
    """No face is found; the last pose is held, then the holding card comes."""


@dataclass(frozen=True, slots=True)
class TrackingRecovered(PipelineEvent):
    """The face is back."""


@dataclass(frozen=True, slots=True)
class Calibrated(PipelineEvent):
    """The performer's neutral pose was taken."""


@dataclass(frozen=True, slots=True)
class CalibrationFailed(PipelineEvent):
    """The performer's neutral pose was refused. error: why, in a sentence."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Drifted(PipelineEvent):
    """The performer has been sitting otherwise than in the neutral pose for a minute; calibrating again helps."""


@dataclass(frozen=True, slots=True)
class Warned(PipelineEvent):
    """Something went wrong and the pipeline goes on. where: stage or sink."""

    where: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class ThreadStuck(PipelineEvent):
    """A thread did not end in time while stopping."""

    name: str


@dataclass(frozen=True, slots=True)
class Failed(PipelineEvent):
    """The pipeline stopped because of an error."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Finished(PipelineEvent):
    """A finite source ended and everything was delivered."""


class EventBox:
    """Collects events until somebody drains them.

    Thread: any thread may post and drain. `doorbell` runs on the posting thread and must return at once.
    """

    def __init__(self, doorbell: Callable[[], None] | None = None) -> None:
        self._changed = threading.Condition()
        self._events: deque[PipelineEvent] = deque(maxlen=_CAPACITY)
        self._doorbell = doorbell
        self._closed = False

    def post(self, event: PipelineEvent) -> None:
        """Add an event; ring only if the box was empty, since a full one has already been announced."""
        with self._changed:
            announced = bool(self._events)
            self._events.append(event)
            self._changed.notify_all()
        if self._doorbell is not None and not announced:
            self._doorbell()

    def drain(self) -> list[PipelineEvent]:
        """Take all events, oldest first."""
        with self._changed:
            events = list(self._events)
            self._events.clear()
            return events

    def wait(self, timeout_s: float | None = None) -> PipelineEvent | None:
        """Take the oldest event, waiting for one; None when `timeout_s` passed.

        Raises:
            Closed: the box was closed and is empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events) or self._closed, timeout_s)
            if self._events:
                return self._events.popleft()
            if self._closed:
                raise Closed
            return None

    def close(self) -> None:
        """Wake everyone who waits; posting afterwards is still allowed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
