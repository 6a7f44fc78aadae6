# SPDX-License-Identifier: Apache-2.0
"""How close an output is to the truth: pixels, structure, landmarks, motion. Pure functions, any thread.

Pictures are (H, W, 3) uint8 RGB. A mask is (H, W) bool; figures over an empty mask are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import ShapeError
from engine.geometry import to_px

__all__ = [
    "Similarity",
    "hull_mask",
    "jitter_px",
    "l1_255",
    "landmark_distance_px",
    "ms_ssim",
    "psnr_db",
    "ssim",
    "structural_similarity",
]

_PEAK = 255.0

# Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity",
# IEEE TIP 13(4): an 11 x 11 Gaussian window of standard deviation 1.5, K1 = 0.01, K2 = 0.03.
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
# Wang, Simoncelli, Bovik 2003, "Multiscale structural similarity for image quality assessment", Asilomar, section 3.2:
# the weight of each scale, the finest first.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST_SIDE_PX = _WINDOW_PX * 2 ** (len(_SCALE_WEIGHTS) - 1)


class Similarity(NamedTuple):
    """Structural similarity at one scale, in [-1, 1], and over five scales, in [0, 1]."""

    ssim: float
    ms_ssim: float


def psnr_db(output: NDArray[np.uint8], truth: NDArray[np.uint8], *, mask: NDArray[np.bool_] | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = _difference(output, truth)
    error = error if mask is None else error[mask]
    if error.size == 0:
        return float("nan")
    mean_square = float((error**2).mean())
    return float("inf") if mean_square == 0 else float(10.0 * np.log10(_PEAK**2 / mean_square))


def l1_255(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference on the 0-255 scale."""
    return float(np.abs(_difference(output, truth)).mean())


def ssim(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity over all channels, in [-1, 1].

    Windows that reach past the picture's edge are left out.

    Source:
        Wang et al. 2004, IEEE TIP 13(4), eq. 13.
    """
    return structural_similarity(output, truth).ssim


def ms_ssim(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the multi-scale structural similarity, mean over channels, in [0, 1].

    NaN for pictures with a side below 176 pixels, on whose fifth scale no window fits.

    Source:
        Wang, Simoncelli, Bovik 2003, eq. 7: contrast and structure of scales 1-5, luminance of the fifth alone.
    """
    return structural_similarity(output, truth).ms_ssim


def structural_similarity(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Similarity:
    """Return `ssim` and `ms_ssim` together: they share the costliest scale.

    Raises:
        ShapeError: the shapes differ, or a side is shorter than one window.
    """
    _difference(output, truth)  # checks the shapes
    if min(truth.shape[:2]) < _WINDOW_PX:
        raise ShapeError("truth", f"at least {_WINDOW_PX} pixels on each side", truth.shape)
    a, b = output.astype(np.float64), truth.astype(np.float64)
    whole, contrast = _compare_windows(a, b)
    single = float(whole.mean())
    if min(truth.shape[:2]) < _SMALLEST_SIDE_PX:
        return Similarity(single, float("nan"))
    product = np.ones(a.shape[2])
    for weight in _SCALE_WEIGHTS[:-1]:
        # A negative mean (structures turned inside out) has no real power; it counts as no likeness.
        product *= np.maximum(contrast, 0.0) ** weight
        a, b = _halved(a), _halved(b)
        whole, contrast = _compare_windows(a, b)
    return Similarity(single, float((product * np.maximum(whole, 0.0) ** _SCALE_WEIGHTS[-1]).mean()))


def _compare_windows(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the similarity and its contrast-and-structure part, means over all whole windows, (C,) each."""
    margin = _WINDOW_PX // 2
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    contrast = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    likeness = contrast * (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    inside = np.s_[margin:-margin, margin:-margin]
    return likeness[inside].mean((0, 1)), contrast[inside].mean((0, 1))


def _halved(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = values.shape[0] // 2, values.shape[1] // 2
    even = values[: 2 * height, : 2 * width]
    halved: NDArray[np.float64] = even.reshape(height, 2, width, 2, -1).mean((1, 3))
    return halved


def landmark_distance_px(output_px: NDArray[np.floating[Any]], truth_px: NDArray[np.floating[Any]]) -> float:
    """Return the mean distance in the picture plane between landmarks (P, 2 or 3) found on output and truth.

    Over the points of a face this is the average keypoint distance (AKD) of Siarohin et al. 2019.
    """
    if output_px.shape != truth_px.shape or output_px.ndim != 2:
        raise ShapeError("landmarks", f"(P, 2 or 3) like {truth_px.shape}", output_px.shape)
    return float(np.linalg.norm(output_px[:, :2] - truth_px[:, :2], axis=1).mean())


def jitter_px(output_px: NDArray[np.floating[Any]], truth_px: NDArray[np.floating[Any]]) -> float:
    """Return how much output landmarks tremble beyond the truth's own motion: mean |Δ²(output) - Δ²(truth)|.

    A constant offset and a steady drift do not count; a point that jumps to and fro by a pixel counts 4 pixels, one
    that jumps once and stays 1 pixel in each of two frames. NaN for fewer than three frames.

    Shapes:
        output_px, truth_px: (T, P, 2 or 3), consecutive frames; z is ignored.
    """
    if output_px.shape != truth_px.shape or output_px.ndim != 3:
        raise ShapeError("landmarks", f"(T, P, 2 or 3) like {truth_px.shape}", output_px.shape)
    if len(truth_px) < 3:
        return float("nan")
    # The second difference is linear: that of the error is the error of the second differences.
    error = np.asarray(output_px, np.float64)[..., :2] - np.asarray(truth_px, np.float64)[..., :2]
    return float(np.linalg.norm(np.diff(error, n=2, axis=0), axis=-1).mean())


def hull_mask(
    keypoints: NDArray[np.floating[Any]], *, groups: Sequence[Sequence[int]], side_px: int, grow_px: int = 0
) -> NDArray[np.bool_]:
    """Return the filled convex hulls of groups of keypoints, grown by some pixels.

    Shapes:
        keypoints: (P, 2 or 3), portrait space. returns: (side, side) bool.
    """
    mask = np.zeros((side_px, side_px), np.uint8)
    for group in groups:
        points_px = np.rint(to_px(keypoints[list(group), :2], side_px=side_px)).astype(np.int32)
        cv2.fillConvexPoly(mask, cv2.convexHull(points_px), (1,))
    if grow_px:
        mask = np.asarray(cv2.dilate(mask, np.ones((2 * grow_px + 1, 2 * grow_px + 1), np.uint8)), np.uint8)
    return mask.astype(bool)


def _difference(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    if output.shape != truth.shape or truth.ndim != 3:
        raise ShapeError("output", truth.shape, output.shape)
    return output.astype(np.float64) - truth.astype(np.float64)


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX), np.float64)
