# SPDX-License-Identifier: Apache-2.0
"""Person and backdrop: taken apart and put together again, and what is made up where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.assets import asset_path
from engine.sources import load_source_set
from engine.types import SourceSet
from engine.warp.layers import fill_holes, layers_of, separate_person, shared_backdrop
from engine.warp.plates import claim_rims, make_backdrops
from tests.helpers.scripted import make_source_set
from tests.helpers.source_faces import portrait_rgb

SIDE = 96
SKIN = np.array([210.0, 150.0, 120.0])
WALL = np.array([40.0, 90.0, 170.0])


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean(), 1e-9)))


def disc(centre_px: tuple[float, float], radius_px: float, *, soft_px: float = 3.0) -> np.ndarray:
    """Return (SIDE, SIDE) float in [0, 1]: a round person with an edge this soft."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    distance = np.hypot(x - centre_px[0], y - centre_px[1])
    return np.clip((radius_px - distance) / soft_px + 0.5, 0, 1)


def picture(matte: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mix a person of one colour with a background; returns rgb and alpha in bytes."""
    mixed = matte[..., None] * SKIN + (1 - matte[..., None]) * background
    return np.rint(mixed).astype(np.uint8), np.rint(matte * 255).astype(np.uint8)


def together(person: np.ndarray, alpha: np.ndarray, backdrops: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return share * person + (1 - share) * backdrops


@pytest.mark.parametrize("name", ["freya", "nova", "otto"])
def test_layers_put_back_unmoved_are_the_picture(name: str) -> None:
    source_set: SourceSet = load_source_set(asset_path("source_sets", f"{name}.bunraku"), side_px=256)
    rgb = np.stack([image.rgb for image in source_set.images])
    alpha = np.stack([image.alpha for image in source_set.images])
    backdrops = make_backdrops(rgb, alpha)
    alpha = claim_rims(rgb, alpha, backdrops)
    again = together(separate_person(rgb, alpha, backdrops), alpha, backdrops)
    soft = (alpha > 0) & (alpha < 255)
    for i in range(len(rgb)):
        assert psnr_db(again[i], rgb[i]) > 38
        # hair in front of a wall: the hardest two in a hundred pixels, judged alone
        assert psnr_db(again[i][soft[i]], rgb[i][soft[i]]) > 29


def test_soft_edges_come_out_free_of_the_background() -> None:
    matte = disc((48, 48), 30, soft_px=8)
    rgb, alpha = (a[None] for a in picture(matte, WALL))
    backdrops = make_backdrops(rgb, alpha)
    person = separate_person(rgb, alpha, backdrops)
    assert psnr_db(together(person, alpha, backdrops), rgb) > 45
    off = np.abs(person[0].astype(float) - SKIN).max(-1)
    assert off[alpha[0] > 128].max() <= 4, "the person's colour alone, at the edge too"
    assert (off * alpha[0] / 255).max() <= 8, "and what is off at its faint rim hardly shows"
    assert np.abs(backdrops[0] - WALL).max() < 0.15 * np.abs(SKIN - WALL).max(), "hardly a trace of the person"


@pytest.mark.parametrize("level", [0, 255], ids=["all background", "all person"])
@pytest.mark.parametrize("count", [1, 2])
def test_mattes_of_one_kind_leave_nothing_undefined(level: int, count: int) -> None:
    rgb = np.stack([portrait_rgb((SIDE, SIDE), seed=i) for i in range(count)])
    alpha = np.full((count, SIDE, SIDE), level, np.uint8)
    backdrops = make_backdrops(rgb, alpha)
    person = separate_person(rgb, alpha, backdrops)
    assert np.isfinite(backdrops).all()
    np.testing.assert_array_equal(backdrops if level == 0 else person, rgb)
    np.testing.assert_array_equal(together(person, alpha, backdrops), rgb)


def test_filling_keeps_what_is_known_and_stays_within_it() -> None:
    rng = np.random.default_rng(2)
    rgb = rng.uniform(0, 255, (61, 87, 3)).astype(np.float32)
    known = (rng.random((61, 87)) < 0.2).astype(np.float32)
    filled = fill_holes(rgb, known)
    keep = known > 0
    np.testing.assert_allclose(filled[keep], rgb[keep], atol=1e-3)
    assert filled.min() >= rgb[keep].min() - 0.1
    assert filled.max() <= rgb[keep].max() + 0.1


@pytest.mark.parametrize(
    "where",
    [np.s_[:64], np.s_[:64, :64], np.s_[120:, 120:], np.s_[127:, 0:1]],
    ids=["upper half", "a quarter", "a corner", "one pixel"],
)
def test_one_known_colour_fills_everything(where: tuple[slice, ...]) -> None:
    side = 128  # a power of two, where a quarter of the picture is one cell of the pyramid
    rgb = np.zeros((side, side, 3), np.float32)
    known = np.zeros((side, side), np.float32)
    rgb[where], known[where] = WALL, 1.0
    np.testing.assert_allclose(fill_holes(rgb, known), np.broadcast_to(WALL, rgb.shape), rtol=0.02)


def test_filling_ignores_the_colour_of_unknown_pixels() -> None:
    known = np.zeros((SIDE, SIDE), np.float32)
    known[:, :40] = 1
    rgb = portrait_rgb((SIDE, SIDE)).astype(np.float32)
    other = rgb.copy()
    other[:, 40:] = 255 - other[:, 40:]
    np.testing.assert_array_equal(fill_holes(other, known), fill_holes(rgb, known))


def test_the_stage_is_the_reference_pictures_backdrop() -> None:
    backdrops = np.stack([np.full((4, 4, 3), v, np.float32) for v in (99.6, 7.0)])
    backdrops[0, 0, 0] = (-3.0, 300.0, 0.4)
    stage = shared_backdrop(backdrops)
    assert stage.dtype == np.uint8
    assert stage[0, 0].tolist() == [0, 255, 0]
    assert (stage[1:] == 100).all()


def test_a_set_is_taken_apart_once_and_what_is_shared_cannot_be_written() -> None:
    maya = make_source_set()
    layers = layers_of(maya, 64)
    assert layers_of(maya, 64) is layers
    assert layers_of(make_source_set(), 64) is not layers, "equal names are not the same pictures"
    assert layers_of(maya, 32).person.shape[1:] == (32, 32, 4)
    assert not any(a.flags.writeable for a in (layers.person, layers.backdrop, layers.backdrops))
