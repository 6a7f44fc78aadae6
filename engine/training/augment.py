# SPDX-License-Identifier: Apache-2.0
"""Random changes of pictures and their keypoints, on the device. Offline.

A flip, a similarity and a colour change are the same for all pictures of a sample; a smooth warp differs from picture
to picture and turns a still into a set of frames. The numbers are drawn by the caller, for the whole batch and on the
CPU, so that several processes together draw what one would.

Shapes: M pictures of side R; P landmarks. Colours in [-1, 1]; keypoints in portrait space, x right, y down.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from engine.landmarks import flip_permutation
from engine.models.layers import pixel_grid

__all__ = ["JointChange", "SmoothWarp", "change_colours", "move_jointly"]

_INVERSE_STEPS = 12
_TURN, _ZOOM, _SHIFT = 0.10, 0.10, 0.05  # standard deviations: radians, logarithm, portrait units
_CONTRAST, _MIX, _BRIGHTNESS = 0.12, 0.05, 0.06
_GRID = 64  # displacement is smooth: it is made this fine and interpolated


class JointChange(NamedTuple):
    """Draws for B samples. flip: (B,). turn, zoom: (B,). shift: (B, 2). colour: (B, 3, 3). bright: (B, 3)."""

    flip: Tensor
    turn: Tensor
    zoom: Tensor
    shift: Tensor
    colour: Tensor
    bright: Tensor

    @classmethod
    def draw(cls, count: int, rng: Generator) -> JointChange:
        """Draw for a batch."""
        contrast = (torch.randn(count, 1, 1, generator=rng) * _CONTRAST).exp()
        return cls(
            flip=torch.rand(count, generator=rng) < 0.5,
            turn=torch.randn(count, generator=rng) * _TURN,
            zoom=(torch.randn(count, generator=rng).clamp(-1, 2) * _ZOOM).exp(),
            shift=torch.randn(count, 2, generator=rng) * _SHIFT,
            colour=torch.eye(3) * contrast + torch.randn(count, 3, 3, generator=rng) * _MIX,
            bright=torch.randn(count, 3, generator=rng) * _BRIGHTNESS,
        )


class SmoothWarp(NamedTuple):
    """Draws for M pictures: an affine part about the face and displacements of two sizes."""

    turn: Tensor
    stretch: Tensor
    shear: Tensor
    shift: Tensor
    coarse: Tensor
    fine: Tensor

    @classmethod
    def draw(cls, count: int, rng: Generator) -> SmoothWarp:
        """Draw for a number of pictures."""

        def normal(*shape: int, scale: float) -> Tensor:
            return torch.randn(count, *shape, generator=rng) * scale

        return cls(
            turn=normal(scale=0.20),
            stretch=1 + normal(2, scale=0.08),
            shear=normal(scale=0.07),
            shift=normal(1, 2, scale=0.07),
            coarse=normal(2, 5, 5, scale=0.04),
            fine=normal(2, 12, 12, scale=0.010),
        )

    def apply(self, pictures: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Warp pictures (M, C, R, R) and keypoints (M, P, 3); far from the face nothing moves."""
        m, side = pictures.shape[0], pictures.shape[-1]
        centre = keypoints[..., :2].mean(1)[:, None]
        cos, sin = self.turn.cos(), self.turn.sin()
        rows = [
            torch.stack([cos * self.stretch[:, 0], self.shear - sin], 1),
            torch.stack([sin, cos * self.stretch[:, 1]], 1),
        ]
        matrix = torch.stack(rows, 1)
        field = sum(
            F.interpolate(part, size=(_GRID, _GRID), mode="bicubic", align_corners=True)
            for part in (self.coarse, self.fine)
        )
        assert isinstance(field, Tensor)

        def source_of(at: Tensor) -> Tensor:  # position in the result -> position in the picture
            bend = F.grid_sample(field, at[:, :, None], align_corners=False, padding_mode="border")[..., 0]
            near = torch.exp(-((at - centre) ** 2).sum(-1, keepdim=True) / 0.8)
            moved = (at - centre - self.shift) @ matrix.transpose(1, 2) + centre + bend.transpose(1, 2)
            return at + near * (moved - at)

        grid = pixel_grid(_GRID).to(pictures).expand(m, -1, -1)
        flow = (source_of(grid) - grid).transpose(1, 2).reshape(m, 2, _GRID, _GRID)
        flow = F.interpolate(flow, size=(side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
        at = flow + pixel_grid(side).to(pictures).reshape(1, side, side, 2)
        pictures = F.grid_sample(pictures, at, align_corners=False, padding_mode="reflection")
        wanted = keypoints[..., :2]
        xy = wanted.clone()
        for _ in range(_INVERSE_STEPS):  # the inverse by a fixed point
            xy = xy + 0.7 * (wanted - source_of(xy))
        return pictures, torch.cat([xy, keypoints[..., 2:]], -1)


def move_jointly(pictures: Tensor, keypoints: Tensor, change: JointChange) -> tuple[Tensor, Tensor]:
    """Flip and move pictures (B·S, C, R, R) and keypoints (B·S, P, 3), the S pictures of a sample alike."""
    repeat = pictures.shape[0] // len(change.flip)
    flip, turn, zoom, shift = (x.repeat_interleave(repeat, 0) for x in change[:4])
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = turn.cos() * zoom, turn.sin() * zoom
    # forward map of positions: x' = A (mirror · x) + shift
    matrix = torch.stack([torch.stack([cos * mirror, -sin], -1), torch.stack([sin * mirror, cos], -1)], -2)
    inverse = torch.linalg.inv(matrix)
    theta = torch.cat([inverse, -(inverse @ shift[..., None])], 2)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    pictures = F.grid_sample(pictures, grid, align_corners=False, padding_mode="reflection")
    order = torch.as_tensor(flip_permutation().copy(), device=keypoints.device)
    keypoints = torch.where(flip[:, None, None], keypoints[:, order], keypoints)
    xy = keypoints[..., :2] @ matrix.transpose(1, 2) + shift[:, None]
    return pictures, torch.cat([xy, keypoints[..., 2:] * zoom[:, None, None]], -1)


def change_colours(rgb: Tensor, change: JointChange) -> Tensor:
    """Change contrast, tint and brightness of pictures (B·S, 3, R, R), the S pictures of a sample alike."""
    repeat = rgb.shape[0] // len(change.flip)
    colour, bright = (x.repeat_interleave(repeat, 0) for x in (change.colour, change.bright))
    flat = colour @ rgb.flatten(2) + bright[..., None]
    return flat.reshape(rgb.shape).clamp(-1, 1)
