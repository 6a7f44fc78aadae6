# SPDX-License-Identifier: Apache-2.0
"""A file of unknown origin → a few of its pictures. Sizes are checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["Media", "Unreadable", "read_media"]

_MOST_PIXELS = 64_000_000
_MOMENTS = 12
_SHORT_S = 20  # a video up to so long is read through; in a longer one moments are jumped to
_MOST_FRAMES = 2_500  # of a short one: 20 s at 120 frames a second


class Unreadable(Exception):
    """The file cannot be read as video or picture; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """kind: "video" or "picture". pictures: (H, W, 3) uint8 RGB each, all of one size, in the order of their times."""

    kind: str
    pictures: list[NDArray[np.uint8]]


def read_media(path: Path) -> Media:
    """Read a picture, or up to twelve frames spread over a video.

    Raises:
        Unreadable: missing, empty, too large, or neither video nor picture.
    """
    try:
        if path.stat().st_size == 0:
            raise Unreadable("the file is empty")
        picture = _picture(path)
        return Media("picture", [picture]) if picture is not None else Media("video", _video(path))
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def _picture(path: Path) -> NDArray[np.uint8] | None:
    """Return the picture, turned upright, on grey where it is transparent; None where it is no picture."""
    try:
        with Image.open(path) as image:
            _check_size(image.size)
            upright = ImageOps.exif_transpose(image)
            if "A" in upright.getbands() or "transparency" in upright.info:
                over = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", over.size, (128, 128, 128, 255)), over)
            return np.array(upright.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError:
        return None
    except (Image.DecompressionBombError, ValueError, SyntaxError, EOFError) as error:
        raise Unreadable(f"the picture is damaged: {error}") from error


def _video(path: Path) -> list[NDArray[np.uint8]]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("it holds no picture")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            _check_size((stream.codec_context.width, stream.codec_context.height))
            long = container.duration is not None and container.duration > _SHORT_S * av.time_base
            frames = list(_jumped(container, stream) if long else _read_through(container, stream))
    except (av.FFmpegError, ValueError) as error:
        raise Unreadable("it is neither a video nor a picture that can be read") from error
    if not frames:
        raise Unreadable("it holds no picture that can be decoded")
    first = frames[0].shape
    return [frame for frame in frames if frame.shape == first]


def _read_through(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Iterator[NDArray[np.uint8]]:
    kept: list[tuple[int, av.VideoFrame]] = []
    step = 1
    for number, frame in enumerate(_decoded(container, stream)):
        if number >= _MOST_FRAMES:
            break
        if number % step == 0:
            kept.append((number, frame))
        if len(kept) >= 2 * _MOMENTS:  # nobody knows the length: with twice too many, every other one goes
            step *= 2
            kept = [pair for pair in kept if pair[0] % step == 0]
    most = min(_MOMENTS, len(kept))
    for place in range(most):
        yield _rgb(kept[place * len(kept) // most][1])


def _jumped(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[NDArray[np.uint8]]:
    seen: set[int | None] = set()
    for place in range(_MOMENTS):
        at = int(Fraction(2 * place + 1, 2 * _MOMENTS) * (container.duration or 0))
        container.seek(at + (container.start_time or 0))
        frame = next(_decoded(container, stream), None)
        if frame is not None and frame.pts not in seen:
            seen.add(frame.pts)
            yield _rgb(frame)


def _decoded(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[av.VideoFrame]:
    """Yield frames until the end or the first that cannot be decoded: a torn file is read as far as it goes."""
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    _check_size((frame.width, frame.height))
    return cast("NDArray[np.uint8]", frame.to_ndarray(format="rgb24"))


def _check_size(size_wh: tuple[int, int]) -> None:
    if size_wh[0] * size_wh[1] > _MOST_PIXELS:
        wide, high = size_wh
        raise Unreadable(f"it has {wide}x{high} pixels, more than the {_MOST_PIXELS // 10**6} million that are read")
