# SPDX-License-Identifier: Apache-2.0
"""The one cross-attention layer: driving tokens look up features in all picked source pictures at once.

Mallya, Wang, Liu 2022 (arXiv 2210.01794), eq. 1 and Fig. 3: out = softmax(Q Kᵀ) V over the tokens of a SET of
pictures, extra learned key/value rows for what no picture shows, and a residual branch on the attended pixels and
key geometry. Three things differ, each measured (assets/models/lite/card.md):

1. Logits of real rows are geometry: −|rest position of q − rest position of k|² / 2σ², plus a term per source that
   prefers the picture whose expression fits at this place. A learned q·k beside it only blurred the aim (dev clips,
   N = 4: −0.08 dB): the learned query is for the extra rows. Without geometry, learned q·k is all there is.
2. Position is refined after the attention: the rest map is sampled at the attended place and the remaining
   difference is walked off in a few Newton steps, which gives a 32×32 attention sub-pixel aim.
3. The attended coordinates, per source, carry full-resolution pixels (`layers.dense_sample`).

Shapes: B batch, K picked sources, M = T·T tokens, L keys a source, P landmarks, V value channels, d learned channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.headpose import COHERENCE, COHERENCE_CAP, expression_weights, pose_weights
from engine.models.config import WarpModelConfig
from engine.models.landmark_field import Field
from engine.models.layers import pixel_grid

__all__ = ["AttentionWarp", "PickedSources", "Warp"]

_REFINE_STEPS = 3
_REFINE_RATE = 0.7  # damped: the rest map folds at lips and lids
_MIN_MASS = 1e-6
_MAX_STEP = 0.06  # portrait units, about one token
_DROP_SHARE, _DROPPED = 0.5, 0.1  # in training half of the batches lose a tenth of their real rows (paper §3.3)


class PickedSources(NamedTuple):
    """The cached rows of the K pictures used for a frame.

    key: (B, K, L, 4), without geometry (B, K, L, d). rest: (B, K, 3, T, T). deform: (B, K, P, 3). pose: (B, K, 9).
    scale: (B, K). value: (B, K, L, V) or None. log_stage, log_face: (B, K), log weight of each picture outside and on
    the face.
    """

    key: Tensor
    rest: Tensor
    deform: Tensor
    pose: Tensor
    scale: Tensor
    value: Tensor | None
    log_stage: Tensor
    log_face: Tensor


class Warp(NamedTuple):
    """flow: (B·K, 2, T, T) offsets. weight: (B·K, 1, T, T), sums to 1 over K. moved: (B, M, V) or None. misfit: (B, M,
    1), logits by which expression and pose of what is shown at a token on the face differ from what is wanted."""

    flow: Tensor
    weight: Tensor
    moved: Tensor | None
    misfit: Tensor


class AttentionWarp(nn.Module):
    """Geometry-initialised cross-attention over a set of source pictures.

    frozen: the gradient does not reach the attended places, only the moved values: training is three times as fast,
        and the places are found by geometry anyway.
    """

    weights: Tensor
    importance: Tensor
    pose_weights: Tensor

    def __init__(self, config: WarpModelConfig) -> None:
        super().__init__()
        self.tokens, self.key_stride, self.geometry = config.tokens, config.key_stride, config.geometry
        self.frozen = False
        self.register_buffer("weights", torch.from_numpy(expression_weights().copy()), persistent=False)
        self.register_buffer("importance", 1 + 7 * (self.weights > 1).float(), persistent=False)
        self.register_buffer("pose_weights", torch.from_numpy(pose_weights().copy()), persistent=False)
        self.log_sigma = nn.Parameter(torch.tensor(0.4).log())  # of a token's size
        self.expression_gain = nn.Parameter(torch.tensor(6.0))
        self.pose_gain = nn.Parameter(torch.tensor(5.0))
        if config.decoder and config.extra:
            self.extra_key = nn.Parameter(torch.randn(config.extra, config.learned) * 0.1)
            self.extra_bias = nn.Parameter(torch.full((config.extra,), -12.0))  # start unattractive
            self.extra_value = nn.Parameter(torch.randn(config.extra, config.value) * 0.1)

    def make_key(self, field: Field, learned: Tensor | None) -> Tensor:
        """Return key rows (B, L, 4), L = M / key_stride²: rest position and its square; or learned ones (B, L, d)."""
        if not self.geometry:
            assert learned is not None
            return self.thin(learned)
        rest = self.thin(field.rest)
        return torch.cat([rest, rest.square().sum(-1, keepdim=True)], -1)

    def thin(self, rows: Tensor) -> Tensor:
        """Average rows of tokens (B, M, C) to rows of keys (B, L, C)."""
        if self.key_stride == 1:
            return rows
        t = self.tokens
        return (
            F.avg_pool2d(rows.transpose(1, 2).reshape(-1, rows.shape[-1], t, t), self.key_stride)
            .flatten(2)
            .transpose(1, 2)
        )

    def forward(self, field: Field, learned: Tensor | None, sources: PickedSources, grid: Tensor) -> Warp:
        """field: of the driving keypoints. learned: (B, M, d) query of learned rows. grid: (M, 2) token centres."""
        with torch.autocast(field.rest.device.type, enabled=False):
            fit, apart = self._fit(field, sources)  # (B, M, K) each
            logits, level = self._logits(field, learned, sources, fit + apart)  # (B, M, K·L), (B, M, 1)
            attention = torch.softmax(logits, -1)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                flow, weight = self._places(field, attention, sources, grid)
            moved = None
            if sources.value is not None:
                moved = self._move_values(attention, logits, level, learned, sources.value)
            b, k = sources.key.shape[:2]
            misfit = (weight.reshape(b, k, -1).transpose(1, 2) * fit).sum(-1, keepdim=True)
        return Warp(flow, weight, moved, misfit)

    def _places(self, field: Field, attention: Tensor, sources: PickedSources, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Where every token looks in every source, as offsets (B·K, 2, T, T), and with how much weight."""
        b, k, keys = sources.key.shape[:3]
        t, m = self.tokens, grid.shape[0]
        places = pixel_grid(t // self.key_stride, device=grid.device)  # where the keys lie
        reach = torch.cat([places, torch.ones_like(places[:, :1])], -1)
        sums = attention.reshape(b, m * k, keys) @ reach  # Σ a·x, Σ a·y, Σ a for every token and source
        sums = sums.reshape(b, m, k, 3).transpose(1, 2)  # (B, K, M, 3)
        # a source that is not wanted here has no mass; a floor, as adding 1e-12 is optimised away and gives NaN
        coord = (sums[..., :2] / sums[..., 2:].clamp_min(_MIN_MASS)).reshape(b * k, m, 2)
        if self.geometry:
            coord = self._refine(field, coord, sources)
        flow = coord.reshape(b * k, t, t, 2).permute(0, 3, 1, 2) - grid.reshape(t, t, 2).permute(2, 0, 1)
        return flow, sums[..., 2].reshape(b * k, 1, t, t)

    def _logits(
        self, field: Field, learned: Tensor | None, sources: PickedSources, fit: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits up to a constant per driving token, and that constant.

        Everything goes through one product, the preference for a source as K one-hot key channels: a million logits
        a source are written once. The constant cancels in the softmax over real rows.
        """
        b, k, keys, _ = sources.key.shape
        if not self.geometry:
            assert learned is not None
            rows = sources.key.float().reshape(b, k * keys, -1)
            return learned.float() @ rows.transpose(1, 2), torch.zeros_like(field.on_face)
        sigma = self.log_sigma.exp() * (2.0 * self.key_stride / self.tokens) / field.scale  # (B,) in rest units
        sharp = (0.5 / sigma.square())[:, None, None]
        own = field.rest.square().sum(-1, keepdim=True)
        query = [2 * sharp * field.rest, -sharp.expand_as(own)]
        # How much each driving token wants each source: expression on the face, the stage elsewhere.
        on_face = field.on_face * (sources.log_face[:, None] - fit)
        query.append(on_face + (1 - field.on_face) * sources.log_stage[:, None])
        which = torch.eye(k, device=own.device)[None, :, None].expand(b, -1, keys, -1)
        key = torch.cat([sources.key.float(), which], -1).reshape(b, k * keys, -1)
        return torch.cat(query, -1) @ key.transpose(1, 2), -sharp * own

    def _fit(self, field: Field, sources: PickedSources) -> tuple[Tensor, Tensor]:
        """By how much each source's expression and pose miss what each driving token wants, and by how much its pose
        misses that of the sources that draw the stage; (B, M, K) logits each."""
        expression = (field.deform[:, None] - sources.deform).square().sum(-1) * self.weights  # (B, K, P)
        # Near a lip or a lid that landmark alone decides: averaged with the cheek around it, an open mouth lost.
        say = self.importance[:, None]
        each = torch.stack([self.importance * self.pose_weights, self.importance], -1).expand(
            expression.shape[0], -1, -1
        )
        heard = field.near @ torch.cat([say * expression.transpose(1, 2), each], -1)  # (B, M, K + 2)
        heard = heard / heard[..., -1:]
        expression, pose_share = heard[..., :-2], heard[..., -2:-1]
        pose_gain = self.pose_gain.square()
        pose = pose_gain * (field.pose[:, None] - sources.pose).square().sum(-1)  # (B, K)
        gap = (sources.pose[:, :, None] - sources.pose[:, None]).square().sum(-1)  # (B, K, K)
        apart = (COHERENCE * pose_gain * gap).clamp_max(COHERENCE_CAP)
        apart = (apart * torch.softmax(sources.log_stage, -1)[:, None]).sum(-1)  # (B, K)
        return self.expression_gain.square() * expression + pose[:, None] * pose_share, apart[:, None] * pose_share

    def _refine(self, field: Field, coord: Tensor, sources: PickedSources) -> Tensor:
        """Walk off what the attended place still misses of the wanted rest position; coord (B·K, M, 2)."""
        b, k = sources.key.shape[:2]
        rest = sources.rest.flatten(0, 1)
        step_size = sources.scale.reshape(b * k, 1, 1) * _REFINE_RATE  # d(picture) / d(rest), head on
        wanted = field.rest[:, None, :, :2].expand(-1, k, -1, -1).flatten(0, 1)
        for _ in range(_REFINE_STEPS):
            at = F.grid_sample(rest, coord[:, None], align_corners=False, padding_mode="border")[:, :2, 0]
            step = step_size * (wanted - at.transpose(1, 2))
            coord = coord + step.clamp(-_MAX_STEP, _MAX_STEP)
        return coord

    def _move_values(
        self, attention: Tensor, logits: Tensor, level: Tensor, learned: Tensor | None, value: Tensor
    ) -> Tensor:
        """Softmax over real and extra rows together, written so that the real part alone stays well scaled."""
        b, k, keys, v = value.shape
        real = torch.logsumexp(logits, -1, keepdim=True) + level
        if self.training and self.geometry and float(torch.rand(())) < _DROP_SHARE:
            kept = attention * (torch.rand(b, 1, k * keys, device=attention.device) > _DROPPED)
            mass = kept.sum(-1, keepdim=True).clamp_min(_MIN_MASS)
            attention, real = kept / mass, real + mass.log()
        moved = attention @ value.float().reshape(b, k * keys, v)  # (B, M, V)
        if learned is None or not hasattr(self, "extra_key"):
            return moved
        extra = learned.float() @ self.extra_key.T + self.extra_bias  # (B, M, E)
        share = torch.sigmoid(real - torch.logsumexp(extra, -1, keepdim=True))
        width = self.extra_value.shape[1]
        filled = torch.softmax(extra, -1) @ self.extra_value
        head = share * moved[..., :width] + (1 - share) * filled
        return torch.cat([head, share * moved[..., width:], share], -1)
