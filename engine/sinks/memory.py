# SPDX-License-Identifier: Apache-2.0
"""Keeps the last frames in memory: for tests, benchmarks and single pictures."""

from __future__ import annotations

import threading
from collections import deque

from engine.errors import Closed
from engine.sinks.base import BaseSink, require_output_frame
from engine.types import OutputFrame

__all__ = ["MemorySink"]


class MemorySink(BaseSink):
    """Keeps the newest `capacity` frames.

    Thread: frames may be read while another thread sends.
    """

    name = "memory"
    keeps_every_frame = True

    def __init__(self, capacity: int = 256) -> None:
        self._changed = threading.Condition()
        self._frames: deque[OutputFrame] = deque(maxlen=capacity)
        self._count = 0
        self._closed = False

    @property
    def frames(self) -> list[OutputFrame]:
        """The kept frames, oldest first."""
        with self._changed:
            return list(self._frames)

    @property
    def count(self) -> int:
        """How many frames came in, kept or not."""
        with self._changed:
            return self._count

    def send(self, frame: OutputFrame) -> None:
        """Keep a frame."""
        require_output_frame(frame)
        with self._changed:
            if self._closed:
                raise Closed
            self._frames.append(frame)
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` frames came in; return whether they did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count >= count, timeout_s)

    def close(self) -> None:
        """Take no more frames; those kept stay readable."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
