# SPDX-License-Identifier: Apache-2.0
"""Sets as a user makes them: real tracker, real model, the command line, files on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.app import AnimateJob, animate, build_renderer
from engine.app.demo import builtin_clip
from engine.app.sets import instruments, judge
from engine.assets import asset_path
from engine.capture import open_camera
from engine.cli.commands import app
from engine.config import LiveSettings, OutputSettings
from engine.cv import cv2
from engine.errors import InvalidSetting, NoFaceInSource, SourceSetEmpty
from engine.runtime.manifest import IMPLICIT_WARP, SHARES_GRAPH, list_models, load_manifest
from engine.runtime.openvino_shares import SourceShares
from engine.sets.capture import CoachedCapture, run_session
from engine.sets.coach import CaptureCoach
from engine.sets.draft import SetDraft, open_draft
from engine.sets.leave_one_out import leave_one_out
from engine.sets.make import Instruments, add_files, new_draft, picture_entry
from engine.sets.save import save_draft
from engine.sources import load_source_set
from engine.sources.library import find_source_set, user_source_sets_dir
from engine.sources.manifest import PictureEntry, SetManifest
from engine.types import Query
from engine.warp import open_warper
from engine.warp.warper import Warper

pytestmark = pytest.mark.slow

OTTO = asset_path("source_sets", "otto.bunraku")


@pytest.fixture(scope="module")
def tools() -> Iterator[Instruments]:
    with instruments() as opened:
        yield opened


@pytest.fixture(scope="module")
def warper() -> Iterator[Warper]:
    with closing(open_warper(model="lite")) as opened:
        assert isinstance(opened, Warper)
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures of one character, of different size and shape, as somebody's folder holds them."""
    folder = tmp_path / "My Pictures"
    folder.mkdir()
    for name, size, where in (
        ("front", (900, 700), (200, 100)),
        ("left", (640, 640), (60, 90)),
        ("mouth_open", (800, 1000), (120, 160)),
        ("eyes_closed", (512, 512), (0, 0)),
    ):
        with Image.open(OTTO / f"{name}.webp") as image:
            scaled = image.convert("RGB").resize((512, 512), Image.Resampling.BICUBIC)
        canvas = Image.new("RGB", size, (90, 96, 104))
        canvas.paste(scaled, where)
        exif = Image.Exif()
        exif[0x010F] = "a telling camera"
        canvas.save(folder / f"{name}.jpg", quality=95, exif=exif)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["set", *words])
    assert result.exit_code == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def test_new_check_edit_export_import(pictures: Path, tmp_path: Path) -> None:
    out = run("new", "mine", str(pictures), "--consent", "mine", "--title", "Mine", "--quiet")
    assert "mine: 4 pictures" in out
    assert "no picture turned to the right" in out
    folder = user_source_sets_dir() / "mine.bunraku"
    assert b"telling" not in b"".join(path.read_bytes() for path in folder.iterdir())
    assert "already" in run("new", "mine", str(pictures), "--quiet", code=3)

    report = json.loads(run("check", "mine", "--json", "--sheet", str(tmp_path / "sheet.png"), "--quiet"))
    assert report["consent_problem"] == ""
    assert {hole["key"] for hole in report["coverage"]["holes"]} >= {"right", "smile"}
    shows = {picture["file"]: picture["shows"] for picture in report["pictures"]}
    assert shows["mouth_open.jpg"] == ["front", "mouth open"]
    assert shows["left.jpg"][0].startswith("turned 3")
    assert all(15 < picture["rebuilt_face_db"] < 45 for picture in report["pictures"])
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 600

    run("edit", "mine", "--off", "left", "--crop", "front=0.5,0.45,0.9", "--first", "front.jpg", "--colour-match")
    draft = open_draft(folder)
    assert [e.file for e in draft.entries if not e.enabled] == ["left.jpg"]
    assert draft.entries[0].crop is not None
    assert draft.manifest.keeps_order
    assert draft.manifest.colour_match
    assert "left.jpg" in run("show", "mine")
    assert "no picture nobody" in run("edit", "mine", "--off", "nobody", code=3)
    assert "--crop must be" in run("edit", "mine", "--crop", "front=1", code=2)
    assert "until must be" in run("edit", "mine", "--until", "soon", code=2)

    run("export", "mine", str(tmp_path / "mine.bunraku.zip"))
    out = run("import", str(tmp_path / "mine.bunraku.zip"), "--name", "theirs", "--quiet")
    assert "theirs: 3 pictures" in out
    assert "consent: mine" in out
    run("edit", "theirs", "--rename", "ours")
    assert find_source_set("ours").is_dir()
    assert "theirs" not in run("list")
    assert "built in" in run("edit", "amara", "--title", "X", code=3)
    for name in ("mine", "ours"):
        shutil.rmtree(user_source_sets_dir() / f"{name}.bunraku")


def test_the_head_has_one_size_and_place(pictures: Path, tools: Instruments, tmp_path: Path) -> None:
    added = add_files(new_draft("mine"), [pictures], instruments=tools)
    folder = save_draft(added.draft, tmp_path / "mine.bunraku")
    images = load_source_set(folder, analyser=tools.analyser).images
    eyes = np.array([image.keypoints[[33, 263], :2].mean(0) for image in images])
    front = [i for i, image in enumerate(images) if image.name != "left"]
    assert np.abs(eyes[front] - eyes[front].mean(0)).max() < 0.06
    # All were cut from one size of the character: nose ridge to nose base is as long in each.
    ridge = [np.linalg.norm(image.keypoints[168] - image.keypoints[2]) for image in images]
    assert max(ridge) / min(ridge) < 1.06


def test_from_a_video(tools: Instruments) -> None:
    steps: list[tuple[int, int | None]] = []
    added = add_files(
        new_draft("clip"), [builtin_clip()], instruments=tools, picks=6, advance=lambda *step: steps.append(step)
    )
    ((path, picks),) = added.picks
    assert path == builtin_clip()
    assert 4 <= len(picks) <= 6
    assert len(added.draft.entries) == len(picks)
    assert all(entry.notes for entry in added.draft.entries), "each says why it was picked"
    assert added.draft.manifest.keeps_order
    assert len(steps) > 100
    report = judge(added.draft, rebuild=False)
    shown = {key for key, which in report.coverage.shown.items() if which} if report.coverage else set()
    assert {"front", "left", "right", "mouth_open"} <= shown


def test_cancelling_changes_nothing(tools: Instruments) -> None:
    def cancel(done: int, _total: int | None) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_files(new_draft("clip"), [builtin_clip()], instruments=tools, advance=cancel)


def test_files_that_are_no_faces(tools: Instruments, pictures: Path, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (300, 300), (120, 130, 140)).save(wall)
    added = add_files(new_draft("mine"), [wall, pictures / "notes.txt", pictures / "front.jpg"], instruments=tools)
    assert [(e.file, e.enabled) for e in added.draft.entries] == [("wall.png", False), ("front.jpg", True)]
    assert len(added.skipped) == 2
    again = add_files(added.draft, [pictures / "front.jpg", pictures / "left.jpg"], instruments=tools)
    assert again.added == ("left.jpg",)
    assert "in the set already" in again.skipped[0].reason
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceSetEmpty, match="holds no picture"):
        add_files(new_draft("mine"), [empty], instruments=tools)


def test_more_pictures_than_a_set_takes(tools: Instruments) -> None:
    sets = [asset_path("source_sets", f"{name}.bunraku") for name in ("otto", "amara", "freya")]
    added = add_files(new_draft("many"), sets, instruments=tools)
    on = [entry for entry in added.draft.entries if entry.enabled]
    assert (len(added.draft.entries), len(on)) == (24, 16)
    assert sum("a set takes 16" in skip.reason for skip in added.skipped) == 8


def test_another_person_a_double_and_a_blurred_picture_are_told(tools: Instruments) -> None:
    with_doubts = add_files(new_draft("mixed"), [OTTO], instruments=tools).draft
    front = cv2.cvtColor(cv2.imread(str(OTTO / "front.webp")), cv2.COLOR_BGR2RGB)
    other = cv2.cvtColor(cv2.imread(str(OTTO.parent / "nova.bunraku" / "front.webp")), cv2.COLOR_BGR2RGB)
    soft = cv2.GaussianBlur(front, (0, 0), 6)
    with_doubts = with_doubts.with_pictures(
        [picture_entry(front, name="again"), picture_entry(other, name="else"), picture_entry(soft, name="soft")]
    )
    report = judge(with_doubts, rebuild=False)
    issues = {verdict.file: {issue.key for issue in verdict.issues} for verdict in report.verdicts}
    assert "duplicate" in issues["again.png"] | issues["front.webp"]
    assert "blurred" in issues["soft.png"]
    assert "other_person" in issues["else.png"]
    assert "other_person" not in issues["left.webp"] | issues["right.webp"] | issues["smile.webp"]


def test_names_that_differ_in_their_suffix_and_too_many_pictures(tools: Instruments) -> None:
    draft = add_files(new_draft("twins"), [OTTO], instruments=tools).draft
    front, left = (draft.files[f"{name}.webp"] for name in ("front", "left"))
    entries = (PictureEntry("a.png"), PictureEntry("a.jpg"), *(PictureEntry(f"p{i}.png") for i in range(16)))
    files = {"a.png": left, "a.jpg": front, **{f"p{i}.png": front for i in range(16)}}
    twins = SetDraft(SetManifest("twins", entries), files)
    report = judge(twins, rebuild=False)
    by_file = {verdict.file: verdict for verdict in report.verdicts}
    assert by_file["a.png"].words[0].startswith("turned")
    assert by_file["a.jpg"].words[0] == "front"
    assert [issue.key for issue in by_file["p15.png"].issues] == ["too_many"]
    assert len(report.covered) == 16


def test_leave_one_out_knows_what_only_one_picture_shows(warper: Warper) -> None:
    source_set = load_source_set(OTTO)
    rebuilt = {one.name: one for one in leave_one_out(source_set, warper)}
    assert list(rebuilt) == [image.name for image in source_set.images]
    assert rebuilt["front"].psnr_face_db > 30
    assert rebuilt["mouth_open"].psnr_face_db < rebuilt["front"].psnr_face_db - 5
    for index, image in enumerate(source_set.images):
        assert rebuilt[image.name].share[index] == 0
        assert rebuilt[image.name].share.sum() == pytest.approx(1.0, abs=1e-5)
    assert leave_one_out(source_set.take(1), warper) == []


def test_the_heat_map_finds_the_picture_that_has_the_mouth(warper: Warper) -> None:
    source_set = load_source_set(OTTO)
    names = [image.name for image in source_set.images]
    warper.set_sources(source_set)
    mouth = source_set.images[names.index("mouth_open")]
    plain = warper.warp(Query(0, mouth.keypoints.copy()))
    shares = warper.source_shares()
    assert shares.shape == (256, 256, 8)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-4)
    x, y = ((mouth.keypoints[[13, 14], :2].mean(0) + 1) * 128).astype(int)
    assert shares[y - 2 : y + 3, x - 2 : x + 3, names.index("mouth_open")].mean() > 0.9
    # Looking at the map changes nothing in the picture.
    np.testing.assert_array_equal(warper.warp(Query(1, mouth.keypoints.copy())).rgba, plain.rgba)


def test_a_picture_without_a_face_alone_says_so(tools: Instruments, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (300, 300), (120, 130, 140)).save(wall)
    added = add_files(new_draft("wall"), [wall], instruments=tools)
    report = judge(added.draft, rebuild=False)
    assert report.coverage is None
    assert report.verdicts[0].issues[0].key == NoFaceInSource.__name__
    assert any("No picture can be used yet" in sentence for sentence in report.advice)


def test_a_video_in_the_colours_of_its_sources(tmp_path: Path) -> None:
    lines: list[str] = []
    for heat_map in (False, True):
        job = AnimateJob(
            source_set="otto",
            driving=str(builtin_clip()),
            out=tmp_path / f"{heat_map}.mp4",
            limit_s=0.4,
            heat_map=heat_map,
            settings=LiveSettings(output=OutputSettings(size_wh=(256, 256))),
        )
        assert animate(job, announce=lines.append).frame_count == 10
    assert lines[-1].startswith("colours: blue front, orange ")
    plain, tinted = (next(pictures_of(tmp_path / f"{heat}.mp4")) for heat in (False, True))
    assert np.abs(plain.astype(int) - tinted)[100:160, 100:150].mean() > 15
    assert np.abs(plain.astype(int) - tinted)[:30, :30].mean() < 3, "the background is not painted"


def pictures_of(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def test_every_implicit_warping_model_has_a_map() -> None:
    models = [name for name in list_models() if load_manifest(name).model == IMPLICIT_WARP]
    assert {"lite", "lite-512", "lite-trained"} <= set(models)
    assert all(SHARES_GRAPH in load_manifest(name).files for name in models)
    with build_renderer("otto", sources=2, model="lite-trained") as renderer:
        renderer.show_sources(True)
        with open_camera(str(builtin_clip()), paced=False) as camera:
            frame = camera.read()
            assert frame is not None
            tinted = renderer.render(frame)
            renderer.show_sources(False)
            plain = renderer.render(frame)
    assert np.abs(tinted.rgb.astype(int) - plain.rgb).mean() > 5


def test_a_model_without_the_graph_says_how_to_get_it() -> None:
    manifest = load_manifest("lite")
    older = replace(manifest, files={k: v for k, v in manifest.files.items() if k != SHARES_GRAPH})
    with pytest.raises(InvalidSetting, match="it has no shares"):
        SourceShares(older)


def test_the_coach_makes_a_set_of_somebody_who_just_moves(tools: Instruments) -> None:
    coach = CaptureCoach()
    with open_camera(str(builtin_clip()), paced=False) as camera, closing(tools.follower()) as tracker:
        session = CoachedCapture(new_draft("cap"), coach, tracker)
        heard: list[str] = []
        run_session(session, camera, say=lambda advice: heard.append(advice.text))
    files = [entry.file for entry in session.draft.entries]
    assert files[0] == "front.png"
    assert {"left.png", "right.png"} <= set(files)
    assert len(files) == len(coach.taken) == sum("Taken" in text for text in heard)
    report = judge(session.draft, rebuild=False)
    assert report.coverage is not None
    for file, index in zip(report.covered, range(len(files)), strict=True):
        assert index in report.coverage.shown[file.removesuffix(".png")], f"{file} does not show it"
