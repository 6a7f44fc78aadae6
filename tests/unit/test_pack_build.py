# SPDX-License-Identifier: Apache-2.0
"""Building packs: what goes in comes out, twice the same, killed or not; what cannot be used is named."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import DiskFull, InvalidSetting, OutputUnwritable, PackInvalid, SourceUnreadable
from engine.evaluation.clips import list_clips
from engine.training.pack import load_split, read_manifest
from engine.training.pack.build import BuildReport, build_pack, work_folder
from engine.training.pack.files import decode_frames, write_frames
from engine.training.pack.licences import find_licence
from engine.training.pack.plan import make_plan
from engine.training.pack.settings import PackSettings
from tests.helpers.source_faces import portrait_rgb
from tests.helpers.tiny_pack import SETTINGS, MiddleTracker, make_instruments, write_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


def build(sources: Path, out: Path, settings: PackSettings = SETTINGS, **more: Any) -> BuildReport:
    return build_pack(sources, out, settings=settings, instruments=more.pop("instruments", make_instruments()), **more)


@pytest.fixture(scope="module")
def pack(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "pack"
    build(sources, out, keep_work=True)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def only_pictures(sources: Path, tmp_path: Path) -> Path:
    """Return sources without the avatar, which costs most of the time."""
    folder = tmp_path / "pictures"
    shutil.copytree(sources / "train" / "faces", folder / "train" / "faces")
    shutil.copytree(sources / "dev", folder / "dev")
    shutil.copy(sources / "README.md", folder)
    return folder


class TestContent:
    def test_manifest_tells_everything(self, pack: Path) -> None:
        manifest = read_manifest(pack)
        assert [(i.split, i.label, i.kind, i.frames, i.matte) for i in manifest.items] == [
            ("train", "talk/talk", "clip", 14, "mediapipe"),
            ("train", "valid/tiny_00", "clip", 12, manifest.items[1].matte),
            ("train", "faces/a-b", "still", 1, "mediapipe"),
            ("train", "faces/a-b-2", "still", 1, "mediapipe"),
            ("train", "faces/cutout", "still", 1, "alpha"),
            ("dev", "faces/c", "still", 1, "mediapipe"),
            ("dev", "faces/d", "still", 1, "mediapipe"),
        ]
        assert manifest.items[1].matte in ("exact", "mediapipe")
        groups = {(g.split, g.name): g for g in manifest.groups}
        assert groups["train", "valid"].licence == "MIT"
        assert "Copyright (c) A" in (pack / groups["train", "valid"].licence_file).read_text()
        assert (groups["dev", "faces"].licence, groups["dev", "faces"].origin) == ("CC0", "patterns")
        assert {i.licence for i in manifest.items if i.group == "talk"} == {"CC BY 4.0"}
        assert (manifest.side_px, manifest.fps, manifest.seed, manifest.skipped) == (64, 25, 7, {})
        assert manifest.settings["seconds"] == 0.48
        assert manifest.tools["mediapipe"] != "unknown"

    def test_a_groups_clips_are_ready_for_eval(self, pack: Path) -> None:
        assert [p.name for p in list_clips(pack / "train" / "valid")] == ["tiny_00.mp4"]
        assert (pack / "train" / "mattes" / "valid" / "tiny_00.mp4").is_file()

    def test_a_pack_stays_out_of_repositories(self, pack: Path) -> None:
        assert (pack / ".gitignore").read_text() == "*\n"

    def test_round_trip(self, pack: Path, sources: Path) -> None:
        split, skipped = load_split(pack, "train", side_px=64)
        assert skipped == {}
        assert [i.stop for i in split.items[:-1]] == [i.start for i in split.items[1:]]
        assert split.frames.shape == (29, 64, 64, 3)
        assert split.mattes.shape == (29, 64, 64)
        clip = next(i for i in split.items if i.name == "talk/talk")
        assert np.ptp(split.keypoints[clip.start : clip.stop, 0, 0]) > 0.02  # the tracker's turns came through
        cutout = next(i for i in split.items if i.name == "faces/cutout")
        assert split.mattes[cutout.start].min() < 20
        assert split.mattes[cutout.start].max() > 235
        np.testing.assert_allclose(split.frames[cutout.start, 2, 2].astype(int), 128, atol=12)  # grey behind a cut-out

    def test_landmarks_are_stored_closely(self, sources: Path, tmp_path: Path) -> None:
        assert build(only_pictures(sources, tmp_path), tmp_path / "pack").landmark_error_px < 0.03

    def test_frames_without_a_face_are_flagged_and_left_out(self, sources: Path, tmp_path: Path) -> None:
        folder = tmp_path / "avatars"
        shutil.copytree(sources / "train" / "valid", folder / "train" / "valid")
        build(folder, tmp_path / "pack", instruments=make_instruments(blind=frozenset({3, 4})))
        (item,) = read_manifest(tmp_path / "pack").items
        assert (item.frames, item.tracked) == (12, 10)
        assert len(load_split(tmp_path / "pack", "train", side_px=64)[0].frames) == 10


@pytest.mark.parametrize(("name", "most"), [("clip.mp4", 3.0), ("still.jpg", 2.0)])
@pytest.mark.parametrize("grey", [False, True])
def test_codec_error_is_small(name: str, most: float, grey: bool, tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:64]
    disc = np.clip((24 - np.hypot(x - 32, y - 32)) * 40 + 128, 0, 255).astype(np.uint8)
    frame = disc if grey else portrait_rgb((64, 64))
    frames = np.stack([np.roll(frame, k, axis=1) for k in range(4 if name.endswith("mp4") else 1)])
    write_frames(tmp_path / name, frames, fps=25)
    data = (tmp_path / name).read_bytes()
    back = np.stack(list(decode_frames(data, kind="clip" if name.endswith("mp4") else "still", grey=grey)))
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < most
    if grey:  # the full range survives, and nothing is stretched
        assert (back.max(), back.min()) >= (250, 0)
        assert abs(float(back.mean()) - frames.mean()) < 1


class TestRepeating:
    def test_the_same_seed_gives_the_same_bytes(self, pack: Path, sources: Path, tmp_path: Path) -> None:
        build(sources, tmp_path / "pack")
        assert content(tmp_path / "pack") == content(pack)
        assert not work_folder(tmp_path / "pack").exists()

    def test_another_seed_gives_other_items(self, pack: Path, sources: Path, tmp_path: Path) -> None:
        folder = only_pictures(sources, tmp_path)
        build(folder, tmp_path / "one")
        build(folder, tmp_path / "two", replace(SETTINGS, seed=8))
        name = "train/faces/a-b.jpg"
        assert (tmp_path / "one" / name).read_bytes() == (pack / name).read_bytes()  # whatever else is in the pack
        assert (tmp_path / "two" / name).read_bytes() != (pack / name).read_bytes()

    @pytest.mark.parametrize("reached", [1, 3])
    def test_a_stopped_build_goes_on(self, reached: int, pack: Path, sources: Path, tmp_path: Path) -> None:
        out = tmp_path / "pack"

        def stop(done: int, _total: int | None) -> None:
            if done == reached:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build(sources, out, advance=stop)
        assert not (out / "manifest.json").exists()
        (out / "train" / "talk" / "half.part").write_bytes(b"x")  # what a kill in the middle of a file leaves
        (work_folder(out) / "train" / "valid").mkdir(exist_ok=True)
        (work_folder(out) / "train" / "faces").mkdir(exist_ok=True)
        (work_folder(out) / "train" / "faces" / "cutout.npz").write_bytes(b"PK cut off")
        report = build(sources, out)
        assert (report.reused, report.made) == (reached, 7 - reached)
        assert content(out) == content(pack)

    def test_a_file_that_changed_is_made_again(self, pack: Path, sources: Path, tmp_path: Path) -> None:
        out = tmp_path / "pack"
        shutil.copytree(pack, out)
        shutil.copytree(work_folder(pack), work_folder(out))
        (out / "train" / "faces" / "a-b.jpg").write_bytes(b"spoiled")
        (out / "train" / "mattes" / "faces" / "cutout.jpg").unlink()
        report = build(sources, out)
        assert report.made == 2
        assert content(out) == content(pack)

    def test_a_pack_can_grow_and_shrink(self, pack: Path, sources: Path, tmp_path: Path) -> None:
        out = tmp_path / "pack"
        shutil.copytree(pack, out)
        shutil.copytree(work_folder(pack), work_folder(out))
        grown = build(sources, out, replace(SETTINGS, clips_per_avatar=2), keep_work=True)
        assert (grown.made, grown.reused) == (1, 7)
        assert (out / "train" / "valid" / "tiny_01.mp4").is_file()
        assert build(sources, out).made == 0
        assert content(out) == content(pack)


class TestPlan:
    def test_stills_are_spread_and_a_longer_selection_contains_a_shorter_one(self, tmp_path: Path) -> None:
        for group, count in (("many", 12), ("few", 2)):
            (tmp_path / "train" / group).mkdir(parents=True)
            for index in range(count):
                (tmp_path / "train" / group / f"{index}.png").touch()
        short = make_plan(tmp_path, replace(SETTINGS, stills=6))
        long = make_plan(tmp_path, replace(SETTINGS, stills=9))
        assert [sum(i.group == g for i in short) for g in ("few", "many")] == [2, 4]
        assert [sum(i.group == g for i in long) for g in ("few", "many")] == [2, 7]
        assert {i.label for i in short} < {i.label for i in long}

    @pytest.mark.parametrize("wrong", [{"side_px": 63}, {"side_px": 32}, {"fps": 0}, {"seconds": 0.1}, {"stills": -1}])
    def test_settings_are_checked(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidSetting):
            PackSettings(**wrong)

    def test_licence_of_a_folder_that_states_none(self, tmp_path: Path) -> None:
        assert find_licence(tmp_path, "train", "x").name == "not stated"


class TestBadInput:
    @pytest.mark.parametrize("make", [lambda p: p / "nowhere", lambda p: p])
    def test_no_sources(self, make: Callable[[Path], Path], tmp_path: Path) -> None:
        with pytest.raises(SourceUnreadable, match=r"does not exist|holds no avatar"):
            build(make(tmp_path), tmp_path / "pack")

    def test_unusable_sources_are_named_and_counted(
        self, sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = only_pictures(sources, tmp_path)
        Image.new("RGB", (100, 100)).save(folder / "dev" / "faces" / "dark.png")
        (folder / "dev" / "faces" / "torn.jpg").write_bytes(b"\xff\xd8 torn")
        (folder / "train" / "odd").mkdir()
        (folder / "train" / "odd" / "broken.mp4").write_bytes(b"no video")
        (folder / "train" / "odd" / "bad.glb").write_bytes(b"no avatar")
        report = build(folder, tmp_path / "pack", replace(SETTINGS, dev_stills=9))
        assert set(report.manifest.skipped) == {
            "dev/faces/dark",
            "dev/faces/torn",
            "train/odd/broken",
            "train/odd/bad_00",
        }
        assert "No face" in report.manifest.skipped["dev/faces/dark"]
        assert len(report.manifest.items) == 5
        assert caplog.text.count("Left out of the pack") == 4
        assert "No licence is stated for train/odd" in caplog.text
        again = build(folder, tmp_path / "pack", replace(SETTINGS, dev_stills=9), keep_work=True)
        assert again.manifest.skipped == report.manifest.skipped

    def test_nothing_usable(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "in" / "train" / "faces").mkdir(parents=True)
        Image.new("RGB", (100, 100)).save(tmp_path / "in" / "train" / "faces" / "dark.png")
        with pytest.raises(PackInvalid, match=r"None of the 1 sources can be used.*No face"):
            build(tmp_path / "in", tmp_path / "pack")

    def test_a_clip_with_too_few_faces_is_left_out(
        self, sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "clips"
        for name in ("valid", "talk"):
            shutil.copytree(sources / "train" / name, folder / "train" / name)
        shutil.copytree(sources / "dev", folder / "dev")
        report = build(folder, tmp_path / "pack", instruments=make_instruments(blind=frozenset(range(9))))
        assert set(report.manifest.skipped) == {"train/valid/tiny_00", "train/talk/talk"}
        assert "3 of its 12 frames" in report.manifest.skipped["train/valid/tiny_00"]

    def test_a_folder_with_other_things_is_left_alone(self, sources: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "holiday.jpg").write_bytes(b"precious")
        with pytest.raises(OutputUnwritable, match="not empty"):
            build(sources, tmp_path / "mine")
        assert [p.name for p in (tmp_path / "mine").iterdir()] == ["holiday.jpg"]

    @pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EROFS, OutputUnwritable)])
    @pytest.mark.parametrize("where", ["picture", "clip"])
    def test_full_disk_keeps_what_is_finished(
        self,
        number: int,
        kind: type[Exception],
        where: str,
        sources: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder = only_pictures(sources, tmp_path)
        shutil.copytree(sources / "train" / "talk", folder / "train" / "talk")
        out, real = tmp_path / "pack", Path.open

        def refuse(path: Path | str, *args: Any, **more: Any) -> Any:
            if where == "clip" or ("a-b-2" in str(path) and args == ("wb",)):
                raise OSError(number, os.strerror(number))
            return real(path, *args, **more)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            if where == "clip":
                patch.setattr("engine.training.render.clip.av", SimpleNamespace(open=refuse))
            else:
                patch.setattr(Path, "open", refuse)
            with pytest.raises(kind, match=r"disk is full|cannot be written|No space"):
                build(folder, out)
        assert not list(out.rglob("*.part"))
        report = build(folder, out)
        assert report.reused == (0 if where == "clip" else 2)
        assert len(report.manifest.items) == 6

    def test_trackers_are_not_asked_again_for_finished_items(self, pack: Path, sources: Path, tmp_path: Path) -> None:
        out, instruments = tmp_path / "pack", make_instruments()
        shutil.copytree(pack, out)
        shutil.copytree(work_folder(pack), work_folder(out))
        build(sources, out, instruments=instruments)
        assert isinstance(instruments.judge, MiddleTracker)
        assert instruments.judge.calls == 0
