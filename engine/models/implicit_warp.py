# SPDX-License-Identifier: Apache-2.0
"""Implicit warping: the model's two halves, `encode_sources` once a set and `animate` once a frame.

Mallya, Wang, Liu 2022, "Implicit Warping for Animation with Image Sets", arXiv 2210.01794, with landmarks from a
tracker instead of learned keypoints and a geometric start (see `attention_warp`). One model serves any number of
source pictures. The cost of `animate` depends on how many pictures are picked for the frame (one or two), not on
how many the set has.

Shapes: B batch, N sources, K picked sources, P landmarks, T token grid side, M = T·T, R picture side.
Convention: colours and alpha in [-1, 1], channels first; keypoints in portrait space ([-1, 1], x right, y down).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.attention_warp import AttentionWarp, PickedSources
from engine.models.config import SIZES, WarpModelConfig
from engine.models.landmark_correction import LandmarkCorrection
from engine.models.landmark_field import FIELD_MAPS, LandmarkField, rest_frame
from engine.models.layers import dense_sample, take
from engine.models.networks import AppearanceEncoder, KeypointEncoder, PortraitDecoder

__all__ = ["ImplicitWarp", "SourceCache"]


class SourceCache(NamedTuple):
    """A source set, encoded.

    rest_frame: (B, 3). key: (B, N, L, 4 + d), L = M / key_stride². rest: (B, N, 3, T, T).
    deform: (B, N, P, 3). pose: (B, N, 9). scale: (B, N). exact: (B, N, Q, 2), places of the corrected landmarks.
    rgba: (B, N, 4, R, R). value: (B, N, M, V) or None. fine: (B, N, C, R/4, R/4) or None.
    """

    rest_frame: Tensor
    key: Tensor
    rest: Tensor
    deform: Tensor
    pose: Tensor
    scale: Tensor
    exact: Tensor
    rgba: Tensor
    value: Tensor | None = None
    fine: Tensor | None = None


class ImplicitWarp(nn.Module):
    """Animate a set of source pictures with driving keypoints."""

    def __init__(self, config: WarpModelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SIZES["lite"]
        self.field = LandmarkField(config.tokens)
        self.attention = AttentionWarp(config)
        self.correction = LandmarkCorrection(config.tokens)
        if config.decoder:
            self.appearance = AppearanceEncoder(config)
            self.query = KeypointEncoder(FIELD_MAPS, config.learned)
            self.key = KeypointEncoder(FIELD_MAPS + config.value, config.learned)
            # values: features, attended pixels (RGBA), attended key geometry (rest position), share of real rows
            self.decoder = PortraitDecoder(config, config.value + 4 + 3 + (1 if config.extra else 0))

    def encode_sources(self, rgba: Tensor, keypoints: Tensor) -> SourceCache:
        """Encode a source set.

        Args:
            rgba: (B, N, 4, R, R); colours of the person continued past its silhouette, and its matte.
            keypoints: (B, N, P, 3).
        """
        b, n = rgba.shape[:2]
        t = self.config.tokens
        frame = rest_frame(keypoints, self.field.solver)
        each = frame[:, None].expand(-1, n, -1).reshape(b * n, 3)
        field = self.field(keypoints.flatten(0, 1), each)

        def split(x: Tensor) -> Tensor:
            return x.reshape(b, n, *x.shape[1:])

        learned = value = fine = None
        if self.config.decoder:
            flat = rgba.flatten(0, 1)
            features, fine = self.appearance(flat)
            learned = self.key(torch.cat([self.field.maps(field).to(features.dtype), features], 1))
            small = F.adaptive_avg_pool2d(flat, t).flatten(2).transpose(1, 2)
            value = torch.cat([features.flatten(2).transpose(1, 2), small, field.rest], -1)
            value, fine = split(value), split(fine)
        rest = field.rest.transpose(1, 2).reshape(b * n, 3, t, t)
        key = self.attention.make_key(field, learned)
        return SourceCache(
            rest_frame=frame,
            key=split(key),
            rest=split(rest),
            deform=split(field.deform),
            pose=split(field.pose),
            scale=split(field.scale),
            exact=keypoints.float().index_select(2, self.correction.index)[..., :2],
            rgba=rgba,
            value=value,
            fine=fine,
        )

    def animate(
        self,
        keypoints: Tensor,
        cache: SourceCache,
        *,
        pick: Tensor | None = None,
        log_stage: Tensor | None = None,
        log_face: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Render the character with the driving keypoints.

        Args:
            keypoints: (B, P, 3), of the driving frame, retargeted.
            pick: (B, K) int64, pictures to use; all of them if None.
            log_stage: (B, K), log weight outside the face; by pose distance if None.
            log_face: (B, K), added to the preference on the face; 0 if None.
        Returns:
            rgba (B, 4, R, R), and the warped pixels alone (B, 4, R, R).
        """
        field = self.field(keypoints, cache.rest_frame)
        if pick is None:
            pick = torch.arange(cache.key.shape[1], device=keypoints.device).expand(keypoints.shape[0], -1)
        pose = take(cache.pose, pick)
        if log_stage is None:
            gap = (field.pose[:, None] - pose).square().sum(-1)
            log_stage = torch.log_softmax(-self.attention.pose_gain.square() * 10 * gap, -1)
        if log_face is None:
            log_face = torch.zeros_like(log_stage)
        learned = maps = value = None
        if self.config.decoder:
            assert cache.value is not None
            assert cache.fine is not None
            maps = self.field.maps(field)
            learned = self.query(maps)
            value = take(cache.value, pick)
        picked = PickedSources(
            take(cache.key, pick),
            take(cache.rest, pick),
            take(cache.deform, pick),
            pose,
            take(cache.scale, pick),
            value,
            log_stage,
            log_face,
        )
        warp = self.attention(field, learned, picked, self.field.grid)
        flow = self.correction(warp.flow, keypoints, field.scale, take(cache.exact, pick))
        pixels = dense_sample(take(cache.rgba, pick), flow, warp.weight)
        if not self.config.decoder:
            return pixels, pixels
        assert warp.moved is not None
        assert maps is not None
        assert cache.fine is not None
        fine = dense_sample(take(cache.fine, pick), flow, warp.weight)
        return self.decoder(warp.moved, maps, fine, pixels), pixels

    def forward(self, rgba: Tensor, source_keypoints: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and animate in one call, as training does."""
        return self.animate(keypoints, self.encode_sources(rgba, source_keypoints))
