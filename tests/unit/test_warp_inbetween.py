# SPDX-License-Identifier: Apache-2.0
"""Two pictures of one moment become one, without a halo."""

from __future__ import annotations

import numpy as np
import pytest

from engine.warp.inbetween import Between, blend_pictures
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
