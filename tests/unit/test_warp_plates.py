# SPDX-License-Identifier: Apache-2.0
"""The background behind the person: what other pictures show of it, how they are laid over each other, and the rim."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.warp.layers import separate_person
from engine.warp.plates import claim_rims, make_backdrops, span_holes
from engine.warp.registration import register_backgrounds
from tests.helpers.source_faces import portrait_rgb

SIDE = 128
SKIN = np.array([210.0, 150.0, 120.0])


def disc(centre_px: tuple[float, float], radius_px: float, *, soft_px: float = 3.0) -> np.ndarray:
    """Return (SIDE, SIDE) float in [0, 1]: a round person with an edge this soft."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.clip((radius_px - np.hypot(x - centre_px[0], y - centre_px[1])) / soft_px + 0.5, 0, 1)


def picture(matte: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mixed = matte[..., None] * SKIN + (1 - matte[..., None]) * background
    return np.rint(mixed).astype(np.uint8), np.rint(matte * 255).astype(np.uint8)


def pictures(*each: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    made = [picture(matte, background) for matte, background in each]
    return np.stack([rgb for rgb, _ in made]), np.stack([alpha for _, alpha in made])


def error(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(found[where] - truth[where]).mean())


def room(seed: int, *, width: int = SIDE) -> np.ndarray:
    """Return a wall of boxes, (SIDE, width, 3) float, with enough structure to be found again."""
    rng = np.random.default_rng(seed)
    wall = np.full((SIDE, width, 3), (120.0, 130.0, 140.0))
    for _ in range(60):
        x, y = rng.integers(0, width - 8), rng.integers(0, SIDE - 8)
        w, h = rng.integers(5, 22, 2)
        wall[y : y + h, x : x + w] = rng.uniform(20, 235, 3)
    return cv2.GaussianBlur(wall, (0, 0), 0.8)


LEFT, RIGHT = disc((44, 64), 24), disc((88, 64), 24)
BEHIND_LEFT = LEFT > 0.5
SHOWN_BY_RIGHT = BEHIND_LEFT & (disc((88, 64), 24 + 12) == 0)


@pytest.fixture(scope="module")
def walls() -> np.ndarray:
    """One smooth background that pictures share, (SIDE, SIDE, 3)."""
    return portrait_rgb((SIDE, SIDE), seed=4).astype(np.float64)


def test_a_backdrop_is_completed_from_a_picture_that_shows_it(walls: np.ndarray) -> None:
    rgb, alpha = pictures((LEFT, walls), (RIGHT, walls))
    found = make_backdrops(rgb, alpha)[0]
    assert SHOWN_BY_RIGHT.sum() > 500
    assert error(found, walls, SHOWN_BY_RIGHT) < 1.0
    alone = make_backdrops(rgb[:1], alpha[:1])[0]
    assert error(alone, walls, SHOWN_BY_RIGHT) > 3.0, "else the other picture taught nothing"
    np.testing.assert_allclose(found[LEFT < 0.01], rgb[0][LEFT < 0.01], atol=1.0)


def test_another_room_is_not_borrowed_from(walls: np.ndarray) -> None:
    rgb, alpha = pictures((LEFT, walls), (RIGHT, 255 - walls))
    np.testing.assert_array_equal(make_backdrops(rgb, alpha)[0], make_backdrops(rgb[:1], alpha[:1])[0])


def test_pictures_that_share_too_little_background_are_not_compared(walls: np.ndarray) -> None:
    almost_all = np.ones((SIDE, SIDE))
    almost_all[:20, :20] = 0  # with the margin taken off, fewer known pixels than can be judged
    rgb, alpha = pictures((almost_all, walls), (RIGHT, walls))
    np.testing.assert_array_equal(make_backdrops(rgb, alpha)[0], make_backdrops(rgb[:1], alpha[:1])[0])


def test_a_camera_that_moved_and_another_light_are_undone() -> None:
    wide = room(3, width=SIDE + 20)
    wall, moved = wide[:, :SIDE], 0.9 * wide[:, 9 : 9 + SIDE] + 12.0
    rgb, alpha = pictures((LEFT, wall), (RIGHT, moved))
    view = register_backgrounds(rgb.astype(np.float32), alpha == 0)[1]
    assert view.group == 0
    assert view.onto is not None
    np.testing.assert_allclose(view.onto, [[1, 0, 9], [0, 1, 0]], atol=0.2)
    np.testing.assert_allclose(view.gain, 1 / 0.9, atol=0.03)
    found = make_backdrops(rgb, alpha)
    shown = BEHIND_LEFT & (disc((88 + 9, 64), 24 + 12) == 0)
    assert error(found[0], wall, shown) < 3.0
    alone = make_backdrops(rgb[:1], alpha[:1])
    assert error(alone[0], wall, shown) > 12.0
    hidden = (RIGHT > 0.5) & (disc((44 - 9, 64), 24 + 12) == 0)
    assert error(found[1], moved, hidden) < 4.0, "and the second picture's is completed in its own place and light"


def test_the_mean_of_pictures_has_less_noise_than_one(walls: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    rgb, alpha = pictures(*[(LEFT, walls + rng.normal(0, 2, walls.shape)) for _ in range(4)])
    clear = disc((44, 64), 24 + 14) == 0
    assert error(make_backdrops(rgb, alpha)[0], walls, clear) < 0.65 * error(rgb[0].astype(float), walls, clear)


def test_what_most_pictures_agree_on_is_taken(walls: np.ndarray) -> None:
    passer_by = walls.copy()
    passer_by[SHOWN_BY_RIGHT] = (10.0, 200.0, 10.0)
    rgb, alpha = pictures((LEFT, walls), (RIGHT, passer_by), (RIGHT, walls), (RIGHT, walls))
    assert error(make_backdrops(rgb, alpha)[0], walls, SHOWN_BY_RIGHT) < 1.0


def test_hair_outside_the_matte_does_not_stay_behind() -> None:
    wall = np.broadcast_to(np.linspace(60.0, 120.0, SIDE)[None, :, None] * [1.0, 1.1, 1.3], (SIDE, SIDE, 3))
    true = disc((64, 64), 30, soft_px=4)
    rgb, _ = picture(true, wall)
    tight = np.rint(255 * disc((64, 64), 28, soft_px=2)).astype(np.uint8)  # ends two pixels too early
    backdrops = make_backdrops(rgb[None], tight[None])
    assert error(backdrops[0], wall, np.ones((SIDE, SIDE), bool)) < 1.0
    alpha = claim_rims(rgb[None], tight[None], backdrops)
    assert np.abs(alpha[0] / 255.0 - true)[tight == 0].mean() < 0.01, "it is the person's, in the share it really has"
    share = alpha[0, ..., None] / 255.0
    again = share * separate_person(rgb[None], alpha, backdrops)[0] + (1 - share) * backdrops[0]
    assert np.abs(again - rgb)[tight < 250].mean() < 1.0


def test_a_patterned_wall_beside_the_person_stays_where_it_is() -> None:
    wall = room(8)
    rgb, alpha = picture(disc((64, 64), 28), wall)
    backdrops = make_backdrops(rgb[None], alpha[None])
    near = (disc((64, 64), 28 + 5) > 0) & (alpha < 3)
    kept = np.abs(backdrops[0] - rgb).max(-1)[near] < 1.5
    assert kept.mean() > 0.6
    claimed = claim_rims(rgb[None], alpha[None], backdrops)[0]
    assert (claimed[near] > 60).mean() < 0.35


def test_a_spanned_hole_follows_a_slope() -> None:
    slope = np.stack([np.linspace(0, 200, SIDE)[None].repeat(SIDE, 0)] * 3, -1).astype(np.float32)
    known = disc((64, 70), 40) == 0
    assert np.abs(span_holes(np.where(known[..., None], slope, 0), known) - slope).max() < 6.0
