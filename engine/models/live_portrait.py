# SPDX-License-Identifier: Apache-2.0
"""The two networks that LivePortrait runs for every frame, in its published sizes; for timing only.

Guo et al., "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control", arXiv 2407.03168:
face-vid2vid's warping module with 21 keypoints (W, 45.5 M parameters) and a SPADE decoder whose last layer is a
sub-pixel convolution, 256² features in, 512² picture out (G, 55.4 M). Own code, after the sizes of the layers.
Nothing here can be trained, loaded or shown: there are no losses, no weights and no encoder. The appearance extractor
runs once per source and the motion extractor is a classifier backbone; both are left out.

The volume lives on 4-D operators as in `volume`: equal arithmetic, and every back-end has them. Weights are random; the
published spectral norms are folded into weights before inference and cost nothing, so there are none.

Shapes: B batch, K keypoints, D slices, C volume channels, R side of the picture that goes into the encoder, r = R / 4
side of the volume, V = D·r·r voxels, L channels of the warped features.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import ConvBlock
from engine.models.learned_layers import VARIANCE, Hourglass
from engine.models.volume import SliceBlock, SliceConv, sample_volume, slice_grid

__all__ = ["LIVE_PORTRAIT", "LivePortraitConfig", "LivePortraitShaped", "SpadeDecoder", "WarpingNetwork"]

_STRIDE = 4  # of the volume against the picture that the encoder sees
_SLOPE = 0.2  # of the leaky ReLUs
_HEAD_KERNEL = 7


@dataclass(frozen=True)
class LivePortraitConfig:
    """Sizes; the defaults are the published ones. The picture that comes out has twice the side."""

    side_px: int = 256
    keypoints: int = 21
    depth: int = 16
    volume: int = 32  # channels
    compressed: int = 4  # channels of the volume that the motion network sees moved
    flow_width: int = 32  # the hourglass's widths: 64, 128, … 1024
    flow_cap: int = 1024
    flow_levels: int = 5
    width: int = 256  # of the warped features; twice as wide inside the decoder
    blocks: int = 6
    hidden: int = 128  # channels between the features and a norm's scale and shift
    last: int = 64  # channels before the picture

    @property
    def volume_px(self) -> int:
        """Side r of the volume."""
        return self.side_px // _STRIDE


LIVE_PORTRAIT = LivePortraitConfig()


class WarpingNetwork(nn.Module):
    """W: source volume and two sets of keypoints -> warped features, by a dense 3-D motion and an occlusion map."""

    grid: Tensor

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        self.depth, self.side = config.depth, config.volume_px
        parts, kind = config.keypoints + 1, {"depth": config.depth, "factorised": False}
        self.compress = ConvBlock(config.volume, config.compressed, kernel=1)
        self.body = Hourglass(
            parts * (config.compressed + 1),
            config.flow_width,
            cap=config.flow_cap,
            levels=config.flow_levels,
            block=functools.partial(SliceBlock, **kind),  # type: ignore[arg-type]
        )
        channels = self.body.channels
        self.join = SliceBlock(channels, channels, depth=config.depth, factorised=False)
        self.mask = SliceConv(channels, parts, kernel=_HEAD_KERNEL, depth=config.depth, factorised=False)
        self.occlusion = nn.Conv2d(channels * config.depth, 1, _HEAD_KERNEL, 1, _HEAD_KERNEL // 2)
        self.flatten = nn.Sequential(
            nn.Conv2d(config.volume * config.depth, config.width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(config.width),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(config.width, config.width, 1),
        )
        self.register_buffer("grid", slice_grid(config.depth, self.side), persistent=False)

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Volume (B, C, D·r, r) tall, keypoints (B, K, 3) in [-1, 1] -> features (B, L, r, r)."""
        d, r = self.depth, self.side
        with torch.autocast(volume.device.type, enabled=False):
            heat = self._gaussians(driving) - self._gaussians(source)  # (B, K, V)
            heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
            moves = self.grid - driving.float()[:, :, None] + source.float()[:, :, None]
            moves = torch.cat([self.grid.expand(moves.shape[0], 1, -1, -1), moves], 1)  # (B, K + 1, V, 3)
            b, parts = moves.shape[:2]
            small = self.compress(volume.float())
            moved = sample_volume(small, moves.reshape(b, parts * d * r, r, 3), depth=d)
            c = moved.shape[1]
            x = torch.cat([heat.reshape(b, parts, d, r * r), moved.reshape(b, c * parts, d, r * r)], 1)
            x = x.transpose(1, 2).reshape(b * d, (c + 1) * parts, r, r)
        features = self.join(self.body(x))
        logits = self.mask(features)
        seen = torch.sigmoid(self.occlusion(features.reshape(b, -1, r, r)))
        with torch.autocast(volume.device.type, enabled=False):
            mask = torch.softmax(logits.float().reshape(b, d, parts, r * r).transpose(1, 2).flatten(2), 1)
            places = (mask[..., None] * moves).sum(1)  # (B, V, 3)
            warped = sample_volume(volume, places.reshape(b, d * r, r, 3), depth=d)
        return self.flatten(warped.reshape(b, -1, r, r)) * seen

    def _gaussians(self, position: Tensor) -> Tensor:
        gap = self.grid - position.float()[:, :, None]  # (B, K, V, 3)
        return torch.exp(gap.square().sum(-1) * (-0.5 / VARIANCE))


class _Spade(nn.Module):
    """Instance norm whose scale and shift are drawn from the warped features, place by place (Park et al. 2019)."""

    def __init__(self, channels: int, features: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Sequential(nn.Conv2d(features, hidden, 3, 1, 1), nn.ReLU())
        self.scale, self.shift = (nn.Conv2d(hidden, channels, 3, 1, 1) for _ in range(2))

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x (B, channels, s, s); features are repeated up to side s."""
        if x.shape[-1] != features.shape[-1]:
            features = F.interpolate(features, scale_factor=float(x.shape[-1] // features.shape[-1]), mode="nearest")
        hidden = self.shared(features)
        return self.norm(x) * (1 + self.scale(hidden)) + self.shift(hidden)


class _SpadeBlock(nn.Module):
    """Two 3×3 convolutions behind SPADE norms around a skip connection, itself normed where the width changes."""

    def __init__(self, c_in: int, c_out: int, *, features: int, hidden: int) -> None:
        super().__init__()
        between = min(c_in, c_out)
        self.norms = nn.ModuleList([_Spade(c_in, features, hidden), _Spade(between, features, hidden)])
        self.convs = nn.ModuleList([nn.Conv2d(c_in, between, 3, 1, 1), nn.Conv2d(between, c_out, 3, 1, 1)])
        self.skip_norm = self.skip = None
        if c_in != c_out:
            self.skip_norm, self.skip = _Spade(c_in, features, hidden), nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, features), _SLOPE))
        if self.skip_norm is not None and self.skip is not None:
            x = self.skip(self.skip_norm(x, features))
        return x + y


class SpadeDecoder(nn.Module):
    """G: warped features (B, L, r, r) -> rgb (B, 3, 8r, 8r) in [0, 1]."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        wide, kind = 2 * config.width, {"features": config.width, "hidden": config.hidden}
        self.widen = nn.Conv2d(config.width, wide, 3, 1, 1)
        self.blocks = nn.ModuleList(_SpadeBlock(wide, wide, **kind) for _ in range(config.blocks))
        self.up = nn.ModuleList(
            [_SpadeBlock(wide, config.width, **kind), _SpadeBlock(config.width, config.last, **kind)]
        )
        self.out = nn.Conv2d(config.last, 3 * 4, 3, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = self.widen(features)
        for block in self.blocks:
            x = block(x, features)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), features)
        return torch.sigmoid(F.pixel_shuffle(self.out(F.leaky_relu(x, _SLOPE)), 2).float())


class LivePortraitShaped(nn.Module):
    """W and G, one after the other: what LivePortrait computes between its keypoints and a picture.

    Args:
        config: sizes. seed: of the weights, which are drawn so that activations neither die out nor grow.
    """

    def __init__(self, config: LivePortraitConfig = LIVE_PORTRAIT, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.warp, self.decoder = WarpingNetwork(config), SpadeDecoder(config)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Volume (B, C, D·r, r) tall, keypoints (B, K, 3) in [-1, 1] -> rgb (B, 3, 2R, 2R) in [0, 1]."""
        return self.decoder(self.warp(volume, source, driving))

    def example(self, *, seed: int = 0) -> dict[str, Tensor]:
        """Return random inputs by name: a volume, keypoints about a face's size, the same ones slightly moved."""
        config, generator = self.config, torch.Generator().manual_seed(seed)
        side = config.volume_px
        volume = torch.randn(1, config.volume, config.depth * side, side, generator=generator)
        source = torch.rand(1, config.keypoints, 3, generator=generator) - 0.5
        moved = source + 0.05 * torch.randn(1, config.keypoints, 3, generator=generator)
        return {"volume": volume, "source": source, "driving": moved}
