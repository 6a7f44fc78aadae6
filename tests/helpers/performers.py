# SPDX-License-Identifier: Apache-2.0
"""Performers made of numbers: people of different face shapes who nod, speak, blink and look about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.geometry import rotation_from_angles
from engine.landmarks import (
    IRISES,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS_INNER_LOWER,
    LIPS_OUTER_LOWER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from engine.track.expression import load_expression_basis
from engine.track.head import HeadPose
from engine.types import TrackedMotion

__all__ = ["FRAME_NS", "Performer", "motion_of"]

FRAME_NS = 40_000_000


@dataclass(frozen=True)
class Performer:
    """One person. width, height: face proportions over the average. size_px, centre_px: where the head is."""

    width: float = 1.0
    height: float = 1.0
    size_px: float = 80.0
    centre_px: tuple[float, float] = (320.0, 240.0)

    def shape(self, *, jaw: float = 0.0, eyes: float = 1.0, gaze: float = 0.0, brows: float = 0.0) -> np.ndarray:
        """Return (478, 3). jaw, gaze, brows: canonical units. eyes: 1 open, 0 shut."""
        shape = load_expression_basis().neutral.copy()
        lower_lip = list(LIPS_INNER_LOWER + LIPS_OUTER_LOWER)
        shape[lower_lip, 1] += jaw
        shape[[152, 148, 377, 176, 400], 1] += jaw
        shape[[70, 63, 105, 66, 107, 300, 293, 334, 296, 336], 1] -= brows
        shape[list(IRISES), 0] += gaze
        for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
            shape[list(upper)] = shape[list(lower)] + eyes * (shape[list(upper)] - shape[list(lower)])
        return shape * (self.width, self.height, 1.0)

    def landmarks(
        self,
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        move_px: tuple[float, float] = (0.0, 0.0),
        grow: float = 1.0,
        **face: float,
    ) -> np.ndarray:
        """Return (478, 3) float32 pixels; angles in radians."""
        rotation = rotation_from_angles(yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll)
        position = np.array([self.centre_px[0] + move_px[0], self.centre_px[1] + move_px[1], 0.0])
        return HeadPose(self.size_px * grow, rotation, position).place(self.shape(**face)).astype(np.float32)


def motion_of(landmarks: np.ndarray, *, frame: int = 0, quality: float = 1.0) -> TrackedMotion:
    """Wrap landmarks as the tracker would."""
    return TrackedMotion(frame, frame * FRAME_NS, landmarks.astype(np.float32), quality)
