# SPDX-License-Identifier: Apache-2.0
"""A smooth path of keypoints through several pictures of one character. Pure, any thread.

Landmarks are taken apart into head pose and face shape, and each part moves in its own way: the head *turns* (a
straight line between the landmarks of a left and a right profile would squash the head flat half-way), grows by equal
ratios, and the face changes its shape in the head's own frame. Through more than two pictures the path is a Catmull-Rom
spline of these parts, so that nothing jerks at a picture; between two it is straight.

Source:
    Catmull and Rom 1974, "A class of local interpolating splines"; rotations as rotation vectors from the first
    picture's head (Grassia 1998, "Practical parameterization of rotations using the exponential map").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ShapeError
from engine.geometry import rotation_from_rotvec, rotvec_from_rotation
from engine.track.head import HeadPose, take_apart

__all__ = ["EASINGS", "KeypointPath", "ease"]

EASINGS = ("in-out", "smooth", "linear")

Array = NDArray[np.float64]


def ease(progress: float, *, easing: str, segments: int, loop: bool = False) -> float:
    """Return the place on a path, in segments, after a share of its time.

    Args:
        progress: [0, 1]. easing: "in-out" rests at every picture; "smooth" starts and ends gently and passes the
            pictures between without stopping (a loop has neither end and runs evenly); "linear" runs evenly.
    """
    if easing == "in-out":
        place = min(max(progress, 0.0), 1.0) * segments
        whole = min(int(place), segments - 1)
        return whole + _smoothstep(place - whole)
    even = easing == "linear" or loop
    return segments * (progress if even else _smoothstep(progress))


def _smoothstep(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


class KeypointPath:
    """Keypoints anywhere between the pictures; exactly the given ones at whole places.

    Args:
        keypoints: of two or more pictures, (478, 3) each. loop: come back from the last to the first.
    """

    def __init__(self, keypoints: Sequence[NDArray[np.floating[Any]]], *, loop: bool = False) -> None:
        if len(keypoints) < 2:
            raise ShapeError("keypoints", "two or more pictures", len(keypoints))
        self._given = [np.asarray(points, np.float32) for points in keypoints]
        self._loop = loop
        apart = [take_apart(points) for points in keypoints]
        self._first = apart[0][0].rotation
        rows = [
            np.concatenate(
                [
                    rotvec_from_rotation(self._first.T @ pose.rotation),
                    [np.log(pose.scale)],
                    pose.position,
                    shape.reshape(-1),
                ]
            )
            for pose, shape in apart
        ]
        self._rows = np.stack(rows)

    @property
    def segments(self) -> int:
        """Stretches between neighbouring pictures."""
        return len(self._rows) - (0 if self._loop else 1)

    def pair(self, place: float) -> tuple[int, int, float]:
        """Return the pictures before and after a place, and how far it is from the first to the second, [0, 1]."""
        place = min(max(place, 0.0), float(self.segments))
        whole = min(int(place), self.segments - 1)
        return whole, (whole + 1) % len(self._rows), place - whole

    def turn_rad(self, segment: int) -> float:
        """Return how far the head turns on one stretch."""
        first, second = (
            rotation_from_rotvec(self._rows[index % len(self._rows)][:3]) for index in (segment, segment + 1)
        )
        return float(np.linalg.norm(rotvec_from_rotation(first.T @ second)))

    def at(self, place: float) -> NDArray[np.float32]:
        """Return the keypoints at a place in [0, segments], (478, 3) float32."""
        before, after, t = self.pair(place)
        if t <= 0.0 or t >= 1.0:
            return self._given[before if t <= 0.0 else after].copy()
        row = self._spline(before, after, t)
        pose = HeadPose(float(np.exp(row[3])), self._first @ rotation_from_rotvec(row[:3]), row[4:7])
        placed: NDArray[np.float32] = pose.place(row[7:].reshape(-1, 3)).astype(np.float32)
        return placed

    def _spline(self, before: int, after: int, t: float) -> Array:
        """Cubic Hermite with Catmull-Rom tangents; at the path's ends the tangent points to the neighbour."""
        start, end = self._rows[before], self._rows[after]
        leave = (end - self._neighbour(before, -1)) / (2 if self._has(before, -1) else 1)
        arrive = (self._neighbour(after, 1) - start) / (2 if self._has(after, 1) else 1)
        t2, t3 = t * t, t * t * t
        point: Array = (
            (2 * t3 - 3 * t2 + 1) * start + (t3 - 2 * t2 + t) * leave + (3 * t2 - 2 * t3) * end + (t3 - t2) * arrive
        )
        return point

    def _has(self, index: int, step: int) -> bool:
        return (self._loop and len(self._rows) > 2) or 0 <= index + step < len(self._rows)

    def _neighbour(self, index: int, step: int) -> Array:
        row: Array = self._rows[(index + step) % len(self._rows)] if self._has(index, step) else self._rows[index]
        return row
