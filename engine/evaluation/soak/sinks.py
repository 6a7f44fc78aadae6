# SPDX-License-Identifier: Apache-2.0
"""Outputs for a soak run: one that looks at every frame it is sent, and one that fails on command. Sink threads."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S, Clock, SystemClock
from engine.errors import DiskFull, VirtualCameraLost
from engine.evaluation.soak.camera import BEACON_RGB
from engine.evaluation.soak.faults import Switchboard
from engine.sinks.base import BaseSink, Sink, require_output_frame
from engine.types import OutputFrame
from engine.watermark.gate import has_mark

__all__ = ["AuditSink", "Audited", "FailingSink", "shows_driver"]

_NEAR = 40  # levels: the beacon's colour after scaling, mixing and compression
_LEAST_PX = 16  # of the beacon's colour; one stray pixel is none of it
_SLOW_S = 0.4


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found in the frames so far: how many came, had no mark, or showed the driver's picture."""

    count: int = 0
    unmarked: int = 0
    raw: int = 0


def shows_driver(rgb: NDArray[np.uint8]) -> bool:
    """Return whether a picture, (H, W, 3) uint8, holds the border of a `FaultyCamera`'s pictures."""
    red, green, blue = (rgb[..., channel] for channel in range(3))
    near = (red > BEACON_RGB[0] - _NEAR) & (green < BEACON_RGB[1] + _NEAR) & (blue > BEACON_RGB[2] - _NEAR)
    return int(np.count_nonzero(near)) >= _LEAST_PX


class AuditSink(BaseSink):
    """Takes the newest frame, as a virtual camera does, and inspects it with the independent detector.

    Args:
        behind: gets the frame too, and is closed with this one; its errors are passed on.
    """

    def __init__(self, name: str = "virtual camera", *, behind: Sink | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self._behind = behind
        self.needs_consent = behind is not None and behind.needs_consent
        self._clock: Clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._found = Audited()
        self._last_ns = self._clock.now_ns()
        self._longest_gap_s = 0.0

    @property
    def found(self) -> Audited:
        """What was found so far. Thread: any."""
        with self._changed:
            return self._found

    @property
    def longest_gap_s(self) -> float:
        """The longest time between two frames."""
        with self._changed:
            return self._longest_gap_s

    def send(self, frame: OutputFrame) -> None:
        """Inspect a frame and pass it on."""
        require_output_frame(frame)
        unmarked, raw = not has_mark(frame.rgb), shows_driver(frame.rgb)
        with self._changed:
            found, now_ns = self._found, self._clock.now_ns()
            if found.count:
                self._longest_gap_s = max(self._longest_gap_s, (now_ns - self._last_ns) / NS_PER_S)
            self._last_ns = now_ns
            self._found = Audited(found.count + 1, found.unmarked + unmarked, found.raw + raw)
            self._changed.notify_all()
        if self._behind is not None:
            self._behind.send(frame)

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Wait until so many frames have come; return whether they have. Thread: any."""
        with self._changed:
            return self._changed.wait_for(lambda: self._found.count >= count, timeout_s)

    def close(self) -> None:
        """Close what is behind."""
        if self._behind is not None:
            self._behind.close()


class FailingSink(BaseSink):
    """A sink around a real one, failing while told to: `sink-lost`, `sink-slow`; a recorder also `disk-full`."""

    def __init__(self, sink: Sink, board: Switchboard) -> None:
        self.name, self.keeps_every_frame = sink.name, sink.keeps_every_frame
        self.needs_consent = sink.needs_consent
        self._sink, self._board = sink, board

    def send(self, frame: OutputFrame) -> None:
        """Pass a frame on, or fail."""
        if self.keeps_every_frame:
            if self._board.on("disk-full"):
                raise DiskFull("The disk is full: the recording ends and plays so far.", hint="Free some space.")
        elif self._board.on("sink-lost"):
            raise VirtualCameraLost("The virtual camera's host ended: exit code 1.", hint="It is started again.")
        elif self._board.on("sink-slow"):
            self._board.wait_off("sink-slow", _SLOW_S)
        self._sink.send(frame)

    def close(self) -> None:
        """Close the sink."""
        with contextlib.suppress(VirtualCameraLost):
            self._sink.close()
        self.unsigned = self._sink.unsigned
