# SPDX-License-Identifier: Apache-2.0
"""The figures themselves, against scikit-image and against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.evaluation.metrics import hull_mask, jitter_px, l1_255, landmark_distance_px, ms_ssim, psnr_db, ssim
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


def reference_ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang's formula again, window by window as the paper writes it, on scipy's filters."""
    ndimage = pytest.importorskip("scipy.ndimage")
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    channels = []
    for x, y in zip(a.astype(np.float64).transpose(2, 0, 1), b.astype(np.float64).transpose(2, 0, 1), strict=True):
        product = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            blur = lambda v: ndimage.gaussian_filter(v, 1.5, radius=5)[5:-5, 5:-5]  # noqa: E731
            mx, my = blur(x), blur(y)
            cs = (2 * (blur(x * y) - mx * my) + c2) / (blur(x * x) - mx**2 + blur(y * y) - my**2 + c2)
            if scale == 4:
                cs = cs * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
            product *= cs.mean() ** weight
            x, y = (ndimage.uniform_filter(v, 2)[1::2, 1::2] for v in (x, y))
        channels.append(product)
    return float(np.mean(channels))


LARGE = portrait_rgb((200, 240))
LARGE_NOISY = np.clip(LARGE + np.random.default_rng(1).normal(0, 25, LARGE.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("other", [LARGE_NOISY, np.roll(LARGE, 5, axis=1), LARGE // 2], ids=["noise", "shift", "dark"])
def test_ms_ssim_against_the_formula(other: np.ndarray):
    assert ms_ssim(other, LARGE) == pytest.approx(reference_ms_ssim(other, LARGE), abs=1e-9)


def test_ms_ssim_known_answers():
    assert ms_ssim(LARGE, LARGE) == pytest.approx(1.0, abs=1e-12)
    # Between flat pictures only the fifth scale's luminance differs: C1 / (100² + C1), to the power of its weight.
    black, grey = np.zeros((176, 176, 3), np.uint8), np.full((176, 176, 3), 100, np.uint8)
    c1 = 2.55**2
    assert ms_ssim(grey, black) == pytest.approx((c1 / (100**2 + c1)) ** 0.1333)
    assert ms_ssim(255 - LARGE, LARGE) == 0.0, "inside out is no likeness"
    assert ms_ssim(LARGE_NOISY, LARGE) > ssim(LARGE_NOISY, LARGE), "noise is forgiven where it averages out"
    assert math.isnan(ms_ssim(LARGE[:175], LARGE[:175]))


def test_jitter_counts_what_jumps_and_nothing_else():
    truth = np.cumsum(np.random.default_rng(0).normal(0, 1, (6, 478, 3)), axis=0)
    drift = np.arange(6)[:, None, None] * np.array([0.3, -0.2, 0.0]) + 5.0
    assert jitter_px(truth + drift, truth) == pytest.approx(0, abs=1e-12)
    to_and_fro = truth.copy()
    to_and_fro[::2, :, 0] += 1.0
    assert jitter_px(to_and_fro, truth) == pytest.approx(2.0)
    jumped = truth.copy()
    jumped[3:, :, 1] += 2.0
    assert jitter_px(jumped, truth) == pytest.approx((2 + 2) / 4), "two of the four second differences see the jump"
    deep = truth + np.random.default_rng(1).normal(0, 9, truth.shape) * (0, 0, 1)
    assert jitter_px(deep, truth) == 0
    assert math.isnan(jitter_px(truth[:2], truth[:2]))


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
    with pytest.raises(ShapeError):
        jitter_px(np.zeros((4, 5, 3)), np.zeros((3, 5, 3)))
