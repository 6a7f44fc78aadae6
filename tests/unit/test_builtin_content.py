# SPDX-License-Identifier: Apache-2.0
"""The shipped source sets and driving clip: complete, within their size, true to their caches, with licences."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tomlkit

from engine.assets import asset_path, asset_root
from engine.sources import load_source_set
from engine.types import LANDMARK_COUNT

SETS = sorted(asset_path("source_sets").glob("*.bunraku"))
SIDE = 512
MAX_SETS_BYTES, MAX_CLIP_BYTES = 6_000_000, 2_000_000
DRAWN = {"mika", "bolt"}  # by our own code, with guide points in place of a tracker


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def mattes(folder: Path) -> list[np.ndarray]:
    return [read(path) for path in sorted((folder / "cache").glob("*.matte.png"))]


def test_there_are_enough_sets_and_they_are_small() -> None:
    assert len(SETS) >= 8
    total = sum(path.stat().st_size for path in asset_path("source_sets").rglob("*") if path.is_file())
    assert total < MAX_SETS_BYTES


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_set_is_complete(folder: Path) -> None:
    manifest = tomlkit.parse((folder / "set.toml").read_text("utf-8")).unwrap()
    assert manifest["format"] == 1
    assert manifest["name"] == folder.stem
    assert manifest["licence"] == ("Apache-2.0" if folder.stem in DRAWN else "MIT")
    assert all(("guides" in entry) == (folder.stem in DRAWN) for entry in manifest["pictures"])
    assert manifest["consent"]["kind"] == "synthetic"
    files = [entry["file"] for entry in manifest["pictures"]]
    count = 10 if folder.stem in DRAWN else 8
    assert len(files) == count
    assert files[0] == "front.webp"
    for name in files:
        data = (folder / name).read_bytes()
        assert len(data) < 80_000
        assert read(folder / name).shape == (SIDE, SIDE, 3)
        stem = Path(name).stem
        assert read(folder / "cache" / f"{stem}.matte.png").shape == (SIDE, SIDE)
        with np.load(folder / "cache" / f"{stem}.npz") as cached:
            assert cached["keypoints"].shape == (LANDMARK_COUNT, 3)
            assert cached["keypoints"].dtype == np.float32
            assert np.abs(cached["keypoints"][:, :2]).max() < 1
            assert str(cached["sha256"]) == hashlib.sha256(data).hexdigest()
    assert len(list((folder / "cache").iterdir())) == 2 * count


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_framing_is_head_and_shoulders(folder: Path) -> None:
    with np.load(folder / "cache" / "front.npz") as cached:
        face = cached["keypoints"]
    assert (0.38 if folder.stem in DRAWN else 0.44) < np.ptp(face[:, 1]) / 2 < 0.52  # drawn heads have more hair
    assert np.abs((face[:, :2].max(axis=0) + face[:, :2].min(axis=0)) / 2).max() < 0.12
    for matte in mattes(folder):
        assert matte[:6].max() == 0  # hair does not leave the frame …
        assert matte[: int(SIDE * 0.7), [0, 1, -2, -1]].max() == 0
        assert matte[-1].min() == 255 or (matte[-1] == 255).mean() > 0.9  # … and the shoulders fill its lower edge


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_matte_holds_the_face(folder: Path) -> None:
    for path in sorted((folder / "cache").glob("*.npz")):
        with np.load(path) as cached:
            points = ((cached["keypoints"][:, :2] + 1) / 2 * SIDE).astype(int)
        matte = read(path.with_name(f"{path.stem}.matte.png"))
        assert (
            matte[points[:, 1], points[:, 0]] > 127
        ).mean() > 0.93  # a few of the far cheek's points lie just outside in turned heads


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_background_stands_still(folder: Path) -> None:
    free = np.max(mattes(folder), axis=0) == 0
    free = cv2.erode(free.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0  # lossy pictures bleed at edges
    assert free.mean() > 0.2
    pictures = np.stack([read(path)[free].astype(int) for path in sorted(folder.glob("*.webp"))])
    assert np.abs(pictures - pictures[0]).mean() < 2.5


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_set_loads_without_an_analyser(folder: Path, tmp_path: Path) -> None:
    loaded = load_source_set(folder, side_px=256, cache_dir=tmp_path)
    assert len(loaded.images) == (10 if folder.stem in DRAWN else 8)
    assert not list(tmp_path.iterdir())  # the set's own cache was enough


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_the_first_pictures_add_most(folder: Path, tmp_path: Path) -> None:
    """`--sources N` takes the first N: the inside of the mouth and both sides come before looking up and down."""
    names = [image.name for image in load_source_set(folder, side_px=256, cache_dir=tmp_path).images]
    assert names[:2] == ["front", "mouth_open"]
    assert set(names[2:4]) == {"left", "right"}


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.stem)
def test_pictures_show_what_they_say(folder: Path) -> None:
    def keypoints(stem: str) -> np.ndarray:
        with np.load(folder / "cache" / f"{stem}.npz") as cached:
            return np.asarray(cached["keypoints"])

    def gap(stem: str, upper: int, lower: int) -> float:
        points = keypoints(stem)
        return float(np.linalg.norm(points[lower, :2] - points[upper, :2]) / np.ptp(points[:, 1]))

    def nose_offset(stem: str) -> np.ndarray:
        points = keypoints(stem)
        return (points[1] - points[[127, 356]].mean(axis=0))[:2] / np.ptp(points[:, 1])

    assert gap("mouth_open", 13, 14) > gap("front", 13, 14) + 0.08
    for upper, lower in ((159, 145), (386, 374)):
        assert gap("eyes_closed", upper, lower) < 0.6 * gap("front", upper, lower)
    assert nose_offset("left")[0] < nose_offset("front")[0] - 0.1
    assert nose_offset("right")[0] > nose_offset("front")[0] + 0.1
    assert nose_offset("up")[1] < nose_offset("front")[1] < nose_offset("down")[1]
    assert gap("smile", 61, 291) > 1.05 * gap("front", 61, 291)


def test_driving_clip_is_ten_seconds_of_h264() -> None:
    path = asset_path("clips", "driver.mp4")
    assert path.stat().st_size < MAX_CLIP_BYTES
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate) == 25.0
        assert sum(1 for _ in file.decode(video=0)) == 250


def test_notice_covers_every_folder() -> None:
    notice = asset_path("NOTICE.md").read_text("utf-8")
    for folder in (path for path in asset_root().iterdir() if path.is_dir() and not path.name.startswith("__")):
        assert f"`{folder.name}/" in notice
    assert "Copyright (c) 2022 Tiffany Do" in notice
