# SPDX-License-Identifier: Apache-2.0
"""A tiny evaluation clip, a judge that knows its frames, and warpers whose figures are known beforehand."""

from __future__ import annotations

import numpy as np

from engine.evaluation.clips import EvalClip
from engine.geometry import landmarks_from_keypoints
from engine.sources.framing import SquareBox
from engine.types import Frame, Query, SourceSet, TrackedMotion, WarpedPortrait
from tests.helpers.source_faces import make_keypoints, portrait_rgb

__all__ = ["BlankWarper", "LookupJudge", "PerfectWarper", "PortraitWarper", "make_clip", "whole_matte"]

SIDE_PX = 64


def make_clip(*, frames: int = 30, name: str = "swing") -> EvalClip:
    """Return a clip in which the face swings from side to side and every frame looks different."""
    swing = np.sin(np.arange(frames) / 4.0)
    keypoints = np.stack([make_keypoints(yaw=0.5 * s, mouth=0.1 * (1 - s)) for s in swing])
    rgb = np.stack([np.roll(portrait_rgb((SIDE_PX, SIDE_PX)), round(8 * s), axis=1) for s in swing])
    rgb[:, 0, 0, 0] = np.arange(frames)  # no two frames are equal
    return EvalClip(name, rgb, keypoints, np.arange(frames, dtype=np.int64) * 40_000_000)


def whole_matte(rgb: np.ndarray) -> np.ndarray:
    """Return a matte with a person in the lower middle."""
    matte = np.zeros(rgb.shape[:2], np.uint8)
    matte[rgb.shape[0] // 8 :, rgb.shape[1] // 4 : -rgb.shape[1] // 4] = 255
    return matte


class LookupJudge:
    """Finds exactly the clip's own keypoints on the clip's own frames, and no face on anything else."""

    def __init__(self, clip: EvalClip) -> None:
        self._known = {rgb.tobytes(): points for rgb, points in zip(clip.frames, clip.keypoints, strict=True)}

    def track(self, frame: Frame) -> TrackedMotion | None:
        points = self._known.get(frame.rgb.tobytes())
        if points is None:
            return None
        landmarks = landmarks_from_keypoints(points, box=SquareBox(0, 0, frame.rgb.shape[0]).box)
        return TrackedMotion(frame.index, frame.captured_ns, landmarks)

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is held."""


class PerfectWarper:
    """Shows the true frame."""

    def __init__(self, clip: EvalClip) -> None:
        self._truth = {int(ns): rgb for ns, rgb in zip(clip.captured_ns, clip.frames, strict=True)}
        self.sets: list[SourceSet] = []
        self.asked_ns: list[list[int]] = []

    def set_sources(self, source_set: SourceSet) -> None:
        self.sets.append(source_set)

    def reset(self) -> None:
        self.asked_ns.append([])

    def warp(self, query: Query) -> WarpedPortrait:
        assert query.portrait is None, "whoever does not need the driving picture does not get it"
        self.asked_ns[-1].append(query.captured_ns)
        rgb = self._truth[query.captured_ns]
        half = np.full((*rgb.shape[:2], 1), 128, np.uint8)
        return WarpedPortrait(query.captured_ns, np.dstack([rgb, half]), rgb.copy(), np.ones(1, np.float32))


class BlankWarper(PerfectWarper):
    """Shows a grey wall."""

    def warp(self, query: Query) -> WarpedPortrait:
        side = next(iter(self._truth.values())).shape[0]
        rgba = np.full((side, side, 4), 128, np.uint8)
        return WarpedPortrait(query.captured_ns, rgba, rgba[..., :3].copy(), np.ones(1, np.float32))


class PortraitWarper:
    """Shows the driving portrait that it is given, and notes how its motion is to be taken."""

    side_px = SIDE_PX

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.neutrals: list[np.ndarray | None] = []

    def set_sources(self, source_set: SourceSet) -> None:
        """One is like the other."""

    def reset(self) -> None:
        """Nothing is remembered."""

    def set_motion(self, share: float) -> None:
        self.shares.append(share)

    def set_neutral(self, portrait: np.ndarray | None) -> None:
        self.neutrals.append(portrait)

    def warp(self, query: Query) -> WarpedPortrait:
        assert query.portrait is not None
        rgba = np.dstack([query.portrait, np.full(query.portrait.shape[:2], 255, np.uint8)])
        return WarpedPortrait(query.captured_ns, rgba, query.portrait.copy(), np.ones(1, np.float32))
