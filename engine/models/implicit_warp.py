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
from engine.models.landmark_field import FIELD_MAPS, Field, LandmarkField
from engine.models.layers import dense_sample, take
from engine.models.networks import AppearanceEncoder, KeypointEncoder, PortraitFinish, PortraitSketch

__all__ = ["ImplicitWarp", "SourceCache"]

_FACE_CALM = 0.25  # per logit by which what is shown misses what is wanted
_CALM = 50.0  # a head turned by 10° leaves the decoder all but its whole freedom, one by 3° a quarter


class SourceCache(NamedTuple):
    """A source set, encoded.

    rest_frame: (B, 3). key: (B, N, L, 4), L = M / key_stride²; without geometry (B, N, L, d). rest: (B, N, 3, T, T).
    deform: (B, N, P, 3). pose: (B, N, 9). scale: (B, N). origin: (B, N, 2), places of the heads. exact: (B, N,
    Q, 2), places of the corrected landmarks.
    rgba: (B, N, 4, R, R). With a decoder: value: (B, N, L, V). fine: (B, N, 2w + 4, R/4, R/4), features and small
    pixels.
    """

    rest_frame: Tensor
    key: Tensor
    rest: Tensor
    deform: Tensor
    pose: Tensor
    scale: Tensor
    origin: Tensor
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
            if config.extra or not config.geometry:
                self.query = KeypointEncoder(FIELD_MAPS, config.learned)
            if not config.geometry:
                self.key = KeypointEncoder(FIELD_MAPS + config.value, config.learned)
            # values: features, attended pixels (RGBA), attended key geometry (rest position), share of real rows
            self.sketch = PortraitSketch(config, config.value + 4 + 3 + (1 if config.extra else 0))
            self.finish = PortraitFinish(config)

    def freeze_geometry(self, frozen: bool = True) -> None:
        """Keep the tuned geometric numbers, and spare the gradient through them."""
        self.attention.frozen = frozen
        for parameter in self.geometric_parameters().values():
            parameter.requires_grad_(not frozen)

    def geometric_parameters(self) -> dict[str, nn.Parameter]:
        """Return the numbers of the geometric warp, by name; everything else is learned from nothing."""
        return {n: p for n, p in self.named_parameters() if n == "field.log_bandwidth" or p.ndim == 0}

    def encode_sources(self, rgba: Tensor, keypoints: Tensor) -> SourceCache:
        """Encode a source set.

        Args:
            rgba: (B, N, 4, R, R); colours of the person continued past its silhouette, and its matte.
            keypoints: (B, N, P, 3).
        """
        b, n = rgba.shape[:2]
        t = self.config.tokens
        frame = self.field.rest_frame(keypoints)
        each = frame[:, None].expand(-1, n, -1).flatten(0, 1)
        field = self.field(keypoints.flatten(0, 1), each)

        def split(x: Tensor) -> Tensor:
            return x.reshape(b, n, *x.shape[1:])

        learned = value = fine = None
        if self.config.decoder:
            flat = rgba.flatten(0, 1)
            features, fine = self.appearance(flat)
            if not self.config.geometry:
                learned = self.key(torch.cat([self.field.maps(field).to(features.dtype), features], 1))
            small = F.adaptive_avg_pool2d(flat, t).flatten(2).transpose(1, 2)
            value = torch.cat([features.flatten(2).transpose(1, 2), small, field.rest], -1)
            small = F.avg_pool2d(flat, 4)
            value, fine = split(self.attention.thin(value)), split(torch.cat([fine, small.to(fine.dtype)], 1))
        rest = field.rest.transpose(1, 2).reshape(b * n, 3, t, t)
        key = self.attention.make_key(field, learned)
        return SourceCache(
            rest_frame=frame,
            key=split(key),
            rest=split(rest),
            deform=split(field.deform),
            pose=split(field.pose),
            scale=split(field.scale),
            origin=split(field.origin),
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
        if pick is None:
            pick = torch.arange(cache.key.shape[1], device=keypoints.device).expand(keypoints.shape[0], -1)
        pose, scale, origin = take(cache.pose, pick), take(cache.scale, pick), take(cache.origin, pick)
        if log_stage is None:
            gap = (self.field.pose(keypoints)[:, None] - pose).square().sum(-1)
            log_stage = torch.log_softmax(-self.attention.pose_gain.square() * 10 * gap, -1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.attention.frozen):
            shown = _shown_head(log_stage, pose, scale, origin)
            field = self.field(keypoints, cache.rest_frame, shown)
        if log_face is None:
            log_face = torch.zeros_like(log_stage)
        decoder = self.config.decoder
        maps = self.field.maps(field) if decoder else None
        learned = self.query(maps) if maps is not None and hasattr(self, "query") else None
        picked = PickedSources(
            take(cache.key, pick),
            take(cache.rest, pick),
            take(cache.deform, pick),
            pose,
            scale,
            take(cache.value, pick) if cache.value is not None else None,
            log_stage,
            log_face,
        )
        warp = self.attention(field, learned, picked, self.field.grid)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.attention.frozen):
            flow = warp.flow  # made exact at lids, irises and lips, but not where places are learned alone
            if self.config.geometry:
                flow = self.correction(flow, keypoints, field.scale, take(cache.exact, pick))
        rgba = take(cache.rgba, pick)
        if not decoder:
            pixels = dense_sample(rgba, flow, warp.weight)
            return pixels, pixels
        assert cache.fine is not None
        assert warp.moved is not None
        assert maps is not None
        context = _context(field, picked, origin)
        free_places = free_colours = torch.ones_like(maps[:, :1])
        if self.config.geometry:
            features = field.near @ (self.attention.importance > 1).to(field.near.dtype)[:, None]
            free_places, free_colours = _freedom(context, field.on_face, warp.misfit, features)
        sampled = dense_sample(take(cache.fine, pick), flow, warp.weight) if self.config.fine else None
        small = _mean_flow(flow, warp.weight, picks=pick.shape[1], side=rgba.shape[-1] // 4)
        h, steer = self.sketch(warp.moved, maps, context, sampled, small)
        if steer is not None:
            steer = steer * F.interpolate(free_places, size=steer.shape[-1], mode="bilinear", align_corners=False)
            flow = _add_flow(flow, steer, picks=pick.shape[1])
        pixels = dense_sample(rgba, flow, warp.weight)
        return self.finish(h, pixels, free_colours), pixels

    def attention_weight(
        self, keypoints: Tensor, source_keypoints: Tensor, *, pick: Tensor, log_stage: Tensor, log_face: Tensor
    ) -> Tensor:
        """Return how much each picked picture counts at each token, (B, K, T, T), sums to 1 over K.

        Geometric models alone: their attention hangs on landmarks, not on what the pictures show. A decoder moves
        places and repaints colours afterwards; from which picture they were taken it does not change.

        Args:
            keypoints: (B, P, 3). source_keypoints: (B, N, P, 3), of the whole set. Others as `animate`.
        """
        frame = self.field.rest_frame(source_keypoints)
        (b, k), t = pick.shape, self.config.tokens
        chosen = take(source_keypoints, pick).flatten(0, 1)
        each = self.field(chosen, frame[:, None].expand(-1, k, -1).flatten(0, 1))
        pose, scale, origin = (x.reshape(b, k, *x.shape[1:]) for x in (each.pose, each.scale, each.origin))
        field = self.field(keypoints, frame, _shown_head(log_stage, pose, scale, origin))
        key = self.attention.make_key(each, None)
        picked = PickedSources(
            key.reshape(b, k, *key.shape[1:]),
            each.rest.transpose(1, 2).reshape(b, k, 3, t, t),
            each.deform.reshape(b, k, *each.deform.shape[1:]),
            pose,
            scale,
            None,
            log_stage,
            log_face,
        )
        return self.attention(field, None, picked, self.field.grid).weight.reshape(b, k, t, t)

    def forward(self, rgba: Tensor, source_keypoints: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and animate in one call, as training does."""
        return self.animate(keypoints, self.encode_sources(rgba, source_keypoints))


def _shown_head(log_stage: Tensor, pose: Tensor, scale: Tensor, origin: Tensor) -> Tensor:
    """Head map of the pictures that draw the stage, (B, 4, 3), its origin without depth."""
    linear = pose.unflatten(-1, (3, 3)) * scale[..., None, None]
    # Joined, not padded: a pad would not be an operator of every back-end.
    place = torch.cat([origin, torch.zeros_like(origin[..., :1])], -1)
    heads = torch.cat([linear, place[:, :, None]], 2)  # (B, K, 4, 3)
    return (torch.softmax(log_stage, -1)[..., None, None] * heads).sum(1)


def _context(field: Field, picked: PickedSources, origin: Tensor) -> Tensor:
    """What the sketch is told about the whole head, (B, CONTEXT), against the pictures that draw the stage.

    The flow at shoulders and background says nothing about the head, but how far it has moved decides how they move.
    """
    stage = torch.softmax(picked.log_stage, -1)[..., None]  # (B, K, 1)
    turn = field.pose - (stage * picked.pose).sum(1)
    size = field.scale[:, None] / (stage[..., 0] * picked.scale).sum(1, keepdim=True)
    shift = (field.origin - (stage * origin).sum(1)) / field.scale[:, None]
    return torch.cat([field.pose, turn, size - 1, shift], 1)


def _freedom(context: Tensor, on_face: Tensor, misfit: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """How much the decoder may change places and colours at each token, (B, 1, T, T) each.

    Outside the face it may as far as the head has moved. Where nothing differs, the picture is right as it is: without
    this the network, which cannot tell, took detail out of the hair of people who sat still (real dev clips, N = 4,
    hair and clothes −1.8 dB). On the face places stay where the landmarks put them, which are exact there (free, lips
    and eyes moved off by up to 0.1 px on average); the skin's colours may change as far as nothing in the set fits.
    Lips and eyes keep the colours of some picture: repainted, their outlines wavered.

    Shapes:
        context: (B, CONTEXT). on_face, misfit, features: (B, M, 1); features is the share of lips and eyes in [0, 1].
    """
    moved = context[:, 9:].square().sum(1)[:, None, None]  # turn, size and shift
    places = (1 - on_face) * (1 - torch.exp(-_CALM * moved))  # (B, M, 1)
    colours = places + on_face * (1 - features) * (1 - torch.exp(-_FACE_CALM * misfit))
    side = round(on_face.shape[1] ** 0.5)
    places, colours = (x.transpose(1, 2).reshape(-1, 1, side, side) for x in (places, colours))
    return places, colours


def _mean_flow(flow: Tensor, weight: Tensor, *, picks: int, side: int) -> Tensor:
    """Mean offset over the sources, (B, 2, side, side); flow (B·K, 2, t, t), weight (B·K, 1, T, T)."""
    flow, share = (F.interpolate(x, size=side, mode="bilinear", align_corners=False) for x in (flow, weight))
    return (flow * share).reshape(-1, picks, 2, side, side).sum(1)


def _add_flow(flow: Tensor, change: Tensor, *, picks: int) -> Tensor:
    """Add a change (B, 2, s, s) to the flows (B·K, 2, t, t) of all sources; the finer of both sizes."""
    side = max(flow.shape[-1], change.shape[-1])
    flow, change = (
        x if x.shape[-1] == side else F.interpolate(x, size=side, mode="bilinear", align_corners=False)
        for x in (flow, change)
    )
    return flow + change.repeat_interleave(picks, 0)
