# SPDX-License-Identifier: Apache-2.0
"""Landmark field: a dense map from any picture of a person to one common rest space, from 478 keypoints alone.

Attention needs to know which driving token shows the same part of the person as which source token. Every picture
is therefore mapped into the *rest space* of its source set (canonical-face units, head upright and frontal, torso
where it stands), by linear blend skinning with two bones turned around:

    picture position x = p(X) · head(X) + (1 − p(X)) · torso(X)        solved for X by fixed-point steps

`head` is the affine map that carries the canonical face to the keypoints, `torso` stands still, and the weight p is
a smooth step at the neck, defined in rest space so that it travels with the person. On the face the remaining
difference to the canonical landmarks is interpolated on top and fades out away from it. Two tokens that show the
same thing get the same rest position, and the map is smooth, so hair and neck bend instead of tearing.

Matching positions directly with mixed head and torso coordinates instead (the first form of this model) bent necks
into wedges and hair into waves: rendered development clips, N = 4, face 22.4 → 25.1 dB.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.assets import load_canonical_face
from engine.headpose import UPPER_FACE_Y, affine_solver
from engine.models.layers import pixel_grid

__all__ = ["FIELD_MAPS", "Field", "LandmarkField", "rest_frame"]

FIELD_MAPS = 21  # channels of `LandmarkField.maps`
_POLAR_STEPS = 5  # quadratic convergence: exact to float32 for any head the tracker finds
_REST_STEPS = 5  # the fixed point has converged to 0.01 px by then


class Field(NamedTuple):
    """Geometric description of one picture; B pictures, M = T·T tokens, P landmarks.

    rest: (B, M, 3) rest position (x, y) and weighted depth. near: (B, M, P) share of each landmark in a token.
    on_face: (B, M, 1) in [0, 1]. deform: (B, P, 3) non-rigid part. pose: (B, 9). scale: (B,). origin: (B, 2), where
    the canonical origin lies in the picture.
    """

    rest: Tensor
    near: Tensor
    on_face: Tensor
    deform: Tensor
    pose: Tensor
    scale: Tensor
    origin: Tensor


def rest_frame(keypoints: Tensor, solver: Tensor) -> Tensor:
    """Return where a set's rest space lies: keypoints (B, N, P, 3) -> (B, 3): origin x, y and scale, mean over N."""
    affine = solver @ keypoints.float()
    scale = affine[..., :2, :2].square().sum((-1, -2)).mul(0.5).sqrt()
    return torch.cat([affine[..., 3, :2].mean(1), scale.mean(1, keepdim=True)], -1)


class LandmarkField(nn.Module):
    """Keypoints -> `Field`. Always float32: positions feed logits where half precision loses whole units."""

    canonical: Tensor
    grid: Tensor
    rows: Tensor
    centre: Tensor
    solver: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        canonical = torch.from_numpy(load_canonical_face().copy())
        self.tokens = tokens
        self.register_buffer("canonical", canonical, persistent=False)
        self.register_buffer("grid", pixel_grid(tokens), persistent=False)
        self.register_buffer("centre", canonical[canonical[:, 1] < UPPER_FACE_Y].mean(0), persistent=False)
        rows = [self.grid, self.grid.square().sum(-1, keepdim=True), torch.ones(tokens * tokens, 1)]
        self.register_buffer("rows", torch.cat(rows, -1), persistent=False)
        self.register_buffer("solver", torch.from_numpy(affine_solver().copy()), persistent=False)
        # Learned scalars; the values are tuned on training clips (card.md) and stay trainable.
        self.log_bandwidth = nn.Parameter(torch.full((len(canonical),), -3.1))  # × 3 head scales: landmark reach
        self.depth_bias = nn.Parameter(torch.tensor(0.55))  # nearer landmarks win where they overlap
        self.depth_weight = nn.Parameter(torch.tensor(0.5))  # of depth against x, y in matching
        self.skull_depth = nn.Parameter(torch.tensor(0.8))  # hair turns about a plane behind the face
        self.foreshortening = nn.Parameter(torch.tensor(0.75))  # 1: hair narrows like a flat card, 0: not at all
        self.rigidity = nn.Parameter(torch.tensor(0.7))  # 1: hair follows a rotation, 0: the free affine map
        self.neck_y = nn.Parameter(torch.tensor(1.4))  # canonical units, y down; the chin lies at 1.63
        self.neck_width = nn.Parameter(torch.tensor(0.4))
        self.face_reach = nn.Parameter(torch.tensor(0.5))  # how far landmark detail reaches past the face

    def forward(self, keypoints: Tensor, rest: Tensor) -> Field:
        """keypoints (B, P, 3) portrait space, rest (B, 3) from `rest_frame`."""
        with torch.autocast(keypoints.device.type, enabled=False):
            return self._forward(keypoints.float(), rest.float())

    def _forward(self, kp: Tensor, rest: Tensor) -> Field:
        b = kp.shape[0]
        affine = self.solver @ kp  # (B, 4, 3) canonical -> picture
        scale = affine[:, :2, :2].square().sum((1, 2)).mul(0.5).sqrt()  # (B,)
        s = scale[:, None, None]
        inverse = _inverse_transposed(affine[:, :3]).transpose(1, 2)
        deform = (kp - (self.canonical @ affine[:, :3] + affine[:, 3:])) @ inverse  # (B, P, 3), in the head's axes
        xy = kp[..., :2]

        # Both the grid and the landmarks go through the rigid part in one call.
        points = torch.cat([self.grid.expand(b, -1, -1), xy], 1)
        rigid = self._to_rest(points, self._skull_map(affine, scale), scale, rest)
        rigid_grid, rigid_lm = rigid[:, : len(self.grid)], rigid[:, len(self.grid) :]

        # |g − x|² for all tokens and landmarks is one product of rows [gx, gy, |g|², 1] with columns per landmark;
        # bandwidth and depth go into the columns, so half a million logits are written once and never touched again.
        depth = (kp[..., 2] - kp[..., 2].mean(1, keepdim=True)) / scale[:, None]
        own = xy.square().sum(-1)
        one = torch.ones_like(own)
        sharp = 0.5 / (3 * scale[:, None] * self.log_bandwidth.exp()) ** 2  # (B, P)
        pull = [2 * sharp * xy[..., 0], 2 * sharp * xy[..., 1], -sharp, -sharp * own - self.depth_bias * depth]
        near = torch.softmax(self.rows @ torch.stack(pull, 1), -1)  # (B, M, P)
        gap = self.rows @ torch.stack([-2 * xy[..., 0], -2 * xy[..., 1], one, own], 1)  # (B, M, P)
        gap = gap.min(-1, keepdim=True).values.clamp_min(0)
        on_face = torch.exp(-gap / (s * self.face_reach) ** 2)

        target = torch.cat(
            [self.canonical[:, :2] - rigid_lm, self.depth_weight * self.canonical[:, 2:].expand(b, -1, -1)], -1
        )
        detail = on_face * (near @ target)  # (B, M, 3)
        position = torch.cat([rigid_grid + detail[..., :2], detail[..., 2:]], -1)
        return Field(position, near, on_face, deform, (affine[:, :3] / s).flatten(1), scale, affine[:, 3, :2])

    def _skull_map(self, affine: Tensor, scale: Tensor) -> Tensor:
        """Draw the affine head map towards a rotation and scale about the upper face, (B, 4, 3).

        A free affine map takes raised brows for a taller head and carries tracker noise out to the hair, where it
        is magnified: real clips, N = 1, hair and clothes 27.7 → 28.5 dB. The rotation is the polar factor, by
        Newton's iteration R ← (R + R⁻ᵀ) / 2 (Higham 1986), with R⁻ᵀ as cofactors over the determinant.
        """
        linear = affine[:, :3]
        turn = linear / scale[:, None, None]
        for _ in range(_POLAR_STEPS):
            turn = 0.5 * (turn + _inverse_transposed(turn))
        size = (turn * linear).sum((1, 2)) / 3
        mixed = linear + self.rigidity * (size[:, None, None] * turn - linear)
        origin = affine[:, 3] + self.centre @ linear - self.centre @ mixed  # the upper face stays where it was
        return torch.cat([mixed, origin[:, None]], 1)

    def _to_rest(self, x: Tensor, affine: Tensor, scale: Tensor, rest: Tensor) -> Tensor:
        """Picture positions x (B, M, 2) -> rest positions (B, M, 2), landmarks' detail left out."""
        s = scale[:, None, None]
        turn = self._hair_turn(affine)  # (B, 2, 2)
        head_origin = (affine[:, 2, :2] * self.skull_depth + affine[:, 3, :2])[:, None]
        torso_origin, torso_scale = rest[:, None, :2], rest[:, None, 2:]
        out = (x - affine[:, None, 3, :2]) / s
        for _ in range(_REST_STEPS):
            p = torch.sigmoid((self.neck_y - out[..., 1:]) / self.neck_width)
            there = p * (out @ turn + head_origin) + (1 - p) * (torso_scale * out + torso_origin)
            out = out + (x - there) / s
        return out

    def _hair_turn(self, affine: Tensor) -> Tensor:
        """Blend the head's 2×2 map with the unforeshortened similarity of the same roll: a skull does not narrow."""
        a = affine[:, :2, :2]
        cos, sin = (a[:, 0, 0] + a[:, 1, 1]) / 2, (a[:, 0, 1] - a[:, 1, 0]) / 2
        norm = (cos * cos + sin * sin).sqrt()
        axes = affine[:, :3, :2]  # largest singular value in closed form: the unforeshortened scale
        g00, g11 = axes[..., 0].square().sum(1), axes[..., 1].square().sum(1)
        g01 = (axes[..., 0] * axes[..., 1]).sum(1)
        size = ((g00 + g11) / 2 + (((g00 - g11) / 2).square() + g01 * g01 + 1e-12).sqrt()).sqrt()
        cos, sin = cos / norm * size, sin / norm * size
        similarity = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
        return similarity + self.foreshortening * (a - similarity)

    def maps(self, field: Field) -> Tensor:
        """Return channels-first maps for the convolutional encoders, (B, FIELD_MAPS, T, T)."""
        t, b = self.tokens, field.rest.shape[0]
        local = field.on_face * (field.near @ field.deform)
        xyz = field.rest
        waves = [torch.sin(2 * xyz), torch.cos(2 * xyz), torch.sin(6 * xyz), torch.cos(6 * xyz)]
        grid = self.grid.expand(b, -1, -1)
        flat = torch.cat([xyz, grid, field.on_face, local, *waves], -1)
        return flat.transpose(1, 2).reshape(b, FIELD_MAPS, t, t)


def _inverse_transposed(matrix: Tensor) -> Tensor:
    """Inverse transposed of (B, 3, 3) as cofactors over the determinant; `torch.linalg.inv` does not export."""
    a, b, c = matrix[:, 0], matrix[:, 1], matrix[:, 2]
    cofactor = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1)
    return cofactor / (a * cofactor[:, 0]).sum(-1)[:, None, None]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross product of rows (B, 3); `torch.linalg.cross` does not export."""
    return torch.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        -1,
    )
