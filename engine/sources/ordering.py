# SPDX-License-Identifier: Apache-2.0
"""Which picture is the reference, and which ones to add first when fewer than all are used. Any thread.

Every picture is described by a few numbers that matter to the eye: head turn, mouth opening and width, eyelids,
brows. The reference is the most frontal and neutral picture; the rest follow farthest-first, so that every prefix
of the set covers as much as that many pictures can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.geometry import fit_similarity, rotvec_from_rotation
from engine.landmarks import (
    BROWS,
    EYES,
    LEFT_EYE_CORNERS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    MOUTH_CORNERS,
    RIGHT_EYE_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    RIGID,
)

__all__ = ["describe_face", "farthest_first", "feature_steps", "order_pictures"]

# What counts as one step of difference in each number of `describe_face`: 23 degrees of turn, a mouth open by a
# fifth of its width (the inside of a mouth is what no other picture can lend), shut eyes, a very wide smile.
_STEPS = np.array([0.4, 0.4, 0.5, 0.18, 0.2, 0.17, 0.10])
# How far each number counts against being the reference, per step: roll and width matter less than turn.
_REFERENCE_WEIGHTS = np.array([1.0, 1.0, 0.7, 1.0, 0.6, 1.0, 0.4])


def describe_face(keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Describe head pose and expression in seven numbers.

    Shapes:
        keypoints: (478, 3), any frame and scale.
        returns: (7,) float64: head turn as a rotation vector (pitch, yaw, roll; radians, 0 = frontal), mouth
        opening over width, mouth width, eyelid opening over eye width, brow height; lengths over the distance
        between the eyes' outer corners.
    """
    canonical = load_canonical_face()
    rigid = list(RIGID)
    pose = fit_similarity(canonical[rigid], keypoints[rigid])
    face = pose.undo(keypoints)
    unit = _distance(face, RIGHT_EYE_CORNERS[0], LEFT_EYE_CORNERS[0])
    width = _distance(face, *MOUTH_CORNERS)
    brow_height = (face[list(EYES), 1].mean() - face[list(BROWS), 1].mean()) / unit
    return np.array(
        [
            *rotvec_from_rotation(pose.rotation),
            _gap(face, LIPS_INNER_UPPER, LIPS_INNER_LOWER) / width,
            width / unit,
            _eye_opening(face),
            brow_height,
        ]
    )


def feature_steps() -> NDArray[np.float64]:
    """Return what counts as one step of difference in each number of `describe_face`, (7,)."""
    return _STEPS.copy()


def farthest_first(features: NDArray[np.floating[Any]], *, first: int, count: int) -> list[int]:
    """Pick rows so that each next one is farthest from all picked so far.

    Shapes:
        features: (M, D). returns: min(count, M) indices, `first` first; ties go to the lower index.
    Source:
        Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", TCS 38, 293-306.
    """
    picked = [first]
    nearest = ((features - features[first]) ** 2).sum(1)
    while len(picked) < min(count, len(features)):
        nearest[picked] = -1.0  # duplicates of a picked row stay eligible, the row itself never
        index = int(nearest.argmax())
        picked.append(index)
        nearest = np.minimum(nearest, ((features - features[index]) ** 2).sum(1))
    return picked


def order_pictures(keypoints: Sequence[NDArray[np.floating[Any]]]) -> list[int]:
    """Return the order of a set's pictures: the reference, then farthest-first.

    Shapes:
        keypoints: N arrays (478, 3). returns: a permutation of range(N).
    """
    if not keypoints:
        return []
    faces = np.stack([describe_face(points) for points in keypoints])
    # Level pitch, width of the mouth and height of the brows are each person's own; the rest is known.
    neutral = np.median(faces, axis=0)
    neutral[1:4] = 0.0
    neutral[5] = faces[:, 5].max()
    reference = int((np.abs(faces - neutral) / _STEPS @ _REFERENCE_WEIGHTS).argmin())
    return farthest_first(faces / _STEPS, first=reference, count=len(faces))


def _distance(points: NDArray[np.floating[Any]], a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


def _gap(points: NDArray[np.floating[Any]], upper: Sequence[int], lower: Sequence[int]) -> float:
    return float(np.linalg.norm(points[list(upper)] - points[list(lower)], axis=1).mean())


def _eye_opening(face: NDArray[np.floating[Any]]) -> float:
    right = _gap(face, RIGHT_UPPER_LID, RIGHT_LOWER_LID) / _distance(face, *RIGHT_EYE_CORNERS)
    left = _gap(face, LEFT_UPPER_LID, LEFT_LOWER_LID) / _distance(face, *LEFT_EYE_CORNERS)
    return (right + left) / 2.0
