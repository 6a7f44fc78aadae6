# SPDX-License-Identifier: Apache-2.0
"""Watermarked frames for tests, made by the real gate."""

from __future__ import annotations

import numpy as np

from engine.types import Composite, OutputFrame
from engine.watermark.gate import seal

__all__ = ["NS_PER_S", "marked_frame", "marked_frames"]

NS_PER_S = 1_000_000_000


def marked_frame(level: int = 90, *, size_wh: tuple[int, int] = (320, 240), at_ns: int = 0) -> OutputFrame:
    """Return a frame of one grey level with a moving bar, marked."""
    rgb = np.full((size_wh[1], size_wh[0], 3), level, np.uint8)
    column = (at_ns // 10_000_000) % max(1, size_wh[0] - 8)
    rgb[size_wh[1] // 2 :, column : column + 8] = (230, 120, 40)
    return seal(Composite(at_ns, rgb), rendered_ns=at_ns, consented=True)


def marked_frames(count: int, *, fps: float = 30.0, size_wh: tuple[int, int] = (320, 240)) -> list[OutputFrame]:
    """Return frames captured `fps` times a second."""
    return [marked_frame(60 + n % 100, size_wh=size_wh, at_ns=round(n * NS_PER_S / fps)) for n in range(count)]
