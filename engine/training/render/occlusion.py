# SPDX-License-Identifier: Apache-2.0
"""Ambient occlusion per vertex: how much of the sky a point of the avatar sees.

Data flow: renderer (depth pictures) → bake_occlusion → Avatar.occlusion. Baked once, with the mouth half open so
that the teeth are lit from where light can come.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.training.render.avatar import MATERIALS, Avatar, PosedMesh
from engine.training.render.pose import Pose
from engine.training.render.transforms import orthographic, unit

__all__ = ["bake_occlusion"]

DepthPictures = Callable[[PosedMesh, list[NDArray[np.float64]], int], NDArray[np.float32]]
_DIRECTIONS = 64
_SIDE_PX = 384
_HALF_WIDTH_M, _HALF_DEPTH_M = 0.34, 0.5
_OFFSET_M = 0.0015  # along the normal, so that a surface does not hide itself
_BIAS = 0.0035  # of the depth range


def bake_occlusion(avatar: Avatar, depth_pictures: DepthPictures) -> None:
    """Fill avatar.occlusion: 1 where the point sees everything, 0 where nothing.

    Args:
        depth_pictures: (mesh, view-projections, side) → (K, side, side), 0 near … 1 far, bottom row first.
    """
    mesh = avatar.posed(Pose(weights={"MouthOpen": 0.55, "Shout": 0.2}))
    towards = _upper_directions(_DIRECTIONS)
    centre = avatar.face_centre + np.array([0.0, -0.05, 0.0])
    matrices = [orthographic(d, centre, _HALF_WIDTH_M, _HALF_DEPTH_M) for d in towards]
    pictures = depth_pictures(mesh, matrices, _SIDE_PX)
    normals = unit(mesh.normals)
    raised = mesh.positions + normals * _OFFSET_M
    seen, total = np.zeros(len(raised)), np.full(len(raised), 1e-3)
    for picture, matrix, way in zip(pictures, matrices, towards, strict=True):
        clip = raised @ matrix[:3, :3].T + matrix[:3, 3]
        at = np.clip(((clip[:, :2] * 0.5 + 0.5) * _SIDE_PX).astype(int), 0, _SIDE_PX - 1)
        facing = np.maximum(normals @ way, 0)
        seen += facing * (picture[at[:, 1], at[:, 0]] > clip[:, 2] * 0.5 + 0.5 - _BIAS)
        total += facing
    occlusion = np.clip(seen / total, 0, 1).astype(np.float32)
    mouth = avatar.materials[:, MATERIALS.index("mouth")] > 0.5
    occlusion[mouth] = np.clip(0.55 + 0.60 * occlusion[mouth], 0, 0.94)  # teeth: never black, never in full light
    avatar.occlusion = occlusion


def _upper_directions(count: int) -> NDArray[np.float64]:
    """Return directions (count, 3), evenly spread over the sphere without its lowest part."""
    k = np.arange(count) + 0.5
    height = 1 - 1.6 * k / count
    angle = k * np.pi * (1 + np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], axis=1)
