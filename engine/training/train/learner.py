# SPDX-License-Identifier: Apache-2.0
"""One step of learning, and all that it changes: task, optimiser, average and adversary. Knows no files and no clock.

Weights stay float32; the forward pass runs under autocast, and a task asks for float32 where it needs it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import InferenceFailed, ModelMismatch
from engine.training.batch import Batch
from engine.training.task import Task
from engine.training.train.adversary import Adversary
from engine.training.train.average import Average
from engine.training.train.device import Precision, lay_out
from engine.training.train.global_norm import use_global_norms
from engine.training.train.optimiser import load_optimizer, make_optimizer, optimizer_tensors, set_rate, trained
from engine.training.train.parallel import Ranks, seed_step

__all__ = ["Learner", "Step"]

log = logging.getLogger(__name__)

_MAX_GRADIENT = 1.0
_BAD_STEPS = 20  # in a row, and the run is lost


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to. losses: mean over all ranks. gradient: norm before clipping, NaN where there was none.
    taken: False where the step was skipped because a number was not finite."""

    losses: Mapping[str, float]
    gradient: float
    taken: bool


class Learner:
    """Trains a task; the task is moved to the ranks' device and changed in place.

    Args:
        width: of the adversary; None for none at all.
    """

    def __init__(self, task: Task, *, ranks: Ranks, precision: Precision, seed: int, width: int | None = None) -> None:
        self.task = task.to(ranks.device).train()
        lay_out(task)
        self.skipped = 0
        self._in_a_row = 0
        self._ranks, self._precision, self._seed = ranks, precision, seed
        self._forward: nn.Module = task
        if ranks.world > 1:
            use_global_norms(task)
            # A step may leave parts unused, such as what mixes sources when there is but one. Buffers need to be
            # equal at the start only: global norms keep them so.
            self._forward = DistributedDataParallel(task, find_unused_parameters=True, forward_sync_buffers=False)
        self._optimizer = make_optimizer(task)
        self.average = Average(task)
        seed_step(seed, -1)
        self._adversary = Adversary(ranks.device, width=width) if width is not None else None

    def learn(self, batch: Batch, *, step: int, rate: float, adversarial: bool) -> Step:
        """Learn from a batch, unless its loss or gradient is not finite: then everything stays as it was.

        Args:
            step: number of the step, from 0. rate: AdamW's, before the groups' own factors.
            adversarial: whether the adversary plays.
        Raises:
            InferenceFailed: too many such batches in a row.
        """
        rival = self._adversary if adversarial else None
        before = [b.clone() for b in self.task.buffers()]
        seed_step(self._seed, step)
        with self._precision.autocast():
            outcome = self._forward(batch)
            losses = {**outcome.losses, **(rival.losses(outcome.output, batch.truth) if rival else {})}
        values = self._ranks.mean(losses)
        gradient = math.nan
        # Looked at before the gradient: with undefined places, torch's grid sampling writes outside its memory there.
        if all(map(math.isfinite, values.values())):
            self._optimizer.zero_grad()
            torch.stack([loss.float() for loss in losses.values()]).sum().backward()
            gradient = float(nn.utils.clip_grad_norm_(trained(self._optimizer), _MAX_GRADIENT))
        if not math.isfinite(gradient):
            self._skip(before, step, values, gradient)
            return Step(values, math.nan, taken=False)
        self._in_a_row = 0
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        self.average.update(self.task, step=step)
        if rival:
            values["rival"] = self._teach(rival, outcome.output, batch.truth)
        return Step(values, gradient, taken=True)

    def _skip(self, before: list[Tensor], step: int, values: Mapping[str, float], gradient: float) -> None:
        with torch.no_grad():  # batch norms have seen the bad numbers already
            for buffer, kept in zip(self.task.buffers(), before, strict=True):
                buffer.copy_(kept)
        self.skipped += 1
        self._in_a_row += 1
        told = ", ".join(f"{name} {value:g}" for name, value in values.items())
        if self._ranks.leads:
            log.warning("Step %d is skipped: %s; gradient %g", step + 1, told, gradient)
        if self._in_a_row >= _BAD_STEPS:
            raise InferenceFailed(
                f"Training failed: {_BAD_STEPS} steps in a row gave no finite numbers ({told}; gradient {gradient:g}).",
                hint="The last checkpoint is good. Go on from it with --precision fp32, or start with a lower --rate.",
            )

    def _teach(self, rival: Adversary, output: Tensor, truth: Tensor) -> float:
        """Let the adversary learn from the same pictures; return its loss."""
        with self._precision.autocast():
            loss = rival.own_loss(output, truth)
        value = self._ranks.mean({"rival": loss})["rival"]
        if math.isfinite(value):
            rival.optimizer.zero_grad()
            loss.backward()
            self._ranks.average_gradients(rival.net.parameters())
            norm = float(nn.utils.clip_grad_norm_(rival.net.parameters(), math.inf))
            if math.isfinite(norm):
                rival.optimizer.step()
        return value

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that learning changes, named for a checkpoint; views, not copies."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "task": self.task.state_dict(),
            "average": self.average.task.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer, self.task),
        }
        if self._adversary:
            parts["rival"] = self._adversary.net.state_dict()
            parts["rival_optimizer"] = optimizer_tensors(self._adversary.optimizer, self._adversary.net)
        return {f"{part}/{name}": tensor for part, found in parts.items() for name, tensor in found.items()}

    def load(self, tensors: Mapping[str, Tensor], *, skipped: int, in_a_row: int) -> None:
        """Put back what `tensors` returned; an adversary that was not saved starts fresh.

        Raises:
            ModelMismatch: the tensors belong to another model.
        """

        def part(name: str) -> dict[str, Tensor]:
            return {key.partition("/")[2]: t for key, t in tensors.items() if key.startswith(f"{name}/")}

        try:
            self.task.load_state_dict(part("task"))
            self.average.task.load_state_dict(part("average"))
            load_optimizer(self._optimizer, self.task, part("optimizer"))
            if self._adversary and (rival := part("rival")):
                self._adversary.net.load_state_dict(rival)
                load_optimizer(self._adversary.optimizer, self._adversary.net, part("rival_optimizer"))
        except (RuntimeError, KeyError) as error:
            what = f"The checkpoint's tensors do not fit the model: {str(error).splitlines()[0]}"
            raise ModelMismatch(what, hint="It was written by another version of the model; start anew.") from error
        self.skipped, self._in_a_row = skipped, in_a_row

    @property
    def in_a_row(self) -> int:
        """How many steps were skipped since the last one that was taken."""
        return self._in_a_row
