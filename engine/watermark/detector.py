# SPDX-License-Identifier: Apache-2.0
"""Finds the visible mark again in pictures and video frames, after compression and scaling.

The letters' shape is compared with each corner by normalised correlation, at several sizes, since a frame scaled
after marking carries a mark of another relative size. Used by tests and by whoever wants to verify a recording;
never per frame.

Source: J. P. Lewis, "Fast Normalized Cross-Correlation", 1995 (the local mean and energy by summed areas).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.config import WATERMARK_CORNERS
from engine.watermark.visible import box_of, make_mark, mark_height_px

__all__ = ["FOUND", "LEAST_SIDE_PX", "has_mark", "mark_score"]

LEAST_SIDE_PX = 240  # of a picture's short side; below, a mark may be there and not be found
FOUND = 0.55  # measured: 1,400 unmarked pictures reach 0.49 at most, marked ones at H.264 crf 33 stay above
_WORK_HEIGHT_PX = 26  # the mark's height in the search: letters are legible, the search is cheap
_LARGEST = 1.40
# Actual over expected mark size, the likeliest first, so that a marked frame is found early.
_SIZES = tuple(sorted((float(s) for s in np.geomspace(1 / _LARGEST, _LARGEST, 19)), key=lambda s: abs(np.log(s))))
_SLACK = 0.9  # how far beyond its expected box the mark is searched, in mark heights


def has_mark(rgb: NDArray[np.uint8]) -> bool:
    """Return whether the picture carries the visible mark in one of its corners.

    Convention:
        found after JPEG, H.264 and uniform scaling down to a short side of 240 px; not after cropping, mirroring or
        stretching.
    """
    return any(score >= FOUND for score in _scores(rgb))


def mark_score(rgb: NDArray[np.uint8]) -> float:
    """Return how well the best corner matches the mark: 1 is perfect, 0 is chance.

    Shapes:
        rgb: (H, W, 3) uint8, at least the smallest size that can carry a mark.
    """
    return max(_scores(rgb))


def _scores(rgb: NDArray[np.uint8]) -> Iterator[float]:
    size_wh = (rgb.shape[1], rgb.shape[0])
    expected_px = mark_height_px(size_wh)
    scale = _WORK_HEIGHT_PX / expected_px
    grey = Image.fromarray(rgb).convert("L")
    regions = []
    for corner in WATERMARK_CORNERS:
        left, top, right, bottom = box = _search_box(size_wh, expected_px, corner)
        work_wh = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        regions.append(np.asarray(grey.resize(work_wh, Image.Resampling.BICUBIC, box=box), dtype=np.float32))
    for size in _SIZES:
        for region in regions:
            yield _best_match(region, _template(round(_WORK_HEIGHT_PX * size)))


def _search_box(size_wh: tuple[int, int], mark_px: int, corner: str) -> tuple[int, int, int, int]:
    """Return the corner area in which a mark of about this height lies."""
    largest = round(mark_px * _LARGEST)
    mark_wh = (make_mark(largest, "dark").coverage.shape[1], largest)
    left, top, right, bottom = box_of(size_wh, (min(mark_wh[0], size_wh[0]), min(mark_wh[1], size_wh[1])), corner)
    slack = round(mark_px * _SLACK)
    return max(0, left - slack), max(0, top - slack), min(size_wh[0], right + slack), min(size_wh[1], bottom + slack)


@functools.lru_cache(maxsize=32)
def _template(height_px: int) -> NDArray[np.float32]:
    """Return the letters' shape inside the plate's rim, zero mean and unit energy."""
    mark = make_mark(height_px, "dark")
    inset = max(1, height_px // 8)
    shape = mark.coverage[inset:-inset, 2 * inset : -2 * inset]
    centred = shape - shape.mean()
    unit: NDArray[np.float32] = (centred / np.linalg.norm(centred)).astype(np.float32)
    return unit


def _best_match(pixels: NDArray[np.float32], template: NDArray[np.float32]) -> float:
    """Return the highest absolute normalised correlation of the template anywhere in the picture."""
    rows, cols = pixels.shape[0] - template.shape[0] + 1, pixels.shape[1] - template.shape[1] + 1
    if rows < 1 or cols < 1:
        return -1.0
    spectrum = np.fft.rfft2(pixels) * np.conj(np.fft.rfft2(template, s=pixels.shape))
    product = np.fft.irfft2(spectrum, s=pixels.shape)[:rows, :cols]
    count = template.size
    total, squares = _window_sums(pixels, template.shape), _window_sums(pixels**2, template.shape)
    energy = np.sqrt(np.maximum(squares - total**2 / count, 0.0))
    # A flat area has no structure to compare; the floor keeps noise in it from scoring.
    return float(np.abs(product / np.maximum(energy, 2.0 * np.sqrt(count))).max())


def _window_sums(values: NDArray[np.float32], window_hw: tuple[int, ...]) -> NDArray[np.float64]:
    table = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    h, w = window_hw
    sums: NDArray[np.float64] = table[h:, w:] - table[:-h, w:] - table[h:, :-w] + table[:-h, :-w]
    return sums
