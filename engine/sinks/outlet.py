# SPDX-License-Identifier: Apache-2.0
"""A sink with the hand-over in front of it and the thread that feeds it.

A live sink gets the newest frame, a recorder every frame of a short queue, so that no sink can hold up another or
the render thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from engine.clock import Clock
from engine.errors import Closed, ConsentMissing, OutputUnwritable, SinkError, VirtualCameraLost
from engine.memory import trim_heap
from engine.sinks.base import Sink
from engine.slots import BoundedQueue, LatestSlot
from engine.stats import StatsCollector
from engine.status import Status
from engine.types import OutputFrame
from engine.worker import Worker

__all__ = ["Outlet"]

_log = logging.getLogger(__name__)

_LOST, _WITHHELD, _STOPPED = "lost", "withheld", "stopped"
_QUEUE_CAPACITY = 8  # a quarter of a second at 30 fps: evens out an encoder's hiccups, no more


class Outlet:
    """Feeds one sink, and closes it when the hand-over is closed.

    Args:
        sink: open. on_broken: called with the outlet and the error when the sink is given up.
        on_end: called when the sink is closed. on_error: called with an error nobody expected.

    Thread: the callbacks run on the sink's thread; all methods may be called from any other.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        status: Status,
        stats: StatsCollector,
        clock: Clock,
        on_broken: Callable[[Outlet, SinkError], None],
        on_end: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.name, self.broken = sink.name, False
        self.needs_consent = sink.needs_consent
        self.worker = Worker(f"sink {sink.name}", self._run, on_error=on_error)
        self._sink = sink
        self._handover: LatestSlot[OutputFrame] | BoundedQueue[OutputFrame] = (
            BoundedQueue(_QUEUE_CAPACITY) if sink.keeps_every_frame else LatestSlot()
        )
        self._status, self._stats, self._clock = status, stats, clock
        self._on_broken, self._on_end = on_broken, on_end

    @property
    def dropped(self) -> int:
        """How many frames the sink was too slow for."""
        return self._handover.dropped

    @property
    def waiting(self) -> int:
        """How many frames the sink has yet to take."""
        return self._handover.waiting

    def offer(self, frame: OutputFrame) -> None:
        """Hand over a frame; one that has ended takes no more."""
        with contextlib.suppress(Closed):
            self._handover.put(frame)

    def finish(self) -> None:
        """End after what was handed over; returns at once."""
        self._handover.close()

    def close_unstarted(self) -> None:
        """Close the sink of an outlet whose thread never ran."""
        with contextlib.suppress(SinkError):
            self._sink.close()

    def clear_reasons(self) -> None:
        """Forget what this sink was degraded for; it is no longer there."""
        for trouble in (_LOST, _WITHHELD, _STOPPED):
            self._status.note(f"{self.name} {trouble}", False)

    def _run(self, stopping: threading.Event) -> None:
        try:
            self._feed()
        finally:
            self._handover.close(discard=True)
            self._close_sink()
            trim_heap()  # an encoder's pictures
            self._on_end()

    def _feed(self) -> None:
        while True:
            try:
                frame = self._handover.get()
            except Closed:
                return
            if frame is None:
                continue
            started_ns = self._clock.now_ns()
            try:
                self._sink.send(frame)
            except (VirtualCameraLost, ConsentMissing) as error:  # it starts again by itself; another set may be shown
                self._status.warn(self.name, error)
                self._note_gaps(_LOST if isinstance(error, VirtualCameraLost) else _WITHHELD)
                continue
            except SinkError as error:
                self._break(error)
                return
            except Closed:  # by its owner
                return
            except Exception as error:  # noqa: BLE001 - one output's mistake must not take the others with it
                _log.debug("sink %s failed", self.name, exc_info=error)
                self._break(_unexpected(self.name, error))
                return
            now_ns = self._clock.now_ns()
            self._stats.add_stage(f"sink {self.name}", now_ns - started_ns)
            self._stats.add_delivery(self.name, captured_ns=frame.captured_ns, now_ns=now_ns)
            self._note_gaps("")

    def _note_gaps(self, trouble: str) -> None:
        """Note why frames do not get through although the sink goes on; nothing for one that got through."""
        for each in (_LOST, _WITHHELD):
            self._status.note(f"{self.name} {each}", each == trouble)

    def _break(self, error: SinkError) -> None:
        self.broken = True
        self._on_broken(self, error)

    def _close_sink(self) -> None:
        try:
            self._sink.close()
        except SinkError as error:
            if not self.broken:
                self._break(error)
        except Exception as error:  # noqa: BLE001 - as in `_feed`
            _log.debug("sink %s failed while closing", self.name, exc_info=error)
            if not self.broken:
                self._break(_unexpected(self.name, error))
        if self._sink.unsigned is not None:
            self._status.warn(self.name, self._sink.unsigned)


def _unexpected(name: str, error: Exception) -> SinkError:
    return OutputUnwritable(
        f"The output {name} failed: {type(error).__name__}: {error}.", hint="The others go on; open it again."
    )
