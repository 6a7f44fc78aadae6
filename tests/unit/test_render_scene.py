# SPDX-License-Identifier: Apache-2.0
"""What surrounds an avatar: backgrounds, lights, looks, and the recipe that names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.assets import asset_path
from engine.errors import InvalidSetting, SourceUnreadable, UnknownSetting
from engine.training.render.avatar import Avatar
from engine.training.render.background import BACKGROUNDS, draw_background, parse_colour
from engine.training.render.lights import LIGHT_RIGS, random_rig
from engine.training.render.loading import load_avatar
from engine.training.render.looks import Look, dressed, skin_albedo
from engine.training.render.recipe import read_recipe
from tests.helpers.tiny_avatar import write_tiny_avatar

COLOURS = ("#204060", "#c0a080", "#ffcc88")
RECIPE = """
side_px = 64
author = "A"
licence = "MIT"
origin = "made here"
pictures = [{ file = "front.webp", notes = "n" }]
sets = [{ name = "s", title = "S", scene = { avatar = "tiny", lights = "studio" } }]
clips = [{ file = "c.mp4", scene = { avatar = "tiny" }, score = { duration_s = 1.0, head = [{ time_s = 0 }] } }]
"""


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(write_tiny_avatar(tmp_path_factory.mktemp("avatar") / "tiny.glb"))


@pytest.mark.parametrize("kind", sorted(BACKGROUNDS))
def test_backgrounds_are_repeatable_and_differ_by_seed(kind: str) -> None:
    first = draw_background(kind, COLOURS, 96, seed=1)
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw_background(kind, COLOURS, 96, seed=1))
    assert (first != draw_background(kind, COLOURS, 96, seed=2)).any()
    assert first.std() > 3  # something is drawn


def test_gradient_goes_from_the_first_colour_to_the_second() -> None:
    picture = draw_background("gradient", ("#000000", "#ffffff"), 64).astype(int)
    assert picture[0, 0].mean() < 30
    assert picture[-1, -1].mean() > 225


def test_picture_background_is_cut_square(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((40, 90, 3), (10, 120, 230), np.uint8))
    picture = draw_background(str(path), (), 32)
    assert picture.shape == (32, 32, 3)
    assert picture[16, 16].tolist() == [230, 120, 10]
    with pytest.raises(SourceUnreadable):
        draw_background(str(tmp_path / "none.png"), (), 32)


@pytest.mark.parametrize("text", ["red", "#12345", "#gg0000", ""])
def test_bad_colours_are_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="colour"):
        parse_colour(text)


def test_bad_backgrounds_are_refused() -> None:
    assert parse_colour("#0a10ff").tolist() == [10, 16, 255]
    with pytest.raises(InvalidSetting, match="Unknown background 'moon'"):
        draw_background("moon", COLOURS, 32)
    with pytest.raises(InvalidSetting, match="two colours"):
        draw_background("studio", COLOURS[:1], 32)


@pytest.mark.parametrize("name", sorted(LIGHT_RIGS))
def test_exposure_lights_dark_skin_more_but_not_fully(name: str) -> None:
    rig = LIGHT_RIGS[name]
    dark, light = rig.exposed_for(0.08), rig.exposed_for(0.4)
    gain = dark.key.colour[0] / light.key.colour[0]
    assert 1 < gain < 0.4 / 0.08
    assert rig.exposed_for(0.25, brightness=2.0).sky[1] == pytest.approx(2 * rig.exposed_for(0.25).sky[1])


def test_random_rig_repeats_and_lights_the_front() -> None:
    rig = random_rig(np.random.default_rng(5))
    assert rig == random_rig(np.random.default_rng(5))
    assert rig != random_rig(np.random.default_rng(6))
    assert abs(rig.key.azimuth_deg) <= 60
    assert min(rig.key.colour) > 0


def test_jacket_is_recoloured_and_skin_is_not(avatar: Avatar) -> None:
    before = avatar.groups[0].colour
    after = dressed(avatar, Look(jacket="#20a040"))[0].colour.astype(int)
    cloth = after[180, 150]
    assert cloth[1] > cloth[0] + 60
    np.testing.assert_array_equal(after[60, 40], before[60, 40])


def test_wig_takes_the_hair_colour(avatar: Avatar) -> None:
    plain, blue = (dressed(avatar, look)[1].colour for look in (Look(), Look(hair="#2030f0")))
    np.testing.assert_array_equal(plain, avatar.groups[1].colour)
    assert blue[8, 8, 2] > 200
    assert blue[8, 8, 0] < 60


def test_skin_albedo_is_that_of_the_face(avatar: Avatar) -> None:
    assert skin_albedo(avatar) == pytest.approx((166.7 / 255) ** 2.2, rel=0.1)


def test_recipe_is_read_with_its_nested_values(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    recipe = read_recipe(path)
    assert recipe.sets[0].scene.camera.frame_m > 0
    assert recipe.clips[0].score.pose_at(0.5).yaw_deg == pytest.approx(0, abs=3)
    assert recipe.pictures[0].pose({}).weights == {}
    assert recipe.pictures[0].pose({"front": {"smile": 1.0}}).weights["LsmileClose"] > 0.5
    with pytest.raises(InvalidSetting, match="Unknown lights 'candle'"):
        replace(recipe.sets[0].scene, lights="candle").rig(0.2)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ('author = "A"', 'autor = "A"', UnknownSetting, "'autor'"),
        ('author = "A"', "", InvalidSetting, "'author' is missing"),
        ('lights = "studio"', "lamp = 3", UnknownSetting, "'lamp' in scene"),
        ("time_s = 0", "time = 0", UnknownSetting, "'time' in clips.score.head"),
        ("side_px = 64", "side_px = ", InvalidSetting, "cannot be read"),
    ],
)
def test_recipe_faults_are_named(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(error, match=words):
        read_recipe(path)


def test_built_in_recipe_uses_each_avatar_once() -> None:
    recipe = read_recipe(asset_path("source_sets", "recipe.toml"))
    used = [entry.scene.avatar for entry in (*recipe.sets, *recipe.clips)]
    assert len(used) == len(set(used))
    assert any(entry.scene.look.style != "natural" for entry in recipe.sets)
    assert recipe.pictures[0].file == "front.webp"
