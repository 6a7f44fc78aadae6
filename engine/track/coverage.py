# SPDX-License-Identifier: Apache-2.0
"""How far a source set lets its character move, and a soft stop a little beyond it. Pure, any thread.

Pictures cover a range of head turns, places and sizes. Inside that range motion passes unchanged; outside it is
slowed down and never exceeds the range by more than a margin, where the warp has nothing left to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.geometry import angles_from_rotation, rotation_from_angles
from engine.track.head import HeadPose, take_apart

__all__ = ["Coverage", "soft_limit"]

Array = NDArray[np.float64]

# Order: yaw, pitch, roll [rad]; x, y [canonical units of the reference head]; log scale.
# What one single frontal picture can do by itself, and how far beyond its range a set may go.
_ALONE = np.array([0.26, 0.20, 0.35, 0.50, 0.40, 0.10])
_MARGIN = np.array([0.26, 0.20, 0.25, 0.35, 0.35, 0.12])


def soft_limit(value: Array, *, low: Array, high: Array, margin: Array) -> Array:
    """Pass values inside [low, high]; press others smoothly into [low - margin, high + margin]."""
    inside = np.clip(value, low, high)
    pressed: Array = inside + margin * np.tanh((value - inside) / margin)
    return pressed


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Range of head motion relative to the reference picture. low, high: (6,), see the order above."""

    low: Array
    high: Array

    @classmethod
    def of(cls, reference: HeadPose, keypoints: NDArray[np.floating[Any]] | None = None) -> Coverage:
        """Measure what pictures cover, relative to the reference picture.

        Shapes:
            keypoints: (N, 478, 3), portrait space; None for the reference alone.
        """
        seen = [np.zeros(6)]
        for picture in () if keypoints is None else keypoints:
            pose, _ = take_apart(picture)
            seen.append(_coordinates(reference, pose))
        return cls(np.minimum(np.min(seen, axis=0), -_ALONE), np.maximum(np.max(seen, axis=0), _ALONE))

    def limit(self, *, turn: Array, offset: Array, log_scale: float) -> tuple[Array, Array, float]:
        """Soft-clamp a head motion.

        Shapes:
            turn: (3, 3) head rotation relative to the reference. offset: (2,) canonical units.
        """
        wanted = np.array([*angles_from_rotation(turn), *offset, log_scale])
        if (wanted >= self.low).all() and (wanted <= self.high).all():
            return turn, offset, log_scale
        got = soft_limit(wanted, low=self.low, high=self.high, margin=_MARGIN)
        yaw, pitch, roll = got[:3]
        return rotation_from_angles(yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll), got[3:5], float(got[5])


def _coordinates(reference: HeadPose, pose: HeadPose) -> Array:
    offset = (pose.position - reference.position)[:2] / reference.scale
    turn = reference.rotation.T @ pose.rotation
    return np.array([*angles_from_rotation(turn), *offset, np.log(pose.scale / reference.scale)])
