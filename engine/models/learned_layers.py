# SPDX-License-Identifier: Apache-2.0
"""Parts the three learned-keypoint models have in common: hourglass, keypoint detector, Gaussian maps, decoder.

Siarohin et al. 2019 (arXiv 2003.00196); the other two papers build on the same parts. Coordinates are pixel centres
in [-1, 1] (`align_corners=False`), x right, y down; the paper's lie at the corners. Keypoint arithmetic stays in
float32 under autocast: half precision moves a point by a pixel.

Shapes: B batch (or pictures), K keypoints, R picture side, r side of a map.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import ConvBlock, ResBlock, pixel_grid, upsampling_matrix

__all__ = [
    "VARIANCE",
    "FeatureDecoder",
    "FeatureEncoder",
    "Hourglass",
    "KeypointDetector",
    "gaussian_maps",
    "mean_over_sources",
    "resize_flow",
    "sample",
    "shrink",
]

VARIANCE = 0.01  # of a keypoint's Gaussian, in the units of [-1, 1]
_TEMPERATURE = 0.1  # of the heatmaps' softmax
_KERNEL = 7  # of the heads
_REACH = 3.0  # coordinates beyond are cut: far outside is outside, and samplers overflow at huge ones
_TRUST_PIXELS = 2.0  # sigmoid(2) = 0.88: start by keeping warped pixels


def shrink(rgb: Tensor, side_px: int) -> Tensor:
    """Average (B, C, R, R) down to (B, C, side_px, side_px), which is anti-aliased; R is a multiple of it."""
    return F.avg_pool2d(rgb, rgb.shape[-1] // side_px) if rgb.shape[-1] != side_px else rgb


def sample(maps: Tensor, at: Tensor) -> Tensor:
    """Sample maps (B, C, r, r) bilinearly at (B, h, w, 2), the nearest edge outside; float32."""
    at = at.float().clamp(-_REACH, _REACH)
    return F.grid_sample(maps.float(), at, align_corners=False, padding_mode="border")


def gaussian_maps(position: Tensor, grid: Tensor) -> Tensor:
    """Return exp(-|z - p|² / 2σ²) for positions (B, K, 2) at all places of a grid (M, 2) -> (B, K, M).

    Source:
        Siarohin et al. 2019, eq. 6.
    """
    gap = position.float()[:, :, None] - grid  # (B, K, M, 2)
    return torch.exp(gap.square().sum(-1) * (-0.5 / VARIANCE))


def mean_over_sources(x: Tensor, sources: int) -> Tensor:
    """Average (B·N, C, h, w) over the N sources of every sample -> (B, C, h, w)."""
    return x.reshape(-1, sources, x.shape[1] * x.shape[2] * x.shape[3]).mean(1).reshape(-1, *x.shape[1:])


def resize_flow(flow: Tensor, side_px: int) -> Tensor:
    """Resize a map of places (B, m, m, 2) to (B, side_px, side_px, 2): offsets bilinearly, the grid exactly."""
    b, m = flow.shape[:2]
    if m == side_px:
        return flow
    up = upsampling_matrix(m, side_px, device=flow.device).to(flow)
    offset = flow - pixel_grid(m, device=flow.device).to(flow).reshape(m, m, 2)
    # rows first, then columns, with x and y last all the time: the layout that sampling wants, no transposed copies
    tall = (up @ offset.reshape(b, m, m * 2)).reshape(b * side_px, m, 2)
    grid = pixel_grid(side_px, device=flow.device).to(flow)
    return (up @ tall).reshape(b, side_px, side_px, 2) + grid.reshape(side_px, side_px, 2)


class Hourglass(nn.Module):
    """U-Net: `levels` halvings, then `rises` doublings with skip connections.

    Widths double from 2 · width up to cap on the way down and halve on the way up. With rises = levels the input
    itself is joined at the end, as in the paper.

    Args:
        block: makes what stands at each level from its channels in and out. With `volume.SliceBlock` it is fv2v's 3-D
            U-Net over slices: height and width are halved, depth stays.
    """

    def __init__(
        self,
        c_in: int,
        width: int,
        *,
        cap: int,
        levels: int,
        rises: int | None = None,
        block: Callable[[int, int], nn.Module] = ConvBlock,
    ) -> None:
        super().__init__()
        rises = levels if rises is None else rises
        widths = [c_in, *(min(cap, width << (level + 1)) for level in range(levels))]
        self.down = nn.ModuleList(block(a, b) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList()
        channels = widths[-1]
        for level in range(levels - 1, levels - 1 - rises, -1):
            out = min(cap, width << level)
            self.up.append(block(channels, out))
            channels = out + widths[level]
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, r, r) -> (B, channels, r', r')."""
        kept = [x]
        for block in self.down:
            kept.append(F.avg_pool2d(block(kept[-1]), 2))
        x = kept.pop()
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = torch.cat([x, kept.pop().to(x.dtype)], 1)
        return x


class KeypointDetector(nn.Module):
    """Picture -> K positions, and further numbers per keypoint, pooled by the keypoint's own heatmap.

    The head convolutions see no padding, as in the authors' code: a border must not attract keypoints.

    Args:
        start: initial value of the further numbers of every keypoint; their weights start at zero.
    """

    grid: Tensor

    def __init__(
        self, keypoints: int, *, side_px: int, width: int, cap: int, levels: int, start: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self.side_px, self.keypoints, self.numbers = side_px, keypoints, len(start)
        self.body = Hourglass(3, width, cap=cap, levels=levels)
        self.heat = nn.Conv2d(self.body.channels, keypoints, _KERNEL)
        self.more = nn.Conv2d(self.body.channels, keypoints * len(start), _KERNEL) if start else None
        if self.more is not None:
            nn.init.zeros_(self.more.weight)
            assert self.more.bias is not None
            self.more.bias.data = torch.tensor(start).repeat(keypoints)
        edge = _KERNEL // 2
        grid = pixel_grid(side_px).reshape(side_px, side_px, 2)[edge:-edge, edge:-edge].reshape(-1, 2)
        self.register_buffer("grid", grid.contiguous(), persistent=False)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor | None]:
        """rgb (B, 3, R, R) in [-1, 1] -> positions (B, K, 2), numbers (B, K, C) or None."""
        features = self.body(shrink(rgb, self.side_px))
        with torch.autocast(rgb.device.type, enabled=False):
            features = features.float()
            heat = torch.softmax(self.heat(features).flatten(2) / _TEMPERATURE, -1)  # (B, K, M)
            position = heat @ self.grid
            if self.more is None:
                return position, None
            more = self.more(features).reshape(rgb.shape[0], self.keypoints, self.numbers, -1)
            return position, (more @ heat[..., None]).squeeze(-1)


class FeatureEncoder(nn.Sequential):
    """Picture (B, 3, R, R) -> features (B, width, R / stride, R / stride); widths double with every halving.

    Args:
        fine: as published: a 7×7 convolution at full resolution, then convolution and average pooling. Otherwise
            every halving is a stride, at a fifth of the cost.
    """

    def __init__(self, width: int, *, stride: int, fine: bool) -> None:
        halvings = stride.bit_length() - 1
        if fine:
            layers: list[nn.Module] = [ConvBlock(3, width >> halvings, kernel=7)]
            for level in range(halvings, 0, -1):
                layers += [ConvBlock(width >> level, width >> (level - 1)), nn.AvgPool2d(2)]
        else:
            layers = [ConvBlock(3, width >> (halvings - 1), stride=2, kernel=5)]
            layers += [
                ConvBlock(width >> level, width >> (level - 1), stride=2) for level in range(halvings - 1, 0, -1)
            ]
        super().__init__(*layers)


class FeatureDecoder(nn.Module):
    """Warped features -> picture: residual blocks at their own resolution, doublings, a last convolution.

    Johnson et al. 2016, as the FOMM and fv2v papers use it. Two things are ours and off in the published widths.
    Unless `fine`, the last doubling is a sub-pixel convolution (Shi et al. 2016): full-resolution layers cost a
    third of a frame. And with `pixels`, the warped source pixels are put before the decoder, which says where it
    keeps them, as the FOMM's authors do in their next paper (Siarohin et al. 2021): learning to paint skin and cloth
    from nothing takes days.
    """

    def __init__(self, width: int, *, blocks: int, stride: int, fine: bool, pixels: bool) -> None:
        super().__init__()
        self.pixels, self.scale = pixels, 1 if fine else 2
        widths = [width >> level for level in range((stride // self.scale).bit_length())]
        last = widths[-1]
        self.blocks = nn.Sequential(*[ResBlock(width) for _ in range(blocks)])
        self.up = nn.ModuleList(ConvBlock(a, b) for a, b in itertools.pairwise(widths))
        self.look = ConvBlock(3, last // 2, stride=self.scale, kernel=5) if pixels else None
        self.join = ConvBlock(last + last // 2, last) if pixels else None
        kernel = 7 if fine else 3
        self.out = nn.Conv2d(last, (4 if pixels else 3) * self.scale**2, kernel, 1, kernel // 2)
        nn.init.normal_(self.out.weight, std=0.01)  # start grey, or as the warped pixels are
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, pixels: Tensor | None = None) -> Tensor:
        """features (B, width, r, r), pixels (B, 3, R, R) or None -> rgb (B, 3, R, R) in [-1, 1], float32."""
        h = self.blocks(features)
        for block in self.up:
            h = block(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        if self.look is not None and self.join is not None:
            assert pixels is not None
            h = self.join(torch.cat([h, self.look(pixels)], 1))
        o = self.out(h).float()
        if self.scale > 1:
            o = F.pixel_shuffle(o, self.scale)
        rgb = torch.tanh(o[:, :3])
        if self.join is None:
            return rgb
        keep = torch.sigmoid(o[:, 3:] + _TRUST_PIXELS)
        return keep * pixels + (1 - keep) * rgb
