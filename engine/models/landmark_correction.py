# SPDX-License-Identifier: Apache-2.0
"""Make the warp exact at lids, irises and lips, which are finer than a token.

An open eye is one token high, so the token-level warp cannot close it. Where the warp sends each of these landmarks
is compared with where the source picture has it, and the difference is spread over a grid twice as fine by
normalised Gaussian weights (Nadaraya 1964, Watson 1964). Closing an eye folds the picture: on the line where both
lids meet over the iris, the upper lid wins, as it slides over the others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.landmarks import EYES, IRISES, LEFT_UPPER_LID, LIPS, RIGHT_UPPER_LID
from engine.models.layers import pixel_grid, upsampling_matrix

__all__ = ["CORRECTED", "LandmarkCorrection"]

CORRECTED = tuple(sorted({*EYES, *IRISES, *LIPS}))  # Q landmarks, in this order in the cache
_GRID = 64  # side of the fine grid
_PRIOR = 0.3  # weight of "no correction": distance at which it fades


class LandmarkCorrection(nn.Module):
    """Token flow -> finer flow that hits the corrected landmarks."""

    rows: Tensor
    index: Tensor
    up: Tensor
    order: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        grid = pixel_grid(_GRID)
        rows = torch.cat([grid, grid.square().sum(-1, keepdim=True), torch.ones(len(grid), 1)], -1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("index", torch.tensor(CORRECTED), persistent=False)
        self.register_buffer("up", upsampling_matrix(tokens, _GRID), persistent=False)
        upper, iris = {*LEFT_UPPER_LID, *RIGHT_UPPER_LID}, {*IRISES}
        order = torch.tensor([float(p in upper) - float(p in iris) for p in CORRECTED])
        self.register_buffer("order", order, persistent=False)
        self.reach = nn.Parameter(torch.tensor(0.07))  # Gaussian radius in head scales
        self.lid_bias = nn.Parameter(
            torch.tensor(2.0)
        )  # logits of the upper lid over the lower, and of that over the iris

    def forward(self, flow: Tensor, keypoints: Tensor, scale: Tensor, sources: Tensor) -> Tensor:
        """Correct the flows of K sources.

        Shapes:
            flow: (B·K, 2, T, T). keypoints: (B, P, 3), driving. scale: (B,), driving head's. sources: (B, K, Q, 2),
            the landmarks' places in the source pictures. returns: (B·K, 2, 64, 64), always computed in float32.
        """
        with torch.autocast(flow.device.type, enabled=False):
            return self._correct(flow, keypoints, scale, sources)

    def _correct(self, flow: Tensor, keypoints: Tensor, scale: Tensor, sources: Tensor) -> Tensor:
        b, k = sources.shape[:2]
        xy = keypoints.float().index_select(1, self.index)[..., :2]  # (B, Q, 2)
        repeated = xy[:, None].expand(-1, k, -1, -1).flatten(0, 1)  # (B·K, Q, 2)
        sent = repeated + F.grid_sample(flow, repeated[:, None], align_corners=False, padding_mode="border")[
            :, :, 0
        ].transpose(1, 2)
        missing = sources.flatten(0, 1) - sent  # (B·K, Q, 2)
        sharp = 0.5 / (scale * self.reach).square()[:, None]  # (B, 1)
        pull = [
            2 * sharp * xy[..., 0],
            2 * sharp * xy[..., 1],
            -sharp.expand_as(xy[..., 0]),
            -sharp * xy.square().sum(-1) + self.lid_bias * self.order,
        ]
        weight = (self.rows @ torch.stack(pull, 1)).exp()  # (B, G, Q)
        weight = weight / (weight.sum(-1, keepdim=True) + _PRIOR)
        weight = weight[:, None].expand(-1, k, -1, -1).flatten(0, 1)
        correction = (weight @ missing).transpose(1, 2).reshape(b * k, 2, _GRID, _GRID)
        return self.up @ flow @ self.up.T + correction
