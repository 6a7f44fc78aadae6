# SPDX-License-Identifier: Apache-2.0
"""A video file → an evaluation clip: one fixed portrait crop, keypoints of every frame. Any one thread.

The crop is fixed for the whole clip, as a webcam's is: a crop that followed the face would hide the very head
motion that is to be reproduced. The file is read twice instead of being held in memory at full size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.capture import open_camera
from engine.errors import DriverUnreadable, NoFaceInDriver
from engine.geometry import keypoints_from_landmarks
from engine.sources.framing import SquareBox, cut_image, face_box, fit_box, sits_well
from engine.track.base import Tracker
from engine.types import Frame, freeze

__all__ = ["CLIP_SUFFIXES", "EvalClip", "FoundClip", "find_clips", "list_clips", "load_clip"]

log = logging.getLogger(__name__)

CLIP_SUFFIXES = (".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm", ".gif")
_MAX_FRAMES = 320  # some 13 s at 25 fps; a longer clip is thinned out evenly
_MIN_FRAMES = 12  # fewer leave nothing to drive beside the source pictures
_MIN_TRACKED = 0.5  # below, the crop would be guesswork


@dataclass(frozen=True, slots=True, eq=False)
class EvalClip:
    """The frames of a clip in which the face was found, cropped to portrait space.

    frames: (T, R, R, 3) uint8. keypoints: (T, 478, 3) float32, portrait space. captured_ns: (T,) int64.
    """

    name: str
    frames: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    captured_ns: NDArray[np.int64]

    @property
    def side_px(self) -> int:
        return self.frames.shape[1]


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A clip's file and the name of the folder it counts for."""

    path: Path
    folder: str


def find_clips(places: Sequence[Path]) -> list[FoundClip]:
    """Return the video files of several folders, each once; a place may also be a single file.

    A folder is called by its last name, or by as many of its last names as tell it from the others.

    Raises:
        DriverUnreadable: no such folder, or no video in it.
    """
    by_path = {path.resolve(): path for place in places for path in list_clips(place)}
    parents = {path.parent for path in by_path}
    return [FoundClip(path, _short_name(real.parent, parents)) for real, path in by_path.items()]


def _short_name(folder: Path, folders: set[Path]) -> str:
    """Return the shortest end of a folder's path that no other folder shares."""
    for length in range(1, len(folder.parts)):
        end = folder.parts[-length:]
        if sum(other.parts[-length:] == end for other in folders) == 1:
            return "/".join(end)
    return str(folder)


def list_clips(folder: Path) -> list[Path]:
    """Return the video files of a folder, sorted by name; a single file is returned as it is.

    Raises:
        DriverUnreadable: no such folder, or no video in it.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        hint = "Name a folder of video files."
        raise DriverUnreadable(f"The clip folder does not exist: {folder}.", hint=hint, path=str(folder))
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIP_SUFFIXES)
    if not found:
        kinds = ", ".join(suffix.removeprefix(".") for suffix in CLIP_SUFFIXES)
        what = f"The clip folder holds no video: expected {kinds} files ({folder})."
        raise DriverUnreadable(what, hint="Name another folder.", path=str(folder))
    return found


def load_clip(path: Path, *, tracker: Tracker, side_px: int = 256, max_frames: int = _MAX_FRAMES) -> EvalClip:
    """Read a clip, track it on its full frames, and cut the portrait crop.

    Raises:
        DriverUnreadable: the file cannot be read.
        NoFaceInDriver: too few frames show a face.
    """
    landmarks, total, size_wh = _track(path, tracker)
    if len(landmarks) < max(_MIN_FRAMES, _MIN_TRACKED * total):
        what = f"Clip {path.name} shows a face in {len(landmarks)} of its {total} frames: expected most of them"
        hint = f"and at least {_MIN_FRAMES}. Use a clip with one face in view. ({path})"
        raise NoFaceInDriver(what, hint=hint, path=str(path))
    box = _fixed_box(np.stack(list(landmarks.values())), size_wh)
    step = -(-len(landmarks) // max_frames)
    kept = list(landmarks)[::step]
    frames, times = _cut(path, set(kept), box, side_px)
    keypoints = np.stack([keypoints_from_landmarks(landmarks[index], box=box.box) for index in kept])
    log.info("Clip %s: %d frames, crop %d px", path.name, len(kept), box.side_px)
    return EvalClip(path.stem, freeze(frames), freeze(keypoints), freeze(times))


def _track(path: Path, tracker: Tracker) -> tuple[dict[int, NDArray[np.float32]], int, tuple[int, int]]:
    """Return landmarks by frame number, the number of frames, and their size."""
    tracker.reset()
    size_wh = (0, 0)
    landmarks: dict[int, NDArray[np.float32]] = {}
    total = 0
    for number, frame in _frames(path):
        motion = tracker.track(frame)
        if motion is not None:
            landmarks[number] = motion.landmarks_px
        total, size_wh = total + 1, (frame.rgb.shape[1], frame.rgb.shape[0])
    return landmarks, total, size_wh


def _fixed_box(landmarks_px: NDArray[np.float32], size_wh: tuple[int, int]) -> SquareBox:
    """Return the whole of a clip that is a portrait already, else a box around the median bounds of the face.

    A portrait that is cut again reaches past its edges and shows mirrored people. landmarks_px: (T, 478, 3).
    """
    if size_wh[0] == size_wh[1] and sits_well(np.median(landmarks_px, axis=0), side_px=size_wh[0]):
        return SquareBox(0, 0, size_wh[0])
    low, high = landmarks_px[..., :2].min(1), landmarks_px[..., :2].max(1)
    return fit_box(face_box(np.stack([np.median(low, axis=0), np.median(high, axis=0)])), size_wh=size_wh)


def _cut(path: Path, kept: set[int], box: SquareBox, side_px: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    cut = [
        (cut_image(frame.rgb, box, side_px=side_px), frame.captured_ns)
        for number, frame in _frames(path)
        if number in kept
    ]
    return np.stack([rgb for rgb, _ in cut]), np.array([captured_ns for _, captured_ns in cut], np.int64)


def _frames(path: Path) -> Iterator[tuple[int, Frame]]:
    with open_camera(str(path), paced=False) as camera:
        number = 0
        while (frame := camera.read()) is not None:
            yield number, frame
            number += 1
