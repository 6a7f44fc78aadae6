# SPDX-License-Identifier: Apache-2.0
"""Timed pictures from a video file, a folder, one picture or a generator: what `ReplayCamera` plays.

A clip yields `(time_ns, rgb)` with times from 0 upwards, upright, RGB. Everything a broken file can do is turned
into one sentence here.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import CameraInfo
from engine.clock import NS_PER_S
from engine.cv import cv2
from engine.errors import DriverUnreadable

__all__ = ["PICTURE_SUFFIXES", "Clip", "PictureClip", "SyntheticClip"]

_log = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 8192 * 8192  # beyond this a picture is a mistake or an attack on memory
_PATTERN_SPEED_HZ = 0.2


class Clip(Protocol):
    """A finite or endless run of timed pictures."""

    info: CameraInfo

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (time_ns, rgb (H, W, 3) uint8), times strictly rising from 0; a new call starts again."""


class PictureClip:
    """Pictures of a folder in natural order, or one picture, `fps` a second.

    Args:
        path: a picture or a folder of pictures.
        fps: pictures a second.

    Raises:
        DriverUnreadable: missing, empty, or no picture in the folder.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        self._files = [path] if path.is_file() else _pictures_of(path)
        self._fps = fps
        # The first picture is read now: a folder of broken pictures should fail before a thread is started.
        height, width = self._first()[1].shape[:2]
        count = len(self._files)
        self.info = CameraInfo(str(path), path.name, width, height, fps, frame_count=count)

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the readable pictures; broken ones are named in a warning and left out."""
        count = 0
        for path in self._files:
            try:
                rgb = _read_picture(path)
            except DriverUnreadable as error:
                if len(self._files) == 1:
                    raise
                _log.warning("Left out of the driving pictures: %s", error.message)
                continue
            yield round(count * NS_PER_S / self._fps), rgb
            count += 1

    def _first(self) -> tuple[int, NDArray[np.uint8]]:
        for frame in self.frames():
            return frame
        raise DriverUnreadable(
            "None of the folder's pictures can be read.", hint="Use PNG or JPEG pictures.", path=str(self._files[0])
        )


class SyntheticClip:
    """A moving test pattern: no camera, no file, no face.

    Args:
        count: frames; None for no end.
    """

    def __init__(self, *, width_px: int, height_px: int, fps: float, count: int | None = None) -> None:
        self.info = CameraInfo("synthetic", "Synthetic pattern", width_px, height_px, fps)
        self._count = count
        y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
        self._x, self._y = x / width_px, y / height_px

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield colour waves that travel slowly, so that every frame differs from the last."""
        index = 0
        while self._count is None or index < self._count:
            phase = np.float32(2 * np.pi * _PATTERN_SPEED_HZ * index / self.info.fps)
            waves = (np.sin(6 * self._x + phase), np.sin(5 * self._y - phase), np.sin(4 * (self._x + self._y) + phase))
            yield round(index * NS_PER_S / self.info.fps), (np.stack(waves, -1) * 100 + 128).astype(np.uint8)
            index += 1


def _pictures_of(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    if not files:
        raise DriverUnreadable(
            f"The folder holds no picture: {folder}.",
            hint=f"Use files ending in {', '.join(sorted(PICTURE_SUFFIXES))}.",
            path=str(folder),
        )
    # frame_2 before frame_10
    return sorted(files, key=lambda path: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", path.name)])


def _read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, upright, 8 bit, alpha dropped."""
    _check_dimensions(path)
    data = np.fromfile(path, np.uint8)  # OpenCV itself cannot open every Windows path
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        bgr = None
    if bgr is None:
        raise DriverUnreadable(
            f"The driving picture cannot be decoded ({data.size} bytes): {path}.",
            hint="Save it again as PNG or JPEG.",
            path=str(path),
        )
    rgb: NDArray[np.uint8] = np.ascontiguousarray(bgr[:, :, ::-1])
    return rgb


def _check_dimensions(path: Path) -> None:
    """Refuse a picture by its header alone, before memory is spent on it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise DriverUnreadable(
            f"The driving picture cannot be opened: {path} ({error}).",
            hint="Use a PNG or JPEG picture.",
            path=str(path),
        ) from error
    if width * height > MAX_PIXELS:
        raise DriverUnreadable(
            f"The driving picture is too large: {width} x {height}, at most {MAX_PIXELS // 1_000_000} megapixels are "
            f"read: {path}.",
            hint="Make it smaller.",
            path=str(path),
        )
