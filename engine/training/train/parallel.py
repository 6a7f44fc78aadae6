# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one model (`torchrun`): who is who, and the few things they have to agree on.

Every rank draws its slice of the global batch, gradients are averaged, rank 0 keeps the clock and writes the files.
With one process all of this does nothing.

Random numbers inside a task: before every step all ranks seed torch alike, from (seed, step), as one process does.
What is drawn once a step therefore comes out the same everywhere. What is drawn per sample must be drawn for the
global batch and cut, with `rows_of_rank`; otherwise all ranks get the numbers of the first rows, which is harmless for
training but gives another loss curve than one process. Dropout layers cannot be told so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.errors import BackendUnavailable
from engine.training.train.device import choose_device

__all__ = ["Ranks", "open_ranks", "rows_of_rank", "seed_step"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all of them. rank 0 leads."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process keeps the clock and writes the files."""
        return self.rank == 0

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the mean over all ranks of every scalar; the names must be the same on all of them."""
        if not values:
            return {}
        stacked = torch.stack([value.detach().float() for value in values.values()])
        if self.world > 1:
            dist.all_reduce(stacked)
            stacked /= self.world
        return dict(zip(values, stacked.tolist(), strict=True))

    def follow(self, *numbers: float) -> list[float]:
        """Return rank 0's numbers on every rank."""
        if self.world == 1:
            return list(numbers)
        shared = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return shared.tolist()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over all ranks, where no DistributedDataParallel does it."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


@contextlib.contextmanager
def open_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, NCCL between GPUs and Gloo between CPUs; one process needs nothing.

    Raises:
        BackendUnavailable: no such device, or the other processes cannot be reached.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(choose_device(device))
        return
    chosen = choose_device(device, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        what = f"The {world} processes cannot reach each other: {str(error).splitlines()[0]}"
        raise BackendUnavailable(what, hint="Start them with torchrun.") from error
    try:
        yield Ranks(chosen, dist.get_rank(), world)
    finally:
        dist.destroy_process_group()


def rows_of_rank(draw: Callable[[int], Tensor], rows: int) -> Tensor:
    """Draw random numbers for the global batch and return this rank's rows of them, for use inside a task.

    Args:
        draw: makes (rows, …) random numbers. rows: of this rank.
    """
    if not dist.is_initialized():
        return draw(rows)
    return draw(rows * dist.get_world_size()).chunk(dist.get_world_size())[dist.get_rank()]


def seed_step(seed: int, step: int) -> None:
    """Seed torch for one step (from 0), or for the start with -1: a resumed run draws what an unbroken one draws."""
    state = np.random.SeedSequence([seed, step + 1]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))
