# SPDX-License-Identifier: Apache-2.0
"""What happens to marked frames on their way: each attack takes a marked scene and returns the picture that arrives, or
all pictures of the scene, which are then read together.

H.264 is libx264, preset `medium`, on the whole scene; the frame looked at is the last but one, which was predicted from
others. Everything else is done to that frame.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.evaluation.marks.scenes import FRAMES

__all__ = ["ATTACKS", "Attack", "Sent", "h264"]

Picture = NDArray[np.uint8]
_SEEN = -2


class Sent:
    """A marked scene, and what H.264 makes of it; encoded once per quality. frames: (H, W, 3) uint8 RGB each."""

    def __init__(self, frames: list[Picture]) -> None:
        self.frames = frames
        self._encoded: dict[tuple[int, bool], list[Picture]] = {}

    @property
    def seen(self) -> Picture:
        """The frame that is looked at."""
        return self.frames[_SEEN]

    def h264(self, crf: int) -> Picture:
        """Return that frame after encoding and decoding."""
        return self.clip(crf)[_SEEN]

    def clip(self, crf: int, *, halved: bool = False) -> list[Picture]:
        """Return all frames after halving, if asked for, encoding and decoding."""
        key = crf, halved
        if key not in self._encoded:
            frames = [_halved(frame) for frame in self.frames] if halved else self.frames
            self._encoded[key] = h264(frames, crf=crf)
        return self._encoded[key]


Attack = Callable[[Sent, np.random.Generator], Picture | list[Picture]]


def h264(frames: list[Picture], *, crf: int, preset: str = "medium", fps: int = 30) -> list[Picture]:
    """Return the frames after encoding and decoding; sizes must be even."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": preset, "threads": "1"}
        stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [cast("Picture", frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def _halved(picture: Picture) -> Picture:
    return cast("Picture", cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def _cropped(picture: Picture, random: np.random.Generator, *, share: float = 0.8) -> Picture:
    height_px, width_px = (int(length * share) // 2 * 2 for length in picture.shape[:2])
    top = int(random.integers(0, picture.shape[0] - height_px + 1))
    left = int(random.integers(0, picture.shape[1] - width_px + 1))
    return np.ascontiguousarray(picture[top : top + height_px, left : left + width_px])


def _jpeg(picture: Picture, *, quality: int) -> Picture:
    encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]).astype(np.uint8)


def _brighter(picture: Picture, gain: float) -> Picture:
    return cast("Picture", cv2.convertScaleAbs(picture, alpha=gain))


def _yuy2(picture: Picture) -> Picture:
    """Packed 4:2:2, what most virtual cameras on Windows take."""
    packed = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_YUY2)
    return cast("Picture", cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUY2))


def _nv12(picture: Picture) -> Picture:
    """4:2:0 with the two colour planes interleaved."""
    height_px, width_px = picture.shape[:2]
    planar = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    colour = planar[height_px:].reshape(2, -1)
    interleaved = np.stack([colour[0], colour[1]], axis=1).reshape(height_px // 2, width_px)
    return cast("Picture", cv2.cvtColor(np.vstack([planar[:height_px], interleaved]), cv2.COLOR_YUV2RGB_NV12))


def _on_a_desktop(picture: Picture, scale: float) -> Picture:
    """A player's window with a title bar on a desktop of coloured stripes, a third larger than the window."""
    shown = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    height_px, width_px = shown.shape[:2]
    rows, columns = np.mgrid[: height_px * 4 // 3, : width_px * 4 // 3]
    desktop = np.stack([70 + rows // 16 % 9 * 4, 96 + columns // 24 % 7 * 5, 120 + (rows + columns) // 40 % 5], axis=-1)
    desktop = desktop.astype(np.uint8)
    left, top = width_px // 7, height_px // 5
    desktop[top - 24 : top, left : left + width_px] = (40, 42, 48)
    desktop[top : top + height_px, left : left + width_px] = shown
    return cast("Picture", desktop)


ATTACKS: Mapping[str, Attack] = {
    "untouched": lambda sent, random: sent.seen,
    "H.264 crf 18": lambda sent, random: sent.h264(18),
    "H.264 crf 23": lambda sent, random: sent.h264(23),
    "H.264 crf 28": lambda sent, random: sent.h264(28),
    "H.264 crf 33": lambda sent, random: sent.h264(33),
    "0.5×": lambda sent, random: _halved(sent.seen),
    "H.264 crf 28, then 0.5×": lambda sent, random: _halved(sent.h264(28)),
    "0.5×, then H.264 crf 28": lambda sent, random: sent.clip(28, halved=True)[_SEEN],
    "crop to 80 %": lambda sent, random: _cropped(sent.seen, random),
    "H.264 crf 28, then crop to 80 %": lambda sent, random: _cropped(sent.h264(28), random),
    "JPEG q50": lambda sent, random: _jpeg(sent.seen, quality=50),
    "brightness −20 %": lambda sent, random: _brighter(sent.seen, 0.8),
    "brightness +20 %": lambda sent, random: _brighter(sent.seen, 1.2),
    "YUY2": lambda sent, random: _yuy2(sent.seen),
    "NV12": lambda sent, random: _nv12(sent.seen),
    "mirrored": lambda sent, random: np.ascontiguousarray(sent.seen[:, ::-1]),
    "H.264 crf 23, screenshot at 75 %": lambda sent, random: _on_a_desktop(sent.h264(23), 0.75),
    "H.264 crf 23, screenshot at 80–125 %": lambda sent, random: _on_a_desktop(
        sent.h264(23), random.uniform(0.8, 1.25)
    ),
    f"H.264 crf 33, {FRAMES} frames together": lambda sent, random: sent.clip(33),
    f"0.5×, then H.264 crf 28, {FRAMES} frames together": lambda sent, random: sent.clip(28, halved=True),
}
