# SPDX-License-Identifier: Apache-2.0
"""Video with a transparent background: WebM (VP9) for browsers and OBS, MOV (ProRes 4444) for editors.

As `Mp4Sink` in everything but the codec: real time stamps, the first frame's size, a note of origin, and a file that
plays as far as it was written. Opaque frames are written opaque. C2PA has no place for a manifest in a WebM, which is
therefore not signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import av
import numpy as np
from av.video.stream import VideoStream

from engine.sinks.base import straight_alpha
from engine.sinks.mp4 import Mp4Sink, even, video_stream
from engine.sinks.recording_file import RecordingFile

if TYPE_CHECKING:
    from av.container import OutputContainer

    from engine.types import OutputFrame

__all__ = ["MovSink", "WebmSink"]


class WebmSink(Mp4Sink):
    """Writes VP9 with an alpha plane; see `Mp4Sink`."""

    name = "webm"
    _muxer = "webm"
    media_type = None
    _container_options: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        path: Path,
        fps: float = 30.0,
        *,
        crf: int = 22,
        live: bool = False,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(path, fps, crf=crf, live=live, notes=notes)
        # libvpx writes no alpha with alternate reference frames.
        self._encoder_options = {"crf": str(crf), "b": "0", "auto-alt-ref": "0", "cpu-used": "5", "row-mt": "1"}

    def _open_file(self) -> RecordingFile:
        return RecordingFile(self.path, boxed=False)

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        stream = video_stream(container, "libvpx-vp9", self._fps, self._encoder_options)
        stream.pix_fmt = "yuva420p"
        return stream

    def _picture(self, frame: OutputFrame) -> av.VideoFrame:
        return _with_alpha(frame)


class MovSink(Mp4Sink):
    """Writes ProRes 4444, large and exact; see `Mp4Sink`."""

    name = "mov"
    _muxer = "mov"
    media_type = "video/quicktime"

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        stream = video_stream(container, "prores_ks", self._fps, {"profile": "4444"})
        stream.pix_fmt = "yuva444p10le"
        return stream

    def _picture(self, frame: OutputFrame) -> av.VideoFrame:
        return _with_alpha(frame)


def _with_alpha(frame: OutputFrame) -> av.VideoFrame:
    pixels = straight_alpha(frame)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=2)
    return av.VideoFrame.from_ndarray(even(pixels), format="rgba")
