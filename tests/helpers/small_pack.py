# SPDX-License-Identifier: Apache-2.0
"""A handful of made-up frames as a pack in memory: canonical faces on coloured discs that move over a still ground."""

from __future__ import annotations

import numpy as np

from engine.assets import load_canonical_face
from engine.training.data import PackItem, PackSplit

SIDE_PX = 64


def small_split(
    *, clips: int = 2, frames: int = 6, stills: int = 2, side_px: int = SIDE_PX, seed: int = 0
) -> PackSplit:
    """Return a split of so many clips of so many frames, and stills."""
    rng = np.random.default_rng(seed)
    face = load_canonical_face() * 0.25
    y, x = (np.mgrid[:side_px, :side_px] + 0.5) / side_px * 2 - 1
    rgb, alpha, keypoints, items = [], [], [], []
    for index in range(clips + stills):
        count = frames if index < clips else 1
        ground, skin, hair = rng.integers(0, 255, (3, 3))
        start = len(rgb)
        for _ in range(count):
            shift = rng.uniform(-0.15, 0.15, 2)
            wobble = rng.normal(0, 0.003, face.shape)
            far = np.hypot(x - shift[0], y - shift[1])
            matte = np.clip((0.6 - far) * side_px / 4, 0, 1)
            inside = np.where((far < 0.3)[..., None], skin, hair)
            picture = matte[..., None] * inside + (1 - matte[..., None]) * (ground + 20 * np.sin(9 * x)[..., None])
            rgb.append(np.clip(picture, 0, 255).astype(np.uint8))
            alpha.append((matte * 255).astype(np.uint8))
            keypoints.append((face + wobble + [*shift, 0]).astype(np.float32))
        kind = "clip" if index < clips else "still"
        items.append(PackItem(f"{kind}{index}", kind, "made_up", start, len(rgb)))
    return PackSplit(np.stack(rgb), np.stack(alpha), np.stack(keypoints), tuple(items))
