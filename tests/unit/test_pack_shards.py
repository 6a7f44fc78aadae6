# SPDX-License-Identifier: Apache-2.0
"""Shards: everything of a pack passes through them once an epoch, in windows; damage is named."""

from __future__ import annotations

import itertools
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.errors import OutputUnwritable, PackInvalid
from engine.training.data import PackSplit
from engine.training.pack import load_split
from engine.training.pack.build import build_pack
from engine.training.pack.cli import app
from engine.training.pack.shards import stream_windows, write_shards
from tests.helpers.tiny_pack import SETTINGS, make_instruments, write_sources


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    sources = write_sources(folder / "sources")
    shutil.rmtree(sources / "train" / "valid")
    build_pack(sources, folder / "pack", settings=SETTINGS, instruments=make_instruments())
    return folder / "pack"


@pytest.fixture
def shards(pack: Path, tmp_path: Path) -> Path:
    assert write_shards(pack, tmp_path / "shards", shard_bytes=1) == {"train": 4, "dev": 2}
    return tmp_path / "shards"


def names(windows: list[PackSplit]) -> list[str]:
    return [item.name for window in windows for item in window.items]


def test_an_epoch_is_the_whole_split(pack: Path, shards: Path) -> None:
    whole, _ = load_split(pack, "train", side_px=64)
    windows = list(stream_windows(shards, "train", frames=2, side_px=64, epochs=1))
    assert sorted(names(windows)) == sorted(item.name for item in whole.items)
    assert all(len(window.frames) >= 2 for window in windows[:-1])
    for window in windows:
        for item in window.items:
            other = next(i for i in whole.items if i.name == item.name)
            assert (item.kind, item.group) == (other.kind, other.group)
            here, there = slice(item.start, item.stop), slice(other.start, other.stop)
            np.testing.assert_array_equal(window.frames[here], whole.frames[there])
            np.testing.assert_array_equal(window.mattes[here], whole.mattes[there])
            np.testing.assert_allclose(window.keypoints[here], whole.keypoints[there], atol=1e-6)


def test_epochs_differ_and_repeat(shards: Path) -> None:
    three = names(list(itertools.islice(stream_windows(shards, "train", frames=1, side_px=32, seed=1), 12)))
    epochs = [three[k : k + 4] for k in (0, 4, 8)]
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    again = names(list(itertools.islice(stream_windows(shards, "train", frames=1, side_px=32, seed=1), 12)))
    assert again == three


def test_processes_share_the_shards(shards: Path) -> None:
    parts = [
        set(names(list(stream_windows(shards, "train", frames=9, side_px=32, epochs=1, rank=rank, world=2))))
        for rank in range(2)
    ]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 4
    with pytest.raises(PackInvalid, match="4 shards, fewer than the 5 processes"):
        next(stream_windows(shards, "train", frames=9, world=5))


def test_layout_is_webdatasets_and_repeatable(pack: Path, shards: Path, tmp_path: Path) -> None:
    with tarfile.open(shards / "dev-00000.tar") as tar:
        entries = tar.getnames()
    key = entries[0].split(".")[0]
    assert entries == [
        f"{key}.jpg",
        f"{key}.matte.jpg",
        f"{key}.coefficients.npy",
        f"{key}.tracked.npy",
        f"{key}.json",
    ]
    write_shards(pack, tmp_path / "again", shard_bytes=1)
    for path in shards.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_command(pack: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["shard", str(pack), str(tmp_path / "out"), "--quiet"])
    assert result.exit_code == 0
    assert "train: 1 shards, dev: 1 shards" in result.stdout


class TestBadInput:
    def test_a_torn_shard_costs_only_itself(self, shards: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = shards / "train-00002.tar"
        path.write_bytes(path.read_bytes()[:700])
        windows = list(stream_windows(shards, "train", frames=9, side_px=32, epochs=1))
        assert len(names(windows)) == 3
        assert "train-00002.tar is damaged" in caplog.text

    def test_a_missing_shard_costs_only_itself(self, shards: Path, caplog: pytest.LogCaptureFixture) -> None:
        (shards / "train-00000.tar").unlink()
        assert len(names(list(stream_windows(shards, "train", frames=9, side_px=32, epochs=1)))) == 3
        assert "train-00000.tar is damaged" in caplog.text

    def test_a_bad_item_is_named(self, pack: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        copy = shutil.copytree(pack, tmp_path / "pack")
        (copy / "dev" / "faces" / "c.jpg").write_bytes(b"spoiled")
        write_shards(copy, tmp_path / "shards")
        (window,) = stream_windows(tmp_path / "shards", "dev", frames=9, side_px=32, epochs=1)
        assert [item.name for item in window.items] == ["faces/d"]
        assert "Skipped faces/c" in caplog.text

    def test_nothing_left(self, shards: Path, caplog: pytest.LogCaptureFixture) -> None:
        for path in shards.glob("dev-*.tar"):
            path.write_bytes(b"")
        with pytest.raises(PackInvalid, match="Not one item"):
            next(stream_windows(shards, "dev", frames=9))

    @pytest.mark.parametrize(
        ("harm", "says"),
        [
            (shutil.rmtree, "no shards"),
            (lambda p: (p / "shards.json").write_text("{"), "no shards"),
            (lambda p: (p / "basis.npz").unlink(), "no shards"),
            (lambda p: (p / "basis.npz").write_bytes(b"x"), "landmarks are damaged"),
            (lambda p: change_index(p, version=9), "bunraku-shards 9, expected bunraku-shards 1"),
            (lambda p: change_index(p, splits={}), "'train' of the shards is empty"),
        ],
    )
    def test_a_bad_folder_is_one_sentence(self, harm: Callable[[Path], object], says: str, shards: Path) -> None:
        harm(shards)
        with pytest.raises(PackInvalid, match=says):
            next(stream_windows(shards, "train", frames=9))

    def test_a_full_folder_is_left_alone(self, pack: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(OutputUnwritable, match="not empty"):
            write_shards(pack, tmp_path)

    def test_a_missing_file_of_the_pack_is_named(self, pack: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(pack, tmp_path / "pack")
        (copy / "dev" / "mattes" / "faces" / "c.jpg").unlink()
        with pytest.raises(PackInvalid, match="faces/c of the pack cannot be read: No such file"):
            write_shards(copy, tmp_path / "shards")


def change_index(folder: Path, **values: object) -> None:
    tree = json.loads((folder / "shards.json").read_text())
    (folder / "shards.json").write_text(json.dumps(tree | values))
