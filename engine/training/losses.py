# SPDX-License-Identifier: Apache-2.0
"""What a picture made by the model is held against in training: pixels at every scale, the face above all. Offline.

Convention: pictures (B, 3, R, R) in [-1, 1]; keypoints (B, 478, 3) in portrait space.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.landmarks import EYES, IRISES, LIPS
from engine.models.implicit_warp import ImplicitWarp
from engine.models.layers import pixel_grid
from engine.training.samples import Sample

__all__ = ["face_weight", "laplacian_loss", "sample_loss", "ssim_loss", "texture_loss"]

_LEVELS = 5
_BAND_SHARE = 1.5  # of a band of detail against the small picture left at the end
_GRID = 64  # side the weight is computed at; it is smooth
_TEXTURE_WINDOW, _TEXTURE_STEP = 16, 8  # pixels: a strand of hair may be elsewhere in it
_SSIM_WINDOW = 7
_SSIM_C1, _SSIM_C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # the range is 2
_FACE, _FACE_REACH = 2.0, 0.12  # weight on top of 1, and how far it reaches, portrait units
_FEATURE, _FEATURE_REACH = 6.0, 0.05  # lips and eyes are small, and what a viewer looks at
_FACE_POINTS = tuple(range(0, 468, 6))  # the skin is dense: every sixth point covers it
_FEATURE_POINTS = (*LIPS, *EYES, *IRISES)


def sample_loss(model: ImplicitWarp, sample: Sample) -> Tensor:
    """Return how far the warped pixels over their backdrop are from the driving frame, a scalar."""
    _, pixels = model(sample.rgba, sample.source_keypoints, sample.keypoints)
    cover = (pixels[:, 3:] + 1) / 2
    output = cover * pixels[:, :3] + (1 - cover) * sample.backdrop
    weight = face_weight(sample.keypoints, side_px=output.shape[-1])
    return laplacian_loss(output, sample.truth, weight)


def laplacian_loss(output: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted L1 distance of two Laplacian pyramids (Burt & Adelson 1983), a scalar.

    A plain L1 distance has no slope where a displaced edge does not overlap its place; the coarse bands give it one.

    Shapes:
        output, truth: (B, 3, R, R), R divisible by 32. weight: (B, 1, R, R).
    """
    # The pyramid is linear: the difference is taken apart once instead of both pictures.
    rest = output - truth
    loss = rest.new_zeros(())
    for _ in range(_LEVELS):
        small = F.avg_pool2d(rest, 2)
        band = rest - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
        loss = loss + _BAND_SHARE * (band.abs() * weight).mean()
        rest, weight = small, F.avg_pool2d(weight, 2)
    return loss + (rest.abs() * weight).mean()


def face_weight(keypoints: Tensor, *, side_px: int) -> Tensor:
    """Return how much every pixel counts: most near lips and eyes, (B, 1, side_px, side_px)."""
    grid = pixel_grid(_GRID).to(keypoints)

    def near(points: tuple[int, ...], reach: float) -> Tensor:
        gap = torch.cdist(grid.expand(len(keypoints), -1, -1), keypoints[:, list(points), :2]).amin(-1)
        return torch.exp(-((gap / reach) ** 2)).reshape(-1, 1, _GRID, _GRID)

    weight = 1 + _FACE * near(_FACE_POINTS, _FACE_REACH) + _FEATURE * near(_FEATURE_POINTS, _FEATURE_REACH)
    return F.interpolate(weight, size=(side_px, side_px), mode="bilinear", align_corners=False) / 2


def ssim_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Return 1 − mean structural similarity with flat 7×7 windows (Wang et al. 2004), a scalar.

    Shapes:
        output, truth: (B, 3, R, R) in [-1, 1].
    """

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, _SSIM_WINDOW, 1, _SSIM_WINDOW // 2, count_include_pad=False)

    a, b = mean(output), mean(truth)
    variance_a, variance_b = mean(output * output) - a * a, mean(truth * truth) - b * b
    covariance = mean(output * truth) - a * b
    likeness = (2 * a * b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return 1 - (likeness / ((a * a + b * b + _SSIM_C1) * (variance_a + variance_b + _SSIM_C2))).mean()


def texture_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Return how far the amount of fine detail is off, window by window, a scalar.

    Hair that cannot be put where it is can still look like hair: pixel losses alone prefer a blur, this one does not
    mind where in its window the detail lies.

    Shapes:
        output, truth: (B, 3, R, R).
    """

    def amount(x: Tensor) -> Tensor:
        fine = x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return F.avg_pool2d(fine.abs(), _TEXTURE_WINDOW, _TEXTURE_STEP)

    return (amount(output) - amount(truth)).abs().mean()
