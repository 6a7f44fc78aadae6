# SPDX-License-Identifier: Apache-2.0
"""Tunes the numbers of the geometric model on clips: landmark reach, scalars and gains. Offline, any one thread.

Of one clip, 1, 2 or 4 frames are the source pictures and another one drives. What the model makes of them is put over
the sources' own backdrop, as the running app does it, and compared with the driving frame; the gradient flows through
the warped pixels. A few hundred steps on a few clips know less than the hand-set start does about everyone else,
therefore the result is averaged with the start (`--mix`).

    python -m engine.training.tune_field --clips DIR --minutes 15 --start assets/models/lite/weights.safetensors \
        --mix 0.5 --out weights.safetensors

The same seed and `--steps` give the same numbers on the same machine; with `--minutes` the machine's speed decides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.assets import asset_root
from engine.cli.console import Advance, progress
from engine.errors import InferenceFailed, OutputUnwritable, PuppeteerError
from engine.evaluation.protocol import open_instruments
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.implicit_warp import ImplicitWarp
from engine.training.losses import sample_loss
from engine.training.samples import Sample, TuningClip, draw_sample, read_clips

__all__ = ["Budget", "main", "mix_in", "tune"]

_SAMPLES_A_STEP = 4
_BANDWIDTH_RATE, _SCALAR_RATE, _GAIN_RATE, _LAST_RATE = 0.01, 0.005, 0.03, 1e-5
_MAX_GRADIENT = 1.0
_JUDGED = 24  # samples of the same clips on which start and result are compared


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to tune: a number of steps where one is given, otherwise seconds."""

    seconds: float = 900.0
    steps: int | None = None

    def share(self, step: int, elapsed_s: float) -> float:
        """Return how much of it is used up; 1 and more is the end."""
        return elapsed_s / self.seconds if self.steps is None else step / self.steps


def _rate(name: str) -> float:
    if name == "field.log_bandwidth":
        return _BANDWIDTH_RATE
    return _GAIN_RATE if name.endswith("_gain") else _SCALAR_RATE


def tune(
    model: ImplicitWarp,
    clips: Sequence[TuningClip],
    *,
    budget: Budget,
    seed: int = 0,
    note: Callable[[dict[str, Any]], None] = lambda _facts: None,
    advance: Advance = lambda _done, _total: None,
) -> int:
    """Tune a model in place by Adam, rates falling linearly with the budget, and return the number of steps.

    Args:
        note: called with the facts of every step. advance: called with (done, total), in steps or seconds.
    Raises:
        InferenceFailed: loss or gradient is no number any more.
    """
    rng = np.random.default_rng(seed)
    tuned = model.eval().requires_grad_(False).geometric_parameters()  # a decoder stays as it is
    optimizer = torch.optim.Adam([{"params": [p.requires_grad_()], "lr": _rate(n)} for n, p in tuned.items()])
    start_s, step = time.monotonic(), 0
    while (used := budget.share(step, elapsed_s := time.monotonic() - start_s)) < 1:
        for group, name in zip(optimizer.param_groups, tuned, strict=True):
            group["lr"] = _rate(name) * (1 - used) + _LAST_RATE
        optimizer.zero_grad()
        total = _accumulate(model, [draw_sample(clips, rng) for _ in range(_SAMPLES_A_STEP)])
        norm = float(torch.nn.utils.clip_grad_norm_(tuned.values(), _MAX_GRADIENT))
        if not math.isfinite(norm):
            raise InferenceFailed(f"Tuning failed at step {step + 1}: loss {total}, gradient {norm}, expected numbers.")
        optimizer.step()
        step += 1
        scalars = {name: round(float(p.detach().mean()), 4) for name, p in tuned.items()}
        note({"step": step, "elapsed_s": round(elapsed_s, 1), "loss": total, "gradient": norm, "means": scalars})
        advance(*((step, budget.steps) if budget.steps is not None else (round(elapsed_s), round(budget.seconds))))
    return step


def _accumulate(model: ImplicitWarp, samples: Sequence[Sample]) -> float:
    """Add the gradient of the samples' mean loss to the model's, and return that loss."""
    total = 0.0
    for sample in samples:  # one at a time: they differ in their number of sources
        loss = sample_loss(model, sample) / len(samples)
        total += loss.item()
        if not math.isfinite(total):
            raise InferenceFailed(f"Tuning failed: the loss is {total}, expected a number.")
        loss.backward()  # with undefined places, torch's grid sampling writes outside its memory here
    return total


def mix_in(model: ImplicitWarp, start: ImplicitWarp, *, share: float) -> None:
    """Set the model's numbers to `share` of their own and the rest of the start's; 0 gives the start back."""
    before = start.geometric_parameters()
    with torch.no_grad():
        for name, parameter in model.geometric_parameters().items():
            parameter.copy_(torch.lerp(before[name], parameter, share))


def _judge(model: ImplicitWarp, clips: Sequence[TuningClip], seed: int) -> float:
    rng = np.random.default_rng([seed, 1])  # other samples than the tuning draws, the same ones at every call
    with torch.no_grad():
        return float(np.mean([sample_loss(model, draw_sample(clips, rng)).item() for _ in range(_JUDGED)]))


def _run(options: argparse.Namespace) -> str:
    """Do what the command line asks for and return the sentence about it."""
    start, model = load_checkpoint(options.start), load_checkpoint(options.start)
    budget = Budget(options.minutes * 60, options.steps)
    unit = "seconds" if options.steps is None else "steps"
    log_path = options.out.with_suffix(".jsonl")
    try:  # before the time is spent, not after
        log = log_path.open("w", encoding="utf-8")
    except OSError as error:
        what = f"The result cannot be written ({error.strerror}): {options.out}."
        raise OutputUnwritable(what, hint="Choose another path.", path=str(options.out)) from error
    with log:

        def note(facts: dict[str, Any]) -> None:
            log.write(json.dumps(facts) + "\n")
            log.flush()

        with open_instruments() as instruments, progress("Reading clips", unit="clips") as advance:
            side = model.config.side_px
            clips = read_clips(options.clips, side_px=side, instruments=instruments, advance=advance)
        note({"clips": [c.clip.name for c in clips], "seed": options.seed, "mix": options.mix})
        with progress("Tuning", unit=unit) as advance:
            steps = tune(model, clips, budget=budget, seed=options.seed, note=note, advance=advance)
        losses = {"start": _judge(start, clips, options.seed), "tuned": _judge(model, clips, options.seed)}
        mix_in(model, start, share=options.mix)
        losses["mixed"] = _judge(model, clips, options.seed)
        note({"steps": steps, "judged": losses})
    save_checkpoint(model, options.out)
    told = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    return f"{steps} steps on {len(clips)} clips; loss: {told}. Written: {options.out}, {log_path}"


def main(arguments: list[str] | None = None) -> int:
    """Tune, report on stdout, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.training.tune_field", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos, one face in each")
    parser.add_argument("--start", type=Path, default=asset_root() / "models/lite/weights.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="weights to write; the log lies beside them, .jsonl")
    parser.add_argument(
        "--minutes", type=_within(float, 0.01, 1e4), default=15.0, help="time for tuning, reading clips not counted"
    )
    parser.add_argument("--steps", type=_within(int, 1, 1e6), help="tune for this many steps instead")
    parser.add_argument(
        "--mix", type=_within(float, 0, 1), default=0.5, help="share of the result; the rest is the start"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        parser.error(f"argument --out: must end in .safetensors, got {options.out}")
    try:
        sys.stdout.write(_run(options) + "\n")
    except PuppeteerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _within(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= (value := kind(text)) <= high:
            raise argparse.ArgumentTypeError(f"must lie in {low:g} to {high:g}, got {text}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
