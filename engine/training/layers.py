# SPDX-License-Identifier: Apache-2.0
"""Person and backdrop of many pictures at once, on the device: `engine.warp.layers` and a simpler form of `plates`.

What is learned must hold in the running app, so both take pictures apart alike (a test compares them). The differences:
pictures of a sample come from one clip, lie over each other and share their background; gaps are filled in the
pictures' order, the rest by a pyramid instead of a membrane; and mattes, which are exact here or nearly, claim no rim.

Shapes: M pictures of side R, a power of two. Colours in [-1, 1], alpha in [0, 1], channels first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["complete_backdrops", "end_at_top", "fill_holes", "over", "separate_person"]

_EDGE_PX = 3  # background this far from the person is surely clean
# As in engine.warp.plates and layers; see there.
_CLEAR, _NEARLY_CLEAR = 0.03, 0.1
_MIN_ALPHA, _SURE_ALPHA = 0.08, 0.15


def fill_holes(rgb: Tensor, known: Tensor) -> Tensor:
    """Continue known pixels smoothly into unknown ones (push-pull pyramid, Gortler et al. 1996).

    Shapes:
        rgb: (M, 3, R, R). known: (M, 1, R, R) in [0, 1], 1 = keep. returns: (M, 3, R, R).
    """
    levels = [torch.cat([rgb * known, known], 1)]
    while levels[-1].shape[-1] > 1:
        levels.append(F.avg_pool2d(levels[-1], 2))
    filled = levels[-1][:, :3] / (levels[-1][:, 3:] + 1e-6)
    for level in reversed(levels[:-1]):
        wide = F.interpolate(filled, size=level.shape[-1], mode="bilinear", align_corners=False)
        filled = level[:, :3] + (1 - level[:, 3:]) * wide
    return filled


def end_at_top(alpha: Tensor) -> Tensor:
    """Return mattes (M, 1, R, R) with their first row cleared: the warp repeats the border outwards."""
    return torch.cat([torch.zeros_like(alpha[..., :1, :]), alpha[..., 1:, :]], -2)


def complete_backdrops(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Return every picture with the person taken out, completed from the others of its set and then by diffusion.

    Shapes:
        rgb: (B, N, 3, R, R). alpha: (B, N, 1, R, R). returns: (B, N, 3, R, R).
    """
    b, n = rgb.shape[:2]
    window = 2 * _EDGE_PX + 1
    known = (F.max_pool2d(alpha.flatten(0, 1), window, 1, _EDGE_PX) < _CLEAR).reshape(alpha.shape)
    plates, have = rgb, known
    for j in range(n if n > 1 else 0):
        fresh = known[:, j : j + 1] & ~have
        plates = torch.where(fresh, rgb[:, j : j + 1], plates)
        have = have | fresh
    have = have | (alpha < _NEARLY_CLEAR)
    return fill_holes(plates.flatten(0, 1), have.flatten(0, 1).to(rgb)).reshape(b, n, *rgb.shape[2:])


def separate_person(rgb: Tensor, alpha: Tensor, backdrops: Tensor) -> Tensor:
    """Return the person's own colours, continued past the silhouette: solves C = αF + (1 − α)B for F.

    Shapes:
        rgb, backdrops: (M, 3, R, R). alpha: (M, 1, R, R). returns: (M, 3, R, R).
    """
    unmixed = (rgb - (1 - alpha) * backdrops) / alpha.clamp_min(_MIN_ALPHA)
    trust = ((alpha - _MIN_ALPHA) / (_SURE_ALPHA - _MIN_ALPHA)).clamp(0, 1)
    return fill_holes(unmixed.clamp(-1, 1), trust)


def over(rgba: Tensor, backdrop: Tensor) -> Tensor:
    """Return a picture (M, 4, R, R), all channels in [-1, 1], over a backdrop (M, 3, R, R)."""
    cover = (rgba[:, 3:] + 1) / 2
    return cover * rgba[:, :3] + (1 - cover) * backdrop
