# SPDX-License-Identifier: Apache-2.0
"""Rotations, matrices and projections of the avatar renderer; pure numpy, no state.

World axes: x to the image right, y up, z towards the camera; the avatar faces +z. Angles are degrees with
+yaw turning the nose to the image right, +pitch the nose down, +roll the head clockwise as seen in the image.
Matrices act on column vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "direction",
    "head_rotation",
    "orthographic",
    "perspective",
    "pivot",
    "rotation_from_quaternion",
    "translation",
    "unit",
]

Matrix = NDArray[np.float64]


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return vectors of length 1 along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9))


def direction(azimuth_deg: float, elevation_deg: float) -> Matrix:
    """Return the unit vector (3,) towards a point; azimuth 0 is the camera, +90 the image right."""
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat])


def head_rotation(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Matrix:
    """Return the rotation (3, 3) that rolls first, then pitches, then turns."""
    (sy, sp, sr), (cy, cp, cr) = (f(np.radians([yaw_deg, pitch_deg, -roll_deg])) for f in (np.sin, np.cos))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(turn @ nod @ tilt)


def rotation_from_quaternion(quaternion: Sequence[float]) -> Matrix:
    """Return the rotation (3, 3) of a unit quaternion (x, y, z, w)."""
    axis, w = np.asarray(quaternion[:3], np.float64), float(quaternion[3])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


def translation(offset: ArrayLike) -> Matrix:
    """Return the (4, 4) matrix that moves by an offset (3,)."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def pivot(centre: ArrayLike, rotation: Matrix) -> Matrix:
    """Return the (4, 4) matrix that applies a rotation (3, 3) about a centre (3,)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = np.asarray(centre) - rotation @ np.asarray(centre)
    return matrix


def perspective(fov_deg: float, near_m: float, far_m: float) -> Matrix:
    """Return the OpenGL projection (4, 4) of a square frame with this vertical field of view."""
    matrix = np.zeros((4, 4))
    matrix[0, 0] = matrix[1, 1] = 1 / np.tan(np.radians(fov_deg) / 2)
    matrix[2, 2] = (far_m + near_m) / (near_m - far_m)
    matrix[2, 3] = 2 * far_m * near_m / (near_m - far_m)
    matrix[3, 2] = -1
    return matrix


def orthographic(towards: Matrix, centre: ArrayLike, half_width_m: float, half_depth_m: float) -> Matrix:
    """Return the view-projection (4, 4) of a parallel look at a centre from the side `towards` (3,)."""
    back = unit(np.asarray(towards, np.float64))
    up = np.array([0.0, 1.0, 0.0]) if abs(back[1]) < 0.95 else np.array([1.0, 0.0, 0.0])
    right = unit(np.cross(up, back))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right / half_width_m, np.cross(back, right) / half_width_m, -back / half_depth_m])
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(centre)
    return matrix
