# SPDX-License-Identifier: Apache-2.0
"""Reading binary glTF: every packing the avatars use, and files that are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SourceUnreadable
from engine.training.render.glb import GlbFile
from tests.helpers.tiny_avatar import GlbWriter

ROWS = np.array([[0.5, -1.0, 2.0], [3.0, 4.0, -5.0], [0.25, 0.0, 7.0], [1.0, 1.0, 1.0]], np.float32)


@pytest.mark.parametrize("packed", [False, True])
def test_floats_come_back_as_written(tmp_path: Path, packed: bool) -> None:
    writer = GlbWriter()
    number = writer.accessor(ROWS, packed=packed)
    np.testing.assert_array_equal(GlbFile(writer.write(tmp_path / "a.glb")).accessor(number), ROWS)


@pytest.mark.parametrize(("dtype", "limit"), [(np.int8, 127), (np.uint8, 255), (np.int16, 32767), (np.uint16, 65535)])
def test_normalised_integers_are_scaled(tmp_path: Path, dtype: type, limit: int) -> None:
    writer = GlbWriter()
    stored = np.array([[0, limit, limit // 2], [np.iinfo(dtype).min, 1, limit]], dtype)
    number = writer.accessor(stored, packed=True, normalized=True)
    values = GlbFile(writer.write(tmp_path / "a.glb")).accessor(number)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, np.maximum(stored / limit, -1), atol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_indices_come_back_as_written(tmp_path: Path, packed: bool) -> None:
    writer = GlbWriter()
    number = writer.accessor(np.array([0, 1, 2, 2, 1, 3], np.uint32), packed=packed)
    values = GlbFile(writer.write(tmp_path / "a.glb")).accessor(number)
    assert values.ravel().tolist() == [0, 1, 2, 2, 1, 3]


def test_two_byte_indices_are_unpacked(tmp_path: Path) -> None:
    writer = GlbWriter()
    number = writer.accessor(np.array([0, 1, 2, 2, 1, 3], np.uint16), packed=True)
    assert GlbFile(writer.write(tmp_path / "a.glb")).accessor(number).ravel().tolist() == [0, 1, 2, 2, 1, 3]


def test_rows_keep_their_stride(tmp_path: Path) -> None:
    writer = GlbWriter()
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    view = writer.view(wide.tobytes(), byteStride=16)
    writer.tree["accessors"].append(
        {"bufferView": view, "byteOffset": 4, "componentType": 5126, "count": 3, "type": "VEC3"}
    )
    np.testing.assert_array_equal(GlbFile(writer.write(tmp_path / "a.glb")).accessor(0), wide[:, 1:])


def test_sparse_rows_overlay_zeros(tmp_path: Path) -> None:
    writer = GlbWriter()
    rows = writer.view(np.array([1, 3], np.uint16).tobytes())
    values = writer.view(ROWS[:2].tobytes())
    writer.tree["accessors"].append(
        {
            "componentType": 5126,
            "count": 5,
            "type": "VEC3",
            "sparse": {
                "count": 2,
                "indices": {"bufferView": rows, "componentType": 5123},
                "values": {"bufferView": values},
            },
        }
    )
    found = GlbFile(writer.write(tmp_path / "a.glb")).accessor(0)
    np.testing.assert_array_equal(found[[1, 3]], ROWS[:2])
    assert not found[[0, 2, 4]].any()


def test_webp_texture_is_decoded_as_rgb(tmp_path: Path) -> None:
    writer = GlbWriter()
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # BGR
    data = cv2.imencode(".webp", red, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    writer.tree |= {
        "images": [{"bufferView": writer.view(data)}],
        "textures": [{"extensions": {"EXT_texture_webp": {"source": 0}}}],
    }
    texture = GlbFile(writer.write(tmp_path / "a.glb")).texture(0)
    assert texture.shape == (8, 8, 3)
    assert texture[4, 4].tolist() == [255, 0, 0]


def test_broken_texture_is_named(tmp_path: Path) -> None:
    writer = GlbWriter()
    writer.tree |= {"images": [{"bufferView": writer.view(b"no picture")}], "textures": [{"source": 0}]}
    file = GlbFile(writer.write(tmp_path / "a.glb"))
    with pytest.raises(SourceUnreadable, match="Texture 0"):
        file.texture(0)


def test_world_matrices_follow_the_tree(tmp_path: Path) -> None:
    writer = GlbWriter()
    half = np.sqrt(0.5)
    writer.tree |= {
        "nodes": [
            {"translation": [1, 0, 0], "rotation": [0, 0, half, half], "children": [1]},  # a quarter turn about z
            {"translation": [2, 0, 0], "scale": [3, 3, 3]},
            {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 7, 8, 9, 1]},
        ],
        "scenes": [{"nodes": [0, 2]}],
    }
    file = GlbFile(writer.write(tmp_path / "a.glb"))
    world = file.world_matrices()
    np.testing.assert_allclose(world[1][:3, 3], [1, 2, 0], atol=1e-9)
    np.testing.assert_allclose(world[1][:3, :3] @ [1, 0, 0], [0, 3, 0], atol=1e-9)
    np.testing.assert_allclose(world[2][:3, 3], [7, 8, 9])
    assert file.parents() == {1: 0}


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "Expected a binary glTF"), (b"GIF89a" + bytes(40), "Expected a binary glTF"), (None, "cannot be read")],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes | None, words: str) -> None:
    path = tmp_path / "a.glb"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SourceUnreadable, match=words):
        GlbFile(path)


def test_cut_file_is_refused(tmp_path: Path) -> None:
    writer = GlbWriter()
    writer.accessor(ROWS)
    path = writer.write(tmp_path / "a.glb")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceUnreadable, match="cut short"):
        GlbFile(path)


def test_accessor_past_its_data_is_refused(tmp_path: Path) -> None:
    writer = GlbWriter()
    number = writer.accessor(ROWS)
    writer.tree["accessors"][number]["count"] = 9
    file = GlbFile(writer.write(tmp_path / "a.glb"))
    with pytest.raises(SourceUnreadable, match="runs past"):
        file.accessor(number)
