# SPDX-License-Identifier: Apache-2.0
"""Read binary glTF files: accessors as arrays, textures as pictures, node matrices.

Data flow: avatar file → GlbFile → engine.training.render.loading. Covers what packed avatars use:
EXT_meshopt_compression, KHR_mesh_quantization, EXT_texture_webp, sparse accessors. No rendering here.
Source: glTF 2.0 specification and the three extensions' texts, Khronos Group.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, cast

import meshoptimizer
import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import SourceUnreadable
from engine.training.render.transforms import rotation_from_quaternion

__all__ = ["GlbFile"]

_MAGIC = b"glTF"
_CHUNK_JSON = 0x4E4F534A
_CHUNK_BIN = 0x004E4942
_DTYPES: dict[int, Any] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_DECODERS = {
    "ATTRIBUTES": meshoptimizer.decode_vertex_buffer,
    "TRIANGLES": meshoptimizer.decode_index_buffer,
    "INDICES": meshoptimizer.decode_index_sequence,
}
_FILTERS = {
    "OCTAHEDRAL": meshoptimizer.decode_filter_oct,
    "QUATERNION": meshoptimizer.decode_filter_quat,
    "EXPONENTIAL": meshoptimizer.decode_filter_exp,
}


class GlbFile:
    """One GLB file, fully in memory; buffer views are decoded once and kept.

    Args:
        path: the file.
    Raises:
        SourceUnreadable: the file is missing, cut short or no binary glTF 2.0.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree, self._binary = _split_chunks(path)
        self._views: dict[int, bytes] = {}

    def view(self, index: int) -> bytes:
        """Return the bytes of one buffer view, decompressed where it is compressed."""
        if index not in self._views:
            entry = self.tree["bufferViews"][index]
            packed = entry.get("extensions", {}).get("EXT_meshopt_compression")
            self._views[index] = self._unpack(packed) if packed else self._slice(entry)
        return self._views[index]

    def accessor(self, index: int) -> NDArray[Any]:
        """Return one accessor.

        Shapes:
            returns: (count, width); normalised integers as float32 in [-1, 1], everything else in its own type.
        """
        entry = self.tree["accessors"][index]
        dtype, width, count = np.dtype(_DTYPES[entry["componentType"]]), _WIDTHS[entry["type"]], entry["count"]
        if "bufferView" in entry:
            values = self._read(entry["bufferView"], entry.get("byteOffset", 0), dtype, width, count)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in entry:
            self._overlay(values, entry["sparse"])
        if entry.get("normalized"):
            values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1.0).astype(np.float32)
        return values

    def texture(self, index: int) -> NDArray[np.uint8]:
        """Return one texture as a picture, (H, W, 3) uint8 RGB; alpha is dropped.

        Raises:
            SourceUnreadable: the picture inside the file cannot be decoded.
        """
        entry = self.tree["textures"][index]
        image = entry.get("extensions", {}).get("EXT_texture_webp", {}).get("source", entry.get("source"))
        data = np.frombuffer(self.view(self.tree["images"][image]["bufferView"]), np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if bgr is None:
            raise SourceUnreadable(f"Texture {index} of the avatar cannot be decoded: {self.path}.")
        return cast("NDArray[np.uint8]", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))

    def world_matrices(self) -> list[NDArray[np.float64]]:
        """Return the rest-pose world matrix (4, 4) of every node; nodes outside the scene get the identity."""
        nodes = self.tree["nodes"]
        world = [np.eye(4) for _ in nodes]
        scene = self.tree["scenes"][self.tree.get("scene", 0)]
        stack = [(root, np.eye(4)) for root in scene["nodes"]]
        while stack:
            index, parent = stack.pop()
            world[index] = parent @ _local_matrix(nodes[index])
            stack += [(child, world[index]) for child in nodes[index].get("children", [])]
        return world

    def parents(self) -> dict[int, int]:
        """Return child node → parent node."""
        return {child: i for i, node in enumerate(self.tree["nodes"]) for child in node.get("children", [])}

    def _slice(self, entry: dict[str, Any]) -> bytes:
        start = entry.get("byteOffset", 0)
        return self._binary[start : start + entry["byteLength"]]

    def _unpack(self, packed: dict[str, Any]) -> bytes:
        count, stride = packed["count"], packed["byteStride"]
        data = np.frombuffer(self._slice(packed), np.uint8)
        values = np.ascontiguousarray(_DECODERS[packed["mode"]](count, stride, data))
        if packed.get("filter", "NONE") != "NONE":
            filtered = _FILTERS[packed["filter"]](values, count, stride)
            values = values if filtered is None else filtered  # some versions filter in place
        return np.ascontiguousarray(values).view(np.uint8).tobytes()[: count * stride]

    def _read(self, view: int, offset: int, dtype: np.dtype[Any], width: int, count: int) -> NDArray[Any]:
        raw = np.frombuffer(self.view(view), np.uint8)[offset:]
        size = width * dtype.itemsize
        stride = self.tree["bufferViews"][view].get("byteStride", size)
        if len(raw) < stride * (count - 1) + size:
            raise SourceUnreadable(f"The avatar file is damaged: an accessor runs past its data: {self.path}.")
        rows = np.lib.stride_tricks.as_strided(raw, (count, size), (stride, 1))
        return np.ascontiguousarray(rows).view(dtype).reshape(count, width)

    def _overlay(self, values: NDArray[Any], sparse: dict[str, Any]) -> None:
        at, new = sparse["indices"], sparse["values"]
        dtype = np.dtype(_DTYPES[at["componentType"]])
        rows = self._read(at["bufferView"], at.get("byteOffset", 0), dtype, 1, sparse["count"])[:, 0]
        width = values.shape[1]
        values[rows] = self._read(new["bufferView"], new.get("byteOffset", 0), values.dtype, width, sparse["count"])


def _split_chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the JSON tree and the binary chunk of a GLB file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceUnreadable(f"The avatar file cannot be read ({error.strerror}): {path}.") from error
    if len(data) < 20 or data[:4] != _MAGIC or struct.unpack_from("<I", data, 4)[0] != 2:
        raise SourceUnreadable(f"Expected a binary glTF 2.0 file (.glb), got something else: {path}.")
    chunks: dict[int, bytes] = {}
    position = 12
    while position + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, position)
        if position + 8 + length > len(data):
            raise SourceUnreadable(f"The avatar file is cut short: {path}.")
        chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length
    if _CHUNK_JSON not in chunks:
        raise SourceUnreadable(f"The avatar file holds no scene description: {path}.")
    return json.loads(chunks[_CHUNK_JSON]), chunks.get(_CHUNK_BIN, b"")


def _local_matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """Return a node's own matrix (4, 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(node.get("rotation", (0.0, 0.0, 0.0, 1.0)))
    matrix[:3, :3] *= np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
