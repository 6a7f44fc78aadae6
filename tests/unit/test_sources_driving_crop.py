# SPDX-License-Identifier: Apache-2.0
"""The performer's portrait: a box that stands still, so that head motion stays visible."""

from __future__ import annotations

import numpy as np
import pytest

from engine.sources.driving_crop import DrivingCrop
from tests.helpers.source_faces import landmarks_at

SIZE_WH = (640, 480)
SIDE_PX = 64


def dot_frame(x: int, y: int) -> np.ndarray:
    """A frame that is black but for a white square."""
    rgb = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    rgb[y - 6 : y + 6, x - 6 : x + 6] = 255
    return rgb


def place_of_dot(portrait: np.ndarray) -> np.ndarray:
    """Return where the square is, in portrait space."""
    weights = portrait[..., 0].astype(float)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    centre = np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()
    return (centre + 0.5) / SIDE_PX * 2 - 1


def cut(crop: DrivingCrop, x: int, y: int, *, height_px: float = 100.0) -> np.ndarray:
    return crop.cut(dot_frame(x, y), landmarks_at((float(x), float(y)), height_px))


def test_the_first_face_is_in_the_middle_and_half_as_high_as_the_box() -> None:
    portrait = cut(DrivingCrop(side_px=SIDE_PX), 300, 240)
    assert portrait.shape == (SIDE_PX, SIDE_PX, 3)
    np.testing.assert_allclose(place_of_dot(portrait), 0, atol=0.02)
    assert (portrait[..., 0] > 128).sum() == pytest.approx((12 / 200 * SIDE_PX) ** 2, rel=0.35)


def test_the_box_stands_still_so_that_motion_shows() -> None:
    crop = DrivingCrop(side_px=SIDE_PX)
    cut(crop, 300, 240)
    np.testing.assert_allclose(place_of_dot(cut(crop, 330, 225)), [0.3, -0.15], atol=0.02)
    np.testing.assert_allclose(place_of_dot(cut(crop, 300, 240)), 0, atol=0.02)


def test_a_face_at_the_rim_pushes_the_box_along_without_a_jump() -> None:
    crop = DrivingCrop(side_px=SIDE_PX)
    seen = [place_of_dot(cut(crop, x, 240))[0] for x in range(200, 440, 4)]
    steps = np.diff(seen)
    assert (steps > -0.02).all(), "it never runs against the motion"
    assert steps.max() < 0.06
    assert seen[0] == pytest.approx(0, abs=0.02)
    assert max(seen) < 0.65, "the whole face stays inside"
    assert steps[-10:].max() < 0.02, "pushed: the face keeps its place at the rim"
    np.testing.assert_allclose(seen[-1], seen[-5], atol=0.03)


def test_reset_and_fix_set_the_box_afresh() -> None:
    crop = DrivingCrop(side_px=SIDE_PX)
    cut(crop, 300, 240)
    crop.reset()
    np.testing.assert_allclose(place_of_dot(cut(crop, 400, 200)), 0, atol=0.02)
    crop.fix(landmarks_at((350.0, 200.0), 100.0), size_wh=SIZE_WH)
    np.testing.assert_allclose(place_of_dot(cut(crop, 400, 200)), [0.5, 0.0], atol=0.03)


def test_a_face_larger_than_the_box_is_kept_in_the_middle() -> None:
    crop = DrivingCrop(side_px=SIDE_PX)
    cut(crop, 320, 240, height_px=60.0)
    assert np.isfinite(place_of_dot(cut(crop, 340, 250, height_px=300.0))).all()
    np.testing.assert_allclose(place_of_dot(cut(crop, 340, 250, height_px=300.0)), 0, atol=0.1)


def test_at_the_frames_edge_the_picture_goes_on_mirrored() -> None:
    crop = DrivingCrop(side_px=SIDE_PX)
    assert cut(crop, 20, 20).shape == (SIDE_PX, SIDE_PX, 3)
    assert cut(crop, 630, 470).shape == (SIDE_PX, SIDE_PX, 3)
