# SPDX-License-Identifier: Apache-2.0
"""Finding source sets by name and by path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import engine.sources
from engine.assets import asset_root
from engine.errors import SourceSetMissing
from engine.sources import find_source_set, list_source_sets, user_source_sets_dir
from tests.helpers.source_faces import write_picture


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    for name in ("mara", "juno"):
        (folder / f"{name}.bunraku").mkdir(parents=True)
        write_picture(folder / f"{name}.bunraku" / "front.png")
        text = f'format = 1\nname = "{name}"\ntitle = "T"\nlicence = "MIT"\n[[pictures]]\nfile = "front.png"\n'
        (folder / f"{name}.bunraku" / "set.toml").write_text(text)
    return folder


def test_list(shelf: Path):
    shutil.make_archive(str(shelf / "zipped.bunraku"), "zip", shelf / "juno.bunraku")
    text = (shelf / "juno.bunraku" / "set.toml").read_text()
    (shelf / "juno.bunraku" / "set.toml").write_text(text.replace('"juno"', '"other"'))
    (shelf / "broken.bunraku").mkdir()
    (shelf / "broken.bunraku" / "set.toml").write_text("format = 9")
    (shelf / "unrelated.txt").write_text("x")
    infos = {info.name: info for info in list_source_sets([shelf, shelf / "not there"])}
    assert sorted(infos) == ["broken", "juno", "mara", "other"]
    assert infos["juno"].path.name == "zipped.bunraku.zip"
    mara = infos["mara"]
    assert (mara.count, mara.licence, mara.title, mara.pictures) == (1, "MIT", "T", ("front.png",))
    assert not mara.builtin
    assert mara.problem == ""
    assert "expected 2, got 9" in infos["broken"].problem


def test_same_name_twice_keeps_the_first(shelf: Path, tmp_path: Path, caplog):
    second = tmp_path / "second"
    shutil.copytree(shelf, second)
    infos = list_source_sets([shelf, second])
    assert [info.path.parent for info in infos] == [shelf, shelf]
    assert "Two source sets are called mara" in caplog.text


def test_find_by_name_and_path(shelf: Path, tmp_path: Path):
    assert find_source_set("mara", folders=[shelf]) == shelf / "mara.bunraku"
    assert find_source_set(shelf / "juno.bunraku", folders=[]) == shelf / "juno.bunraku"
    assert find_source_set(str(tmp_path), folders=[]) == tmp_path


def test_unknown_name_and_path(shelf: Path):
    with pytest.raises(SourceSetMissing, match=r"no source set called marra\. Did you mean mara\?"):
        find_source_set("marra", folders=[shelf])
    with pytest.raises(SourceSetMissing, match=r"called zzz\. Known: juno, mara\."):
        find_source_set("zzz", folders=[shelf])
    with pytest.raises(SourceSetMissing, match=r"face\.png does not exist\. Check the path"):
        find_source_set("some/face.png", folders=[shelf])


def test_default_folders(monkeypatch, tmp_path: Path, shelf: Path):
    monkeypatch.setattr("engine.sources.library.user_data_path", lambda *_args, **_kwargs: tmp_path / "data")
    shutil.copytree(shelf, tmp_path / "data" / "source_sets")
    assert user_source_sets_dir() == tmp_path / "data" / "source_sets"
    own = {info.name for info in list_source_sets() if not info.builtin}
    shipped = {info.name for info in list_source_sets() if info.builtin}
    assert own == {"mara", "juno"} - shipped
    assert all(info.path.is_relative_to(asset_root()) for info in list_source_sets() if info.builtin)


def test_package_names_resolve():
    for name in engine.sources.__all__:
        assert getattr(engine.sources, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engine.sources.nothing
