# SPDX-License-Identifier: Apache-2.0
"""How close an output is to the truth: pixels, structure, landmarks. Pure functions, any thread.

Pictures are (H, W, 3) uint8 RGB. A mask is (H, W) bool; figures over an empty mask are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import ShapeError
from engine.geometry import to_px

__all__ = ["hull_mask", "l1_255", "landmark_distance_px", "psnr_db", "ssim"]

_PEAK = 255.0

# Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity",
# IEEE TIP 13(4): an 11 x 11 Gaussian window of standard deviation 1.5, K1 = 0.01, K2 = 0.03.
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


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
    _difference(output, truth)  # checks the shapes
    margin = _WINDOW_PX // 2
    if min(truth.shape[:2]) < _WINDOW_PX:
        raise ShapeError("truth", f"at least {_WINDOW_PX} pixels on each side", truth.shape)
    a, b = output.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    likeness /= (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return float(likeness[margin:-margin, margin:-margin].mean())


def landmark_distance_px(output_px: NDArray[np.floating[Any]], truth_px: NDArray[np.floating[Any]]) -> float:
    """Return the mean distance in the picture plane between landmarks (P, 2 or 3) found on output and truth.

    Over the points of a face this is the average keypoint distance (AKD) of Siarohin et al. 2019.
    """
    if output_px.shape != truth_px.shape or output_px.ndim != 2:
        raise ShapeError("landmarks", f"(P, 2 or 3) like {truth_px.shape}", output_px.shape)
    return float(np.linalg.norm(output_px[:, :2] - truth_px[:, :2], axis=1).mean())


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
