# SPDX-License-Identifier: Apache-2.0
"""A task small enough to train for a few steps in a test, and batches for it: to be run as a program as well.

    python -m tests.helpers.tiny_task OUT STEPS [--resume] [--kill-at STEP] [--bad STEP ...] [--batch B]

trains it on one thread; under torchrun's variables, as one of several processes. It prints the losses of every step.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.training.batch import Batch
from engine.training.task import Outcome, Task
from engine.training.train.device import Precision
from engine.training.train.parallel import Ranks, open_ranks, rows_of_rank
from engine.training.train.run import Inputs, Run
from engine.training.train.schedule import Budget
from engine.training.train.settings import TrainSettings

SIDE = 16


class TinyModel(nn.Module):
    """Two convolutions around a batch norm."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.enter, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.leave = nn.Conv2d(width, 3, 3, padding=1)
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.unused = nn.Parameter(torch.zeros(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(F.relu(self.norm(self.enter(x)))) * self.gain


class TinyTask(Task):
    """Learns to make the driving frame from the mean of the source pictures, plus noise."""

    def __init__(self, width: int = 4, *, noise: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.model, self.width, self.noise = TinyModel(width), width, noise

    def describe(self) -> dict[str, object]:
        return {"model": "tiny", "config": {"width": self.width, "side_px": SIDE}}

    def rates(self) -> list[dict[str, object]]:
        slow = [self.model.gain]
        return [
            {"params": [p for p in self.model.parameters() if p is not self.model.gain], "rate": 1.0},
            {"params": slow, "rate": 0.5},
        ]

    def forward(self, batch: Batch) -> Outcome:
        seen = batch.rgb.mean(1)
        if self.training:
            seen = seen + self.noise * rows_of_rank(lambda rows: torch.randn(rows, *seen.shape[1:]), len(seen))
        output = self.model(seen).float()
        return Outcome(output, {"pixels": F.l1_loss(output, batch.truth), "square": F.mse_loss(output, batch.truth)})


class TinySource:
    """Smooth random pictures; a batch is decided by its step.

    Args:
        bad: steps whose pictures hold a NaN, in the last rank's part. kill_at: step at which the process kills itself.
    """

    def __init__(self, *, sources: int = 2, bad: Collection[int] = (), kill_at: int = -1, side: int = SIDE) -> None:
        self.sources, self.bad, self.kill_at, self.side = sources, bad, kill_at, side

    def draw(self, step: int, *, batch: int, rank: int = 0, world: int = 1) -> Batch:
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        rng = torch.Generator().manual_seed(1000 + step)
        rough = torch.rand(batch, self.sources + 1, 3, 4, 4, generator=rng) * 2 - 1
        fine = F.interpolate(rough.flatten(0, 1), size=self.side, mode="bilinear").unflatten(0, rough.shape[:2])
        rgb, truth = fine[:, :-1], fine[:, -1] * 0.2 + fine[:, :-1].mean(1) * 0.8
        if step in self.bad:
            rgb[-1] = float("nan")
        points = torch.rand(batch, self.sources + 1, 478, 3, generator=rng) - 0.5
        whole = Batch(
            rgb=rgb,
            rgba=torch.cat([rgb, torch.ones_like(rgb[:, :, :1])], 2),
            source_keypoints=points[:, :-1],
            truth=truth,
            keypoints=points[:, -1],
            backdrop=torch.zeros_like(truth),
        )
        part = slice(rank * batch // world, (rank + 1) * batch // world)
        return Batch(*(tensor[part] for tensor in whole))


def write_tiny(model: nn.Module, path: Path) -> None:
    """Write weights as the trainer asks for it."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(path))


def make_run(
    out: Path,
    settings: TrainSettings,
    *,
    source: TinySource | None = None,
    task: Task | None = None,
    ranks: Ranks | None = None,
    dev: bool = False,
    pack: str = "pack",
    resume: bool = False,
    bf16: bool = False,
) -> Run:
    """Make a run of the tiny task, on the CPU; its clock goes on by one second at each look."""
    ranks = ranks or Ranks(torch.device("cpu"))
    seconds = itertools.count()
    held = {n: TinySource(sources=n) for n in (1, 4)} if dev else {}
    return Run(
        Inputs(task or TinyTask(), source or TinySource(), held, pack, {"model": "tiny"}),
        out,
        settings=settings,
        ranks=ranks,
        precision=Precision(ranks.device, bf16),
        resume=resume,
        clock=lambda: float(next(seconds)),
        write_weights=write_tiny,
    )


def every_step(steps: int, *, batch: int = 4, **others: float) -> TrainSettings:
    """Return settings that log and save at every step."""
    return TrainSettings(Budget(steps=steps), batch=batch, log_s=0.0, checkpoint_minutes=1e-3, dev_samples=4, **others)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-at", type=int, default=-1)
    parser.add_argument("--bad", type=int, nargs="*", default=[])
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open_ranks("cpu") as ranks:
        source = TinySource(bad=options.bad, kill_at=options.kill_at)
        settings = every_step(options.steps, batch=options.batch)
        run = make_run(options.out, settings, source=source, ranks=ranks, resume=options.resume)
        result = run.train()
    sys.stdout.write(json.dumps({"steps": result.progress.step, "skipped": result.skipped}) + "\n")


if __name__ == "__main__":
    main()
