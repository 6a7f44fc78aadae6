# SPDX-License-Identifier: Apache-2.0
"""A video → what is known of each of its frames: face, sharpness, motion. Any one thread; cancellable.

A long video is thinned out: some three hundred frames tell all a set can use, and tracking them takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.capture import open_camera
from engine.errors import NoFaceInDriver
from engine.sets.poses import Face, read_face
from engine.sets.quality import blur_of
from engine.track.base import Tracker
from engine.types import Frame

__all__ = ["Advance", "FrameFacts", "VideoFacts", "grab_frames", "look_through", "read_facts"]

Advance = Callable[[int, int | None], None]  # (done, total or None where it is unknown); what it raises ends the work

MAX_LOOKED_AT = 300
_FASTEST_FPS = 15.0  # of videos of unknown length: twice in every blink


@dataclass(frozen=True, slots=True, eq=False)
class FrameFacts:
    """One frame with a face.

    number: of the frame in the video. landmarks_px: (478, 3). blur: `quality.blur_of`. speed: how far the landmarks
    moved per second, in face heights; infinite after a gap. inside: the whole face is in the picture.
    """

    number: int
    captured_ns: int
    landmarks_px: NDArray[np.float32]
    face: Face
    blur: float
    speed: float
    inside: bool
    face_count: int


@dataclass(frozen=True, slots=True, eq=False)
class VideoFacts:
    """What was seen. looked_at: frames that were tracked, with or without a face. size_wh: of the video."""

    frames: tuple[FrameFacts, ...]
    looked_at: int
    size_wh: tuple[int, int]


def read_facts(frame: Frame, tracker: Tracker, before: FrameFacts | None) -> FrameFacts | None:
    """Track one frame and measure it; None where there is no face.

    Args:
        before: the facts of the frame looked at before, from which speed is measured.
    """
    motion = tracker.track(frame)
    if motion is None or motion.quality <= 0:
        return None
    points = motion.landmarks_px
    height, width = frame.rgb.shape[:2]
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    inside = bool((low >= 0).all() and high[0] <= width - 1 and high[1] <= height - 1)
    speed = float("inf")
    if before is not None and frame.captured_ns > before.captured_ns:
        moved = float(np.linalg.norm((points - before.landmarks_px)[:, :2], axis=1).mean())
        seconds = (frame.captured_ns - before.captured_ns) / 1e9
        speed = moved / max(float(high[1] - low[1]), 1.0) / seconds
    blur = blur_of(frame.rgb, points)
    return FrameFacts(frame.index, frame.captured_ns, points, read_face(points), blur, speed, inside, motion.face_count)


def look_through(
    path: Path, *, tracker: Tracker, advance: Advance = lambda _done, _total: None, most: int = MAX_LOOKED_AT
) -> VideoFacts:
    """Track a video.

    Args:
        most: frames to track at most, evenly spread. advance: called with (frames read, frames in all or None).
    Raises:
        DriverUnreadable: the file cannot be read. NoFaceInDriver: no frame shows a face.
    """
    found: list[FrameFacts] = []
    looked_at, size_wh = 0, (0, 0)
    with open_camera(str(path), paced=False) as camera:
        total = camera.info.frame_count or None
        step = -(-total // most) if total else max(1, round((camera.info.fps or 0) / _FASTEST_FPS))
        tracker.reset()
        before: FrameFacts | None = None
        number = 0
        while (frame := camera.read()) is not None and looked_at < 2 * most:
            advance(number, total)
            if number % step == 0:
                numbered = Frame(number, frame.captured_ns, frame.rgb)
                before = read_facts(numbered, tracker, before)
                looked_at, size_wh = looked_at + 1, (frame.rgb.shape[1], frame.rgb.shape[0])
                if before is not None:
                    found.append(before)
            number += 1
    if not found:
        what = f"No face was found in {path.name}: expected one in some of its {looked_at} frames, got none."
        hint = f"Use a video that shows one face from the front, well lit and at least 80 pixels wide. ({path})"
        raise NoFaceInDriver(what, hint=hint, path=str(path))
    return VideoFacts(tuple(found), looked_at, size_wh)


def grab_frames(
    path: Path, numbers: Sequence[int], *, advance: Advance = lambda _done, _total: None
) -> dict[int, NDArray[np.uint8]]:
    """Return frames of a video by their numbers, (H, W, 3) uint8 each; reading stops after the last."""
    wanted = set(numbers)
    got: dict[int, NDArray[np.uint8]] = {}
    for number, frame in _numbered(path):
        advance(number, max(wanted) + 1)
        if number in wanted:
            got[number] = np.ascontiguousarray(frame.rgb)
            if len(got) == len(wanted):
                break
    return got


def _numbered(path: Path) -> Iterator[tuple[int, Frame]]:
    with open_camera(str(path), paced=False) as camera:
        number = 0
        while (frame := camera.read()) is not None:
            yield number, frame
            number += 1
