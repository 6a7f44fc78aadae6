# SPDX-License-Identifier: Apache-2.0
"""A head in space, for drawing: features lie on a rounded front, hair before and behind it.

Units: about half a face's width is 1. x right, y down, z away from the viewer; the origin lies between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Head", "Pose2D"]

Point = tuple[float, float]


@dataclass(frozen=True)
class Pose2D:
    """What one picture shows. yaw_deg towards the picture's right, pitch_deg up. The others from 0 to 1."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    mouth_open: float = 0.0
    smile: float = 0.0
    eyes_closed: float = 0.0


@dataclass(frozen=True)
class Head:
    """Where points of a head go on the picture.

    scale_px: pixels a unit. centre_px: where the origin lies, frontal. depth: how far the face bulges.
    """

    pose: Pose2D
    scale_px: float
    centre_px: Point
    radii: Point = (1.08, 1.55)
    depth: float = 0.95
    pivot_y: float = 0.45

    def surface(self, x: float, y: float) -> float:
        """Return the depth of the face at (x, y); its rim lies at `depth`."""
        inside = 1.0 - (x / self.radii[0]) ** 2 - (y / self.radii[1]) ** 2
        return self.depth * (1.0 - float(np.sqrt(max(inside, 0.0))))

    def at(self, x: float, y: float, z: float | None = None) -> Point:
        """Return where a point goes; without z it lies on the face."""
        deep = (self.surface(x, y) if z is None else z) - self.depth
        yaw, pitch = np.radians(self.pose.yaw_deg), np.radians(self.pose.pitch_deg)
        turned_x = x * np.cos(yaw) - deep * np.sin(yaw)
        turned_z = x * np.sin(yaw) + deep * np.cos(yaw)
        off = y - self.pivot_y
        turned_y = off * np.cos(pitch) + turned_z * np.sin(pitch) + self.pivot_y
        return (
            float(self.centre_px[0] + self.scale_px * turned_x),
            float(self.centre_px[1] + self.scale_px * turned_y),
        )
