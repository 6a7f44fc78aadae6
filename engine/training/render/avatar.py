# SPDX-License-Identifier: Apache-2.0
"""An avatar's geometry and how a pose deforms it: morph targets, neck, head and eyes.

Data flow: engine.training.render.loading → Avatar; Pose → Avatar.posed → PosedMesh → renderer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.training.render.pose import Pose
from engine.training.render.transforms import head_rotation, pivot, translation, unit

__all__ = ["CONTROLS", "MATERIALS", "Avatar", "DrawGroup", "MorphTarget", "PosedMesh"]

CONTROLS = ("Root", "Spine2", "Neck", "Head", "LeftEye", "RightEye")  # the joints a pose moves
MATERIALS = ("skin", "eye", "mouth", "hair")  # columns of Avatar.materials
_NECK_SHARE = 0.45  # of the head's rotation; the joint above takes the rest, as a human neck spreads a turn
_CHEST_SHARES = np.array([1.0, 0.6, 1.2])  # yaw, pitch, roll: shoulders nod less than they turn


@dataclass(frozen=True, eq=False)
class MorphTarget:
    """Offsets of one expression. vertices: (K,) int; offsets: (6, K) float32, rows dx dy dz dnx dny dnz."""

    vertices: NDArray[np.int64]
    offsets: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DrawGroup:
    """Triangles that share textures. triangles: (T, 3) uint32. colour, normal_map: (H, W, 3) uint8 RGB."""

    triangles: NDArray[np.uint32]
    colour: NDArray[np.uint8]
    normal_map: NDArray[np.uint8] | None
    two_sided: bool


@dataclass(frozen=True, eq=False)
class PosedMesh:
    """Vertices of one pose. positions, normals: (V, 3) float32 world metres; occlusion: (V,) float32, 1 is open."""

    positions: NDArray[np.float32]
    normals: NDArray[np.float32]
    occlusion: NDArray[np.float32]


@dataclass(eq=False)
class Avatar:
    """Head and shoulders of one avatar in rest pose, arms lowered.

    positions, normals: (V, 3) float32. uv: (V, 2). controls: (V, 6), columns CONTROLS, rows sum to 1.
    materials: (V, 4), columns MATERIALS. joints: world position of the controls. eyes: vertex slices (left, right).
    groups: body first, then the wig where there is one. occlusion: (V,) float32, filled by the renderer.
    """

    name: str
    positions: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    controls: NDArray[np.float32]
    materials: NDArray[np.float32]
    targets: dict[str, MorphTarget]
    groups: tuple[DrawGroup, ...]
    joints: dict[str, NDArray[np.float64]]
    eyes: tuple[slice, slice]
    occlusion: NDArray[np.float32]

    def __post_init__(self) -> None:
        self._rest = np.ascontiguousarray(np.concatenate([self.positions, self.normals], 1).T)
        self._controls_by_row = np.ascontiguousarray(self.controls.T)
        self.eye_centres = tuple(_sphere_centre(self.positions[part]) for part in self.eyes)
        # About the tip of the nose in height: the middle of what a face tracker sees.
        self.face_centre = (self.eye_centres[0] + self.eye_centres[1]) / 2 + np.array([0.0, -0.035, 0.0])

    def posed(self, pose: Pose) -> PosedMesh:
        """Return the mesh in one pose.

        Unknown morph targets are ignored, since avatars differ in the targets they carry.
        """
        shape = self._rest.copy()
        for name, weight in pose.weights.items():
            target = self.targets.get(name)
            if target is not None and abs(weight) > 1e-3:
                shape[:, target.vertices] += np.float32(weight) * target.offsets
        matrices = np.stack(self._control_matrices(pose))[:, :3].reshape(len(CONTROLS), 12).astype(np.float32)
        blended = (matrices.T @ self._controls_by_row).reshape(3, 4, -1)  # one 3 × 4 matrix per vertex
        positions = np.einsum("ijv,jv->vi", blended[:, :3], shape[:3]) + blended[:, 3].T
        normals = np.einsum("ijv,jv->vi", blended[:, :3], shape[3:])
        return PosedMesh(positions, normals, self._pose_occlusion(pose))

    def _control_matrices(self, pose: Pose) -> list[NDArray[np.float64]]:
        """Return one world matrix (4, 4) per control."""
        angles = np.array([pose.yaw_deg, pose.pitch_deg, pose.roll_deg])
        neck, skull = self.joints["Neck"], self.joints["Head"]
        chest = pivot(self.joints["Spine2"], head_rotation(*(angles * _CHEST_SHARES * pose.chest_follow)))
        # The chest carries the neck along but does not turn it, so the head keeps the angles asked for.
        carried = translation((chest @ np.append(neck, 1.0))[:3] - neck)
        neck_turn = head_rotation(*(angles * _NECK_SHARE))
        neck_matrix = carried @ pivot(neck, neck_turn)
        head_matrix = neck_matrix @ pivot(skull, neck_turn.T @ head_rotation(*angles))
        gaze = head_rotation(*pose.gaze_deg)
        eyes = [head_matrix @ pivot(centre, gaze) for centre in self.eye_centres]
        return [translation(pose.shift_m) @ m for m in (np.eye(4), chest, neck_matrix, head_matrix, *eyes)]

    def _pose_occlusion(self, pose: Pose) -> NDArray[np.float32]:
        """Return the occlusion with the eyeballs shaded below the lids, under which they turn."""
        occlusion = self.occlusion.copy()
        gaze = head_rotation(*pose.gaze_deg)
        for part, centre in zip(self.eyes, self.eye_centres, strict=True):
            out = unit((self.positions[part] - centre) @ gaze.T)
            above, below, aside = out[:, 1] - 0.12, -out[:, 1] - 0.3, np.abs(out[:, 0]) - 0.38
            shade = 0.8 * np.clip(above, 0, 1) + 0.35 * np.clip(below, 0, 1) + 0.45 * np.clip(aside, 0, 1)
            occlusion[part] = np.clip(0.95 - shade, 0.2, 1.0)
        return occlusion


def _sphere_centre(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the centre (3,) of the sphere that fits points (K, 3) best."""
    system = np.column_stack([2 * points.astype(np.float64), np.ones(len(points))])
    solution = np.linalg.lstsq(system, (points.astype(np.float64) ** 2).sum(1), rcond=None)[0]
    return np.asarray(solution[:3])
