# SPDX-License-Identifier: Apache-2.0
"""Model manifests: what ships is whole, and what is damaged is said to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelFileMissing, ModelMismatch
from engine.runtime import manifest as module
from engine.runtime.manifest import Island, list_models, load_manifest

CONTENT = b"a graph"
GOOD: dict[str, Any] = {
    "format": 1,
    "config": {"side_px": 128, "decoder": True},
    "cache": ["key", "rest"],
    "half_precision": [{"inputs": ["moved"], "outputs": ["portrait"]}],
    "selection": {"face_pose": 20, "expression": 50.5},
    "files": {"animate.onnx": hashlib.sha256(CONTENT).hexdigest()},
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Put a model into an otherwise empty assets folder; returns the model's folder."""
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)

    def write(name: str, data: object = GOOD) -> Path:
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "animate.onnx").write_bytes(CONTENT)
        (folder / "manifest.json").write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return folder

    return write


@pytest.mark.parametrize("name", list_models())
def test_shipped_models_are_whole_and_described(name: str) -> None:
    manifest = load_manifest(name)
    manifest.verify()
    assert manifest.name == name
    assert {"encode.onnx", "animate.onnx"} <= set(manifest.files)
    assert manifest.side_px in (256, 512)
    if manifest.learned:
        assert "detect.onnx" in manifest.files
        assert manifest.motion
    else:
        assert manifest.face_pose_gain > 0
        assert manifest.expression_gain > 0
    card = (manifest.folder / "card.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card
    assert f"{manifest.side_px}" in card


def test_lite_ships() -> None:
    assert {"lite", "lite-512"} <= set(list_models())


def test_every_field_is_read(write: Write) -> None:
    folder = write("tiny")
    manifest = load_manifest("tiny")
    manifest.verify()
    assert (manifest.name, manifest.folder, manifest.side_px) == ("tiny", folder, 128)
    assert (manifest.cache, manifest.islands) == (("key", "rest"), (Island(("moved",), ("portrait",)),))
    assert (manifest.face_pose_gain, manifest.expression_gain) == (20.0, 50.5)


def test_models_are_listed_by_name_and_folders_without_manifest_are_none(write: Write, tmp_path: Path) -> None:
    assert list_models() == []
    write("b")
    write("a")
    (tmp_path / "models" / "notes").mkdir()
    assert list_models() == ["a", "b"]


def test_unknown_models_name_the_known_ones(write: Write) -> None:
    with pytest.raises(ModelFileMissing, match="no model 'huge'; shipped models: none"):
        load_manifest("huge")
    write("tiny")
    with pytest.raises(ModelFileMissing, match="shipped models: tiny"):
        load_manifest("huge")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        ([], "cannot be read"),
        ({}, "cannot be read .'format'"),
        ({**GOOD, "format": 2}, "has manifest format 2, this program reads 1"),
        ({**GOOD, "config": {"side_px": "wide", "decoder": False}}, "cannot be read"),
        ({**GOOD, "selection": None}, "cannot be read"),
        ({k: v for k, v in GOOD.items() if k != "files"}, "cannot be read .'files'"),
    ],
    ids=["cut off", "not text", "list", "empty", "newer", "side", "selection", "no files"],
)
def test_damaged_manifests_say_so(write: Write, content: object, says: str) -> None:
    folder = write("tiny", content)
    with pytest.raises(ModelMismatch, match=says) as caught:
        load_manifest("tiny")
    assert str(folder / "manifest.json") in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_named(write: Write) -> None:
    path = write("tiny") / "animate.onnx"
    path.unlink()
    with pytest.raises(ModelFileMissing, match=r"animate\.onnx of 'tiny' is missing") as caught:
        load_manifest("tiny").verify()
    assert caught.value.fields["path"] == str(path)


@pytest.mark.parametrize("content", [b"", b"a graph ", b"A graph"])
def test_a_changed_file_is_named_with_both_hashes(write: Write, content: bytes) -> None:
    path = write("tiny") / "animate.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelMismatch, match=r"animate\.onnx of 'tiny' is not the one") as caught:
        load_manifest("tiny").verify()
    assert caught.value.fields["expected"] == hashlib.sha256(CONTENT).hexdigest()
    assert caught.value.fields["actual"] == hashlib.sha256(content).hexdigest()
