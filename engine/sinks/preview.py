# SPDX-License-Identifier: Apache-2.0
"""Hands the newest frame to a window: a slot and a doorbell, so that a busy window never makes a queue."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import Closed
from engine.sinks.base import BaseSink, require_output_frame
from engine.slots import LatestSlot
from engine.types import OutputFrame

__all__ = ["PreviewSink"]


class PreviewSink(BaseSink):
    """Keeps the newest frame until the window takes it.

    Thread: `doorbell` runs on the sending thread without payload and must return at once; `take` runs on any thread.
    """

    name = "preview"

    def __init__(self, doorbell: Callable[[], None] | None = None) -> None:
        self._slot: LatestSlot[OutputFrame] = LatestSlot()
        self._doorbell = doorbell

    def send(self, frame: OutputFrame) -> None:
        """Replace the waiting frame and ring."""
        require_output_frame(frame)
        self._slot.put(frame)
        if self._doorbell is not None:
            self._doorbell()

    def take(self) -> OutputFrame | None:
        """Return the newest frame, or None if there is none newer than the last one taken."""
        try:
            return self._slot.get(timeout_s=0)
        except Closed:
            return None

    def close(self) -> None:
        """Take no more frames."""
        self._slot.close()
