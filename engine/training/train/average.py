# SPDX-License-Identifier: Apache-2.0
"""The moving average of a task's weights: what is judged, saved and exported. Follows the learner's every step."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from engine.training.task import Task

__all__ = ["Average"]

_DECAY = 0.999


class Average:
    """A copy of a task whose parameters and buffers follow the original slowly.

    The whole task is copied and not its model alone, so that the copy can be asked for its losses.
    """

    def __init__(self, task: Task) -> None:
        self.task = copy.deepcopy(task).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, task: Task, *, step: int) -> None:
        """Move towards the task after its step number `step` (from 0), a short way once there are many."""
        share = 1.0 - min(_DECAY, (1 + step) / (10 + step))  # the start is forgotten sooner than 0.999 would
        pairs = [(m, t) for m, t in zip(_tensors(self.task), _tensors(task), strict=True) if m.is_floating_point()]
        torch._foreach_lerp_([m for m, _ in pairs], [t for _, t in pairs], share)
        for mine, theirs in zip(_tensors(self.task), _tensors(task), strict=True):
            if not mine.is_floating_point():  # counters
                mine.copy_(theirs)


def _tensors(task: Task) -> Iterator[Tensor]:
    yield from (p.detach() for p in task.parameters())
    yield from task.buffers()
