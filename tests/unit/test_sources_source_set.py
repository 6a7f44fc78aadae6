# SPDX-License-Identifier: Apache-2.0
"""Whole sets: folders, zips, loose pictures; caches; what is wrong with a set."""

from __future__ import annotations

import logging
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import (
    NoFaceInSource,
    SourceSetEmpty,
    SourceSetInvalid,
    SourceSetMissing,
    SourceUnreadable,
    TooManySources,
)
from engine.sources import load_source_set
from engine.sources.base import ScriptedAnalyser
from engine.sources.picture import read_picture
from tests.helpers.source_faces import landmarks_at, make_keypoints, picture_bytes, portrait_rgb, write_picture

NEUTRAL = landmarks_at((128, 124), 120)
OPEN = landmarks_at((128, 130), 126, mouth=0.35)
LEFT = landmarks_at((120, 124), 120, yaw=-0.5)
SET = """
format = 1
name = "mara"
licence = "MIT"
[consent]
kind = "synthetic"
"""


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "user cache"


def make_set(folder: Path, *names: str, extra: str = "") -> Path:
    folder.mkdir()
    for seed, name in enumerate(names):
        write_picture(folder / name, seed=seed)
    entries = "".join(f'[[pictures]]\nfile = "{name}"\n' for name in names)
    (folder / "set.toml").write_text(SET + entries + extra)
    return folder


def test_a_folder_with_set_toml(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "mara.bunraku", "left.png", "open.png", "front.png")
    analyser = ScriptedAnalyser([[LEFT], [OPEN], [NEUTRAL]])
    source_set = load_source_set(folder, analyser=analyser, cache_dir=cache_dir)
    assert source_set.name == "mara"
    assert source_set.licence == "MIT"
    assert source_set.consent.kind == "synthetic"
    assert source_set.images[0].name == "front"
    assert {image.name for image in source_set.images} == {"front", "open", "left"}
    front = source_set.images[0]
    np.testing.assert_array_equal(front.rgb, read_picture(folder / "front.png").rgb)  # used whole
    np.testing.assert_allclose(front.keypoints[:, :2], (NEUTRAL[:, :2] + 0.5) / 128 - 1, atol=1e-5)
    assert front.alpha.min() == 255


def test_listed_order_and_switched_off_pictures(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "left.png", "open.png", "front.png", extra="enabled = false\n")
    text = (folder / "set.toml").read_text()
    (folder / "set.toml").write_text(text.replace('name = "mara"', 'order = "listed"'))
    source_set = load_source_set(folder, analyser=ScriptedAnalyser([[LEFT], [OPEN]]), cache_dir=cache_dir)
    assert [image.name for image in source_set.images] == ["left", "open"]
    assert source_set.name == "s"


def test_a_zip_of_a_folder(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "mara.bunraku", "front.png", "open.png")
    inner = Path(shutil.make_archive(str(tmp_path / "inner"), "zip", folder))
    outer = Path(shutil.make_archive(str(tmp_path / "outer"), "zip", tmp_path, "mara.bunraku"))
    renamed = outer.rename(tmp_path / "other.bunraku")
    expected = load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL], [OPEN]]), cache_dir=cache_dir)
    for path in (inner, renamed):
        got = load_source_set(path, analyser=ScriptedAnalyser([[NEUTRAL], [OPEN]]), cache_dir=cache_dir / path.name)
        assert [image.name for image in got.images] == [image.name for image in expected.images]
        np.testing.assert_array_equal(got.images[1].rgb, expected.images[1].rgb)


def test_plain_folder_single_picture_and_list(tmp_path: Path, cache_dir: Path):
    folder = tmp_path / "faces"
    folder.mkdir()
    a, b = write_picture(folder / "a.png"), write_picture(folder / "B.PNG", seed=1)
    (folder / "readme.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"junk")

    def load(path):
        return load_source_set(path, analyser=ScriptedAnalyser([[NEUTRAL], [OPEN]]), cache_dir=cache_dir / "none")

    whole = load(folder)
    assert (whole.name, len(whole.images), whole.licence, whole.consent.describe()) == ("faces", 2, "", "not stated")
    single = load(a)
    assert (single.name, [image.name for image in single.images]) == ("a", ["a"])
    assert len(load([a, b]).images) == 2
    assert len(load([str(a), str(a)]).images) == 2  # the same picture twice is odd, not wrong


def test_side_px_sets_the_portrait(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png")
    image = load_source_set(folder, side_px=128, analyser=ScriptedAnalyser([[NEUTRAL]]), cache_dir=cache_dir).images[0]
    assert image.rgb.shape == (128, 128, 3)
    assert image.alpha.shape == (128, 128)


def test_own_alpha_is_the_matte(tmp_path: Path, cache_dir: Path):
    alpha = np.zeros((256, 256), np.uint8)
    alpha[40:250, 60:200] = 255
    path = tmp_path / "cut.png"
    path.write_bytes(picture_bytes(np.dstack([portrait_rgb((256, 256)), alpha])))
    analyser = ScriptedAnalyser([[NEUTRAL]])
    source_set = load_source_set(path, analyser=analyser, cache_dir=cache_dir)
    np.testing.assert_array_equal(source_set.images[0].alpha, alpha)
    assert analyser.matte_calls == 0


def test_biggest_face_is_used_with_a_warning(tmp_path: Path, cache_dir: Path, caplog):
    folder = make_set(tmp_path / "s", "front.png")
    small = landmarks_at((30, 30), 40)
    with caplog.at_level(logging.WARNING, "engine.sources"):
        source_set = load_source_set(folder, analyser=ScriptedAnalyser([[small, NEUTRAL]]), cache_dir=cache_dir)
    assert "shows 2 faces" in caplog.text
    np.testing.assert_allclose(source_set.images[0].keypoints[0, :2], (NEUTRAL[0, :2] + 0.5) / 128 - 1, atol=1e-5)


def test_no_face_names_the_picture(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png", "wall.png")
    with pytest.raises(NoFaceInSource, match=r"picture wall\.png: expected one face, got none") as caught:
        load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL], []]), cache_dir=cache_dir)
    assert str(caught.value).endswith(f"({folder / 'wall.png'})")


def test_second_load_asks_nobody(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png", "open.png")
    before = sorted(path.name for path in folder.rglob("*"))
    matte = np.arange(65536, dtype=np.uint8).reshape(256, 256)
    analyser = ScriptedAnalyser([[NEUTRAL], [OPEN]], mattes=[matte])
    first = load_source_set(folder, analyser=analyser, cache_dir=cache_dir)
    again = load_source_set(folder, cache_dir=cache_dir)
    for a, b in zip(first.images, again.images, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.alpha, b.alpha)
    assert analyser.keypoint_calls == 2
    assert sorted(path.name for path in folder.rglob("*")) == before  # the user's folder stays as it was
    write_picture(folder / "front.png", seed=7)  # another picture under the same name
    load_source_set(folder, analyser=(asked := ScriptedAnalyser([[NEUTRAL]])), cache_dir=cache_dir)
    assert asked.keypoint_calls == 1


def test_damaged_user_cache_is_replaced(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png")
    load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL]]), cache_dir=cache_dir)
    (cached,) = cache_dir.glob("*.npz")
    for damage in (b"", b"junk", cached.read_bytes()[:-200]):
        cached.write_bytes(damage)
        load_source_set(folder, analyser=(asked := ScriptedAnalyser([[NEUTRAL]])), cache_dir=cache_dir)
        assert asked.keypoint_calls == 1
    load_source_set(folder, cache_dir=cache_dir)


def test_unwritable_user_cache_only_warns(tmp_path: Path, caplog):
    folder = make_set(tmp_path / "s", "front.png")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING, "engine.sources"):
        load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL]]), cache_dir=blocked / "cache")
    assert "could not be cached" in caplog.text


def write_set_cache(folder: Path, stem: str, *, side: int = 256, **extra: object) -> None:
    (folder / "cache").mkdir(exist_ok=True)
    np.savez(folder / "cache" / f"{stem}.npz", keypoints=make_keypoints(smile=0.1), **extra)
    Image.new("L", (side, side), 99).save(folder / "cache" / f"{stem}.matte.png")


def test_set_cache_is_trusted_in_built_in_sets(tmp_path: Path, cache_dir: Path, monkeypatch):
    folder = make_set(tmp_path / "s", "front.png")
    write_set_cache(folder, "front")
    monkeypatch.setattr("engine.sources.source_set.asset_root", lambda: tmp_path.resolve())
    image = load_source_set(folder, cache_dir=cache_dir).images[0]
    np.testing.assert_allclose(image.keypoints, make_keypoints(smile=0.1), atol=1e-6)
    assert image.alpha.min() == image.alpha.max() == 99
    assert not cache_dir.exists()


def test_set_cache_of_others_needs_the_pictures_hash(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png")
    write_set_cache(folder, "front", sha256=read_picture(folder / "front.png").sha256)
    load_source_set(folder, cache_dir=cache_dir)  # the hash fits: nobody is asked
    for wrong in ({}, {"sha256": "0" * 64}):
        write_set_cache(folder, "front", **wrong)
        with pytest.raises(SourceSetInvalid, match="has not been analysed yet"):
            load_source_set(folder, cache_dir=cache_dir)


def test_damaged_set_cache_is_computed_again(tmp_path: Path, cache_dir: Path, monkeypatch, caplog):
    folder = make_set(tmp_path / "s", "front.png")
    monkeypatch.setattr("engine.sources.source_set.asset_root", lambda: tmp_path.resolve())
    for index, damage in enumerate(("matte size", "points", "no matte")):
        write_set_cache(folder, "front", side=128 if damage == "matte size" else 256)
        if damage == "points":
            np.savez(folder / "cache" / "front.npz", keypoints=np.zeros((68, 3), np.float32))
        if damage == "no matte":
            (folder / "cache" / "front.matte.png").unlink()
        caplog.clear()
        asked = ScriptedAnalyser([[NEUTRAL]])
        load_source_set(folder, analyser=asked, cache_dir=cache_dir / str(index))
        assert asked.keypoint_calls == 1, damage
        assert "computed again" in caplog.text


def test_empty_sets(tmp_path: Path, cache_dir: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceSetEmpty, match="empty has no picture to use: expected 1 to 16, got none"):
        load_source_set(empty, cache_dir=cache_dir)
    off = make_set(tmp_path / "off", "front.png", extra="enabled = false\n")
    with pytest.raises(SourceSetEmpty, match="got 1 switched off and none on"):
        load_source_set(off, cache_dir=cache_dir)
    with pytest.raises(SourceSetEmpty):
        load_source_set([], cache_dir=cache_dir)


def test_too_many_pictures(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "many", *(f"{index}.png" for index in range(17)))
    with pytest.raises(TooManySources, match="expected at most 16, got 17") as caught:
        load_source_set(folder, cache_dir=cache_dir)
    assert caught.value.fields["count"] == 17


def test_listed_picture_that_is_not_there(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png", "gone.png")
    (folder / "gone.png").unlink()
    with pytest.raises(SourceSetMissing, match=r"not there: gone\.png"):
        load_source_set(folder, cache_dir=cache_dir)


@pytest.mark.parametrize("name", ["../front.png", "/etc/passwd.png", "a/../../x.png", "..\\\\x.png"])
def test_pictures_outside_the_folder_are_refused(tmp_path: Path, cache_dir: Path, name):
    write_picture(tmp_path / "front.png")
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "set.toml").write_text(f'format = 1\n[[pictures]]\nfile = "{name}"\n')
    with pytest.raises((SourceSetInvalid, SourceSetMissing)):
        load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL]]), cache_dir=cache_dir)


def test_corrupt_picture_in_a_set_is_named(tmp_path: Path, cache_dir: Path):
    folder = make_set(tmp_path / "s", "front.png", "bad.png")
    (folder / "bad.png").write_bytes(b"")
    with pytest.raises(SourceUnreadable, match=r"bad\.png is empty"):
        load_source_set(folder, analyser=ScriptedAnalyser([[NEUTRAL]]), cache_dir=cache_dir)


def test_missing_paths_and_broken_zips(tmp_path: Path, cache_dir: Path):
    with pytest.raises(SourceSetMissing, match="nowhere does not exist"):
        load_source_set(tmp_path / "nowhere", cache_dir=cache_dir)
    broken = tmp_path / "broken.bunraku"
    broken.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(SourceSetInvalid, match="neither a folder, a picture nor a zip"):
        load_source_set(broken, cache_dir=cache_dir)
    with pytest.raises(SourceUnreadable, match=r"gone\.png does not exist"):
        load_source_set([tmp_path / "gone.png"], cache_dir=cache_dir)


def test_hostile_zips(tmp_path: Path, cache_dir: Path):
    crowded = tmp_path / "crowded.zip"
    with zipfile.ZipFile(crowded, "w") as archive:
        for index in range(2001):
            archive.writestr(f"{index}.txt", "")
    with pytest.raises(SourceSetInvalid, match="expected at most 2000, got 2001"):
        load_source_set(crowded, cache_dir=cache_dir)
    torn = tmp_path / "torn.zip"
    with zipfile.ZipFile(torn, "w") as archive:
        archive.writestr("front.png", picture_bytes(portrait_rgb((256, 256))))
    data = bytearray(torn.read_bytes())
    data[200:260] = b"\0" * 60  # the stored checksum no longer fits
    torn.write_bytes(bytes(data))
    with pytest.raises(SourceUnreadable, match=r"front\.png cannot be unpacked"):
        load_source_set(torn, cache_dir=cache_dir)
