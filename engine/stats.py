# SPDX-License-Identifier: Apache-2.0
"""Figures of a run: time per stage, frames per second, drops and frame age at every sink.

Each series keeps its latest values only, so that a two-hour call needs no more memory than a minute. Recording is
one append; percentiles are computed when somebody asks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from engine.clock import NS_PER_S

__all__ = ["PipelineStats", "Spread", "StageTimes", "StatsCollector", "spread_of"]

_WINDOW = 512  # values per series: about 17 s at 30 fps
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class StageTimes:
    """What one frame cost, stage by stage, in nanoseconds; 0 where a stage did not run."""

    track_ns: int = 0
    retarget_ns: int = 0
    warp_ns: int = 0
    composite_ns: int = 0
    watermark_ns: int = 0

    @property
    def total_ns(self) -> int:
        """Sum of all stages."""
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a series, in milliseconds. count: how many values they rest on."""

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """One look at a running pipeline.

    stages: per stage name. frame_age: per sink name, from capture to the end of `send`. delivered: frames per sink.
    dropped: frames lost per hand-over name. waiting: frames in each hand-over now. fps: frames per
    second per sink, over the window.
    """

    stages: Mapping[str, Spread] = field(default_factory=dict)
    frame_age: Mapping[str, Spread] = field(default_factory=dict)
    delivered: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    fps: Mapping[str, float] = field(default_factory=dict)


def spread_of(values_ns: Iterable[int]) -> Spread:
    """Return p50, p95 and p99 of times in nanoseconds; an empty series gives zeros."""
    array = np.fromiter(values_ns, dtype=np.float64)
    if array.size == 0:
        return Spread()
    p50, p95, p99 = (float(p) for p in np.percentile(array / _NS_PER_MS, (50, 95, 99)))
    return Spread(p50, p95, p99, int(array.size))


class StatsCollector:
    """Collects a run's figures.

    Thread: any thread may add and take snapshots.
    """

    def __init__(self, *, window: int = _WINDOW) -> None:
        self._lock = threading.Lock()
        self._window = window
        self._stages: dict[str, deque[int]] = {}
        self._ages: dict[str, deque[int]] = {}
        self._arrivals: dict[str, deque[int]] = {}
        self._delivered: dict[str, int] = {}

    def add_stage(self, name: str, took_ns: int) -> None:
        """Add one duration of a stage."""
        with self._lock:
            self._stages.setdefault(name, deque(maxlen=self._window)).append(took_ns)

    def add_times(self, times: StageTimes) -> None:
        """Add one frame's stages; stages that did not run are left out rather than counted as free."""
        for each in fields(times):
            took_ns = getattr(times, each.name)
            if took_ns:
                self.add_stage(each.name.removesuffix("_ns"), took_ns)

    def add_delivery(self, sink: str, *, captured_ns: int, now_ns: int) -> None:
        """Count a frame that a sink has taken at `now_ns`."""
        with self._lock:
            self._ages.setdefault(sink, deque(maxlen=self._window)).append(now_ns - captured_ns)
            self._arrivals.setdefault(sink, deque(maxlen=self._window)).append(now_ns)
            self._delivered[sink] = self._delivered.get(sink, 0) + 1

    def forget_delivery(self, sink: str) -> None:
        """Drop the figures of a sink that is no longer there."""
        with self._lock:
            for series in (self._ages, self._arrivals):
                series.pop(sink, None)
            self._stages.pop(f"sink {sink}", None)
            self._delivered.pop(sink, None)

    def snapshot(
        self, *, dropped: Mapping[str, int] | None = None, waiting: Mapping[str, int] | None = None
    ) -> PipelineStats:
        """Return the figures so far; `dropped` and `waiting` come from whoever owns the slots."""
        with self._lock:
            stages = {name: list(values) for name, values in self._stages.items()}
            ages = {name: list(values) for name, values in self._ages.items()}
            arrivals = {name: list(values) for name, values in self._arrivals.items()}
            delivered = dict(self._delivered)
        return PipelineStats(
            stages={name: spread_of(values) for name, values in stages.items()},
            frame_age={name: spread_of(values) for name, values in ages.items()},
            delivered=delivered,
            dropped=dict(dropped or {}),
            waiting=dict(waiting or {}),
            fps={name: _rate(values) for name, values in arrivals.items()},
        )


def _rate(arrivals_ns: list[int]) -> float:
    span_ns = arrivals_ns[-1] - arrivals_ns[0] if len(arrivals_ns) > 1 else 0
    return (len(arrivals_ns) - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0
