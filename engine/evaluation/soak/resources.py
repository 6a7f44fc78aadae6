# SPDX-License-Identifier: Apache-2.0
"""Memory, handles, threads and queues of this process and its pipeline, now. Any thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from engine.memory import heap_in_use
from engine.pipeline import Pipeline

__all__ = ["Sample", "Sampler", "leftover_threads"]

_MIB = 2**20
_OURS = "bunraku-"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. at_s: since the start. rss_mb: resident memory. heap_mb: what of it is in use in the C library's heaps,
    see `engine.memory.heap_in_use`; None where that is not told. handles: open files, sockets, pipes. threads: of the
    process, native ones included. waiting: frames in all hand-overs. dropped: frames lost so far, since nobody read
    them in time. age_ms: 95th percentile of a frame's age when its output took it. fps: of the live output. load: of
    the machine, processes that want a processor, a minute's mean. others: share of its processors that other programs
    had since the sample before."""

    at_s: float
    rss_mb: float
    handles: int
    threads: int
    waiting: int
    dropped: int
    age_ms: float
    fps: float
    load: float
    others: float = 0.0
    heap_mb: float | None = None


class Sampler:
    """Looks again and again. sink: the live output whose age and rate count. Thread: one at a time."""

    def __init__(self, pipeline: Pipeline, *, sink: str) -> None:
        self._pipeline, self._sink, self._process = pipeline, sink, psutil.Process()
        self._spent = self._processor_times()

    def take(self, *, at_s: float) -> Sample:
        """Look now."""
        process, sink = self._process, self._sink
        with process.oneshot():
            rss_mb, threads = process.memory_info().rss / _MIB, process.num_threads()
        handles = process.num_handles() if psutil.WINDOWS else process.num_fds()
        heap = heap_in_use()
        stats = self._pipeline.stats()
        age = stats.frame_age.get(sink)
        return Sample(
            at_s=at_s,
            rss_mb=rss_mb,
            handles=handles,
            threads=threads,
            waiting=sum(stats.waiting.values()),
            dropped=sum(stats.dropped.values()),
            age_ms=age.p95_ms if age is not None else 0.0,
            fps=stats.fps.get(sink, 0.0),
            load=psutil.getloadavg()[0],
            others=self._others(),
            heap_mb=None if heap is None else heap / _MIB,
        )

    def _others(self) -> float:
        """Return the share of the machine's processors that other programs had since the last look, in [0, 1]."""
        (whole_s, busy_s, own_s), self._spent = self._spent, self._processor_times()
        whole_s, busy_s, own_s = (now - then for now, then in zip(self._spent, (whole_s, busy_s, own_s), strict=True))
        return min(1.0, max(0.0, busy_s - own_s) / whole_s) if whole_s > 0 else 0.0

    def _processor_times(self) -> tuple[float, float, float]:
        """Return the seconds that all processors together counted, were busy, and worked for us."""
        all_of_it, own = psutil.cpu_times(), self._process.cpu_times()
        guest_s = getattr(all_of_it, "guest", 0.0) + getattr(all_of_it, "guest_nice", 0.0)  # counted as user time too
        whole_s = sum(all_of_it) - guest_s
        return whole_s, whole_s - all_of_it.idle - getattr(all_of_it, "iowait", 0.0), own.user + own.system


def leftover_threads() -> list[str]:
    """Return the names of our threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(_OURS)]
