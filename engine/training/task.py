# SPDX-License-Identifier: Apache-2.0
"""What the trainer knows of a model: a module that turns a batch into a picture and named losses. Offline.

The trainer adds the adversarial terms, which need only the picture, and everything around it: schedule, average of
the weights, checkpoints, logs. A new model is a new `Task` in `engine.training.tasks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from engine.training.batch import Batch

__all__ = ["Outcome", "Task"]


class Outcome(NamedTuple):
    """output: (B, 3, R, R) the picture as it is shown, over its backdrop. losses: scalars, weighted, summed up by the
    trainer."""

    output: Tensor
    losses: dict[str, Tensor]


class Task(nn.Module, ABC):
    """A model and its losses.

    model: what is averaged, saved and exported; everything else in the task is a helper of training.
    """

    model: nn.Module

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """Rebuild the driving frames of a batch."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Return name and sizes of the model, for checkpoints and cards; equal if weights may be exchanged."""

    def rates(self) -> list[dict[str, object]]:
        """Return the optimiser's parameter groups: `params`, and `rate`, a factor on the learning rate."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad], "rate": 1.0}]
