# SPDX-License-Identifier: Apache-2.0
"""One output frame against the truth. Any one thread.

Landmarks are looked for on the truth exactly as on the output, on single pictures of the same size, so that the
distance between them measures the output and not the tracker's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.evaluation.eval_report import Scores
from engine.evaluation.metrics import hull_mask, l1_255, landmark_distance_px, psnr_db, structural_similarity
from engine.landmarks import EYES, FACE_OVAL, IRISES, LEFT_EYE, LIPS, RIGHT_EYE
from engine.track.base import Tracker
from engine.types import Frame, WarpedPortrait

__all__ = ["Truth", "alpha_over", "find_landmarks", "score_frame"]

_NAN = float("nan")
_EYE_POINTS, _MOUTH_POINTS = [*EYES, *IRISES], list(LIPS)
_GROW_SHARE = 0.02  # eyes and mouth are judged with a rim of skin, over the side
_BACKGROUND_BELOW = 13  # a matte value of 5 % and less counts as background
_BACKGROUND_GAP_SHARE = 0.02  # kept away from the person's edge, over the side


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A driving frame with what is measured on it once. landmarks_px: None where the judge finds no face."""

    rgb: NDArray[np.uint8]
    landmarks_px: NDArray[np.float32] | None
    face: NDArray[np.bool_]
    eyes: NDArray[np.bool_]
    mouth: NDArray[np.bool_]
    outer: NDArray[np.bool_]
    background: NDArray[np.bool_]

    @classmethod
    def look(
        cls,
        rgb: NDArray[np.uint8],
        keypoints: NDArray[np.float32],
        *,
        judge: Tracker,
        matte: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> Truth:
        """Measure a driving frame."""
        side_px = rgb.shape[0]
        grow_px = round(side_px * _GROW_SHARE)
        gap_px = round(side_px * _BACKGROUND_GAP_SHARE)
        person = (matte(rgb) > _BACKGROUND_BELOW).astype(np.uint8)
        near = np.asarray(cv2.dilate(person, np.ones((2 * gap_px + 1, 2 * gap_px + 1), np.uint8))) > 0
        face = hull_mask(keypoints, groups=[FACE_OVAL], side_px=side_px)
        return cls(
            rgb,
            find_landmarks(judge, rgb),
            face=face,
            eyes=hull_mask(keypoints, groups=[RIGHT_EYE, LEFT_EYE], side_px=side_px, grow_px=grow_px),
            mouth=hull_mask(keypoints, groups=[LIPS], side_px=side_px, grow_px=grow_px),
            outer=near & ~face,
            background=~near,
        )


def alpha_over(portrait: WarpedPortrait) -> NDArray[np.uint8]:
    """Return the portrait over its own backdrop, (R, R, 3) uint8."""
    cover = portrait.rgba[..., 3:].astype(np.float32) / 255.0
    mixed = portrait.rgba[..., :3] * cover + portrait.backdrop * (1.0 - cover)
    return np.asarray(np.rint(mixed), np.uint8)


def score_frame(
    output: NDArray[np.uint8],
    truth: Truth,
    *,
    found: NDArray[np.float32] | None,
    before: tuple[NDArray[np.uint8], Truth] | None,
) -> Scores:
    """Score one output; `jitter_px`, which takes several frames, is left NaN.

    Args:
        found: (478, 3) landmarks of the face on the output, pixels; None where the judge finds none.
        before: the output and truth of the frame before it, None for the first.
    """
    akd_px = akd_eyes_px = akd_mouth_px = missing = _NAN
    if truth.landmarks_px is not None:
        missing = float(found is None)
        if found is not None:
            akd_px = landmark_distance_px(found, truth.landmarks_px)
            akd_eyes_px = landmark_distance_px(found[_EYE_POINTS], truth.landmarks_px[_EYE_POINTS])
            akd_mouth_px = landmark_distance_px(found[_MOUTH_POINTS], truth.landmarks_px[_MOUTH_POINTS])
    likeness = structural_similarity(output, truth.rgb)
    return Scores(
        psnr_db=psnr_db(output, truth.rgb),
        psnr_face_db=psnr_db(output, truth.rgb, mask=truth.face),
        psnr_eyes_db=psnr_db(output, truth.rgb, mask=truth.eyes),
        psnr_mouth_db=psnr_db(output, truth.rgb, mask=truth.mouth),
        psnr_outer_db=psnr_db(output, truth.rgb, mask=truth.outer),
        psnr_background_db=psnr_db(output, truth.rgb, mask=truth.background),
        l1_255=l1_255(output, truth.rgb),
        ssim=likeness.ssim,
        ms_ssim=likeness.ms_ssim,
        akd_px=akd_px,
        akd_eyes_px=akd_eyes_px,
        akd_mouth_px=akd_mouth_px,
        missing=missing,
        jitter_px=_NAN,
        flicker_255=_NAN if before is None else _flicker(output, truth.rgb, before[0], before[1].rgb),
    )


def _flicker(
    output: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    output_before: NDArray[np.uint8],
    truth_before: NDArray[np.uint8],
) -> float:
    error = output.astype(np.int16) - truth
    error_before = output_before.astype(np.int16) - truth_before
    return float(np.abs(error - error_before).mean())


def find_landmarks(judge: Tracker, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the landmarks of the face on one picture, (478, 3) pixels, or None."""
    motion = judge.track(Frame(0, 0, rgb))
    return None if motion is None else motion.landmarks_px
