# SPDX-License-Identifier: Apache-2.0
"""Landmark field: a dense map from any picture of a person to one common rest space, from 478 keypoints alone.

Attention needs to know which driving token shows the same part of the person as which source token. Every picture
is therefore mapped into the *rest space* of its source set (canonical-face units, head upright and frontal, torso
where it stands), by linear blend skinning with two bones turned around:

    picture position x = p(X) · head(X) + (1 − p(X)) · torso(X)        solved for X by fixed-point steps

and the weight p is a smooth step at the neck, defined in rest space so that it travels with the person. On the face
the remaining difference to the canonical landmarks is interpolated on top and fades out away from it. Two tokens that
show the same thing get the same rest position, and the map is smooth, so hair and neck bend instead of tearing.

`head` carries the canonical face to the keypoints. Hair around it is a shell: near the face it turns as a card with it,
its outline lies deeper and narrows less, as that of a ball does. `torso` goes along with the joint at the foot of the
neck, which a mere turn of the head leaves in its place, by the share that shoulders did in training clips; a landmark
model sees no shoulder. A head that hardly differs from the picture shown is drawn towards it: what is left there is
mostly the tracker's noise, and real hair and collars sit still under a talking face.

Training clips, N = 1, PSNR of one real speaker / of 30 avatars, each step on top of the one before: a flat plate of
hair and a torso that stands still 31.98 / 21.04; torso by the joint, hair as a shell 32.03 / 22.33; calm 33.27 / 22.36.
Tried and not better: fitted to the real speaker alone hair went with the torso (33.62 / 21.53); numbers fitted on from
these for 320 steps more changed nothing; face detail that fades sooner (0.24 instead of 0.4) wins 0.09 dB on avatars
and makes the hairline beside the face wavy.

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

__all__ = ["FIELD_MAPS", "Field", "LandmarkField"]

FIELD_MAPS = 21  # channels of `LandmarkField.maps`
_POLAR_STEPS = 5  # quadratic convergence: exact to float32 for any head the tracker finds
_CARRY = 1.0  # how far beyond the face, in its own length, a landmark's shift is carried at least
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
        # Learned scalars; the values are fitted on training clips (card.md) and stay trainable.
        self.log_bandwidth = nn.Parameter(torch.full((len(canonical),), -3.1))  # × 3 head scales: landmark reach

        def number(value: float) -> nn.Parameter:
            return nn.Parameter(torch.tensor(value))

        self.depth_bias = number(0.55)  # nearer landmarks win where they overlap
        self.depth_weight = number(0.8)  # of depth against x, y in matching
        self.face_reach = number(0.4)  # how far landmark detail reaches past the face
        self.rigidity = number(0.78)  # 1: hair follows a rotation, 0: the free affine map
        self.calm = number(0.085)  # a head that changes by this much, in its own size, moves hair and torso half as far
        # Hair beside the face, and by how much more at its outline: depth of the plane it turns about, and narrowing
        # under a turn (1: like a flat card, 0: not at all).
        self.hair_reach = number(1.94)  # canonical units from the middle of the face, half way to the outline's values
        self.skull_depth, self.outline_depth = number(0.53), number(0.55)
        self.foreshortening, self.outline_foreshortening = number(0.93), number(-0.45)
        # Where the head ends: canonical units, y down; the chin lies at 1.63.
        self.neck_y, self.neck_width = number(1.73), number(1.0)
        self.neck_curve = number(-0.91)  # per squared unit beside the neck: above the shoulders it ends higher
        # The joint at the foot of the neck; the shares of its way, and of the head's growth, that the torso takes on.
        self.joint_y, self.joint_z = number(0.87), number(1.62)
        self.follow_x, self.follow_y, self.follow_size = number(0.9), number(0.34), number(0.19)

    def rest_frame(self, keypoints: Tensor) -> Tensor:
        """Return where a set's torso stands: keypoints (B, N, P, 3) -> (B, 3): the neck's joint x, y and the head's
        size, mean over N."""
        skull, size = self._skull_map(self.solver @ keypoints.float().flatten(0, 1))
        each = torch.cat([self._joint(skull), size[:, None]], -1)
        return each.reshape(keypoints.shape[0], -1, 3).mean(1)

    def forward(self, keypoints: Tensor, rest: Tensor, shown: Tensor | None = None) -> Field:
        """keypoints (B, P, 3) portrait space, rest (B, 3) from `rest_frame`, shown (B, 4, 3) head map of the picture
        that draws hair and torso (no depth of the origin), for driving keypoints."""
        with torch.autocast(keypoints.device.type, enabled=False):
            return self._forward(keypoints.float(), rest.float(), shown)

    def _forward(self, kp: Tensor, rest: Tensor, shown: Tensor | None) -> Field:
        b = kp.shape[0]
        affine = self.solver @ kp  # (B, 4, 3) canonical -> picture
        scale = affine[:, :2, :2].square().sum((1, 2)).mul(0.5).sqrt()  # (B,)
        s = scale[:, None, None]
        inverse = _inverse_transposed(affine[:, :3]).transpose(1, 2)
        deform = (kp - (self.canonical @ affine[:, :3] + affine[:, 3:])) @ inverse  # (B, P, 3), in the head's axes
        xy = kp[..., :2]

        # Both the grid and the landmarks go through the rigid part in one call.
        points = torch.cat([self.grid.expand(b, -1, -1), xy], 1)
        skull, size = self._skull_map(affine if shown is None else self._calmed(affine, scale, shown))
        rigid = self._to_rest(points, skull, size, rest)
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
        detail = near @ target  # (B, M, 3)
        shift = detail[..., :2]
        # A shift that ends within less than its own length would fold the picture: below a chin that is far from where
        # its head would carry it, a second chin.
        reach = torch.maximum(self.face_reach.square(), _CARRY**2 * shift.square().sum(-1, keepdim=True))
        position = torch.cat([rigid_grid + torch.exp(-gap / (s * s * reach)) * shift, on_face * detail[..., 2:]], -1)
        return Field(position, near, on_face, deform, (affine[:, :3] / s).flatten(1), scale, affine[:, 3, :2])

    def pose(self, keypoints: Tensor) -> Tensor:
        """Head pose of keypoints (B, P, 3) alone, (B, 9), as in `Field`."""
        linear = (self.solver @ keypoints.float())[:, :3]
        return (linear / linear[:, :2, :2].square().sum((1, 2)).mul(0.5).sqrt()[:, None, None]).flatten(1)

    def _calmed(self, affine: Tensor, scale: Tensor, shown: Tensor) -> Tensor:
        """Draw a head map (B, 4, 3) that hardly differs from that of the picture shown to it."""
        place = affine[:, 3, :2]  # how near a head is hangs on its size
        flat = torch.cat([affine[:, :3], torch.cat([place, torch.zeros_like(place[:, :1])], -1)[:, None]], 1)
        change = flat - shown
        moved = change.square().sum((1, 2)) / scale.square()
        share = moved / (moved + self.calm.square())
        return shown + share[:, None, None] * change

    def _skull_map(self, affine: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the affine head map towards a rotation and scale about the upper face, (B, 4, 3); and that scale (B,).

        A free affine map takes raised brows for a taller head and carries tracker noise out to the hair, where it
        is magnified: real clips, N = 1, hair and clothes 27.7 → 28.5 dB. The rotation is the polar factor, by
        Newton's iteration R ← (R + R⁻ᵀ) / 2 (Higham 1986), with R⁻ᵀ as cofactors over the determinant.
        """
        linear = affine[:, :3]
        turn = linear / linear.square().sum((1, 2)).div(3).sqrt()[:, None, None]
        for _ in range(_POLAR_STEPS):
            turn = 0.5 * (turn + _inverse_transposed(turn))
        size = (turn * linear).sum((1, 2)) / 3
        mixed = linear + self.rigidity * (size[:, None, None] * turn - linear)
        origin = affine[:, 3] + self.centre @ linear - self.centre @ mixed  # the upper face stays where it was
        return torch.cat([mixed, origin[:, None]], 1), size

    def _joint(self, skull: Tensor) -> Tensor:
        """Where a head map (B, 4, 3) puts the joint at the foot of the neck, (B, 2)."""
        return self.joint_y * skull[:, 1, :2] + self.joint_z * skull[:, 2, :2] + skull[:, 3, :2]

    def _torso(self, skull: Tensor, size: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Origin (B, 2) and scale (B,) of the torso, which goes part of the way the neck's joint goes."""
        scale = rest[:, 2] * (size / rest[:, 2]) ** self.follow_size
        way = self._joint(skull) - rest[:, :2]
        origin = rest[:, :2] + torch.stack([self.follow_x, self.follow_y]) * way
        return origin - torch.stack([torch.zeros_like(scale), self.joint_y * scale], -1), scale

    def _to_rest(self, x: Tensor, skull: Tensor, size: Tensor, rest: Tensor) -> Tensor:
        """Picture positions x (B, M, 2) -> rest positions (B, M, 2), landmarks' detail left out."""
        s = size[:, None, None]
        card, round_ = self._hair_turns(skull)  # (B, 2, 2) each
        deep, origin = skull[:, None, 2, :2], skull[:, None, 3, :2]
        torso_origin, torso_scale = self._torso(skull, size, rest)
        torso_origin, torso_scale = torso_origin[:, None], torso_scale[:, None, None]
        out = (x - origin - self.skull_depth * deep) / s
        for _ in range(_REST_STEPS):
            side, down = out[..., :1], out[..., 1:]
            outer = side.square() + (down - self.centre[1]).square()
            outer = outer / (outer + self.hair_reach.square())  # 0 in the middle of the face, 1 far outside
            narrow = self.foreshortening + self.outline_foreshortening * outer
            depth = self.skull_depth + self.outline_depth * outer
            head = out @ round_ + narrow * (out @ (card - round_)) + depth * deep + origin
            p = torch.sigmoid((self.neck_y + self.neck_curve * side.square() - down) / self.neck_width)
            there = p * head + (1 - p) * (torso_scale * out + torso_origin)
            out = out + (x - there) / s
        return out

    @staticmethod
    def _hair_turns(affine: Tensor) -> tuple[Tensor, Tensor]:
        """The head's 2×2 map, and the unforeshortened similarity of the same roll: a skull does not narrow."""
        a = affine[:, :2, :2]
        cos, sin = (a[:, 0, 0] + a[:, 1, 1]) / 2, (a[:, 0, 1] - a[:, 1, 0]) / 2
        norm = (cos * cos + sin * sin).sqrt()
        axes = affine[:, :3, :2]  # largest singular value in closed form: the unforeshortened scale
        g00, g11 = axes[..., 0].square().sum(1), axes[..., 1].square().sum(1)
        g01 = (axes[..., 0] * axes[..., 1]).sum(1)
        size = ((g00 + g11) / 2 + (((g00 - g11) / 2).square() + g01 * g01 + 1e-12).sqrt()).sqrt()
        cos, sin = cos / norm * size, sin / norm * size
        return a, torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)

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
