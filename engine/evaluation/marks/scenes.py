# SPDX-License-Identifier: Apache-2.0
"""Unmarked frames to mark: short moving scenes, since what H.264 does to a mark depends on what moves under it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.app.assembly import load_sources
from engine.app.demo import builtin_clip
from engine.app.offline import neutral_of
from engine.capture import open_camera
from engine.compose.background import GREEN, cover_crop
from engine.compose.compositor import Compositor
from engine.config import OutputSettings
from engine.cv import cv2
from engine.errors import InvalidSetting
from engine.sources import list_source_sets
from engine.track.face_mesh import FaceMeshTracker
from engine.track.retarget import Retargeter
from engine.types import TrackedMotion
from engine.watermark.card import draw_card

__all__ = ["FLAT", "FRAMES", "Scene", "flat_scenes", "picture_scenes", "read_picture", "rendered_scenes"]

FRAMES = 6  # a scene's length
FLAT = "flat"
_DRIVING_FRAMES = 400
_BACKGROUNDS = ("source", "#20242c", "source", "green", "source", "#e8e4da")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """kind: "rendered", "pictures" or "flat". frames: (H, W, 3) uint8 RGB each, unmarked, of one size."""

    name: str
    kind: str
    frames: list[NDArray[np.uint8]]


def rendered_scenes(count: int, *, size_wh: tuple[int, int], model: str = "lite") -> Iterator[Scene]:
    """Yield about `count` scenes of the built-in characters, moved by different moments of the built-in clip.

    Raises:
        EngineError, SourceError: the model or a set cannot be used.
    """
    from engine.warp import open_warper

    sets = [info.name for info in list_source_sets() if info.builtin and not info.problem]
    per_set = -(-count // len(sets))
    motions = _motions(str(builtin_clip()), most=FRAMES if per_set == 1 else _DRIVING_FRAMES)
    neutral = neutral_of(str(builtin_clip()))
    with closing(open_warper(model=model)) as warper:
        for which, name in enumerate(sets):
            source_set = load_sources(name, side_px=warper.side_px)
            warper.set_sources(source_set)
            keypoints = np.stack([image.keypoints for image in source_set.images])
            for moment in range(min(per_set, count - which * per_set)):
                background = _BACKGROUNDS[(which + moment) % len(_BACKGROUNDS)]
                compositor = Compositor(
                    OutputSettings(size_wh=size_wh, background=background, mirrored=moment % 2 == 1)
                )
                retargeter = Retargeter(keypoints[0], coverage=keypoints, neutral=neutral)
                warper.reset()
                first = moment * max(1, len(motions) - FRAMES) // per_set
                run = motions[first : first + FRAMES]
                frames = [compositor.compose(warper.warp(retargeter.retarget(motion))).rgb for motion in run]
                yield Scene(f"{name} {moment} {background}", "rendered", frames)


def picture_scenes(folders: Sequence[Path], *, size_wh: tuple[int, int], most: int) -> Iterator[Scene]:
    """Yield scenes of pictures below folders, evenly chosen, seen by a slowly moving camera.

    Raises:
        InvalidSetting: there is no picture.
    """
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if folders and not paths:
        raise InvalidSetting(f"There is no picture below {', '.join(map(str, folders))}.", hint="Give other folders.")
    chosen = paths if len(paths) <= most else [paths[n * len(paths) // most] for n in range(most)]
    for path in chosen:
        picture = read_picture(path)
        if picture is not None:
            yield Scene(path.name, "pictures", _panned(cover_crop(picture, size_wh)))


def flat_scenes(*, size_wh: tuple[int, int]) -> Iterator[Scene]:
    """Yield what is hardest: holding cards, and canvases of one colour."""
    for reason in ("Looking for a face", "Back in a moment", "Waiting for the camera"):
        yield Scene(f"card: {reason}", FLAT, [draw_card(size_wh, reason)] * FRAMES)
    for colour in (GREEN, (32, 36, 44), (232, 228, 218), (128, 128, 128), (0, 0, 0), (255, 255, 255)):
        canvas = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
        canvas[:] = colour
        yield Scene("#{:02x}{:02x}{:02x}".format(*colour), FLAT, [canvas] * FRAMES)


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """Return a picture as (H, W, 3) uint8 RGB; None where it cannot be read."""
    bgr = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else cast("NDArray[np.uint8]", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _motions(driving: str, *, most: int) -> list[TrackedMotion]:
    with open_camera(driving, paced=False) as camera, closing(FaceMeshTracker()) as tracker:
        frames = iter(camera.read, None)
        tracked = (tracker.track(frame) for frame in itertools.islice(frames, most) if frame is not None)
        return [motion for motion in tracked if motion is not None]


def _panned(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    height_px, width_px = picture.shape[:2]
    frames = []
    for n in range(FRAMES):
        zoom = 1.02 + 0.002 * n
        across, down = (1 - zoom) * width_px / 2 + 0.6 * n, (1 - zoom) * height_px / 2 + 0.2 * n
        move = np.array([[zoom, 0.0, across], [0.0, zoom, down]])
        size_wh = (width_px, height_px)
        moved = cv2.warpAffine(picture, move, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(cast("NDArray[np.uint8]", moved))
    return frames
