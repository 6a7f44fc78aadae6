# SPDX-License-Identifier: Apache-2.0
"""Implicit warping as its paper has it: learned keypoints with strengths, one cross-attention over all sources.

Mallya, Wang, Liu, "Implicit Warping for Animation with Image Sets", NeurIPS 2022, arXiv 2210.01794, eq. 1 and
Fig. 2–3, written from the paper. It stands beside `implicit_warp`, which has landmarks and a geometric start instead,
so that a comparison shows what those buy.

Not stated in the paper and chosen here: the Gaussians' variance (FOMM's), sines and cosines of both coordinates as
positional encoding, equal for queries, keys and all sources so that their order means nothing, with a learned gain
that makes the untrained attention look at the same place; the number of extra rows, which carry their own pixels and
keys; dropping a tenth of the real rows in half of the training samples; fv2v's 2-D decoder without occlusion map.

Shapes: B batch, N sources, K keypoints, R picture side, T side of the token grid, M = T·T, d query/key channels,
d' value channels, E extra rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import pixel_grid
from engine.models.learned_config import PAPER_SIZES, PaperConfig
from engine.models.learned_layers import (
    FeatureDecoder,
    FeatureEncoder,
    Hourglass,
    KeypointDetector,
    gaussian_maps,
    shrink,
)
from engine.models.learned_motion import LearnedMotion, Motion

__all__ = ["CrossAttention", "ImplicitWarpPaper"]

_LOWEST, _HIGHEST = math.pi / 2, 8 * math.pi  # frequencies of the positional encoding: half a period to eight a side
_GAIN = 2.0  # of the positional encoding: untrained, half of the weight lies on the same place, the rest around it
_DROPPED = -1e4  # logit of a dropped row
_RGB = 3


class CrossAttention(nn.Module):
    """Queries look up values, pixels and keys of all sources at once (paper eq. 1, Fig. 3)."""

    places: Tensor

    def __init__(self, config: PaperConfig, query_channels: int, key_channels: int) -> None:
        super().__init__()
        d, v, self.drop = config.learned, config.value, config.drop
        self.query = nn.Conv2d(query_channels, d, 1)
        self.key = nn.Conv2d(key_channels, d, 1)
        self.gain = nn.Parameter(torch.tensor(_GAIN))
        self.extra_key = nn.Parameter(torch.randn(config.extra, d) * 0.5)
        self.extra_value = nn.Parameter(torch.randn(config.extra, v + _RGB) * 0.1)  # values, then pixels
        self.residual = nn.Sequential(nn.Linear(2 * d + _RGB, v), nn.ReLU(), nn.Linear(v, v))
        self.value_width = v
        self.register_buffer("places", _encode_places(config.side_px // config.stride, d), persistent=False)

    def project(self, maps: Tensor, layer: nn.Conv2d) -> Tensor:
        """Network output (B, C, T, T) -> queries or keys (B, M, d) with their places."""
        return layer(maps).flatten(2).transpose(1, 2).float() + self.gain * self.places

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query (B, M, d), key (B, L, d), value (B, L, d' + 3) of all sources together -> (B, M, d')."""
        b, rows = key.shape[:2]
        extra_key = self.extra_key.expand(b, -1, -1)
        keys = torch.cat([key, extra_key], 1)
        values = torch.cat([value, self.extra_value.expand(b, -1, -1).to(value.dtype)], 1)
        carried = torch.cat([values, keys.to(values.dtype)], -1)  # one attention moves values, pixels and keys
        logits = query @ keys.transpose(1, 2) / math.sqrt(query.shape[-1])
        if self.training and self.drop:
            dropped = torch.rand(b, 1, rows, device=key.device) < self.drop
            dropped &= torch.rand(b, 1, 1, device=key.device) < 0.5
            logits = logits + _DROPPED * F.pad(dropped, (0, extra_key.shape[1])).to(logits.dtype)
        moved = torch.softmax(logits, -1).to(carried.dtype) @ carried  # (B, M, d' + 3 + d)
        out, arrived = moved[..., : self.value_width], moved[..., self.value_width :]
        return out + self.residual(torch.cat([arrived, query.to(arrived.dtype)], -1))


class ImplicitWarpPaper(LearnedMotion):
    """Implicit warping with learned keypoints. motion: position (K, 2), strength (K,)."""

    name: ClassVar[str] = "implicit_warp_paper"
    grid: Tensor

    def __init__(self, config: PaperConfig | None = None) -> None:
        super().__init__()
        self.config: PaperConfig = config or PAPER_SIZES["small"]
        config = self.config
        self.detector = KeypointDetector(
            config.keypoints,
            side_px=config.motion_px,
            width=config.detector_width,
            cap=config.detector_cap,
            levels=config.detector_levels,
            start=(0.0,),  # strengths start at one half
        )
        self.tokens = config.side_px // config.stride
        rises = config.map_levels - (config.map_px // self.tokens).bit_length() + 1  # end on the token grid

        def network(c_in: int) -> Hourglass:
            return Hourglass(c_in, config.map_width, cap=config.map_cap, levels=config.map_levels, rises=rises)

        self.query, self.key = network(config.keypoints), network(config.keypoints + _RGB)
        self.value = FeatureEncoder(config.value, stride=config.stride, fine=config.fine)
        self.attention = CrossAttention(config, self.query.channels, self.key.channels)
        self.decoder = FeatureDecoder(
            config.value, blocks=config.blocks, stride=config.stride, fine=config.fine, pixels=False
        )
        self.register_buffer("grid", pixel_grid(config.map_px), persistent=False)

    @property
    def motion_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"position": (self.config.keypoints, 2), "strength": (self.config.keypoints,)}

    def detect(self, rgb: Tensor) -> Motion:
        """rgb (B, 3, R, R) -> position (B, K, 2), strength (B, K) in [0, 1]."""
        position, numbers = self.detector(rgb)
        assert numbers is not None
        return {"position": position, "strength": torch.sigmoid(numbers[..., 0])}

    def encode_sources(self, rgb: Tensor, motion: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns key (B, N, M, d) and value (B, N, M, d' + 3), the pixels last."""
        b, n = rgb.shape[:2]
        flat = rgb.flatten(0, 1)
        maps = self._maps(motion["position"].flatten(0, 1), motion["strength"].flatten(0, 1))
        key = self.attention.project(
            self.key(torch.cat([maps, shrink(flat, self.config.map_px)], 1)), self.attention.key
        )
        features = self.value(flat)
        value = torch.cat([features, shrink(flat, self.tokens).to(features.dtype)], 1).flatten(2).transpose(1, 2)
        return {"key": key.reshape(b, n, *key.shape[1:]), "value": value.reshape(b, n, *value.shape[1:])}

    def animate(self, motion: Mapping[str, Tensor], cache: Mapping[str, Tensor]) -> Tensor:
        """Attend to all sources with the driving motion (B, …), decode -> rgb (B, 3, R, R)."""
        query = self.attention.project(
            self.query(self._maps(motion["position"], motion["strength"])), self.attention.query
        )
        moved = self.attention(query, cache["key"].flatten(1, 2), cache["value"].flatten(1, 2))
        moved = moved.transpose(1, 2).reshape(moved.shape[0], -1, self.tokens, self.tokens)
        return self.decoder(moved)

    def _maps(self, position: Tensor, strength: Tensor) -> Tensor:
        """Gaussians times strength (B, K, map_px, map_px), paper §3.1."""
        with torch.autocast(position.device.type, enabled=False):
            maps = gaussian_maps(position, self.grid) * strength.float()[..., None]
        return maps.reshape(*position.shape[:2], self.config.map_px, self.config.map_px)


def _encode_places(side: int, channels: int) -> Tensor:
    """Return sines and cosines of x and y at geometric frequencies, (side·side, channels)."""
    octaves = channels // 4
    frequencies = torch.logspace(math.log10(_LOWEST), math.log10(_HIGHEST), octaves)
    phase = (pixel_grid(side)[..., None] * frequencies).flatten(1)  # (M, 2 · octaves)
    return torch.cat([phase.sin(), phase.cos()], -1)
