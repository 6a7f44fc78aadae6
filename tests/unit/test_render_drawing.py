# SPDX-License-Identifier: Apache-2.0
"""Drawing with OpenGL (a software driver is enough), and the files made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import moderngl
import numpy as np
import pytest

from engine.errors import BackendUnavailable, NoFaceInSource, OutputUnwritable
from engine.sources import load_source_set
from engine.training.render.avatar import Avatar
from engine.training.render.clip import clip_frames, over_background, set_stage, write_mp4
from engine.training.render.ink import draw_ink
from engine.training.render.lights import LIGHT_RIGS
from engine.training.render.loading import load_avatar
from engine.training.render.looks import Look
from engine.training.render.motion import HeadKey, Score
from engine.training.render.pose import Pose
from engine.training.render.recipe import PictureRecipe, Recipe, Scene, SetRecipe
from engine.training.render.renderer import AvatarRenderer, Camera
from engine.training.render.source_sets import build_set
from engine.types import LANDMARK_COUNT
from tests.helpers.tiny_avatar import write_tiny_avatar

SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avatars")
    write_tiny_avatar(folder / "tiny.glb")
    return folder


@pytest.fixture(scope="module")
def avatar(folder: Path) -> Avatar:
    return load_avatar(folder / "tiny.glb")


@pytest.fixture(scope="module")
def renderer() -> Iterator[AvatarRenderer]:
    with AvatarRenderer(SIDE, supersample=2) as renderer:
        yield renderer


def shot(renderer: AvatarRenderer, avatar: Avatar, pose: Pose | None = None, **look: Any) -> np.ndarray:
    renderer.load(avatar, Look(**look))
    renderer.set_scene(Camera(), LIGHT_RIGS["studio"].exposed_for(0.35))
    return renderer.draw(pose or Pose())


def centre_x(rgba: np.ndarray) -> float:
    head = rgba[: SIDE // 2, :, 3].astype(float)
    return float((head * np.arange(SIDE)).sum() / head.sum())


def test_person_alone_has_alpha(renderer: AvatarRenderer, avatar: Avatar) -> None:
    rgba = shot(renderer, avatar)
    assert rgba.shape == (SIDE, SIDE, 4)
    assert rgba.dtype == np.uint8
    assert rgba[0, 0, 3] == rgba[0, -1, 3] == 0
    assert rgba[SIDE // 2, SIDE // 2, 3] == 255
    edges = (rgba[..., 3] > 20) & (rgba[..., 3] < 235)
    assert 20 < edges.sum() < 0.1 * SIDE * SIDE  # soft, but only at the rim
    assert centre_x(rgba) == pytest.approx((SIDE - 1) / 2, abs=1.0)


def test_edges_do_not_darken(renderer: AvatarRenderer, avatar: Avatar) -> None:
    rgba = shot(renderer, avatar).astype(int)
    row = rgba[SIDE // 2]
    rim = np.nonzero((row[:, 3] > 40) & (row[:, 3] < 215))[0]
    assert len(rim)
    for column in rim:
        inner = row[column + (1 if column < SIDE // 2 else -1)]
        assert row[column, :3].mean() > 0.6 * inner[:3].mean()


def test_face_is_skin_coloured_and_lit(renderer: AvatarRenderer, avatar: Avatar) -> None:
    red, green, blue, _ = shot(renderer, avatar)[SIDE // 2, SIDE // 2]
    assert red > green > blue
    assert red > 120


def test_turning_and_moving_show_in_the_picture(renderer: AvatarRenderer, avatar: Avatar) -> None:
    front = centre_x(shot(renderer, avatar))
    assert centre_x(renderer.draw(Pose(shift_m=(0.05, 0.0, 0.0)))) > front + 8
    assert centre_x(renderer.draw(Pose(roll_deg=20))) > front + 3
    turned = renderer.draw(Pose(yaw_deg=40))
    assert (turned[..., :3].astype(int) - renderer.draw(Pose())[..., :3]).any()


def test_drawing_is_repeatable(renderer: AvatarRenderer, avatar: Avatar) -> None:
    first = shot(renderer, avatar, Pose(yaw_deg=12))
    np.testing.assert_array_equal(first, shot(renderer, avatar, Pose(yaw_deg=12)))


def test_occlusion_is_baked_in_range(renderer: AvatarRenderer, avatar: Avatar) -> None:
    shot(renderer, avatar)
    assert avatar.occlusion.min() >= 0
    assert avatar.occlusion.max() <= 1
    assert avatar.occlusion.std() > 0.05


def test_marble_is_grey_stone(renderer: AvatarRenderer, avatar: Avatar) -> None:
    stone = shot(renderer, avatar, style="marble")
    solid = stone[stone[..., 3] == 255][:, :3].astype(int)
    assert np.median(solid.max(axis=1) - solid.min(axis=1)) < 40
    flesh = shot(renderer, avatar)[SIDE // 2, SIDE // 2, :3].astype(int)
    assert flesh.max() - flesh.min() > 40


def test_cel_has_an_ink_outline(renderer: AvatarRenderer, avatar: Avatar) -> None:
    drawn, plain = shot(renderer, avatar, style="cel"), shot(renderer, avatar)
    assert (drawn[..., 3] > 0).sum() > (plain[..., 3] > 0).sum()  # the line lies partly outside
    row = drawn[SIDE // 2].astype(int)
    left = int(np.argmax(row[:, 3] > 128))
    assert row[left : left + 2, :3].min() < 90
    assert row[SIDE // 2, :3].max() > 120


def test_ink_follows_outline_and_creases() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = (200, 200, 200, 255)
    surface = np.zeros((40, 40, 4), np.float32)
    surface[10:30, 10:30, 2] = 1.0
    surface[10:30, 20:30, 2] = 1.1  # a step in depth down the middle
    inked = draw_ink(rgba, surface, colour=np.zeros(3, np.float32), width_px=3)
    assert inked[20, 9].tolist() == [0, 0, 0, 255]
    assert inked[20, 20, :3].max() < 60
    assert inked[20, 15].tolist() == [200, 200, 200, 255]
    assert inked[2, 2, 3] == 0


def test_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("libEGL.so not loaded")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(BackendUnavailable, match="apt install libegl1"):
        AvatarRenderer(64)


def test_close_twice_is_fine() -> None:
    renderer = AvatarRenderer(64, supersample=1)
    renderer.close()
    renderer.close()


def test_over_background_keeps_both(renderer: AvatarRenderer, avatar: Avatar) -> None:
    rgba = shot(renderer, avatar)
    blue = np.full((SIDE, SIDE, 3), (0, 0, 255), np.uint8)
    picture = over_background(rgba, blue)
    assert picture[0, 0].tolist() == [0, 0, 255]
    np.testing.assert_array_equal(picture[SIDE // 2, SIDE // 2], rgba[SIDE // 2, SIDE // 2, :3])


def test_clip_is_written_whole(renderer: AvatarRenderer, folder: Path, tmp_path: Path) -> None:
    background = set_stage(renderer, Scene(avatar="tiny"), folder)
    score = Score(0.4, head=(HeadKey(0.0), HeadKey(0.4, yaw_deg=30)))
    path = tmp_path / "new" / "clip.mp4"
    assert write_mp4(path, clip_frames(renderer, score, background, fps=25), fps=25, crf=20) == 10
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate)) == (SIDE, SIDE, 25.0)
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in file.decode(video=0)]
    assert len(frames) == 10
    assert np.abs(frames[0][:8, :8] - background[:8, :8]).mean() < 6
    assert np.abs(frames[9] - frames[0]).mean() > 0.5


def test_stopped_clip_leaves_no_file(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield np.zeros((64, 64, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(tmp_path / "clip.mp4", frames(), fps=25, crf=20)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritable, match=r"clip\.mp4"):
        write_mp4(tmp_path / "file" / "clip.mp4", [], fps=25, crf=20)


def tiny_recipe() -> Recipe:
    pictures = [PictureRecipe("front.webp", "frontal"), PictureRecipe("left.webp", "left", yaw_deg=-30)]
    entry = SetRecipe("tiny", "Tiny", Scene(avatar="tiny"))
    return Recipe(SIDE, "A", "MIT", "made here", pictures, [entry], [])


def face_in_the_middle(rgb: np.ndarray) -> np.ndarray:
    spread = np.random.default_rng(0).normal(0, SIDE / 12, (LANDMARK_COUNT, 3))
    return (spread + np.array([SIDE / 2 - 0.5, SIDE / 2 - 0.5, 0])).astype(np.float32)


def test_built_set_loads_without_an_analyser(renderer: AvatarRenderer, folder: Path, tmp_path: Path) -> None:
    recipe, out = tiny_recipe(), tmp_path / "tiny.bunraku"
    made = list(build_set(recipe, recipe.sets[0], out, avatars=folder, renderer=renderer, find=face_in_the_middle))
    assert made == ["front.webp", "left.webp"]
    with np.load(out / "cache" / "front.npz") as data:
        keypoints = data["keypoints"]
    assert np.abs(keypoints[:, :2].mean(axis=0)).max() < 0.05
    loaded = load_source_set(out, side_px=64, cache_dir=tmp_path / "cache")
    assert [image.name for image in loaded.images] == ["front", "left"]
    assert loaded.licence == "MIT"
    assert loaded.images[0].alpha.max() == 255


def test_set_without_a_face_is_refused(renderer: AvatarRenderer, folder: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    steps = build_set(recipe, recipe.sets[0], tmp_path, avatars=folder, renderer=renderer, find=lambda _: None)
    with pytest.raises(NoFaceInSource, match=r"tiny/front\.webp"):
        next(steps)
