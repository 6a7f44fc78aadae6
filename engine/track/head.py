# SPDX-License-Identifier: Apache-2.0
"""A face taken apart: where the head is, and what shape the face has in the head's own frame. Pure, any thread.

landmarks = position + scale · rotation · (shape − pivot). The *shape* lives in the canonical face's frame and units
(RMS radius 1, about 6 cm), so two people's shapes can be compared point by point. Position is that of the centroid
of the rigid points: an error of the rotation then moves no one's head sideways, which keeps roll jitter small.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.errors import ShapeError
from engine.geometry import fit_similarity
from engine.landmarks import (
    BROWS,
    CHIN,
    FOREHEAD_TOP,
    LEFT_EYE_CORNERS,
    MOUTH_CORNERS,
    NOSE_BASE,
    RIGHT_EYE_CORNERS,
    RIGID,
)
from engine.types import LANDMARK_COUNT, freeze

__all__ = ["FaceSizes", "HeadPose", "measure_sizes", "take_apart"]

Array = NDArray[np.float64]
_RIGID = list(RIGID)


@functools.cache
def _rigid_points() -> tuple[Array, Array]:
    """Return the canonical rigid points and their centroid, the pivot."""
    rigid = load_canonical_face().astype(np.float64)[_RIGID]
    return freeze(rigid), freeze(rigid.mean(0))


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """Where a head is, in the units of the landmarks it was fitted to (pixels or portrait space).

    scale: units per canonical unit. rotation: (3, 3) view_from_head. position: (3,) of the rigid points' centroid.
    """

    scale: float
    rotation: Array
    position: Array

    def place(self, shape: Array) -> Array:
        """Return the landmarks of a face of this shape; (478, 3) to (478, 3)."""
        placed: Array = self.scale * (shape - _rigid_points()[1]) @ self.rotation.T + self.position
        return placed

    def shape_of(self, landmarks: Array) -> Array:
        """Return the shape of placed landmarks; the inverse of `place`."""
        shape: Array = (landmarks - self.position) @ self.rotation / self.scale + _rigid_points()[1]
        return shape


def take_apart(landmarks: NDArray[np.floating[Any]]) -> tuple[HeadPose, Array]:
    """Split landmarks into head pose and shape.

    Shapes:
        landmarks: (478, 3), any unit, z in the scale of x. returns: pose and (478, 3) float64 shape.
    """
    if landmarks.shape != (LANDMARK_COUNT, 3):
        raise ShapeError("landmarks", (LANDMARK_COUNT, 3), landmarks.shape)
    points = np.asarray(landmarks, np.float64)
    rigid, pivot = _rigid_points()
    fit = fit_similarity(rigid, points[_RIGID])
    pose = HeadPose(fit.scale, fit.rotation, fit.apply(pivot))
    return pose, pose.shape_of(points)


@dataclass(frozen=True, slots=True)
class FaceSizes:
    """A person's own measures, in canonical units: what an expression is measured against."""

    eye_width: float
    mouth_width: float
    lower_face: float
    face_height: float


def measure_sizes(shape: Array) -> FaceSizes:
    """Measure a neutral shape, (478, 3)."""

    def distance(a: int, b: int) -> float:
        return float(np.linalg.norm(shape[a] - shape[b]))

    brow_height = float(shape[list(BROWS), 1].mean())
    return FaceSizes(
        eye_width=(distance(*RIGHT_EYE_CORNERS) + distance(*LEFT_EYE_CORNERS)) / 2,
        mouth_width=distance(*MOUTH_CORNERS),
        lower_face=distance(NOSE_BASE, CHIN),
        # The hairline is guessed by the tracker, the brows are seen: both count.
        face_height=(distance(FOREHEAD_TOP, CHIN) + (float(shape[CHIN, 1]) - brow_height)) / 2,
    )
