# SPDX-License-Identifier: Apache-2.0
"""The silhouette between two silhouettes: signed distances interpolated (Turk and O'Brien 1999). Pure, any thread.

Averaged alphas would be a halo; a distance that moves is an edge that moves.
"""

from __future__ import annotations

import numpy as np

from engine.cv import cv2
from engine.warp.flow import Float

__all__ = ["outline_between", "smoothstep"]

_EDGE_PX = 1.5  # half width of a silhouette's edge
_APART_PX = 4.0  # outlines this far apart differ
_SMOOTH_PX = 2.5  # smoothing of an outline half-way
_HOLE_SHARE = 0.01  # of the picture's area: a hole up to this size is none
_FAR_PX = 64.0  # distances beyond are all alike


def smoothstep(x: Float | float) -> Float:
    """Return 3x² − 2x³ of x clipped to [0, 1]."""
    t = np.clip(np.asarray(x, np.float32), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def outline_between(first: Float, second: Float, t: float) -> Float:
    """Return the alpha of the silhouette at a time between two covers: (R, R) float32 in [0, 1], t from 0 to 1."""
    far = [_signed_distance(cover) for cover in (first, second)]
    crisp = [_crisp(distance) for distance in far]
    apart = smoothstep(np.abs(far[0] - far[1]) / _APART_PX)
    middle = (1 - t) * far[0] + t * far[1]
    # Flow leaves ragged edges where the two outlines are far apart, and holes where a jaw hides a neck in one only.
    smooth = cv2.GaussianBlur(middle, (0, 0), 0.01 + _SMOOTH_PX * 4 * t * (1 - t))
    alpha = _crisp(_fill_small_holes(np.asarray(middle + apart * (smooth - middle), np.float32)))
    # What is soft in each (hair) stays where the outlines agree; elsewhere with each near its own end of the way.
    for share, cover, sharp in ((1 - t, first, crisp[0]), (t, second, crisp[1])):
        alpha = alpha + (share + apart * (share**3 - share)) * (cover - sharp)
    return np.asarray(np.clip(alpha, 0.0, 1.0), np.float32)


def _fill_small_holes(distance: Float) -> Float:
    """Close what is outside by signed distance, small, and inside the person."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((distance < 0).astype(np.uint8), connectivity=4)
    side = distance.shape[0]
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        inner = left > 0 and top > 0 and left + width < side and top + height < side
        if inner and area < _HOLE_SHARE * side * side:
            distance = np.where(labels == label, np.float32(_EDGE_PX), distance)
    return distance


def _signed_distance(cover: Float) -> Float:
    inside = (cover > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return np.full(cover.shape, _FAR_PX if inside.any() else -_FAR_PX, np.float32)
    inner = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return np.asarray(np.clip(inner - outer + np.where(inside > 0, -0.5, 0.5), -_FAR_PX, _FAR_PX), np.float32)


def _crisp(distance: Float) -> Float:
    return np.asarray(np.clip(0.5 + distance / (2 * _EDGE_PX), 0.0, 1.0), np.float32)
