# SPDX-License-Identifier: Apache-2.0
"""The optimiser of a task, and its state as named tensors for checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.training.task import Task

__all__ = ["load_optimizer", "make_optimizer", "optimizer_tensors", "set_rate", "trained"]

_BETAS, _DECAY = (0.9, 0.99), 1e-4


def make_optimizer(task: Task) -> Optimizer:
    """Make AdamW over the task's groups; norms, biases and scalars do not decay. The rate is set before every step."""
    groups: list[dict[str, object]] = []
    for group in task.rates():
        parameters = [p for p in group["params"] if p.requires_grad]  # type: ignore[attr-defined]
        for decay, chosen in (
            (_DECAY, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim < 2]),
        ):
            if chosen:
                groups.append({"params": chosen, "rate": group["rate"], "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of every group, times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def trained(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    """Yield what the optimiser trains."""
    for group in optimizer.param_groups:
        yield from group["params"]


def optimizer_tensors(optimizer: Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Return the optimiser's state as `parameter.field` → tensor; parameters it never moved have none."""
    return {
        f"{name}.{field}": value
        for name, parameter in module.named_parameters()
        for field, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(optimizer: Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises:
        KeyError: a tensor belongs to no parameter of the module.
    """
    named = dict(module.named_parameters())
    for key, tensor in tensors.items():
        name, _, field = key.rpartition(".")
        parameter = named[name]
        if field == "step":
            value = tensor.clone()  # Adam counts on the CPU
        else:  # moments lie in memory as their parameter does
            value = torch.empty_like(parameter, requires_grad=False)
            value.copy_(tensor)
        optimizer.state[parameter][field] = value
