# SPDX-License-Identifier: Apache-2.0
"""What a set of keypoints says about the head: its affine pose and the non-rigid rest, in plain numpy.

Layer 0, used by the source selection on the render thread and by the torch model, so that both mean the same thing
by "pose" and "deformation".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.landmarks import EYE_SIDES, EYES, LIPS
from engine.types import LANDMARK_COUNT, freeze

__all__ = [
    "COHERENCE",
    "COHERENCE_CAP",
    "UPPER_FACE_Y",
    "HeadDescriptor",
    "affine_solver",
    "describe_head",
    "expression_weights",
    "eye_openness",
    "pose_weights",
]

# Landmarks of the upper face (above the nostrils in canonical units, y down) carry the pose; the jaw, which moves
# with every word, keeps a trace of weight so that the fit stays well conditioned. Weighing all points alike cost
# 0.5 dB at N = 4 on real clips: an opening mouth then looks like a nod.
UPPER_FACE_Y = 0.55
_JAW_WEIGHT = 0.02
# A lid travels a third of what a jaw does and changes the picture as much: unweighted, open and closed eyes differed
# by half a logit and were mixed into half-closed ones.
_LID_WEIGHT, _LIP_WEIGHT = 12.0, 8.0
# An open mouth seen from the front serves a turned head better than a closed one seen from the side; a cheek does not.
_LIP_POSE_WEIGHT, _LID_POSE_WEIGHT = 0.1, 0.5

COHERENCE = 0.6
"""What a picture loses on the face for each logit by which its pose differs from that of the picture that draws hair
and shoulders. Weighed like pose, so that lips and lids may still come from another view. Without it the old view stayed
on the cheeks for some frames after the hair had turned: two ears, with the background between. The price is 0.05 dB at
N = 3 on rendered dev clips."""
COHERENCE_CAP = 10.0
"""The most it loses, in logits."""


@functools.cache
def affine_solver() -> NDArray[np.float32]:
    """Return S with S @ keypoints = the least-squares affine map from canonical space to the keypoints' space.

    Shapes:
        returns: (4, 478) float32; rows of S @ keypoints are the images of the x, y, z axes and of the origin.
    """
    face = load_canonical_face().astype(np.float64)
    weight = np.where(face[:, 1] < UPPER_FACE_Y, 1.0, _JAW_WEIGHT)
    design = np.concatenate([face, np.ones((len(face), 1))], 1)
    solver = np.linalg.pinv(design * np.sqrt(weight)[:, None]) * np.sqrt(weight)[None]
    return freeze(solver.astype(np.float32))


@functools.cache
def expression_weights() -> NDArray[np.float32]:
    """Return how much a landmark's deformation counts when pictures are compared, (478,) float32."""
    return _by_region(lips=_LIP_WEIGHT, lids=_LID_WEIGHT)


@functools.cache
def pose_weights() -> NDArray[np.float32]:
    """Return how much a difference in head pose counts at a landmark, (478,) float32."""
    return _by_region(lips=_LIP_POSE_WEIGHT, lids=_LID_POSE_WEIGHT)


def _by_region(*, lips: float, lids: float) -> NDArray[np.float32]:
    weight = np.ones(LANDMARK_COUNT, np.float32)
    weight[list(LIPS)] = lips
    weight[list(EYES)] = lids
    return freeze(weight)


@dataclass(frozen=True, slots=True, eq=False)
class HeadDescriptor:
    """Head pose and expression of one picture or frame.

    pose: (9,) float32, the scale-free 3×3 linear part of the head's affine map.
    deform: (478, 3) float32, what the affine map leaves over, in canonical units and axes: a turned head that smiles
        has the deformation of an upright one that does.
    scale: portrait-space length of one canonical unit (about half the face's width).
    origin: (2,) float32, where the canonical origin (between nose and eyes) lies in portrait space.
    """

    pose: NDArray[np.float32]
    deform: NDArray[np.float32]
    scale: float
    origin: NDArray[np.float32]


def describe_head(keypoints: NDArray[np.float32]) -> HeadDescriptor:
    """Split keypoints into an affine pose and a non-rigid rest.

    Shapes:
        keypoints: (478, 3) float32, portrait space.
    """
    face = load_canonical_face()
    affine = affine_solver() @ keypoints  # (4, 3)
    scale = float(np.linalg.norm(affine[:2, :2]) / np.sqrt(2.0))
    deform = (keypoints - (face @ affine[:3] + affine[3])) @ np.linalg.inv(affine[:3])  # back in the head's own axes
    return HeadDescriptor((affine[:3] / scale).reshape(-1), deform, scale, affine[3, :2])


def eye_openness(points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return each eye's lid gap over its width, the person's right first, (2,).

    Shapes:
        points: (478, 3), any frame and scale.
    """
    openness = np.empty(2)
    for side, (corners, upper, lower, _) in enumerate(EYE_SIDES):
        width = max(float(np.linalg.norm(points[corners[0]] - points[corners[1]])), 1e-6)
        # The two points next to each corner hardly part; they would only add noise.
        openness[side] = np.linalg.norm(points[list(upper[1:6])] - points[list(lower[1:6])], axis=1).mean() / width
    return openness
