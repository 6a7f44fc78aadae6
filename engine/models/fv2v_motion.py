# SPDX-License-Identifier: Apache-2.0
"""The motion side of fv2v: canonical keypoints, pose and expression of pictures, dense 3-D motion between two.

Wang, Mallya, Liu 2021 (arXiv 2011.15126) §3.1 and appendix; see `fv2v` for what differs.

Shapes: B pictures, K keypoints, d slices of side m, V = d·m·m voxels.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import ConvBlock, pixel_grid
from engine.models.learned_config import Fv2vConfig
from engine.models.learned_layers import VARIANCE, Hourglass, shrink
from engine.models.volume import SliceBlock, SliceConv, sample_volume, slice_grid

__all__ = ["CanonicalDetector", "DenseMotion3d", "Flow3d", "PoseNet", "Posed", "rotation_from"]

_TEMPERATURE = 0.1
_FOLLOW = 4.0  # initial mask logit on a driving keypoint, against 0 for the background
_TRUST = 2.0  # initial logit of "not hidden"
_EPS = 1e-6
_START_RADIUS, _START_DEPTH, _START_SIGMA = 0.45, 0.33, 0.2  # the depth is the one that the keypoint prior wants


class Posed(NamedTuple):
    """Keypoints where a picture has them, position (B, K, 3), and the head's rotation (B, 3, 3)."""

    position: Tensor
    rotation: Tensor


class Flow3d(NamedTuple):
    """places: (B, V, 3) of every driving voxel in the source. occlusion: (B, 1, m, m) in [0, 1]. surface: (B, d, m, m)
    share of each slice in what is seen, sums to 1 over d; None where no pixels are carried."""

    places: Tensor
    occlusion: Tensor
    surface: Tensor | None


def rotation_from(vectors: Tensor) -> Tensor:
    """Return rotations (B, 3, 3) from two columns each, (B, 6), by Gram-Schmidt (Zhou et al. 2019, eq. 15)."""
    first, second = vectors[:, :3], vectors[:, 3:]
    x = _unit(first)
    y = _unit(second - (x * second).sum(-1, keepdim=True) * x)
    z = torch.stack(
        [
            x[:, 1] * y[:, 2] - x[:, 2] * y[:, 1],
            x[:, 2] * y[:, 0] - x[:, 0] * y[:, 2],
            x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0],
        ],
        -1,
    )  # torch.linalg.cross does not export
    return torch.stack([x, y, z], -1)


def _unit(vector: Tensor) -> Tensor:
    return vector / (vector.square().sum(-1, keepdim=True) + _EPS).sqrt()


def _spread(count: int) -> Tensor:
    """Return points evenly spread over a ball's surface, (count, 3): a golden-angle spiral."""
    height = 1 - 2 * (torch.arange(count) + 0.5) / count
    angle = torch.arange(count) * (math.pi * (3 - 5**0.5))
    ring = (1 - height.square()).sqrt()
    ball = torch.stack([ring * angle.cos(), height, ring * angle.sin()], -1)
    return _START_RADIUS * ball + torch.tensor([0.0, 0.0, _START_DEPTH])


class CanonicalDetector(nn.Module):
    """Picture -> keypoints of the face at rest, turned to the front; 3-D heatmaps, soft-argmax (paper App. A).

    A bump per keypoint is added to the heatmaps, so that the keypoints start spread over a ball in the middle of the
    picture and not all in one place, from where the keypoint prior has to drive them apart.
    """

    grid: Tensor
    start: Tensor

    def __init__(self, config: Fv2vConfig) -> None:
        super().__init__()
        levels, cap, width, depth = config.detector_levels, config.detector_cap, config.detector_width, config.depth
        widths = [3, *(min(cap, width << (level + 1)) for level in range(levels))]
        self.side_px, self.depth, self.keypoints = config.motion_px, depth, config.keypoints
        self.down = nn.Sequential(
            *[nn.Sequential(ConvBlock(widths[i], widths[i + 1]), nn.AvgPool2d(2)) for i in range(levels)]
        )
        self.lift = nn.Conv2d(widths[-1], widths[-1] * depth, 1)
        kind = {"depth": depth, "factorised": config.factorised}
        self.up = nn.ModuleList()
        channels = widths[-1]
        for level in reversed(range(levels - config.detector_rises, levels)):
            out = min(cap, width << level)
            self.up.append(SliceBlock(channels, out, **kind))  # type: ignore[arg-type]
            channels = out
        self.heat = SliceConv(channels, config.keypoints, **kind)  # type: ignore[arg-type]
        side = config.motion_px >> (levels - config.detector_rises)
        grid = slice_grid(depth, side)
        gap = (grid - _spread(config.keypoints)[:, None]).square().sum(-1)  # (K, V)
        self.register_buffer("grid", grid, persistent=False)
        self.register_buffer("start", gap * (-0.5 * _TEMPERATURE / _START_SIGMA**2), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """rgb (B, 3, R, R) -> (B, K, 3)."""
        x = self.lift(self.down(shrink(rgb, self.side_px)))
        h, w = x.shape[2:]
        x = x.reshape(-1, x.shape[1] // self.depth, h, w)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        with torch.autocast(rgb.device.type, enabled=False):
            heat = self.heat(x.float())
            heat = heat.reshape(-1, self.depth, self.keypoints, heat.shape[2] * heat.shape[3]).transpose(1, 2)
            return torch.softmax((heat.flatten(2) + self.start) / _TEMPERATURE, -1) @ self.grid


class _Bottleneck(nn.Module):
    """1×1 to a quarter of the width, 3×3, 1×1 to the width, around a skip connection (He et al. 2016)."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        inner = c_out // 4
        self.body = nn.Sequential(
            ConvBlock(c_in, inner, kernel=1),
            ConvBlock(inner, inner, stride=stride),
            nn.Conv2d(inner, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.skip: nn.Module = nn.Identity()
        if c_in != c_out or stride > 1:
            self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.body(x))


class PoseNet(nn.Module):
    """Picture -> rotation, translation and expression of the head, by a residual network (paper App. A).

    With `pose_places` every channel also says where in the picture it is strongest (spatial softmax, Finn et al.
    2016): from plain averages a head's position takes many thousand pictures to learn.
    """

    grid: Tensor

    def __init__(self, config: Fv2vConfig) -> None:
        super().__init__()
        self.side_px, self.keypoints = config.pose_px, config.keypoints
        channels = config.pose_width // 4
        layers: list[nn.Module] = [ConvBlock(3, channels, stride=2, kernel=7), nn.AvgPool2d(2)]
        for stage, blocks in enumerate(config.pose_blocks):
            width = config.pose_width << stage
            layers.append(_Bottleneck(channels, width, stride=2 if stage else 1))
            layers += [_Bottleneck(width, width) for _ in range(blocks)]
            channels = width
        self.body = nn.Sequential(*layers)
        self.places = config.pose_places
        self.head = nn.Linear(channels * (3 if self.places else 1), 9 + 3 * config.keypoints)
        nn.init.normal_(self.head.weight, std=1e-3)  # start: upright, at rest
        self.head.bias.data.zero_()
        self.head.bias.data[[0, 4]] = 1.0  # the first two columns of the identity
        self.register_buffer("grid", pixel_grid(config.pose_px >> (len(config.pose_blocks) + 1)), persistent=False)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """rgb (B, 3, R, R) -> rotation (B, 3, 3), translation (B, 3), expression (B, K, 3)."""
        features = self.body(shrink(rgb, self.side_px)).flatten(2)  # (B, C, h·w)
        with torch.autocast(rgb.device.type, enabled=False):
            features = features.float()
            pooled = features.mean(2)
            if self.places:
                where = torch.softmax(features, -1) @ self.grid  # (B, C, 2)
                pooled = torch.cat([pooled, where.flatten(1)], 1)
            o = self.head(pooled)
            return rotation_from(o[:, :6]), o[:, 6:9], o[:, 9:].reshape(-1, self.keypoints, 3)


class DenseMotion3d(nn.Module):
    """Keypoints of two pictures and the source's volume -> where every driving voxel lies in the source."""

    grid: Tensor

    def __init__(self, config: Fv2vConfig) -> None:
        super().__init__()
        self.depth, self.side, self.source_depth = config.flow_depth, config.flow_px, config.depth
        parts = config.keypoints + 1
        kind = {"depth": config.flow_depth, "factorised": config.factorised}
        self.body = Hourglass(
            parts * (config.compressed + 1),
            config.flow_width,
            cap=config.flow_cap,
            levels=config.flow_levels,
            block=functools.partial(SliceBlock, **kind),
        )
        channels = self.body.channels
        self.mask = SliceConv(channels, parts, kernel=config.flow_kernel, **kind)  # type: ignore[arg-type]
        self.occlusion = nn.Conv2d(channels * config.flow_depth, 1, 7, 1, 3)
        self.surface = nn.Conv2d(channels * config.flow_depth, config.flow_depth, 1) if config.pixels else None
        for head, bias in ((self.mask.deep, 0.0), (self.occlusion, _TRUST), (self.surface, 0.0)):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.constant_(head.bias, bias)  # type: ignore[arg-type]
        self.follow = nn.Parameter(torch.tensor(_FOLLOW))
        # Slices lie further apart than a Gaussian is wide in a shallow volume: a slice counts as one σ at most.
        self.flatten_z = min(1.0, VARIANCE**0.5 * config.flow_depth / 2)
        self.register_buffer("grid", slice_grid(config.flow_depth, config.flow_px), persistent=False)

    def forward(self, driving: Posed, source: Posed, compressed: Tensor) -> Flow3d:
        """Keypoints of B pairs, compressed source volume (B, c, D·m', m') -> `Flow3d`."""
        d, m = self.depth, self.side
        with torch.autocast(compressed.device.type, enabled=False):
            here = self._gaussians(driving.position)  # (B, K, V)
            heat = here - self._gaussians(source.position)
            moves = self._local_motion(driving, source)  # (B, K + 1, V, 3)
            b, parts = moves.shape[:2]
            moved = sample_volume(compressed, moves.reshape(b, parts * d * m, m, 3), depth=self.source_depth)
            nothing = torch.zeros_like(heat[:, :1])
            heat, here = torch.cat([nothing, heat], 1), torch.cat([nothing, here], 1)
            c = moved.shape[1]
            x = torch.cat([heat.reshape(b, parts, d, m * m), moved.reshape(b, c * parts, d, m * m)], 1)
            x = x.transpose(1, 2).reshape(b * d, (c + 1) * parts, m, m)
        features = self.body(x)
        with torch.autocast(compressed.device.type, enabled=False):
            features = features.float()
            logits = self.mask(features).reshape(b, d, parts, m * m).transpose(1, 2).flatten(2)  # (B, K + 1, V)
            mask = torch.softmax(logits + self.follow * here, 1)
            places = (mask[..., None] * moves).sum(1)
            folded = features.reshape(b, -1, m, m)
            surface = torch.softmax(self.surface(folded), 1) if self.surface is not None else None
            return Flow3d(places, torch.sigmoid(self.occlusion(folded)), surface)

    def _gaussians(self, position: Tensor) -> Tensor:
        gap = (self.grid - position[:, :, None]) * self.grid.new_tensor([1.0, 1.0, self.flatten_z])
        return torch.exp(gap.square().sum(-1) * (-0.5 / VARIANCE))

    def _local_motion(self, driving: Posed, source: Posed) -> Tensor:
        """w_k(z) = R_s R_d⁻¹ (z − x_d) + x_s, and w_0(z) = z -> (B, K + 1, V, 3)."""
        turn = source.rotation @ driving.rotation.transpose(1, 2)  # (B, 3, 3)
        gap = self.grid - driving.position[:, :, None]  # (B, K, V, 3)
        moves = gap @ turn.transpose(1, 2)[:, None] + source.position[:, :, None]
        return torch.cat([self.grid.expand(moves.shape[0], 1, -1, -1), moves], 1)
