# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames, crops and portrait space; similarity fits; rotations. Pure numpy, any thread.

Conventions: a transform is named `dst_from_src`, 3×3 float64, for column vectors. Pixel coordinates are continuous
with *integers on pixel centres*, so the picture spans [-0.5, side - 0.5]; portrait space spans [-1, 1] over the same
square. Rotations act on column vectors in a frame with x right, y down and z away from the viewer; the identity is a
head that looks straight into the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import ShapeError

__all__ = [
    "Box",
    "Similarity",
    "angles_from_rotation",
    "apply_transform",
    "fit_similarity",
    "keypoints_from_landmarks",
    "landmarks_from_keypoints",
    "portrait_from_frame",
    "rotation_from_angles",
    "rotation_from_rotvec",
    "rotvec_from_rotation",
    "scale_rotation",
    "scale_transform",
    "square_around",
    "to_norm",
    "to_px",
    "translate_transform",
]

Transform = NDArray[np.float64]
_TINY = 1e-12


def to_norm(xy_px: ArrayLike, *, side_px: float) -> NDArray[np.float64]:
    """Convert pixel coordinates of a square picture to portrait space; any shape, elementwise."""
    return (np.asarray(xy_px, np.float64) + 0.5) * (2.0 / side_px) - 1.0


def to_px(xy_norm: ArrayLike, *, side_px: float) -> NDArray[np.float64]:
    """Convert portrait space to pixel coordinates of a square picture; any shape, elementwise."""
    return (np.asarray(xy_norm, np.float64) + 1.0) * (side_px / 2.0) - 0.5


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned square of a frame, in pixels; may reach beyond the frame."""

    centre_x_px: float
    centre_y_px: float
    side_px: float

    @property
    def left_px(self) -> float:
        """Continuous coordinate of the left edge."""
        return self.centre_x_px - self.side_px / 2

    @property
    def top_px(self) -> float:
        """Continuous coordinate of the top edge."""
        return self.centre_y_px - self.side_px / 2


def square_around(xy_px: NDArray[np.floating[Any]], *, margin: float = 2.0, drop: float = 0.0) -> Box:
    """Return the square around points: `margin` times their height, moved down by `drop` of its side.

    Shapes:
        xy_px: (P, 2) or (P, 3); z is ignored.
    """
    if xy_px.ndim != 2 or xy_px.shape[1] < 2 or not len(xy_px):
        raise ShapeError("xy_px", "(P, 2) or (P, 3)", xy_px.shape)
    low, high = xy_px[:, :2].min(0).astype(float), xy_px[:, :2].max(0).astype(float)
    side = max(float(high[1] - low[1]) * margin, 1.0)
    centre = (low + high) / 2
    return Box(float(centre[0]), float(centre[1]) + drop * side, side)


def translate_transform(x: float, y: float) -> Transform:
    """Return the 3×3 transform that adds (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scale_transform(x: float, y: float | None = None) -> Transform:
    """Return the 3×3 transform that multiplies by (x, y); y defaults to x."""
    return np.diag([x, x if y is None else y, 1.0])


def portrait_from_frame(box: Box, *, side_px: int) -> Transform:
    """Return the transform from frame pixels to the pixels of a `side_px` square cut at `box`.

    It maps edges to edges, so `cv2.warpAffine(frame, portrait_from_frame(...)[:2], (side_px, side_px))` cuts it.
    """
    scale = side_px / box.side_px
    return translate_transform(-0.5, -0.5) @ scale_transform(scale) @ translate_transform(-box.left_px, -box.top_px)


def apply_transform(dst_from_src: Transform, xy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Apply a 3×3 affine transform to points.

    Shapes:
        dst_from_src: (3, 3). xy: (..., 2). returns: (..., 2) float64.
    """
    if xy.shape[-1] != 2:
        raise ShapeError("xy", "(..., 2)", xy.shape)
    moved: NDArray[np.float64] = np.asarray(xy, np.float64) @ dst_from_src[:2, :2].T + dst_from_src[:2, 2]
    return moved


def keypoints_from_landmarks(landmarks_px: NDArray[np.floating[Any]], *, box: Box) -> NDArray[np.float32]:
    """Move landmarks of a frame into the portrait space of a crop; z keeps the scale of x and y.

    Shapes:
        landmarks_px: (..., 3). returns: (..., 3) float32 in [-1, 1] for points inside the box.
    """
    centre = np.array([box.centre_x_px, box.centre_y_px, 0.0])
    points = (np.asarray(landmarks_px, np.float64) - centre) * (2.0 / box.side_px)
    keypoints: NDArray[np.float32] = points.astype(np.float32)
    return keypoints


def landmarks_from_keypoints(keypoints: NDArray[np.floating[Any]], *, box: Box) -> NDArray[np.float32]:
    """Undo `keypoints_from_landmarks`."""
    centre = np.array([box.centre_x_px, box.centre_y_px, 0.0])
    points = np.asarray(keypoints, np.float64) * (box.side_px / 2.0) + centre
    landmarks: NDArray[np.float32] = points.astype(np.float32)
    return landmarks


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """dst = scale · rotation · src + translation, in D = 2 or 3 dimensions.

    rotation: (D, D) float64, determinant 1. translation: (D,) float64.
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def apply(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Move (..., D) points from src to dst."""
        moved: NDArray[np.float64] = self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation
        return moved

    def undo(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Move (..., D) points from dst back to src."""
        back: NDArray[np.float64] = (np.asarray(points, np.float64) - self.translation) @ self.rotation / self.scale
        return back


def fit_similarity(
    src: NDArray[np.floating[Any]], dst: NDArray[np.floating[Any]], *, weights: NDArray[np.floating[Any]] | None = None
) -> Similarity:
    """Fit the similarity that takes `src` onto `dst` with least (weighted) squared error; never a reflection.

    Shapes:
        src, dst: (P, D), D = 2 or 3, P ≥ D. weights: (P,) ≥ 0, default all 1.
    Source:
        Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns",
        IEEE TPAMI 13(4), eq. 40–42; the rotation part is Kabsch 1976.
    """
    if src.shape != dst.shape or src.ndim != 2 or src.shape[1] not in (2, 3) or len(src) < src.shape[1]:
        raise ShapeError("src, dst", "equal (P, 2) or (P, 3), P >= D", f"{src.shape}, {dst.shape}")
    share = np.ones(len(src)) if weights is None else np.asarray(weights, np.float64)
    share = share / share.sum()
    a, b = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    mean_a, mean_b = share @ a, share @ b
    centred_a, centred_b = a - mean_a, b - mean_b
    u, strength, v_t = np.linalg.svd((centred_b * share[:, None]).T @ centred_a)
    sign = np.ones(a.shape[1])
    sign[-1] = 1.0 if np.linalg.det(u) * np.linalg.det(v_t) >= 0 else -1.0
    rotation = (u * sign) @ v_t
    spread = float(share @ (centred_a**2).sum(1))
    scale = float(strength @ sign) / spread if spread > _TINY else 1.0
    return Similarity(scale, rotation, mean_b - scale * rotation @ mean_a)


def rotation_from_angles(*, yaw_rad: float = 0.0, pitch_rad: float = 0.0, roll_rad: float = 0.0) -> Transform:
    """Build a head rotation: roll first, then pitch, then yaw.

    Convention:
        yaw > 0 looks towards +x (image right); pitch > 0 looks up; roll > 0 turns clockwise as seen on screen.
    """
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (-yaw_rad, -pitch_rad, roll_rad))
    yaw = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    roll = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
    rotation: Transform = yaw @ pitch @ roll
    return rotation


def angles_from_rotation(rotation: Transform) -> tuple[float, float, float]:
    """Return (yaw_rad, pitch_rad, roll_rad) of `rotation_from_angles`; unique for |pitch| < 90°."""
    forward = -rotation[:, 2]
    yaw = np.arctan2(forward[0], -forward[2])
    pitch = np.arcsin(np.clip(-forward[1], -1.0, 1.0))
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return float(yaw), float(pitch), float(roll)


def rotation_from_rotvec(rotvec: ArrayLike) -> Transform:
    """Return the rotation about `rotvec` by its length in radians (Rodrigues' formula).

    Shapes:
        rotvec: (3,). returns: (3, 3) float64.
    """
    x, y, z = vector = np.asarray(rotvec, np.float64)
    angle = float(np.linalg.norm(vector))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # np.sinc is sin(pi x)/(pi x): exact at zero, so that tiny rotations need no special case.
    first, second = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    rotation: Transform = np.eye(3) + first * cross + second * (cross @ cross)
    return rotation


def rotvec_from_rotation(rotation: Transform) -> NDArray[np.float64]:
    """Return axis times angle, angle in [0, pi]; the inverse of `rotation_from_rotvec`."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine, cosine = float(np.linalg.norm(skew)) / 2, (float(np.trace(rotation)) - 1) / 2
    angle = float(np.arctan2(sine, cosine))
    if sine > 1e-6:
        scaled: NDArray[np.float64] = skew * (angle / (2 * sine))
        return scaled
    if cosine > 0:
        return skew / 2
    # Half a turn: the axis is the eigenvector of R + I, its sign is free.
    symmetric = (rotation + np.eye(3)) / 2
    column = symmetric[:, int(np.argmax(np.diag(symmetric)))]
    return column / max(float(np.linalg.norm(column)), _TINY) * angle


def scale_rotation(rotation: Transform, gain: float) -> Transform:
    """Turn about the same axis by `gain` times the angle."""
    return rotation_from_rotvec(rotvec_from_rotation(rotation) * gain)
