# SPDX-License-Identifier: Apache-2.0
"""face-vid2vid: canonical 3-D keypoints, head pose and expression, a warped feature volume, a generator.

Wang, Mallya, Liu, "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021,
arXiv 2011.15126, written from the paper. A rival for the comparison; sets of pictures by the ad-hoc extension of
Mallya et al. 2022: the canonical keypoints of the FIRST picture stand for all, every source is warped to the driving
frame, the warped features are averaged, then decoded.

What differs from the paper:
- Everything runs on 4-D operators (see `volume`). `full` has true 3-D convolutions; `small` splits them into a 2-D
  one and one along the depth, has fewer slices, and finds the motion on a coarser grid than it warps on.
- There is no pretrained head-pose network: rotation is a 6-D output (not 66 bins per angle) and learns from the pose
  of the tracked landmarks. No Jacobians beside the rotation, as in the final version of the paper.
- The mask logits start as closeness to the driving keypoints. `FeatureDecoder` may keep warped pixels: they come from
  the places of the slices, averaged by how much of each is seen.

Shapes: B batch, N sources, K keypoints, R picture side, D slices, C volume channels; features have side R/4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.fv2v_motion import CanonicalDetector, DenseMotion3d, Flow3d, Posed, PoseNet
from engine.models.layers import ConvBlock
from engine.models.learned_config import FV2V_SIZES, Fv2vConfig
from engine.models.learned_layers import FeatureDecoder, FeatureEncoder, mean_over_sources, resize_flow, sample
from engine.models.learned_motion import LearnedMotion, Motion
from engine.models.volume import SliceBlock, SliceConv, resize_places, sample_volume, tall

__all__ = ["Fv2v", "posed_keypoints"]

_STRIDE = 4  # of the volume


def posed_keypoints(canonical: Tensor, rotation: Tensor, translation: Tensor, expression: Tensor) -> Tensor:
    """x = R x_c + t + δ: (..., K, 3), (..., 3, 3), (..., 3), (..., K, 3) -> (..., K, 3) (paper eq. 1 and 2)."""
    return canonical @ rotation.transpose(-1, -2) + translation[..., None, :] + expression


class Fv2v(LearnedMotion):
    """face-vid2vid. motion: canonical (K, 3), rotation (3, 3), translation (3,), expression (K, 3).

    A driving picture's own canonical keypoints are not used.
    """

    name: ClassVar[str] = "fv2v"

    def __init__(self, config: Fv2vConfig | None = None) -> None:
        super().__init__()
        self.config: Fv2vConfig = config or FV2V_SIZES["small"]
        config = self.config
        depth, kind = config.depth, {"depth": config.depth, "factorised": config.factorised}
        self.canonical = CanonicalDetector(config)
        self.pose = PoseNet(config)
        self.appearance = FeatureEncoder(config.appearance_width, stride=_STRIDE, fine=config.fine)
        self.lift = nn.Conv2d(config.appearance_width, config.volume * depth, 1)
        self.volume = nn.ModuleList(_VolumeResBlock(config.volume, **kind) for _ in range(config.volume_blocks))  # type: ignore[arg-type]
        self.compress = nn.Conv2d(config.volume, config.compressed, 1)
        self.motion = DenseMotion3d(config)
        self.flatten = nn.Sequential(
            ConvBlock(config.volume * depth, config.width), nn.Conv2d(config.width, config.width, 1)
        )
        self.decoder = FeatureDecoder(
            config.width, blocks=config.blocks, stride=_STRIDE, fine=config.fine, pixels=config.pixels
        )

    @property
    def motion_shapes(self) -> dict[str, tuple[int, ...]]:
        k = self.config.keypoints
        return {"canonical": (k, 3), "rotation": (3, 3), "translation": (3,), "expression": (k, 3)}

    def detect(self, rgb: Tensor) -> Motion:
        """rgb (B, 3, R, R) -> canonical (B, K, 3), rotation (B, 3, 3), translation (B, 3), expression (B, K, 3)."""
        rotation, translation, expression = self.pose(rgb)
        return {
            "canonical": self.canonical(rgb),
            "rotation": rotation,
            "translation": translation,
            "expression": expression,
        }

    def encode_sources(self, rgb: Tensor, motion: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns first_canonical (B, K, 3), and per source: position (B, N, K, 3) in its picture, rotation, volume
        (B, N, C, D·h, h) tall, compressed (B, N, c, D·m, m) tall, pixels (B, N, 3, R, R) where kept."""
        b, n = rgb.shape[:2]
        depth, m = self.config.depth, self.config.flow_px
        first = motion["canonical"][:, 0]
        position = posed_keypoints(first[:, None], motion["rotation"], motion["translation"], motion["expression"])
        x = self.lift(self.appearance(rgb.flatten(0, 1)))
        h = x.shape[-1]
        x = x.reshape(b * n * depth, self.config.volume, h, h)
        for block in self.volume:
            x = block(x)
        small = F.avg_pool2d(self.compress(x), h // m)
        volume, small = tall(x, depth), tall(small, depth)
        cache = {
            "first_canonical": first,
            "source_position": position,
            "source_rotation": motion["rotation"],
            "volume": volume.reshape(b, n, *volume.shape[1:]),
            "compressed": small.reshape(b, n, *small.shape[1:]),
        }
        return {**cache, "pixels": rgb} if self.config.pixels else cache

    def animate(self, motion: Mapping[str, Tensor], cache: Mapping[str, Tensor]) -> Tensor:
        """Warp every source's volume to the driving motion (B, …), average, decode -> rgb (B, 3, R, R)."""
        volume = cache["volume"]
        b, n = volume.shape[:2]
        depth, h = self.config.depth, volume.shape[-1]
        position = posed_keypoints(
            cache["first_canonical"], motion["rotation"], motion["translation"], motion["expression"]
        )

        def each(x: Tensor) -> Tensor:  # once per source
            return x[:, None].expand(-1, n, -1, -1).flatten(0, 1)

        driving = Posed(each(position), each(motion["rotation"]))
        source = Posed(cache["source_position"].flatten(0, 1), cache["source_rotation"].flatten(0, 1))
        flow = self.motion(driving, source, cache["compressed"].flatten(0, 1))
        at = resize_places(flow.places, size=(self.motion.depth, self.motion.side), to=(depth, h))
        moved = sample_volume(volume.flatten(0, 1), at.reshape(b * n, depth * h, h, 3), depth=depth)
        features = self.flatten(moved.reshape(b * n, -1, h, h))
        seen = F.interpolate(flow.occlusion, size=(h, h), mode="bilinear")
        pixels = self._pixels(flow, cache["pixels"]) if self.config.pixels else None
        return self.decoder(mean_over_sources(features * seen, n), pixels)

    def _pixels(self, flow: Flow3d, rgb: Tensor) -> Tensor:
        """Source pixels (B, N, 3, R, R) along the flow of the seen surface, mean over N."""
        d, m = self.motion.depth, self.motion.side
        assert flow.surface is not None
        places = flow.places.reshape(-1, d, m * m, 3)[..., :2]
        front = (flow.surface.reshape(-1, d, m * m)[..., None] * places).sum(1).reshape(-1, m, m, 2)
        return mean_over_sources(sample(rgb.flatten(0, 1), resize_flow(front, rgb.shape[-1])), rgb.shape[1])


class _VolumeResBlock(nn.Module):
    """Two 3-D convolutions around a skip connection."""

    def __init__(self, channels: int, *, depth: int, factorised: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            SliceBlock(channels, channels, depth=depth, factorised=factorised),
            SliceConv(channels, channels, depth=depth, factorised=factorised, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))
