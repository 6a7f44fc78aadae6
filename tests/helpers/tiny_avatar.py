# SPDX-License-Identifier: Apache-2.0
"""Writes a small GLB that is built like a VALID avatar: rig, eyes, teeth, wig, one morph target, packed buffers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import meshoptimizer
import numpy as np

__all__ = ["EYE_HEIGHT", "GlbWriter", "ball", "write_tiny_avatar"]

EYE_HEIGHT = 1.62
_JOINTS = {  # name: (parent, world position)
    "Root": ("", (0.0, 0.0, 0.0)),
    "Spine2": ("Root", (0.0, 1.20, 0.0)),
    "Neck": ("Spine2", (0.0, 1.48, -0.01)),
    "Head": ("Neck", (0.0, 1.55, 0.0)),
    "LeftEye": ("Head", (0.033, EYE_HEIGHT, 0.085)),
    "RightEye": ("Head", (-0.033, EYE_HEIGHT, 0.085)),
    "LeftShoulder": ("Spine2", (0.05, 1.42, 0.0)),
    "LeftArm": ("LeftShoulder", (0.17, 1.42, 0.0)),
    "RightShoulder": ("Spine2", (-0.05, 1.42, 0.0)),
    "RightArm": ("RightShoulder", (-0.17, 1.42, 0.0)),
}
_NAMES = list(_JOINTS)
_COMPONENT = {
    np.dtype(t): c
    for t, c in (
        (np.uint8, 5121),
        (np.uint16, 5123),
        (np.uint32, 5125),
        (np.float32, 5126),
        (np.int8, 5120),
        (np.int16, 5122),
    )
}
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class GlbWriter:
    """Collects buffer views and accessors, then writes a GLB."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.tree: dict[str, Any] = {"asset": {"version": "2.0"}, "buffers": [{}], "bufferViews": [], "accessors": []}

    def view(self, data: bytes, **extra: Any) -> int:
        """Append bytes and return the view's number."""
        self.binary += bytes(-len(self.binary) % 4)
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **extra})
        self.binary += data
        return len(self.tree["bufferViews"]) - 1

    def packed_view(self, values: np.ndarray, mode: str = "ATTRIBUTES") -> int:
        """Append meshopt-compressed rows (or indices) and return the view's number."""
        stride = values[0].nbytes
        if mode == "ATTRIBUTES":
            data = meshoptimizer.encode_vertex_buffer(np.ascontiguousarray(values), len(values), stride)
        else:
            data = meshoptimizer.encode_index_buffer(values.astype(np.uint32), len(values), int(values.max()) + 1)
        number = self.view(bytes(data))
        entry = self.tree["bufferViews"][number]
        entry["extensions"] = {
            "EXT_meshopt_compression": {
                "buffer": 0,
                "byteOffset": entry["byteOffset"],
                "byteLength": entry["byteLength"],
                "byteStride": stride,
                "count": len(values),
                "mode": mode,
            }
        }
        return number

    def accessor(self, values: np.ndarray, *, packed: bool = False, normalized: bool = False, **extra: Any) -> int:
        """Append an array (rows, width) and return the accessor's number."""
        values = np.ascontiguousarray(values)
        pad = -values[0].nbytes % 4 if values.ndim == 2 else 0
        if packed and values.ndim == 2:  # rows of compressed attributes are padded to four bytes
            rows = np.zeros((len(values), values[0].nbytes + pad), np.uint8)
            rows[:, : values[0].nbytes] = values.view(np.uint8).reshape(len(values), -1)
            view = self.packed_view(rows)
            self.tree["bufferViews"][view]["byteStride"] = rows.shape[1]
        elif packed:
            view = self.packed_view(values, "TRIANGLES")
        else:
            view = self.view(values.tobytes())
        width = values.shape[1] if values.ndim == 2 else 1
        entry = {
            "bufferView": view,
            "componentType": _COMPONENT[values.dtype],
            "count": len(values),
            "type": _KIND[width],
            **extra,
        }
        self.tree["accessors"].append(entry | ({"normalized": True} if normalized else {}))
        return len(self.tree["accessors"]) - 1

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        binary = bytes(self.binary) + bytes(-len(self.binary) % 4)
        self.tree["buffers"][0]["byteLength"] = len(binary)
        text = json.dumps(self.tree).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
        return path


def ball(
    centre: tuple[float, float, float], radius: tuple[float, float, float], rings: int = 16
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, normals, uv and triangles of an ellipsoid, wound to face outwards."""
    v, u = (x.ravel() for x in np.mgrid[0 : 1 : (rings + 1) * 1j, 0 : 1 : (2 * rings + 1) * 1j])
    polar, around = v * np.pi, u * 2 * np.pi
    unit = np.stack([np.sin(polar) * np.sin(around), np.cos(polar), -np.sin(polar) * np.cos(around)], 1)
    normals = unit / np.asarray(radius)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    row = 2 * rings + 1
    first = (np.arange(rings)[:, None] * row + np.arange(2 * rings)).ravel()
    quads = np.stack([first, first + 1, first + row, first + 1, first + row + 1, first + row], 1)
    return unit * radius + centre, normals, np.stack([u, v], 1), quads.reshape(-1, 3)


def write_tiny_avatar(path: Path) -> Path:
    """Write the avatar: an egg of a head with dark eyes, light teeth and a brown cap on a dark torso."""
    file = GlbWriter()
    face = np.full((256, 256, 3), (205, 160, 135), np.uint8)
    face[118:256, 73:256] = (18, 18, 20)  # where the outfit lies in the texture
    wig = np.full((16, 16, 3), (95, 60, 40), np.uint8)
    images = []
    for picture in (face, wig):
        images.append(
            {"bufferView": file.view(cv2.imencode(".webp", picture[..., ::-1])[1].tobytes()), "mimeType": "image/webp"}
        )
    nodes: list[dict[str, Any]] = []
    for parent, at in _JOINTS.values():
        origin = np.asarray(_JOINTS[parent][1]) if parent else np.zeros(3)
        nodes.append({"translation": (np.asarray(at) - origin).tolist(), "children": []})
    for index, (name, (parent, _)) in enumerate(_JOINTS.items()):
        nodes[index]["name"] = name
        if parent:
            nodes[_NAMES.index(parent)]["children"].append(index)
    bind = np.tile(np.eye(4, dtype=np.float32), (len(_NAMES), 1, 1))
    bind[:, :3, 3] = [-np.asarray(at) for _, at in _JOINTS.values()]
    inverse = file.accessor(bind.transpose(0, 2, 1).reshape(-1, 16))
    file.tree |= {
        "images": images,
        "textures": [{"extensions": {"EXT_texture_webp": {"source": k}}} for k in range(2)],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": k}}} for k in range(2)],
        "skins": [{"joints": list(range(len(_NAMES))), "inverseBindMatrices": inverse}],
        "meshes": [],
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
    }
    head = ball((0.0, 1.60, 0.0), (0.075, 0.115, 0.09))
    torso = ball((0.0, 1.22, -0.02), (0.22, 0.24, 0.10))
    body = [np.concatenate([a, b]) for a, b in zip(head[:3], torso[:3], strict=True)]
    body.append(np.concatenate([head[3], torso[3] + len(head[0])]))
    body[2] = np.concatenate([head[2] * [0.28, 0.45], torso[2] * [0.6, 0.4] + [0.3, 0.5]])
    bones = np.r_[np.full(len(head[0]), _NAMES.index("Head")), np.full(len(torso[0]), _NAMES.index("Spine2"))]
    drop = np.zeros((len(body[0]), 3), np.float32)
    low = (body[0][:, 1] < 1.56) & (np.arange(len(drop)) < len(head[0]))
    drop[low, 1] = -0.03
    _add_mesh(file, "H_DDS_HighRes", body, bones, material=0, target=drop)
    for side, x in (("L", 0.033), ("R", -0.033)):
        eye = list(ball((x, EYE_HEIGHT, 0.075), (0.014, 0.014, 0.014), 8))
        eye[2] = eye[2] * 0.02 + [0.5, 0.6]  # a dark place of the texture
        _add_mesh(file, f"h_{side}_eye", eye, np.full(len(eye[0]), _NAMES.index("Head")), material=0)
    teeth = list(ball((0.0, 1.545, 0.07), (0.02, 0.006, 0.01), 6))
    _add_mesh(file, "h_TeethUp", teeth, np.full(len(teeth[0]), _NAMES.index("Head")), material=0)
    cap = list(ball((0.0, 1.68, -0.025), (0.080, 0.060, 0.085)))
    _add_mesh(file, "h_wig", cap, np.full(len(cap[0]), _NAMES.index("Head")), material=1)
    return file.write(path)


def _add_mesh(
    file: GlbWriter,
    name: str,
    parts: list[np.ndarray],
    bones: np.ndarray,
    *,
    material: int,
    target: np.ndarray | None = None,
) -> None:
    positions, normals, uv, triangles = parts
    joints = np.zeros((len(positions), 4), np.uint8)
    joints[:, 0] = bones
    weights = np.tile(np.array([255, 0, 0, 0], np.uint8), (len(positions), 1))
    primitive: dict[str, Any] = {
        "attributes": {
            "POSITION": file.accessor(positions.astype(np.float32), packed=True),
            "NORMAL": file.accessor(np.rint(normals * 127).astype(np.int8), packed=True, normalized=True),
            "TEXCOORD_0": file.accessor(np.rint(uv * 65535).astype(np.uint16), packed=True, normalized=True),
            "JOINTS_0": file.accessor(joints, packed=True),
            "WEIGHTS_0": file.accessor(weights, packed=True, normalized=True),
        },
        "indices": file.accessor(triangles.ravel().astype(np.uint32), packed=True),
        "material": material,
    }
    mesh: dict[str, Any] = {"name": name, "primitives": [primitive]}
    if target is not None:
        primitive["targets"] = [{"POSITION": _sparse(file, target), "NORMAL": _sparse(file, target * 0)}]
        mesh["extras"] = {"targetNames": ["blend.MouthOpen_h"]}
    file.tree["meshes"].append(mesh)
    file.tree["nodes"].append({"name": name, "mesh": len(file.tree["meshes"]) - 1, "skin": 0})
    file.tree["scenes"][0]["nodes"].append(len(file.tree["nodes"]) - 1)


def _sparse(file: GlbWriter, values: np.ndarray) -> int:
    """Append a sparse accessor that holds only the rows that are not zero (at least one)."""
    rows = np.nonzero(values.any(axis=1))[0] if values.any() else np.array([0])
    file.tree["accessors"].append(
        {
            "componentType": 5126,
            "count": len(values),
            "type": "VEC3",
            "sparse": {
                "count": len(rows),
                "indices": {"bufferView": file.view(rows.astype(np.uint16).tobytes()), "componentType": 5123},
                "values": {"bufferView": file.view(values[rows].astype(np.float32).tobytes())},
            },
        }
    )
    return len(file.tree["accessors"]) - 1
