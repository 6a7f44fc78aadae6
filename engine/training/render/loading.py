# SPDX-License-Identifier: Apache-2.0
"""Build an Avatar from a packed avatar file: pose the rig, keep the bust, gather the expressions.

Data flow: GlbFile → load_avatar → Avatar. Knows the joint, mesh and target names of the VALID avatars.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceUnreadable
from engine.training.render.avatar import CONTROLS, MATERIALS, Avatar, DrawGroup, MorphTarget
from engine.training.render.glb import GlbFile
from engine.training.render.transforms import head_rotation, pivot, unit

__all__ = ["load_avatar"]

_KEPT_BELOW_NECK_M = 0.42  # of the torso; the frame never shows more
_SHOULDER_DROP_DEG, _ARM_DROP_DEG = 9.0, 58.0  # from the rig's T-pose to hanging arms
_ARM_CONTROLS = ("Root", "LeftShoulder", "RightShoulder", "LeftArm", "RightArm")
_CORNEA_SUFFIX = "_trans"  # a clear shell over the eye; the shader's highlight stands in for it


@dataclass(eq=False)
class _Rig:
    """The joints in the rest pose."""

    names: list[str]
    parents: dict[int, int]
    world: list[NDArray[np.float64]]

    def position(self, joint: str) -> NDArray[np.float64]:
        """Return where a joint is."""
        if joint not in self.names:
            raise SourceUnreadable(f"The avatar has no joint '{joint}', which the renderer needs.")
        return self.world[self.names.index(joint)][:3, 3]

    def nearest(self, node: int, groups: tuple[str, ...]) -> int:
        """Return which of `groups` a node hangs from; the first where none."""
        current: int | None = node
        while current is not None:
            if self.names[current] in groups:
                return groups.index(self.names[current])
            current = self.parents.get(current)
        return 0


@dataclass(eq=False)
class _Parts:
    """Geometry collected mesh by mesh; `count` vertices so far."""

    count: int = 0
    positions: list[NDArray[Any]] = field(default_factory=list)
    normals: list[NDArray[Any]] = field(default_factory=list)
    uv: list[NDArray[Any]] = field(default_factory=list)
    controls: list[NDArray[Any]] = field(default_factory=list)
    materials: list[NDArray[Any]] = field(default_factory=list)
    triangles: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {"body": [], "wig": []})
    material_of: dict[str, dict[str, Any]] = field(default_factory=dict)
    eyes: dict[str, tuple[int, int]] = field(default_factory=dict)
    targets: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = field(default_factory=dict)


def load_avatar(path: Path) -> Avatar:
    """Read an avatar file.

    Raises:
        SourceUnreadable: the file is missing, damaged or lacks a joint or mesh that the renderer needs.
    Cost:
        ≈ 1.5 s for a VALID avatar of 8 MB.
    """
    file = GlbFile(path)
    nodes = file.tree["nodes"]
    rig = _Rig([node.get("name", "") for node in nodes], file.parents(), file.world_matrices())
    joints = {name: rig.position(name) for name in CONTROLS if name != "Root"}
    lowered = _lowered_arms(rig)
    parts = _Parts()
    for node in nodes:
        if "mesh" in node and not file.tree["meshes"][node["mesh"]]["name"].endswith(_CORNEA_SUFFIX):
            _add_mesh(parts, file, rig, node, lowered)
    if set(parts.eyes) != {"L", "R"}:
        raise SourceUnreadable(f"The avatar lacks its eye meshes: {path}.")
    return _assemble(parts, file, joints, path.stem)


def _lowered_arms(rig: _Rig) -> NDArray[np.float64]:
    """Return matrices (5, 4, 4), one per _ARM_CONTROLS, that take the arms down from the T-pose."""
    shoulders = [
        pivot(rig.position(f"{side}Shoulder"), head_rotation(roll_deg=sign * _SHOULDER_DROP_DEG))
        for side, sign in (("Left", 1), ("Right", -1))  # the avatar's left lies at +x
    ]
    arms = [
        shoulder @ pivot(rig.position(f"{side}Arm"), head_rotation(roll_deg=sign * _ARM_DROP_DEG))
        for shoulder, (side, sign) in zip(shoulders, (("Left", 1), ("Right", -1)), strict=True)
    ]
    return np.stack([np.eye(4), *shoulders, *arms])


def _add_mesh(parts: _Parts, file: GlbFile, rig: _Rig, node: dict[str, Any], lowered: NDArray[np.float64]) -> None:
    """Append every primitive of one skinned mesh, in the world's rest pose."""
    mesh, skin = file.tree["meshes"][node["mesh"]], file.tree["skins"][node["skin"]]
    inverse_bind = file.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    joint_matrices = np.stack([rig.world[j] for j in skin["joints"]]) @ inverse_bind
    for primitive in mesh["primitives"]:
        attributes = primitive["attributes"]
        bones = file.accessor(attributes["JOINTS_0"]).astype(np.int64)
        weights = file.accessor(attributes["WEIGHTS_0"]).astype(np.float64)
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-8)
        arm = _by_group(bones, weights, [rig.nearest(j, _ARM_CONTROLS) for j in skin["joints"]], len(_ARM_CONTROLS))
        control = _by_group(bones, weights, [rig.nearest(j, CONTROLS) for j in skin["joints"]], len(CONTROLS))
        skinning = np.einsum("vk,vkij->vij", weights, joint_matrices[bones])
        skinning = np.einsum("vg,gij->vij", arm, lowered) @ skinning
        linear = skinning[:, :3, :3]
        turning = linear / np.linalg.norm(linear, axis=1, keepdims=True)
        moved = np.einsum("vij,vj->vi", linear, file.accessor(attributes["POSITION"])) + skinning[:, :3, 3]
        parts.positions.append(moved)
        parts.normals.append(unit(np.einsum("vij,vj->vi", turning, file.accessor(attributes["NORMAL"]))))
        parts.uv.append(_texture_coordinates(file, primitive))
        _add_surface(parts, file, primitive, mesh["name"], control)
        _add_targets(parts, file, mesh, primitive, linear, turning)
        parts.count += len(moved)


def _by_group(
    bones: NDArray[np.int64], weights: NDArray[np.float64], groups: list[int], count: int
) -> NDArray[np.float64]:
    """Return bone weights (V, 4) summed into (V, count) groups."""
    total = np.zeros((len(bones), count))
    rows = np.arange(len(bones))
    for k in range(bones.shape[1]):
        np.add.at(total, (rows, np.asarray(groups)[bones[:, k]]), weights[:, k])
    return total


def _texture_coordinates(file: GlbFile, primitive: dict[str, Any]) -> NDArray[np.float32]:
    """Return (V, 2) float32 with the material's texture transform applied."""
    material = file.tree["materials"][primitive["material"]]
    texture = material["pbrMetallicRoughness"]["baseColorTexture"]
    moved = texture.get("extensions", {}).get("KHR_texture_transform", {})
    uv = file.accessor(primitive["attributes"]["TEXCOORD_0"]).astype(np.float32)
    return uv * np.float32(moved.get("scale", (1, 1))) + np.float32(moved.get("offset", (0, 0)))


def _add_surface(
    parts: _Parts, file: GlbFile, primitive: dict[str, Any], mesh_name: str, control: NDArray[np.float64]
) -> None:
    """Append triangles, control weights and material channels; note where the eyes are."""
    surface = np.zeros((len(control), len(MATERIALS)))
    group = "wig" if "wig" in mesh_name.lower() else "body"
    if mesh_name.endswith("_eye"):
        side = "L" if "_L_" in mesh_name else "R"
        parts.eyes[side] = (parts.count, parts.count + len(control))
        control[:] = 0
        control[:, CONTROLS.index("LeftEye" if side == "L" else "RightEye")] = 1
        surface[:, MATERIALS.index("eye")] = 1
    elif "Teeth" in mesh_name or "gland" in mesh_name:
        surface[:, MATERIALS.index("mouth")] = 1
    elif group == "wig":
        surface[:, MATERIALS.index("hair")] = 1
    else:  # cloth is what hangs from neither neck nor head
        surface[:, 0] = np.clip(control[:, CONTROLS.index("Neck")] * 0.6 + control[:, CONTROLS.index("Head")], 0, 1)
    parts.materials.append(surface)
    parts.controls.append(control)
    triangles = file.accessor(primitive["indices"]).astype(np.int64).reshape(-1, 3)
    parts.triangles[group].append(triangles + parts.count)
    parts.material_of[group] = file.tree["materials"][primitive["material"]]


def _add_targets(
    parts: _Parts,
    file: GlbFile,
    mesh: dict[str, Any],
    primitive: dict[str, Any],
    linear: NDArray[np.float64],
    turning: NDArray[np.float64],
) -> None:
    """Append the morph targets of one primitive."""
    names = mesh.get("extras", {}).get("targetNames", [])
    for label, target in zip(names, primitive.get("targets", []), strict=False):
        shift, bend = file.accessor(target["POSITION"]), file.accessor(target["NORMAL"])
        rows = np.nonzero(np.any(shift != 0, axis=1) | np.any(bend != 0, axis=1))[0]
        offsets = np.concatenate(
            [np.einsum("vij,vj->vi", linear[rows], shift[rows]), np.einsum("vij,vj->vi", turning[rows], bend[rows])], 1
        )
        for name, share in _face_targets(label):
            parts.targets.setdefault(name, []).append((rows + parts.count, (share * offsets).T))


def _face_targets(label: str) -> list[tuple[str, float]]:
    """Return the face targets that drive a mesh's target, with their shares.

    The teeth and tongue carry twins, named t_X, of the face's targets X; they move together.
    """
    name = label.split(".")[-1].removesuffix("_h")
    if name == "t_MPB":  # one twin for two face targets
        return [("MPB_Up", 0.5), ("MPB_Down", 0.5)]
    return [(name.removeprefix("t_"), 1.0)]


def _assemble(parts: _Parts, file: GlbFile, joints: dict[str, NDArray[np.float64]], name: str) -> Avatar:
    """Cut away what never comes into view, renumber the vertices and make the Avatar."""
    positions = np.concatenate(parts.positions)
    lowest = joints["Neck"][1] - _KEPT_BELOW_NECK_M
    kept = {}
    for group, lists in parts.triangles.items():
        triangles = np.concatenate(lists) if lists else np.zeros((0, 3), np.int64)
        kept[group] = triangles[(positions[triangles][:, :, 1] > lowest).all(axis=1)]
    used = np.zeros(len(positions), bool)
    for triangles in kept.values():
        used[triangles] = True
    renumbered = np.cumsum(used) - 1
    groups = tuple(
        _draw_group(file, parts.material_of[group], renumbered[triangles], two_sided=group == "wig")
        for group, triangles in kept.items()
        if len(triangles)
    )
    eyes = [
        slice(int(renumbered[start]), int(renumbered[stop - 1]) + 1)
        for start, stop in (parts.eyes["L"], parts.eyes["R"])
    ]

    def cut(arrays: list[NDArray[Any]]) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.concatenate(arrays)[used], np.float32)

    return Avatar(
        name=name,
        positions=cut(parts.positions),
        normals=cut(parts.normals),
        uv=cut(parts.uv),
        controls=cut(parts.controls),
        materials=cut(parts.materials),
        targets={name: _merge_target(pieces, used, renumbered) for name, pieces in sorted(parts.targets.items())},
        groups=groups,
        joints=joints,
        eyes=(eyes[0], eyes[1]),
        occlusion=np.ones(int(used.sum()), np.float32),
    )


def _draw_group(file: GlbFile, material: dict[str, Any], triangles: NDArray[np.int64], *, two_sided: bool) -> DrawGroup:
    """Return one group with its textures decoded."""
    colour = file.texture(material["pbrMetallicRoughness"]["baseColorTexture"]["index"])
    bumps = file.texture(material["normalTexture"]["index"]) if "normalTexture" in material else None
    return DrawGroup(triangles.astype(np.uint32), colour, bumps, two_sided)


def _merge_target(
    pieces: list[tuple[NDArray[Any], NDArray[Any]]], used: NDArray[np.bool_], renumbered: NDArray[np.int64]
) -> MorphTarget:
    """Return one target from the pieces that several meshes contribute."""
    rows = np.concatenate([piece[0] for piece in pieces])
    offsets = np.concatenate([piece[1] for piece in pieces], 1)
    keep = used[rows] & (np.abs(offsets) > 1e-7).any(axis=0)
    return MorphTarget(renumbered[rows[keep]], np.ascontiguousarray(offsets[:, keep], np.float32))
