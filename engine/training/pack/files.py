# SPDX-License-Identifier: Apache-2.0
"""Frames ↔ files of a pack: H.264 clips, JPEG stills, grey mattes; the border to PyAV and OpenCV. Any thread."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import DiskFull, OutputUnwritable
from engine.files import write_whole
from engine.sinks.base import is_disk_full
from engine.training.render.clip import write_mp4

__all__ = ["Damaged", "decode_frames", "sha256_of", "write_bytes", "write_frames", "writing"]

_CRF, _MATTE_CRF = 20, 24
_QUALITY, _MATTE_QUALITY = 93, 88


class Damaged(Exception):
    """A file of a pack cannot be decoded, or is not what the manifest says; caught by whoever names the item."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence.

    Raises:
        DiskFull, OutputUnwritable: naming the path.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            hint = "Free some space and run the same command again; finished items are kept."
            raise DiskFull(f"The disk is full ({path}).", hint=hint, path=str(path)) from error
        what = f"The pack cannot be written: {error.strerror or error} ({path})."
        raise OutputUnwritable(what, hint="Choose another folder.", path=str(path)) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: it is there whole or not at all.

    Raises:
        DiskFull, OutputUnwritable: it cannot be written.
    """
    with writing(path):
        write_whole(path, data)


def write_frames(path: Path, frames: NDArray[np.uint8], *, fps: int) -> str:
    """Write frames as the kind of file that the path's suffix names; equal frames give equal bytes.

    Shapes:
        frames: (T, R, R, 3) RGB or (T, R, R) grey uint8; T = 1 for .jpg.
    Returns:
        The file's SHA-256.
    Raises:
        DiskFull, OutputUnwritable: it cannot be written.
    """
    grey = frames.ndim == 3
    if path.suffix == ".mp4":
        write_mp4(path, frames, fps=fps, crf=_MATTE_CRF if grey else _CRF)
        return sha256_of(path.read_bytes())
    quality = _MATTE_QUALITY if grey else _QUALITY
    picture = frames[0] if grey else np.ascontiguousarray(frames[0][..., ::-1])
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    write_bytes(path, data)
    return sha256_of(data)


def sha256_of(data: bytes) -> str:
    """Return a file's hash as the manifest spells it."""
    return hashlib.sha256(data).hexdigest()


def decode_frames(data: bytes, *, kind: str, grey: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a clip or still, (R, R, 3) RGB or (R, R) grey.

    Raises:
        Damaged: they cannot be decoded.
    """
    if kind == "still":
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        if picture is None:
            raise Damaged("the picture cannot be decoded")
        yield np.asarray(picture if grey else picture[..., ::-1], np.uint8)
        return
    try:
        with av.open(io.BytesIO(data)) as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_count = 1  # many short clips: whole clips are decoded side by side instead
            for frame in file.decode(stream):
                yield _luma(frame) if grey else frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise Damaged(f"the video cannot be decoded: {error}") from error


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the brightness plane (R, R) as it was written: a conversion to grey would stretch its range."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()
