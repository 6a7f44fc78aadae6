# SPDX-License-Identifier: Apache-2.0
"""A video file as a clip, read with PyAV: true time stamps, upright pictures, as much of a damaged file as decodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import CameraInfo
from engine.capture.clips import MAX_PIXELS
from engine.clock import NS_PER_S
from engine.errors import DriverUnreadable

__all__ = ["VideoClip"]

_log = logging.getLogger(__name__)

_DEFAULT_FPS = 25.0  # for containers that state no frame rate
_MAX_DAMAGED_PACKETS = 200  # in a row; a file with more is over
_EARLY_END_SHARE = 0.95  # of the promised length; less is worth a warning


class VideoClip:
    """One video file.

    Raises:
        DriverUnreadable: the file is empty, no video, or its first picture cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.stat().st_size == 0:
            raise self._unreadable("is empty (0 bytes)", "Record or copy it again.")
        for _, rgb in self._decode(only_first=True):
            height, width = rgb.shape[:2]
            break
        else:
            raise self._unreadable("holds no picture that can be decoded", "It may be cut off or audio only.")
        self.info = CameraInfo(str(path), path.name, width, height, self._fps, self._codec, self._frame_count)

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield every picture that decodes; what is missing is told in one warning at the end."""
        yield from self._decode(only_first=False)

    def _unreadable(self, what: str, hint: str) -> DriverUnreadable:
        return DriverUnreadable(f"The driving video {what}: {self._path}.", hint=hint, path=str(self._path))

    def _decode(self, *, only_first: bool) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        import av

        try:
            container = av.open(str(self._path))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(
                f"cannot be opened ({_reason(error)})", "Use an MP4, MOV, MKV, WebM, AVI or GIF file."
            ) from error
        with container:
            if not container.streams.video:
                raise self._unreadable("holds no video stream", "Choose a file with pictures, not only sound.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            self._describe(stream)
            # The container's promise, which progress bars believe and nothing else does.
            self._frame_count = stream.frames or round((container.duration or 0) / 1e6 * self._fps)
            yield from self._timed(container, stream, tell=not only_first)

    def _describe(self, stream: Any) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._fps = float(rate) if rate and 0 < float(rate) <= 1000 else _DEFAULT_FPS
        self._codec = stream.codec_context.name
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise self._unreadable(
                f"is too large ({width} x {height}, at most {MAX_PIXELS // 1_000_000} megapixels are read)",
                "Make it smaller, for example 1280 x 720.",
            )

    def _timed(self, container: Any, stream: Any, *, tell: bool) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Attach times that start at 0 and strictly rise, whatever the container claims."""
        step_ns = round(NS_PER_S / self._fps)
        first_ns: int | None = None
        last_ns = -step_ns
        count, damaged = 0, _Damage()
        for picture in _pictures(container, stream, damaged):
            stamp = picture.time
            if stamp is None:
                time_ns = last_ns + step_ns
            else:
                first_ns = round(stamp * NS_PER_S) if first_ns is None else first_ns
                time_ns = round(stamp * NS_PER_S) - first_ns
            last_ns = time_ns if time_ns > last_ns else last_ns + step_ns
            count += 1
            yield last_ns, _upright(picture)
        if tell:
            self._tell_losses(container, count, last_ns + step_ns, damaged)

    def _tell_losses(self, container: Any, count: int, length_ns: int, damaged: _Damage) -> None:
        promised_s = (container.duration or 0) / 1e6  # FFmpeg counts microseconds here
        if not count and damaged.packets:
            raise self._unreadable("holds no picture that can be decoded", "It may be cut off.")
        if damaged.packets or length_ns < _EARLY_END_SHARE * promised_s * NS_PER_S - NS_PER_S / self._fps:
            _log.warning(
                "The driving video is damaged or ends early: %d frames (%.1f s of %.1f s) were read from %s.",
                *(count, length_ns / NS_PER_S, promised_s, self._path),
            )


class _Damage:
    """How many packets could not be decoded."""

    def __init__(self) -> None:
        self.packets = 0


def _pictures(container: Any, stream: Any, damaged: _Damage) -> Iterator[Any]:
    """Yield decoded frames, stepping over damaged packets."""
    import av

    packets = container.demux(stream)
    in_a_row = 0
    while in_a_row < _MAX_DAMAGED_PACKETS:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError):
            damaged.packets += 1
            return
        try:
            decoded = packet.decode()
        except (av.FFmpegError, OSError):
            damaged.packets += 1
            in_a_row += 1
            continue
        in_a_row = 0
        yield from decoded


def _upright(picture: Any) -> NDArray[np.uint8]:
    """Return the picture as RGB, turned as a phone's display matrix says."""
    rgb: NDArray[np.uint8] = picture.to_ndarray(format="rgb24")
    # `rotation` is counter-clockwise degrees, as np.rot90 counts.
    quarter_turns = round(getattr(picture, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error).split(";")[0]
