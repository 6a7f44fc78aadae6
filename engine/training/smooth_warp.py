# SPDX-License-Identifier: Apache-2.0
"""Random smooth warps of a picture with their own derivative, for the equivariance of learned keypoints. Offline.

Siarohin et al. 2019 (arXiv 2003.00196, §3.1 and supplement): a random affine map plus a thin-plate spline through a
grid of control points. Draws come from torch's global random numbers, so that a step repeats exactly.

Shapes: B batch, K keypoints, P control points, R picture side. Coordinates in [-1, 1], pixel centres.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.layers import pixel_grid

__all__ = ["KeypointWarp", "draw_keypoint_warp"]

_AFFINE, _SPLINE, _CONTROL = 0.05, 0.005, 5  # standard deviations and the control grid's side, as published
_EPS = 1e-6


class KeypointWarp(NamedTuple):
    """z -> A [z, 1] + Σ w_i φ(|z − c_i|²), φ(s) = ½ s log s. affine: (B, 2, 3). weights: (B, P, 2)."""

    affine: Tensor
    weights: Tensor

    def points(self, at: Tensor) -> Tensor:
        """Carry points (B, K, 2) along -> (B, K, 2)."""
        squared = self._gap(at).square().sum(-1)  # (B, K, P)
        bent = (0.5 * squared * (squared + _EPS).log()) @ self.weights
        return at @ self.affine[:, :, :2].transpose(1, 2) + self.affine[:, None, :, 2] + bent

    def jacobian(self, at: Tensor) -> Tensor:
        """Derivative at points (B, K, 2) -> (B, K, 2, 2), rows are outputs."""
        gap = self._gap(at)
        squared = gap.square().sum(-1)
        slope = (squared + _EPS).log() + squared / (squared + _EPS)  # dφ/ds · 2
        bent = torch.einsum("bkp,bkpj,bpi->bkij", slope, gap, self.weights)
        return self.affine[:, None, :, :2] + bent

    def picture(self, rgb: Tensor) -> Tensor:
        """Return the picture whose place z shows what `rgb` (B, C, R, R) has at `points(z)`; reflected at the edges."""
        b, _, side, _ = rgb.shape
        at = self.points(pixel_grid(side).to(rgb.device).expand(b, -1, -1)).reshape(b, side, side, 2)
        return F.grid_sample(rgb.float(), at, align_corners=False, padding_mode="reflection")

    def _gap(self, at: Tensor) -> Tensor:
        return at[:, :, None] - pixel_grid(_CONTROL).to(at) * (_CONTROL / (_CONTROL - 1))


def draw_keypoint_warp(batch: int, device: torch.device) -> KeypointWarp:
    """Draw a warp for every picture of a batch."""
    same = torch.eye(2, 3, device=device)
    affine = same + _AFFINE * torch.randn(batch, 2, 3, device=device)
    return KeypointWarp(affine, _SPLINE * torch.randn(batch, _CONTROL**2, 2, device=device))
