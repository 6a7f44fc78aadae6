# SPDX-License-Identifier: Apache-2.0
"""Memory, handles, threads and queues of this process and its pipeline, now. Any thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from engine.memory import heap_in_use
from engine.pipeline import Pipeline

__all__ = ["Sample", "leftover_threads", "take_sample"]

_MIB = 2**20
_OURS = "bunraku-"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. at_s: since the start. rss_mb: resident memory. heap_mb: what of it is in use in the C library's heaps,
    see `engine.memory.heap_in_use`; None where that is not told. handles: open files, sockets, pipes. threads: of the
    process, native ones included. waiting: frames in all hand-overs. dropped: frames lost so far, since nobody read
    them in time. age_ms: 95th percentile of a frame's age when its output took it. fps: of the live output. load: of
    the machine, processes that want a processor, a minute's mean."""

    at_s: float
    rss_mb: float
    handles: int
    threads: int
    waiting: int
    dropped: int
    age_ms: float
    fps: float
    load: float
    heap_mb: float | None = None


def take_sample(pipeline: Pipeline, *, at_s: float, sink: str) -> Sample:
    """Look now. sink: the live output whose age and rate count."""
    process = psutil.Process()
    with process.oneshot():
        rss_mb, threads = process.memory_info().rss / _MIB, process.num_threads()
    handles = process.num_handles() if psutil.WINDOWS else process.num_fds()
    heap = heap_in_use()
    stats = pipeline.stats()
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
        heap_mb=None if heap is None else heap / _MIB,
    )


def leftover_threads() -> list[str]:
    """Return the names of our threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(_OURS)]
