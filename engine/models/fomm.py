# SPDX-License-Identifier: Apache-2.0
"""First Order Motion Model: learned keypoints with local affine maps, dense motion, warp, generator.

Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, arXiv 2003.00196, written from the
paper. A rival for the comparison; sets of pictures by the ad-hoc extension of Mallya et al. 2022: every source is
warped to the driving frame, the warped features are averaged, then decoded.

Three things differ from the paper. The mask logits start as closeness to the driving keypoints instead of at
random, so that pixels follow the nearest keypoint from the first step; `FeatureDecoder` may keep warped pixels; and
residual blocks apply their norm after the convolution.

Shapes: B batch, N sources, K keypoints, R picture side, m side of the motion networks, M = m·m, C feature channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.layers import pixel_grid
from engine.models.learned_config import FOMM_SIZES, FommConfig
from engine.models.learned_layers import (
    FeatureDecoder,
    FeatureEncoder,
    Hourglass,
    KeypointDetector,
    gaussian_maps,
    mean_over_sources,
    resize_flow,
    sample,
    shrink,
)
from engine.models.learned_motion import LearnedMotion, Motion

__all__ = ["DenseMotion", "Fomm", "inverse_2x2"]

_STRIDE = 4  # of the warped features
_LEAST_DETERMINANT = 1e-3
_FOLLOW = 4.0  # initial mask logit on a driving keypoint, against 0 for the background


def inverse_2x2(matrix: Tensor) -> Tensor:
    """Invert (..., 2, 2); a determinant near zero is moved off it, so that the result stays finite."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    determinant = a * d - b * c
    near_zero = determinant.abs() < _LEAST_DETERMINANT
    determinant = torch.where(near_zero, torch.full_like(determinant, _LEAST_DETERMINANT), determinant)
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return adjugate / determinant[..., None, None]


class DenseMotion(nn.Module):
    """Keypoints of two pictures -> where every place of the driving picture lies in the source (paper §3.2)."""

    grid: Tensor

    def __init__(self, config: FommConfig) -> None:
        super().__init__()
        k = config.keypoints
        self.side_px = config.motion_px
        self.body = Hourglass((k + 1) * 4, config.motion_width, cap=config.motion_cap, levels=config.motion_levels)
        self.mask = nn.Conv2d(self.body.channels, k + 1, 7, 1, 3)
        self.occlusion = nn.Conv2d(self.body.channels, 1, 7, 1, 3)
        for head, bias in ((self.mask, 0.0), (self.occlusion, 2.0)):  # start: flow by closeness, nothing hidden
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, bias)  # type: ignore[arg-type]
        self.follow = nn.Parameter(torch.tensor(_FOLLOW))
        self.register_buffer("grid", pixel_grid(config.motion_px), persistent=False)

    def forward(self, driving: Motion, source: Motion, small: Tensor) -> tuple[Tensor, Tensor]:
        """Motions (B, K, …), source picture small (B, 3, m, m) -> flow (B, m, m, 2), occlusion (B, 1, m, m) in [0, 1].

        The flow holds places in the source picture, not offsets.
        """
        m = self.side_px
        with torch.autocast(small.device.type, enabled=False):
            here = gaussian_maps(driving["position"], self.grid)  # (B, K, M)
            heat = here - gaussian_maps(source["position"], self.grid)
            moves = self._local_motion(driving, source)  # (B, K + 1, M, 2)
            b, parts = moves.shape[:2]
            moved = sample(small, moves.reshape(b, parts * m, m, 2))  # (B, 3, (K + 1)·m, m)
            nothing = torch.zeros_like(heat[:, :1])
            heat, here = torch.cat([nothing, heat], 1), torch.cat([nothing, here], 1)
        x = torch.cat([heat.reshape(b, parts, m, m), moved.reshape(b, 3 * parts, m, m)], 1)
        features = self.body(x)
        with torch.autocast(small.device.type, enabled=False):
            features = features.float()
            logits = self.mask(features).flatten(2) + self.follow * here
            mask = torch.softmax(logits, 1)
            flow = (mask[..., None] * moves).sum(1).reshape(b, m, m, 2)
            return flow, torch.sigmoid(self.occlusion(features))

    def _local_motion(self, driving: Motion, source: Motion) -> Tensor:
        """T_k(z) = p_s + J_s J_d⁻¹ (z − p_d), and T_0(z) = z (eq. 4 and §3.2) -> (B, K + 1, M, 2)."""
        turn = source["jacobian"].float() @ inverse_2x2(driving["jacobian"].float())  # (B, K, 2, 2)
        gap = self.grid - driving["position"].float()[:, :, None]  # (B, K, M, 2)
        moves = gap @ turn.transpose(-1, -2) + source["position"].float()[:, :, None]
        return torch.cat([self.grid.expand(moves.shape[0], 1, -1, -1), moves], 1)


class Fomm(LearnedMotion):
    """First Order Motion Model. motion: position (K, 2), jacobian (K, 2, 2)."""

    name: ClassVar[str] = "fomm"

    def __init__(self, config: FommConfig | None = None) -> None:
        super().__init__()
        self.config: FommConfig = config or FOMM_SIZES["small"]
        config = self.config
        self.detector = KeypointDetector(
            config.keypoints,
            side_px=config.motion_px,
            width=config.detector_width,
            cap=config.detector_cap,
            levels=config.detector_levels,
            start=(1.0, 0.0, 0.0, 1.0),  # Jacobians start as the identity
        )
        self.motion = DenseMotion(config)
        self.encoder = FeatureEncoder(config.width, stride=_STRIDE, fine=config.fine)
        self.decoder = FeatureDecoder(
            config.width, blocks=config.blocks, stride=_STRIDE, fine=config.fine, pixels=config.pixels
        )

    @property
    def motion_shapes(self) -> dict[str, tuple[int, ...]]:
        k = self.config.keypoints
        return {"position": (k, 2), "jacobian": (k, 2, 2)}

    def detect(self, rgb: Tensor) -> Motion:
        """rgb (B, 3, R, R) -> position (B, K, 2), jacobian (B, K, 2, 2)."""
        position, numbers = self.detector(rgb)
        assert numbers is not None
        return {"position": position, "jacobian": numbers.reshape(*numbers.shape[:2], 2, 2)}

    def encode_sources(self, rgb: Tensor, motion: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns features (B, N, C, R/4, R/4), small (B, N, 3, m, m), the source's motion, pixels where kept."""
        b, n = rgb.shape[:2]
        flat = rgb.flatten(0, 1)
        features, small = self.encoder(flat), shrink(flat, self.config.motion_px)
        cache = {
            "features": features.reshape(b, n, *features.shape[1:]),
            "small": small.reshape(b, n, *small.shape[1:]),
            **{f"source_{name}": motion[name] for name in self.motion_shapes},
        }
        return {**cache, "pixels": rgb} if self.config.pixels else cache

    def animate(self, motion: Mapping[str, Tensor], cache: Mapping[str, Tensor]) -> Tensor:
        """Warp every source to the driving motion (B, …), average, decode -> rgb (B, 3, R, R)."""
        features = cache["features"]
        b, n = features.shape[:2]
        shapes = self.motion_shapes
        driving = {
            name: motion[name].reshape(b, 1, -1).expand(-1, n, -1).reshape(b * n, *shape)
            for name, shape in shapes.items()
        }
        source = {name: cache[f"source_{name}"].flatten(0, 1) for name in shapes}
        flow, occlusion = self.motion(driving, source, cache["small"].flatten(0, 1))
        moved = sample(features.flatten(0, 1), resize_flow(flow, features.shape[-1]))
        seen = F.interpolate(occlusion, size=features.shape[-2:], mode="bilinear")
        pixels = None
        if self.config.pixels:
            rgb = cache["pixels"].flatten(0, 1)
            pixels = mean_over_sources(sample(rgb, resize_flow(flow, rgb.shape[-1])), n)
        return self.decoder(mean_over_sources(moved * seen, n), pixels)
