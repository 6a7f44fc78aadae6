# SPDX-License-Identifier: Apache-2.0
"""Loading and checking packs: a bad item costs only itself, a bad pack is one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.errors import PackInvalid
from engine.training.data import PackSplit
from engine.training.pack import load_split, read_manifest
from engine.training.pack.build import build_pack
from engine.training.pack.cli import app
from engine.training.pack.info import check_pack
from engine.training.pack.landmarks import fit_landmarks, read_landmarks
from tests.helpers.source_faces import make_keypoints
from tests.helpers.tiny_pack import SETTINGS, make_instruments, write_sources

CLIP = "train/talk/talk.mp4"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    sources = write_sources(folder / "sources")
    shutil.rmtree(sources / "train" / "valid")
    build_pack(sources, folder / "pack", settings=SETTINGS, instruments=make_instruments())
    return folder / "pack"


@pytest.fixture
def copy(pack: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pack, tmp_path / "pack"))


def load(pack: Path, split: str = "train", **options: Any) -> tuple[PackSplit, dict[str, str]]:
    return load_split(pack, split, **({"side_px": 64} | options))


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def edit_manifest(pack: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tree = json.loads((pack / "manifest.json").read_text())
    change(tree)
    (pack / "manifest.json").write_text(json.dumps(tree))


def test_every_nth_frame_at_another_size(pack: Path) -> None:
    split, _ = load(pack, side_px=32, every=3)
    clip = next(i for i in split.items if i.kind == "clip")
    assert split.frames.shape[1:] == (32, 32, 3)
    assert clip.stop - clip.start == 5
    assert sum(i.kind == "still" for i in split.items) == 3
    full, _ = load(pack)
    whole = next(i for i in full.items if i.kind == "clip")
    np.testing.assert_allclose(
        split.keypoints[clip.start : clip.stop], full.keypoints[whole.start : whole.stop : 3], atol=1e-6
    )


def test_progress_ends_at_all_items(pack: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    load(pack, advance=lambda done, total: steps.append((done, total)))
    assert steps == [(k, 4) for k in range(1, 5)]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: (p / CLIP).unlink(), "No such file"),
        (lambda p: spoil(p / CLIP), "file is damaged"),
        (lambda p: (p / CLIP).write_bytes(b""), "file is damaged"),
        (lambda p: spoil(p / "train/mattes/talk/talk.mp4"), "matte is damaged"),
        (lambda p: (p / "train/mattes/talk/talk.mp4").unlink(), "No such file"),
    ],
)
def test_a_bad_clip_is_named_skipped_and_counted(
    harm: Callable[[Path], object], reason: str, pack: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harm(copy)
    split, skipped = load(copy)
    assert list(skipped) == ["talk/talk"]
    assert reason in skipped["talk/talk"]
    assert "Skipped talk/talk" in caplog.text
    whole, _ = load(pack)
    assert [i.name for i in split.items] == [i.name for i in whole.items if i.name != "talk/talk"]
    assert split.frames.shape[0] == split.mattes.shape[0] == split.keypoints.shape[0] == 3
    for item in split.items:  # what lies behind the gap has closed up
        other = next(i for i in whole.items if i.name == item.name)
        for mine, theirs in ((split.frames, whole.frames), (split.mattes, whole.mattes)):
            np.testing.assert_array_equal(mine[item.start : item.stop], theirs[other.start : other.stop])
        np.testing.assert_allclose(split.keypoints[item.start], whole.keypoints[other.start], atol=1e-6)


def test_a_clip_of_another_length_is_skipped(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    def stretch(tree: dict[str, Any]) -> None:
        clip, still = tree["items"][0], tree["items"][1]
        assert clip["name"] == "talk"
        clip["frames"], still["frames"] = clip["frames"] - 1, still["frames"] + 1

    edit_manifest(copy, stretch)
    _, skipped = load(copy)
    assert "holds 14 frames, the manifest says 13" in skipped["talk/talk"]
    assert len(skipped) == 2


def test_nothing_left(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(copy / "dev" / "faces")
    with pytest.raises(PackInvalid, match=r"None of the 2 items .* can be used: .*No such file"):
        load(copy, "dev")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (shutil.rmtree, "does not exist"),
        (lambda p: (p / "manifest.json").unlink(), "no finished pack"),
        (lambda p: (p / "manifest.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "manifest.json").write_text("[]"), "not one of a training pack"),
        (lambda p: edit_manifest(p, lambda t: t.update(version=99)), "version 99, this Bunraku reads version 1"),
        (lambda p: edit_manifest(p, lambda t: t.pop("items")), "does not follow the format"),
        (lambda p: edit_manifest(p, lambda t: t["items"][0].update(kind="film")), "does not follow the format"),
        (lambda p: edit_manifest(p, lambda t: t["items"][0].update(name="../../x")), "no plain file name"),
        (lambda p: edit_manifest(p, lambda t: t["items"][0].update(size=1)), "does not follow the format"),
        (lambda p: edit_manifest(p, lambda t: t["items"][0].update(frames=3)), "landmarks are of 19 frames"),
        (lambda p: edit_manifest(p, lambda t: t.update(items=[])), "landmarks are of 19 frames"),
        (lambda p: (p / "landmarks.npz").unlink(), "landmarks cannot be read: No such file"),
        (lambda p: (p / "landmarks.npz").write_bytes(b"PK\x03\x04 torn"), "landmarks are damaged"),
        (lambda p: np.savez(p / "landmarks.npz", mean=np.zeros(3)), "landmarks are damaged"),
    ],
)
def test_a_bad_pack_is_one_sentence(harm: Callable[[Path], object], says: str, copy: Path) -> None:
    harm(copy)
    with pytest.raises(PackInvalid, match=says) as caught:
        load(copy)
    assert str(copy) in str(caught.value)


def test_splits(copy: Path) -> None:
    with pytest.raises(PackInvalid, match="train and dev, not 'test'"):
        load(copy, "test")

    edit_manifest(copy, lambda t: [i.update(split="train") for i in t["items"]])
    with pytest.raises(PackInvalid, match="split 'dev' of the pack is empty"):
        load(copy, "dev")


def test_landmarks_keep_their_place() -> None:
    rng = np.random.default_rng(3)
    turns = rng.uniform(-0.8, 0.8, (60, 3))
    points = np.stack([make_keypoints(yaw=a, pitch=b / 2, mouth=0.1 + abs(c) / 5) for a, b, c in turns])
    tracked = rng.random(60) < 0.9
    packed = read_landmarks(fit_landmarks(points, tracked).to_bytes(), where="here")
    np.testing.assert_array_equal(packed.tracked, tracked)
    back = packed.basis.expand(packed.coefficients[tracked])
    assert np.abs(back - points[tracked]).mean() * 128 < 0.03
    assert not packed.coefficients[~tracked].any()
    assert fit_landmarks(points, tracked).to_bytes() == fit_landmarks(points.copy(), tracked).to_bytes()


class TestInfo:
    def test_a_whole_pack(self, pack: Path) -> None:
        result = CliRunner().invoke(app, ["info", str(pack), "--quiet"])
        assert result.exit_code == 0
        assert "train  talk   clip   1      14      14       CC BY 4.0" in result.stdout
        assert "dev    faces  still  2" in result.stdout
        assert "every file is as it should be" in result.stdout

    def test_every_fault_is_named(self, copy: Path) -> None:
        spoil(copy / CLIP)
        (copy / "dev/mattes/faces/c.jpg").unlink()
        edit_manifest(copy, lambda t: None)
        faults = check_pack(copy).faults
        assert set(faults) == {"train/talk/talk", "dev/faces/c"}
        result = CliRunner().invoke(app, ["info", str(copy), "--quick", "--quiet"])
        assert result.exit_code == PackInvalid.exit_code
        assert "2 of 6 items are damaged" in result.stdout
        assert "train/talk/talk.mp4 is damaged" in result.stdout

    def test_no_pack(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["info", str(tmp_path / "x")])
        assert isinstance(result.exception, PackInvalid)


def test_manifest_survives_a_round_trip(pack: Path) -> None:
    manifest = read_manifest(pack)
    assert manifest == read_manifest(pack)
    assert {i.licence for i in manifest.items} == {"CC0", "CC BY 4.0"}
