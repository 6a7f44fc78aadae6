# SPDX-License-Identifier: Apache-2.0
"""Batch norms that see the batch of all processes, on any device; torch's own SyncBatchNorm needs CUDA.

Without it, the same global batch would be normalised differently by one process and by several, and a small slice per
process would make poor statistics.

Source:
    Ioffe, Szegedy 2015, "Batch Normalization", arXiv 1502.03167, alg. 1, over the global mini-batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["GlobalBatchNorm1d", "GlobalBatchNorm2d", "GlobalBatchNorm3d", "use_global_norms"]


class _SumOverRanks(torch.autograd.Function):
    """all_reduce with its gradient: what every rank makes of the sum flows back to all of them."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOverRanks.apply(gradient)


class _Global(_BatchNorm):
    """In training, mean and mean square over all ranks; they must hold equally many samples."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, …), statistics in float32."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        self._check_input_dim(x)
        world = dist.get_world_size()
        full = x.float()
        over = [d for d in range(x.dim()) if d != 1]
        mean, square = (_SumOverRanks.apply(torch.stack([full.mean(over), full.square().mean(over)])) / world).unbind()
        variance = (square - mean.square()).clamp_min(0)
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach(), count=world * x.numel() // x.shape[1])
        shape = (1, -1, *(1,) * (x.dim() - 2))
        out = (full - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.float().view(shape) + self.bias.float().view(shape)
        return out.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        # as torch keeps it: the unbiased estimate
        self.running_var.lerp_((variance * (count / max(1, count - 1))).to(self.running_var.dtype), share)


class GlobalBatchNorm1d(_Global, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all ranks."""


class GlobalBatchNorm2d(_Global, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all ranks."""


class GlobalBatchNorm3d(_Global, nn.BatchNorm3d):
    """`nn.BatchNorm3d` over all ranks."""


_GLOBAL = {nn.BatchNorm1d: GlobalBatchNorm1d, nn.BatchNorm2d: GlobalBatchNorm2d, nn.BatchNorm3d: GlobalBatchNorm3d}


def use_global_norms(module: nn.Module) -> None:
    """Turn every batch norm of a module into a global one, in place; weights, names and statistics stay."""
    for part in module.modules():
        if type(part) in _GLOBAL:
            part.__class__ = _GLOBAL[type(part)]
