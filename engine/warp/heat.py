# SPDX-License-Identifier: Apache-2.0
"""The heat map: which source picture each output pixel came from, in colours.

The shares are the attention's own weights (`engine.runtime.openvino_shares`). A decoder behind the attention moves
places a little and repaints colours where nothing fits; what it started from is what the map shows. Render thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE", "heat_colours", "heat_legend", "tint"]

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
