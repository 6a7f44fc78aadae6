# SPDX-License-Identifier: Apache-2.0
"""The figures themselves, against scikit-image and against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.evaluation.metrics import hull_mask, l1_255, landmark_distance_px, psnr_db, ssim
from tests.helpers.source_faces import make_keypoints, portrait_rgb

TRUTH = portrait_rgb((80, 64))
NOISY = np.clip(TRUTH + np.random.default_rng(0).normal(0, 20, TRUTH.shape), 0, 255).astype(np.uint8)


def test_against_scikit_image():
    reference = pytest.importorskip("skimage.metrics")
    assert psnr_db(NOISY, TRUTH) == pytest.approx(reference.peak_signal_noise_ratio(TRUTH, NOISY), abs=1e-9)
    for other in (NOISY, np.roll(TRUTH, 3, axis=0), 255 - TRUTH, np.full_like(TRUTH, 90)):
        expected = reference.structural_similarity(
            TRUTH, other, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim(other, TRUTH) == pytest.approx(expected, abs=1e-6)


def test_equal_pictures():
    assert psnr_db(TRUTH, TRUTH) == math.inf
    assert l1_255(TRUTH, TRUTH) == 0
    assert ssim(TRUTH, TRUTH) == pytest.approx(1.0, abs=1e-12)


def test_known_differences():
    black, white = np.zeros_like(TRUTH), np.full_like(TRUTH, 255)
    assert psnr_db(black, white) == pytest.approx(0.0)
    assert l1_255(black, white) == 255
    off_by_ten = np.full_like(TRUTH, 10)
    assert l1_255(off_by_ten, black) == 10
    assert psnr_db(off_by_ten, black) == pytest.approx(20 * math.log10(25.5))


def test_mask_limits_the_figure():
    broken = TRUTH.copy()
    broken[:40] = 0
    lower = np.zeros(TRUTH.shape[:2], bool)
    lower[40:] = True
    assert psnr_db(broken, TRUTH, mask=lower) == math.inf
    assert psnr_db(broken, TRUTH, mask=~lower) < psnr_db(broken, TRUTH)
    assert math.isnan(psnr_db(broken, TRUTH, mask=np.zeros_like(lower)))


def test_landmark_distance():
    points = make_keypoints()
    moved = points + np.float32([3, 4, 100])  # depth does not count
    assert landmark_distance_px(moved, points) == pytest.approx(5, rel=1e-5)
    assert landmark_distance_px(points, points) == 0


def test_hull_mask_is_where_the_keypoints_are():
    keypoints = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0], [0.9, 0.9, 0]])
    mask = hull_mask(keypoints, groups=[range(4)], side_px=100)
    assert mask[50, 50]
    assert not mask[10, 10]
    assert mask.sum() == pytest.approx(50 * 50, rel=0.05)
    grown = hull_mask(keypoints, groups=[range(4)], side_px=100, grow_px=5)
    assert grown.sum() == pytest.approx(60 * 60, rel=0.05)
    both = hull_mask(keypoints, groups=[range(4), [4]], side_px=100)
    assert both[94, 94]
    outside = hull_mask(keypoints + 5, groups=[range(4)], side_px=100)
    assert not outside.any()


def test_shapes_are_checked():
    with pytest.raises(ShapeError):
        psnr_db(TRUTH, TRUTH[:-1])
    with pytest.raises(ShapeError):
        ssim(TRUTH[:8], TRUTH[:8])
    with pytest.raises(ShapeError):
        landmark_distance_px(np.zeros((3, 3)), np.zeros((4, 3)))
