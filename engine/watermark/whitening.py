# SPDX-License-Identifier: Apache-2.0
"""Takes a picture's own content down to the level of a faint pattern on it, so that the pattern can be measured.

Luma, less its local mean, is cut into overlapping blocks; in each, every frequency is brought to about the same power.
So neither an edge (many frequencies in few blocks) nor a stripe (few frequencies in many) drowns the pattern, and plain
areas, where nothing hides it, count as much as textured ones. Pure functions; any thread.

Source: I. Cox, M. Miller and J. Bloom, "Digital Watermarking", 2002, §7.3 (whitening before correlation).
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2

__all__ = ["whitened"]

_BLOCKS = 8  # in the short side, and as many that overlap them
_LEVELLING = 1.1  # 1: every frequency to the same power; above, what is quiet counts more: the mark is clearer there
_MEAN_WINDOWS = 20  # of the short side; twice applied
_LEAST_DEVIATION = 0.3  # levels; what is fainter than this is not brought up to the level of the rest
_POOLED_BINS = (3, 3)
_CAP = 3.0  # deviations: no single pixel decides
_FADE = 0.1  # of a side


def whitened(rgb: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Return luma of about unit deviation, faded at the borders.

    Shapes:
        rgb: (H, W, 3) uint8. returns: (h, w), with a short side of at most side_px.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height_px, width_px = grey.shape
    scale = side_px / min(height_px, width_px)
    if scale < 1:
        size_wh = round(width_px * scale), round(height_px * scale)
        grey = cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA)
    pixels = grey.astype(np.float32)
    window = (max(3, min(pixels.shape) // _MEAN_WINDOWS) | 1,) * 2
    flat = _levelled(pixels - cv2.blur(cv2.blur(pixels, window), window))
    deviation = max(float(np.sqrt(np.mean(flat * flat))), 1e-9)
    flat = np.clip(flat / deviation, -_CAP, _CAP)
    return cast("NDArray[np.float32]", flat * _taper(flat.shape[0])[:, None] * _taper(flat.shape[1])[None])


def _levelled(detail: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H, W) with every frequency of every block at about the same power."""
    height, width = detail.shape
    side = 2 * cv2.getOptimalDFTSize(max(8, min(height, width) // (2 * _BLOCKS)))
    step = side // 2
    # The blocks begin half a block outside, so that all pixels lie in four of them.
    padded = np.zeros((_padded(height, step), _padded(width, step)), np.float32)
    padded[step : step + height, step : step + width] = detail
    # The window is applied before and after, and its squares add up to one.
    across = np.sin(np.pi * (np.arange(side) + 0.5) / side)
    window = (across[:, None] * across[None]).astype(np.float32)
    least = np.float32(_LEAST_DEVIATION**2 * float((window * window).sum()))
    total = np.zeros_like(padded)
    for top in range(0, padded.shape[0] - side + 1, step):
        for left in range(0, padded.shape[1] - side + 1, step):
            place = slice(top, top + side), slice(left, left + side)
            spectrum = np.asarray(cv2.dft(padded[place] * window, flags=cv2.DFT_COMPLEX_OUTPUT))
            power = np.asarray(cv2.blur(np.square(spectrum).sum(axis=2), _POOLED_BINS)) + least
            spectrum *= (power ** (-_LEVELLING / 2))[..., None]
            block = np.asarray(cv2.dft(spectrum, flags=cv2.DFT_INVERSE | cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE))
            total[place] += block * window
    return total[step : step + height, step : step + width]


def _padded(length: int, step: int) -> int:
    return (-(-length // step) + 2) * step


def _taper(length: int) -> NDArray[np.float32]:
    inward = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    t = np.clip(inward / (_FADE * length), 0.0, 1.0)
    return (t * t * (3 - 2 * t)).astype(np.float32)
