# SPDX-License-Identifier: Apache-2.0
"""A sink lent to a pipeline: used like the sink itself, but still open when the pipeline has closed it.

A virtual camera must not vanish from a call while the rest of the app starts again. Whoever opened it closes it.
"""

from __future__ import annotations

from engine.sinks.base import BaseSink, Sink
from engine.types import OutputFrame

__all__ = ["LentSink"]


class LentSink(BaseSink):
    """Passes frames on; `close` returns the sink to its owner."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.name = sink.name
        self.keeps_every_frame = sink.keeps_every_frame
        self.needs_consent = sink.needs_consent

    def send(self, frame: OutputFrame) -> None:
        """Pass one frame on; raises what the sink raises."""
        self._sink.send(frame)
