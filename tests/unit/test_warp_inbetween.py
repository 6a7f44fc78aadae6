# SPDX-License-Identifier: Apache-2.0
"""Two pictures of one moment become one, without a halo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.warp.flow import find_flow, flows_to_moment, moved_by
from engine.warp.inbetween import Between, _pair_of, blend_pictures
from tests.helpers.source_faces import make_keypoints

SIDE = 96


def person(centre_x: float, colour: tuple[int, int, int], *, radius: float = 26.0) -> np.ndarray:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = np.clip((radius - np.hypot(x - centre_x, y - SIDE / 2)) * 255 + 127, 0, 255)
    return rgba


def moment(share: float, *, yaw: float = 0.0) -> Between:
    first, second = make_keypoints(yaw=-yaw), make_keypoints(yaw=yaw)
    return Between(share, first, second, make_keypoints(yaw=yaw * (2 * share - 1)))


GROUND = np.full((SIDE, SIDE, 3), 128, np.uint8)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_are_the_pictures(share: float) -> None:
    first, second = person(40, (200, 50, 50)), person(56, (50, 50, 200))
    assert blend_pictures(first, second, moment(share), ground=GROUND) is (second if share else first)


def test_the_outline_lies_between_and_is_no_halo() -> None:
    first, second = person(38, (200, 60, 60)), person(58, (200, 60, 60))
    alpha = blend_pictures(first, second, moment(0.5), ground=GROUND)[..., 3].astype(float) / 255
    soft = ((alpha > 0.1) & (alpha < 0.9)).mean()
    assert soft < 0.04  # two averaged alphas would leave two half-transparent crescents, 16 % of the picture
    columns = np.flatnonzero(alpha[SIDE // 2] > 0.5)
    assert columns.mean() == pytest.approx(48, abs=2.5)


def test_what_agrees_stays() -> None:
    picture = person(48, (180, 90, 60))
    blended = blend_pictures(picture, picture.copy(), moment(0.5), ground=GROUND)
    inside = picture[..., 3] > 250
    assert np.abs(blended[inside].astype(int) - picture[inside]).max() <= 2


def test_each_picture_gives_the_side_it_sees() -> None:
    """The first looks left and sees the head's right half (image right); the second the other."""
    first, second = person(48, (220, 40, 40), radius=44), person(48, (40, 40, 220), radius=44)
    blended = blend_pictures(first, second, moment(0.5, yaw=0.5), ground=GROUND).astype(int)
    row = blended[8]  # hair: above the face, which is shared by time alone
    left, right = row[40], row[56]
    assert right[0] > right[2] + 60
    assert left[2] > left[0] + 60


def scene(head_x: float, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A head before still, patterned shoulders: the person, (SIDE, SIDE, 4), and the person before a wall."""
    rng = np.random.default_rng(seed)
    coat = cv2.GaussianBlur(rng.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32), (0, 0), 2.0)
    coat = np.clip((coat - coat.mean()) * 4 + 128, 0, 255)
    rgba = person(head_x, (200, 150, 120), radius=20)
    rgba[72:, :, :3], rgba[72:, :, 3] = coat[72:], 255
    cover = rgba[..., 3:] / 255.0
    return rgba, np.rint(rgba[..., :3] * cover + GROUND * (1 - cover)).astype(np.uint8)


def dragged(rgba: np.ndarray, by_px: int) -> np.ndarray:
    """What the warp makes of a scene: the whole person moves, shoulders too."""
    return np.roll(rgba, by_px, axis=1)


def test_shoulders_that_both_pictures_show_still_stay_still() -> None:
    (first, shown_first), (second, shown_second) = scene(42), scene(54)
    pair = _pair_of((first, second), (shown_first, shown_second))
    assert pair.trust > 0.5
    # The warp drags the shoulders along with the head, one picture's further than the other's.
    warped = dragged(first, 6), dragged(second, -2)
    alone = blend_pictures(*warped, moment(0.5), ground=GROUND)
    found = blend_pictures(*warped, moment(0.5), ground=GROUND, pair=pair)
    still = np.s_[80:, 10:-10, :3]
    off = [np.abs(picture[still].astype(float) - first[still]).mean() for picture in (alone, found)]
    assert off[1] < 2.0
    assert off[0] > 5 * off[1]
    assert blend_pictures(*warped, moment(0.0), ground=GROUND, pair=pair) is warped[0]


def test_pictures_of_different_scenes_are_left_to_the_warp() -> None:
    (first, shown_first), (second, _) = scene(42), scene(54, seed=9)
    rng = np.random.default_rng(5)
    elsewhere = cv2.resize(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), (SIDE, SIDE))
    pair = _pair_of((first, second), (shown_first, elsewhere))
    assert pair.trust == 0.0
    warped = dragged(first, 6), dragged(second, -2)
    np.testing.assert_array_equal(
        blend_pictures(*warped, moment(0.5), ground=GROUND, pair=pair),
        blend_pictures(*warped, moment(0.5), ground=GROUND),
    )


def test_flow_to_the_moment_meets_half_way() -> None:
    (_, first), (_, second) = scene(44), scene(52)
    flows = flows_to_moment((first, second), 0.5)
    moved = [moved_by(picture.astype(np.float32), flow) for picture, flow in zip((first, second), flows, strict=True)]
    head = np.s_[38:58, 40:56]
    assert np.abs(moved[0][head] - moved[1][head]).mean() < 3.0
    known = flows_to_moment((first, second), 0.5, first_look=(find_flow(first, second), find_flow(second, first)))
    np.testing.assert_array_equal(known, flows)
