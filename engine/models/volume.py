# SPDX-License-Identifier: Apache-2.0
"""Feature volumes with 4-D operators only: 3-D convolution and 3-D sampling as every back-end runs them.

A volume of D slices is kept as pictures (B·D, C, h, w) for convolutions, and as one tall picture (B, C, D·h, w), the
slices below each other, for sampling. A 3-D convolution is then a 2-D one over neighbouring slices stacked in the
channels, and a trilinear sample is two bilinear ones, in the slices before and behind, blended by depth: equal to
torch's 5-D `grid_sample`, for which TensorRT has no operator.

Coordinates (x, y, z) are voxel centres in [-1, 1] (`align_corners=False`); outside, the nearest edge counts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import pixel_grid, upsampling_matrix

__all__ = ["SliceBlock", "SliceConv", "resize_places", "sample_volume", "slice_grid", "tall"]

_REACH = 3.0  # coordinates beyond are cut


def slice_grid(depth: int, side: int, *, device: torch.device | None = None) -> Tensor:
    """Return voxel centres, (depth·side·side, 3), slice by slice, row-major; x, y, z."""
    z = ((torch.arange(depth, dtype=torch.float32, device=device) + 0.5) / depth * 2 - 1).repeat_interleave(side * side)
    return torch.cat([pixel_grid(side, device=device).repeat(depth, 1), z[:, None]], -1)


def tall(slices: Tensor, depth: int) -> Tensor:
    """Slices (B·D, C, h, w) -> tall picture (B, C, D·h, w)."""
    c, h, w = slices.shape[1:]
    return slices.reshape(-1, depth, c, h * w).transpose(1, 2).reshape(-1, c, depth * h, w)


def sample_volume(volume: Tensor, at: Tensor, *, depth: int) -> Tensor:
    """Sample a tall volume (B, C, D·h, w) trilinearly at places (B, p, q, 3) -> (B, C, p, q), float32."""
    volume, at = volume.float(), at.float().clamp(-_REACH, _REACH)
    h = volume.shape[2] // depth
    x, y, z = at[..., 0], at[..., 1], at[..., 2]
    row = ((y + 1) * (h / 2) - 0.5).clamp(0, h - 1)  # never into the next slice
    level = ((z + 1) * (depth / 2) - 0.5).clamp(0, depth - 1)
    before = level.detach().floor()
    behind = (before + 1).clamp(max=depth - 1)
    share = (level - before)[:, None]

    def slices(number: Tensor) -> Tensor:
        place = torch.stack([x, (number * h + row + 0.5) * (2 / (depth * h)) - 1], -1)
        return F.grid_sample(volume, place, align_corners=False, padding_mode="border")

    return (1 - share) * slices(before) + share * slices(behind)


def resize_places(places: Tensor, *, size: tuple[int, int], to: tuple[int, int]) -> Tensor:
    """Resize a volume of places (B, d·m·m, 3), size (d, m), to (B, D·r·r, 3): offsets linearly, the grid exactly."""
    (d, m), (depth, side) = size, to
    b = places.shape[0]
    x = places - slice_grid(d, m, device=places.device).to(places)
    x = upsampling_matrix(d, depth, device=x.device).to(x) @ x.reshape(b, d, m * m * 3)
    up = upsampling_matrix(m, side, device=x.device).to(x)
    x = up @ x.reshape(b * depth, m, m * 3)
    x = up @ x.reshape(b * depth * side, m, 3)
    return x.reshape(b, depth * side * side, 3) + slice_grid(depth, side, device=x.device).to(x)


class SliceConv(nn.Module):
    """3-D convolution of slices (B·D, C, h, w), zeros outside.

    Args:
        kernel: side, odd. factorised: a 2-D convolution, then one along the depth ((2+1)-D, Tran et al. 2018).
    """

    def __init__(
        self, c_in: int, c_out: int, *, depth: int, kernel: int = 3, factorised: bool, bias: bool = True
    ) -> None:
        super().__init__()
        self.depth, self.reach = depth, kernel // 2
        if factorised:
            self.flat: nn.Conv2d | None = nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2, bias=False)
            self.deep = nn.Conv2d(c_out * kernel, c_out, 1, bias=bias)
        else:
            self.flat = None
            self.deep = nn.Conv2d(c_in * kernel, c_out, kernel, 1, kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.flat is not None:
            x = self.flat(x)
        return self.deep(self._neighbours(x))

    def _neighbours(self, x: Tensor) -> Tensor:
        """Stack the slices before, at and behind every slice in the channels."""
        c, h, w = x.shape[1:]
        d, reach = self.depth, self.reach
        x = x.reshape(-1, d, c, h * w)
        outside = torch.zeros_like(x[:, :1]).expand(-1, reach, -1, -1)
        padded = torch.cat([outside, x, outside], 1)
        stacked = torch.cat([padded[:, shift : shift + d] for shift in range(2 * reach + 1)], 2)
        return stacked.reshape(-1, c * (2 * reach + 1), h, w)


class SliceBlock(nn.Sequential):
    """3-D convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, *, depth: int, factorised: bool) -> None:
        super().__init__(
            SliceConv(c_in, c_out, depth=depth, factorised=factorised, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
        )
