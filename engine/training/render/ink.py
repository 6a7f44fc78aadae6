# SPDX-License-Identifier: Apache-2.0
"""Ink lines for the cel look: drawn where depth, surface direction or material change between neighbours.

Data flow: renderer (supersampled RGBA and map) → ink_lines → renderer. Works on CPU arrays.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2

__all__ = ["draw_ink"]

_DEPTH_STEP_M = 0.011  # a crease deeper than this gets a line: nose over cheek, chin over neck
_NORMAL_STEP = 0.55
_FAR_M = 9.0


def draw_ink(
    rgba: NDArray[np.uint8], surface: NDArray[np.float32], *, colour: NDArray[np.float32], width_px: int
) -> NDArray[np.uint8]:
    """Return the picture with ink lines; the outline lies half outside the figure and is opaque.

    Shapes:
        rgba: (S, S, 4) uint8, straight alpha. surface: (S, S, 4) float32: view normal x, y, distance, material.
    Args:
        colour: (3,) sRGB 0…255. width_px: of the outline, in pixels of this picture.
    """
    inside = rgba[..., 3] > 127
    depth = np.where(inside, surface[..., 2], _FAR_M).astype(np.float32)
    # A slope seen edge-on has a large depth gradient but no second difference: measure the latter.
    bend = np.abs(cv2.Laplacian(depth, cv2.CV_32F, ksize=1))
    outline = _edge(inside.astype(np.float32)) > 0.5
    inner = inside & (bend > _DEPTH_STEP_M)
    inner |= inside & (_edge(surface[..., 3]) > 0.1) & (surface[..., 2] > 0)
    turn = np.maximum(_edge(surface[..., 0]), _edge(surface[..., 1]))
    inner |= inside & (turn > _NORMAL_STEP) & (np.abs(surface[..., 3] - 0.4) > 0.05)
    lines = np.maximum(_thick(outline, width_px), _thick(inner & ~outline, max(1, round(width_px * 0.55))))
    share = lines[..., None]
    rgb = rgba[..., :3] * (1 - share) + colour * share
    alpha = np.maximum(rgba[..., 3].astype(np.float32), lines * 255)
    return cast("NDArray[np.uint8]", np.rint(np.dstack([rgb, alpha])).astype(np.uint8))


def _edge(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest difference to the right and lower neighbours (S, S)."""
    result = np.zeros_like(values)
    result[:, :-1] = np.abs(np.diff(values, axis=1))
    result[:-1] = np.maximum(result[:-1], np.abs(np.diff(values, axis=0)))
    return result


def _thick(lines: NDArray[np.bool_], width_px: int) -> NDArray[np.float32]:
    """Return the lines widened to width_px, (S, S) float32 in [0, 1]."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width_px, width_px))
    return cast("NDArray[np.float32]", cv2.dilate(lines.astype(np.float32), kernel))
