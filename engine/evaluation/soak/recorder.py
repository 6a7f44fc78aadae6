# SPDX-License-Identifier: Apache-2.0
"""Records a pipeline piece by piece into a private folder, and looks into each finished piece. The run's own thread."""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.capture.video import VideoClip
from engine.errors import Closed, DriverUnreadable
from engine.evaluation.soak.faults import Switchboard
from engine.evaluation.soak.sinks import Audited, FailingSink, shows_driver
from engine.pipeline import Pipeline
from engine.sinks.mp4 import Mp4Sink
from engine.watermark.gate import has_mark

__all__ = ["PieceRecorder"]

_LOOK_EVERY = 10  # frames of a piece; the pictures were looked at before they were encoded


class PieceRecorder:
    """Joins and leaves a running pipeline.

    pieces: how many were finished. broken: how many of those do not play. found: what was seen in those that do.
    """

    def __init__(self, pipeline: Pipeline, folder: Path, board: Switchboard, *, fps: float) -> None:
        self._pipeline, self._folder, self._board, self._fps = pipeline, folder, board, fps
        self._sink: Mp4Sink | None = None
        self._begun = self.pieces = self.broken = 0
        self.found = Audited()

    def left(self) -> Mp4Sink | None:
        """Return the piece that the pipeline's end has closed."""
        sink, self._sink = self._sink, None
        return sink

    def begin(self) -> None:
        """Record from now on."""
        if self._sink is not None:
            return
        self._begun += 1
        sink = Mp4Sink(self._folder / f"piece-{self._begun}.mp4", fps=self._fps, live=True)
        try:
            self._pipeline.add_sink(FailingSink(sink, self._board))
        except Closed:
            sink.close()
            return
        self._sink = sink

    def finish(self) -> Mp4Sink | None:
        """Finish the piece and return it, for `check`."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._pipeline.remove_sink(sink.name)
        return sink

    def check(self, sink: Mp4Sink | None) -> None:
        """Look into a closed piece, and delete it."""
        if sink is None or not sink.count:
            return
        self.pieces += 1
        found = self.found
        seen = 0
        try:
            for _, rgb in VideoClip(sink.path).frames():
                if seen % _LOOK_EVERY == 0:
                    found = Audited(
                        found.count + 1, found.unmarked + (not has_mark(rgb)), found.raw + shows_driver(rgb)
                    )
                seen += 1
        except DriverUnreadable:
            seen = 0
        self.found = found
        self.broken += seen < sink.count
        with contextlib.suppress(OSError):
            sink.path.unlink()
