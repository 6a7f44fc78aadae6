# SPDX-License-Identifier: Apache-2.0
"""One planned item → frames, mattes and keypoints, by rendering, cutting a clip or framing a picture. Offline.

Mattes are MediaPipe's, as the app makes them for opaque pictures; a cut-out picture brings its own, and half of the
rendered clips keep the renderer's exact one, since users' pictures come in both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import NoFaceInDriver, NoFaceInSource
from engine.evaluation.clips import load_clip
from engine.evaluation.protocol import Instruments
from engine.geometry import Box, keypoints_from_landmarks
from engine.sources.analysis import AnalysedPicture, on_grey
from engine.sources.framing import SquareBox, face_box, frame_picture
from engine.sources.picture import read_picture
from engine.training.pack.performance import Stage
from engine.training.pack.plan import PlannedItem
from engine.training.pack.settings import PackSettings, item_rng
from engine.types import LANDMARK_COUNT, Frame

__all__ = ["MadeItem", "Maker"]

_LEAST_FRAMES, _LEAST_TRACKED = 8, 0.5  # of a rendered clip; with fewer there is little to learn from it
_ZOOM = (0.87, 1.15)  # of the box around a still's face
_OFF_CENTRE = 0.03  # standard deviation of where the box sits, over its side
_REACH = 1.1  # keypoints farther out than this mean a face that the frame cuts off
_LEAST_SIDE_SHARE = 0.5  # of the pack's side; smaller faces would be enlarged into blur


@dataclass(frozen=True, slots=True, eq=False)
class MadeItem:
    """frames: (T, R, R, 3) uint8 RGB. mattes: (T, R, R) uint8. keypoints: (T, 478, 3) float32, zero where there is no
    face. tracked: (T,) bool. matte: where the mattes come from."""

    frames: NDArray[np.uint8]
    mattes: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    tracked: NDArray[np.bool_]
    fps: int
    matte: str


class Maker:
    """Makes items one after the other; opens the renderer when the first avatar comes.

    Args:
        instruments: trackers and matte; they stay the caller's.
    """

    def __init__(self, settings: PackSettings, instruments: Instruments) -> None:
        self._settings, self._instruments = settings, instruments
        self._stage: Stage | None = None

    def close(self) -> None:
        """Release the renderer; safe to call twice."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    def make(self, item: PlannedItem) -> MadeItem:
        """Make one item.

        Raises:
            DriverError, SourceError: the source cannot be used; the message says why.
        """
        if item.method == "render":
            return self._render(item)
        return self._cut(item.source) if item.method == "cut" else self._picture(item)

    def _render(self, item: PlannedItem) -> MadeItem:
        if self._stage is None:
            self._stage = Stage(self._settings)
        frames, mattes = self._stage.perform(item)
        exact = item_rng(self._settings.seed, item.label, "matte").random() < 0.5
        if not exact:
            mattes = self._mattes(frames)
        keypoints, tracked = self._track(frames)
        if tracked.sum() < max(_LEAST_FRAMES, _LEAST_TRACKED * len(frames)):
            what = f"Rendered clip {item.name} shows a face in {tracked.sum()} of its {len(frames)} frames."
            raise NoFaceInDriver(what, path=str(item.source))
        return MadeItem(frames, mattes, keypoints, tracked, self._settings.fps, "exact" if exact else "mediapipe")

    def _track(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Follow the face through square frames that are portraits already."""
        side, follower = self._settings.side_px, self._instruments.follower
        whole = Box((side - 1) / 2, (side - 1) / 2, float(side))
        keypoints = np.zeros((len(frames), LANDMARK_COUNT, 3), np.float32)
        tracked = np.zeros(len(frames), bool)
        follower.reset()
        for index, rgb in enumerate(frames):
            at_ns = round(index * 1e9 / self._settings.fps)
            motion = follower.track(Frame(index=index, captured_ns=at_ns, rgb=np.ascontiguousarray(rgb)))
            if motion is not None:
                keypoints[index] = keypoints_from_landmarks(motion.landmarks_px, box=whole)
                tracked[index] = True
        return keypoints, tracked

    def _cut(self, path: Path) -> MadeItem:
        clip = load_clip(
            path,
            tracker=self._instruments.follower,
            side_px=self._settings.side_px,
            max_frames=self._settings.max_frames,
        )
        step_ns = float(np.median(np.diff(clip.captured_ns))) if len(clip.frames) > 1 else 0.0
        fps = int(np.clip(round(1e9 / step_ns), 1, 60)) if step_ns > 0 else self._settings.fps
        everywhere = np.ones(len(clip.frames), bool)
        return MadeItem(clip.frames, self._mattes(clip.frames), clip.keypoints, everywhere, fps, "mediapipe")

    def _mattes(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.stack([self._instruments.matte(rgb) for rgb in frames])

    def _picture(self, item: PlannedItem) -> MadeItem:
        picture, side = read_picture(item.source), self._settings.side_px
        flat = on_grey(picture)
        motion = self._instruments.judge.track(Frame(index=0, captured_ns=0, rgb=flat))
        if motion is None:
            raise NoFaceInSource(f"No face was found in picture {item.source.name}.", path=str(item.source))
        matte = picture.alpha if picture.alpha is not None else self._instruments.matte(flat)
        box = _zoomed(face_box(motion.landmarks_px), item_rng(self._settings.seed, item.label))
        box = _inside(box, size_wh=picture.size_wh)
        if box.side_px < _LEAST_SIDE_SHARE * side:
            what = f"The face in picture {item.source.name} is too small: its portrait would be {box.side_px} px wide"
            raise NoFaceInSource(f"{what}, expected at least {round(_LEAST_SIDE_SHARE * side)}.", path=str(item.source))
        framed = frame_picture(AnalysedPicture(picture, motion.landmarks_px, matte), box, name=item.name, side_px=side)
        if np.abs(framed.keypoints[:, :2]).max() > _REACH:
            raise NoFaceInSource(f"The face in picture {item.source.name} is cut off.", path=str(item.source))
        kind = "mediapipe" if picture.alpha is None else "alpha"
        tracked = np.ones(1, bool)
        return MadeItem(framed.rgb[None], framed.alpha[None], framed.keypoints[None], tracked, self._settings.fps, kind)


def _zoomed(box: SquareBox, rng: np.random.Generator) -> SquareBox:
    """Return the box larger or smaller and a little off the face's middle."""
    side = max(2, round(box.side_px * rng.uniform(*_ZOOM)))
    off_x, off_y = (rng.normal(0, _OFF_CENTRE, 2) * side).round().astype(int).tolist()
    inset = (box.side_px - side) // 2
    return SquareBox(box.left_px + inset + off_x, box.top_px + inset + off_y, side)


def _inside(box: SquareBox, *, size_wh: tuple[int, int]) -> SquareBox:
    """Return the box moved and, where it must be, shrunk until it lies in the picture.

    The app may reach a little past a picture's edge and show it mirrored there; mirrored heads are nothing to learn.
    """
    side = min(box.side_px, *size_wh)
    inset = (box.side_px - side) // 2
    left, top = (
        min(max(start + inset, 0), length - side)
        for start, length in zip((box.left_px, box.top_px), size_wh, strict=True)
    )
    return SquareBox(left, top, side)
