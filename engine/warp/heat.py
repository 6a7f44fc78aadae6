# SPDX-License-Identifier: Apache-2.0
"""The heat map: which source picture each output pixel came from.

The attention's weights are inside the exported graph. They come out by rendering the same frame once more from pictures
that are painted in one flat value each: warped, mixed and blended exactly as the real ones, such a picture has at every
pixel the mean of the values, weighted by what each source gave. A frame is drawn by at most two pictures, so one
channel tells their shares apart. Works on every back-end; costs one more frame. Render thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE", "heat_colours", "heat_legend", "paint_values", "shares_from", "tint"]

# Sixteen colours that differ in hue first and lightness second; the first eight are told apart with any colour vision
# (Okabe, Ito 2008, "Color Universal Design").
PALETTE = np.array(
    [
        *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0)),
        *((240, 228, 66), (160, 160, 160), (110, 70, 200), (120, 200, 60), (250, 120, 120), (0, 90, 90)),
        *((140, 90, 40), (190, 230, 250), (90, 20, 60), (250, 200, 220)),
    ],
    np.uint8,
)
_NAMES = (
    *("blue", "orange", "green", "pink", "sky blue", "red", "yellow", "grey"),
    *("violet", "light green", "salmon", "teal", "brown", "pale blue", "wine", "rose"),
)
_TINT = 0.62  # of the palette's colour; the rest is the character's own light and dark


def paint_values(count: int) -> NDArray[np.float32]:
    """Return the value, in [-1, 1], that each of N pictures is painted with, (N,)."""
    return np.linspace(-1.0, 1.0, count, dtype=np.float32) if count > 1 else np.zeros(1, np.float32)


def shares_from(
    painted: NDArray[np.float32], pick: NDArray[np.int64], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what each picture gave to each pixel.

    Shapes:
        painted: (R, R), the painted frame's channel. pick: (K,), K = 1 or 2, the pictures it was drawn by.
        values: (N,), see `paint_values`. returns: (R, R, N) float32, sums to 1 over N.
    """
    shares = np.zeros((*painted.shape, len(values)), np.float32)
    first, last = int(pick[0]), int(pick[-1])
    if first == last:
        shares[..., first] = 1.0
        return shares
    part = np.clip((painted - values[last]) / (values[first] - values[last]), 0.0, 1.0)
    shares[..., first], shares[..., last] = part, 1.0 - part
    return shares


def heat_colours(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return shares (R, R, N) as colours of `PALETTE`, (R, R, 3) uint8."""
    colours = PALETTE[np.arange(shares.shape[-1]) % len(PALETTE)].astype(np.float32)
    return np.asarray(np.rint(shares @ colours), np.uint8)


def tint(rgba: NDArray[np.uint8], shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the character in the colours of its sources, its light and dark kept; (R, R, 4) uint8."""
    grey = rgba[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    colours = heat_colours(shares).astype(np.float32)
    mixed = _TINT * colours * (0.45 + 0.55 * grey[..., None] / 255.0) + (1.0 - _TINT) * grey[..., None]
    out = rgba.copy()
    out[..., :3] = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
    return out


def heat_legend(names: Sequence[str]) -> str:
    """Return which picture has which colour, in the set's order, as one line."""
    return "colours: " + ", ".join(f"{_NAMES[i % len(_NAMES)]} {name}" for i, name in enumerate(names))
