# SPDX-License-Identifier: Apache-2.0
"""The sinks of one pipeline, each behind its outlet: they join, leave, break and end one by one. Any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from engine.clock import Clock
from engine.errors import SinkError
from engine.sinks.base import Sink
from engine.sinks.outlet import Outlet
from engine.stats import StatsCollector
from engine.status import Status
from engine.types import OutputFrame
from engine.worker import Worker

__all__ = ["Outlets"]


class Outlets:
    """Hands each output to every sink.

    Args:
        sinks: open, with different names; closed here. join: waits for a sink's thread and tells of one that is stuck.
        on_all_broken: called with the last sink's error when none is left. on_ended: called after each sink that has
            ended, with how many still run. on_error: called with an error nobody expected.

    Raises:
        ValueError: no sink, or two of one name.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        status: Status,
        stats: StatsCollector,
        clock: Clock,
        join: Callable[[Worker], None],
        on_all_broken: Callable[[BaseException], None],
        on_ended: Callable[[int], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        if not sinks or len({sink.name for sink in sinks}) < len(sinks):
            raise ValueError(f"sinks must be at least one and have different names: {[sink.name for sink in sinks]}")
        self._status, self._stats, self._clock = status, stats, clock
        self._join, self._on_all_broken, self._on_ended, self._on_error = join, on_all_broken, on_ended, on_error
        self._lock = threading.Lock()
        self._all = [self._outlet_for(sink) for sink in sinks]  # replaced as a whole, so that reading needs no lock
        self._running = len(self._all)

    def __iter__(self) -> Iterator[Outlet]:
        return iter(self._all)

    @property
    def needs_consent(self) -> bool:
        """Whether one of them asks for a consent note."""
        return any(outlet.needs_consent for outlet in self._all)

    def start(self) -> None:
        """Start feeding them all."""
        for outlet in self._all:
            outlet.worker.start()

    def hand_out(self, output: OutputFrame) -> None:
        """Offer a frame to each; returns at once."""
        for outlet in self._all:
            outlet.offer(output)

    def add(self, sink: Sink, *, started: bool) -> None:
        """Feed one more from now on.

        Raises:
            ValueError: a sink of this name is there already.
        """
        with self._lock:
            if any(outlet.name == sink.name for outlet in self._all):
                raise ValueError(f"there is a sink called {sink.name} already")
            outlet = self._outlet_for(sink)
            self._all = [*self._all, outlet]
            self._running += 1
        if started:
            outlet.worker.start()

    def remove(self, name: str, *, started: bool) -> None:
        """Finish what was handed over to a sink and close it; waits for that. Nothing happens where there is none.

        Raises:
            ValueError: it is the only sink.
        """
        with self._lock:
            leaving = next((outlet for outlet in self._all if outlet.name == name), None)
            if leaving is None:
                return
            if len(self._all) == 1:
                raise ValueError(f"{name} is the only sink; stop the pipeline instead")
            self._all = [outlet for outlet in self._all if outlet is not leaving]
            if not started:
                self._running -= 1
        if not started:
            leaving.close_unstarted()
            return
        leaving.finish()
        self._join(leaving.worker)
        self._stats.forget_delivery(name)
        leaving.clear_reasons()

    def finish(self) -> None:
        """End each after what was handed over; returns at once."""
        for outlet in self._all:
            outlet.finish()

    def join(self) -> None:
        """Wait until they have ended."""
        for outlet in self._all:
            self._join(outlet.worker)

    def close_unstarted(self) -> None:
        """Close the sinks of outlets that never ran."""
        for outlet in self._all:
            outlet.close_unstarted()

    def _outlet_for(self, sink: Sink) -> Outlet:
        return Outlet(
            sink,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            on_broken=self._broke,
            on_end=self._ended,
            on_error=self._on_error,
        )

    def _broke(self, outlet: Outlet, error: SinkError) -> None:
        """Go on without this sink; with none left there is nothing to go on for."""
        if all(one.broken for one in self._all):
            self._on_all_broken(error)
            return
        self._status.warn(outlet.name, error)
        self._status.note(f"{outlet.name} stopped", True)

    def _ended(self) -> None:
        with self._lock:
            self._running -= 1
            running = self._running
        self._on_ended(running)
