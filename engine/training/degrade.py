# SPDX-License-Identifier: Apache-2.0
"""What cameras and files do to a source picture: soft focus, sensor noise, JPEG. On the device. Offline.

Only sources are degraded, each on its own: what is to be reproduced stays as it is, and the driving side reaches the
model as landmarks, which get noise of their own. Drawn by the caller for the whole batch, like `augment`.

Shapes: M pictures (M, 3, R, R) in [-1, 1], R divisible by 8.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

__all__ = ["Degradation", "degrade"]

_SHARE = 0.15  # of the pictures, for each of the three on its own
_BLUR_PX = 1.0  # largest standard deviation
_NOISE = 8 / 255  # largest standard deviation, of a range of 2: 4 steps of 255
_COARSEST = 4.0  # factor on the quantisation table of quality 50: about quality 12
_BLOCK = 8
# Luminance quantisation of JPEG at quality 50 (ITU-T T.81, table K.1), for all three channels here.
_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


class Degradation(NamedTuple):
    """Draws for M pictures, 0 where nothing is done. blur, noise, coarse: (M,). seed: (M,) of the noise."""

    blur: Tensor
    noise: Tensor
    coarse: Tensor
    seed: Tensor

    @classmethod
    def draw(cls, count: int, rng: Generator) -> Degradation:
        """Draw for a number of pictures."""

        def some(most: float) -> Tensor:
            chosen = torch.rand(count, generator=rng) < _SHARE
            return torch.rand(count, generator=rng) * most * chosen

        seed = torch.randint(2**62, (count,), generator=rng)
        return cls(some(_BLUR_PX), some(_NOISE), some(_COARSEST), seed)

    def of_sources(self, pictures: int) -> Degradation:
        """Spare the last of every so many pictures: the driving frame."""
        source = (torch.arange(len(self.blur)) + 1) % pictures != 0
        return Degradation(self.blur * source, self.noise * source, self.coarse * source, self.seed)


def degrade(rgb: Tensor, change: Degradation) -> Tensor:
    """Blur, add noise and compress, in the order of a camera."""
    rgb = rgb.clone()
    for i in change.blur.nonzero()[:, 0].tolist():
        rgb[i] = _blurred(rgb[i], float(change.blur[i]))
    for i in change.noise.nonzero()[:, 0].tolist():
        rng = torch.Generator().manual_seed(int(change.seed[i]))  # on the CPU: the same on every device
        rgb[i] += torch.randn(rgb[i].shape, generator=rng).to(rgb) * float(change.noise[i])
    chosen = change.coarse.nonzero()[:, 0].to(rgb.device)
    if len(chosen):
        rgb[chosen] = _compressed(rgb[chosen], change.coarse.to(rgb)[chosen])
    return rgb.clamp(-1, 1)


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    reach = 3
    at = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-0.5 * (at / max(sigma, 1e-3)) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(picture[None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)[0]


def _compressed(rgb: Tensor, coarse: Tensor) -> Tensor:
    """Quantise the 8×8 cosine transform as JPEG does, without its chroma subsampling."""
    m, _, side, _ = rgb.shape
    n = side // _BLOCK
    index = torch.arange(_BLOCK, dtype=torch.float32)
    basis = torch.cos(math.pi / _BLOCK * (index[None] + 0.5) * index[:, None]) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    basis = basis.to(rgb)
    blocks = rgb.reshape(m, 3, n, _BLOCK, n, _BLOCK).transpose(3, 4)
    step = torch.tensor(_TABLE).to(rgb) * (2 / 255) * coarse[:, None, None, None, None, None]
    spectrum = torch.round(basis @ blocks @ basis.T / step) * step
    return (basis.T @ spectrum @ basis).transpose(3, 4).reshape(rgb.shape)
