# SPDX-License-Identifier: Apache-2.0
"""Blocks shared by the encoder, the attention and the decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvBlock", "ResBlock", "dense_sample", "pixel_grid", "space_to_depth", "take", "upsampling_matrix"]


def pixel_grid(side: int, *, device: torch.device | None = None) -> Tensor:
    """Return pixel-centre coordinates, (side·side, 2) in [-1, 1], row-major, x then y.

    Made on the device that needs it: a copy from the host cannot be recorded into a CUDA graph.
    """
    axis = (torch.arange(side, dtype=torch.float32, device=device) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, ReLU; the norm folds into the convolution on export.

    Args:
        norm: without it the statistics of a small batch cannot disturb what is regressed to a fraction of a pixel;
            the start is then scaled for ReLU (He et al. 2015).
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, kernel: int = 3, norm: bool = True) -> None:
        convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=not norm)
        if norm:
            super().__init__(convolution, nn.BatchNorm2d(c_out), nn.ReLU())
            return
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        super().__init__(convolution, nn.ReLU())


class ResBlock(nn.Module):
    """Two 3×3 convolutions around a skip connection; without norms it starts as the identity (Zhang et al. 2019)."""

    def __init__(self, channels: int, *, norm: bool = True) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, 1, 1, bias=not norm)
        if not norm:
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)
        tail = [last, nn.BatchNorm2d(channels)] if norm else [last]
        self.body = nn.Sequential(ConvBlock(channels, channels, norm=norm), *tail)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def space_to_depth(x: Tensor) -> Tensor:
    """Fold every 2×2 pixels into channels, (B, C, R, R) -> (B, 4C, R/2, R/2); exports without a 6-D tensor."""
    return torch.cat([x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)


def take(x: Tensor, pick: Tensor) -> Tensor:
    """Select sources: x (B, N, ...), pick (B, K) int64 -> (B, K, ...)."""
    if x.shape[0] == 1:
        return x.index_select(1, pick[0])  # exports to one Gather
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    return x[rows, pick]


def dense_sample(maps: Tensor, flow: Tensor, weight: Tensor) -> Tensor:
    """Sample maps of K sources along token-resolution flows and blend them.

    Shapes:
        maps: (B, K, C, r, r). flow: (B·K, 2, t, t), offset to the source position. weight: (B·K, 1, T, T), sums to 1
        over K. returns: (B, C, r, r).
    Convention:
        coordinates in [-1, 1], align_corners=False, border padding. Always float32: autocast would run the products
        that enlarge the flow in half precision, a tenth of a pixel off where a head is turned far.
    """
    with torch.autocast(maps.device.type, enabled=False):
        return _dense_sample(maps.float(), flow.float(), weight.float())


def _dense_sample(maps: Tensor, flow: Tensor, weight: Tensor) -> Tensor:
    b, k, c, r, _ = maps.shape
    # Only after both products x and y go last, as grid_sample wants them: a product for each row with two columns takes
    # a third of the warp's time on a CPU, the transposed copy next to nothing.
    at = _enlarge(flow, r).permute(0, 2, 3, 1) + pixel_grid(r, device=flow.device).reshape(1, r, r, 2)
    moved = F.grid_sample(maps.flatten(0, 1), at, align_corners=False, padding_mode="border")
    return (moved * _enlarge(weight, r)).reshape(b, k, c, r, r).sum(1)


def _enlarge(x: Tensor, side: int) -> Tensor:
    """Bilinear upsampling, (B, C, t, t) -> (B, C, side, side)."""
    up = upsampling_matrix(x.shape[-1], side, device=x.device)
    return up @ x @ up.T


def upsampling_matrix(small: int, large: int, *, device: torch.device | None = None) -> Tensor:
    """Return bilinear upsampling of a row as a matrix, (large, small): two products replace an interpolation."""
    eye = torch.eye(small, device=device)[None]
    return F.interpolate(eye, size=large, mode="linear", align_corners=False)[0].T.contiguous()
