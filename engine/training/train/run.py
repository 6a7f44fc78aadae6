# SPDX-License-Identifier: Apache-2.0
"""A training run: draws batches, lets the learner learn, keeps time, and has its folder written.

Runs in the caller's thread; under `torchrun` once in every process (see `parallel`). Rank 0 alone judges and writes;
the others wait for it at the next step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.cli.console import Advance
from engine.errors import InferenceFailed, ModelMismatch, PuppeteerError
from engine.evaluation.machine import describe_machine, peak_rss_mb
from engine.models.checkpoint import save_checkpoint
from engine.training.batch import Batch
from engine.training.data import BatchSource
from engine.training.task import Task
from engine.training.train.checkpoint import read_checkpoint
from engine.training.train.device import Precision
from engine.training.train.folder import RunFolder, make_folder
from engine.training.train.judge import Judgement, judge
from engine.training.train.learner import Learner, Step
from engine.training.train.parallel import Ranks
from engine.training.train.schedule import rate_factor
from engine.training.train.settings import TrainSettings
from engine.training.train.tally import Tally

__all__ = ["Inputs", "Progress", "Run", "RunResult", "refuse_other"]


@dataclass(slots=True)
class Progress:
    """How far a run is. best: lowest dev loss so far."""

    step: int = 0
    samples: int = 0
    elapsed_s: float = 0.0
    best: float | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to. first: the untrained model, where this run began with it; stopped: before its end."""

    progress: Progress
    skipped: int
    stopped: bool
    first: Judgement | None
    last: Judgement | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run trains and on what.

    source: where batches come from. dev: number of sources → where they are judged; empty for no judging.
    pack: names the data; a checkpoint of other data is refused. arguments: what was asked for, for the log.
    """

    task: Task
    source: BatchSource
    dev: Mapping[int, BatchSource] = field(default_factory=dict)
    pack: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Run:
    """One run in one folder.

    Args:
        out: its folder. resume: go on with the run that is in it.
        clock: seconds from any start; only rank 0's counts. write_weights: how a model is written.
    Raises:
        InvalidSetting: the folder holds a run already. OutputUnwritable: it cannot be written.
        ModelFileMissing: nothing to resume. ModelMismatch: the checkpoint is damaged, or of another model or pack.
    """

    def __init__(
        self,
        inputs: Inputs,
        out: Path,
        *,
        settings: TrainSettings,
        ranks: Ranks,
        precision: Precision,
        resume: bool = False,
        clock: Callable[[], float] = time.monotonic,
        write_weights: Callable[[nn.Module, Path], None] = save_checkpoint,
    ) -> None:
        self._inputs, self._settings, self._ranks, self._precision = inputs, settings, ranks, precision
        self._clock = clock
        self._describe = _as_saved(inputs.task.describe())
        saved = read_checkpoint(out) if resume else None
        if saved:
            refuse_other(saved[1], inputs.task, pack=inputs.pack, seed=settings.seed)
        if ranks.leads:
            make_folder(out, resumed=resume)
        width = settings.rival_width if settings.gan_from < 1 else None
        self._learner = Learner(inputs.task, ranks=ranks, precision=precision, seed=settings.seed, width=width)
        self.progress = Progress()
        if saved:
            tensors, facts = saved
            self.progress = Progress(**facts["progress"])
            self._learner.load(tensors, skipped=facts["skipped"], in_a_row=facts["in_a_row"])
        self._folder = (
            RunFolder(out, samples=self.progress.samples, write_weights=write_weights) if ranks.leads else None
        )
        self._rate = 0.0
        self._first: Judgement | None = None
        self._last: Judgement | None = None

    def train(
        self, *, stop: Callable[[], bool] = lambda: False, advance: Advance = lambda _done, _total: None
    ) -> RunResult:
        """Train to the end of the budget, or until `stop` says yes; write checkpoint and weights at the end.

        Raises:
            InferenceFailed: too many steps gave no finite numbers, or the device's memory ran out; the last
                checkpoint is kept. DiskFull, OutputUnwritable: the end could not be written.
        """
        try:
            return self._train(stop, advance)
        except PuppeteerError as error:
            self._note({"failed": str(error)})
            raise
        finally:
            if self._folder:
                self._folder.close()

    def _train(self, stop: Callable[[], bool], advance: Advance) -> RunResult:
        progress, settings = self.progress, self._settings
        begun = progress.step
        self._note({"run": self._header()})
        if progress.step == 0:
            self._first = self._judge()
        start_s = self._clock() - progress.elapsed_s
        tally = Tally(progress.elapsed_s)
        judged_s = saved_s = progress.elapsed_s
        while True:
            elapsed_s, stopped = self._ranks.follow(self._clock() - start_s, float(stop()))
            progress.elapsed_s = elapsed_s
            share = settings.budget.share(progress.step, elapsed_s)
            if share >= 1 or stopped:
                break
            step, draw_s = self._advance(share)
            tally.add(step, samples=settings.batch, draw_s=draw_s)
            if not self._ranks.leads:
                continue
            progress.elapsed_s = now_s = self._clock() - start_s
            advance(*settings.budget.bar(progress.step, now_s))
            if now_s - tally.since_s >= settings.log_s:
                self._tell(tally)
                tally = Tally(now_s)
            if now_s - judged_s >= 60 * settings.eval_minutes:
                self._judge()
                progress.elapsed_s = judged_s = self._clock() - start_s
            if now_s - saved_s >= 60 * settings.checkpoint_minutes:
                self._save(last=False)
                saved_s = self._clock() - start_s
        if tally.samples:
            self._tell(tally)
        if progress.step > begun:
            if not stopped:
                self._judge()
            self._save(last=True)
        return RunResult(progress, self._learner.skipped, bool(stopped), self._first, self._last)

    def _advance(self, share: float) -> tuple[Step, float]:
        """Take one step; return it and the seconds it took to draw its batch."""
        progress, settings, ranks = self.progress, self._settings, self._ranks
        self._rate = settings.rate * rate_factor(progress.step, share)
        before_s = self._clock()
        try:
            batch: Batch = self._inputs.source.draw(
                progress.step, batch=settings.batch, rank=ranks.rank, world=ranks.world
            )
            draw_s = self._clock() - before_s
            step = self._learner.learn(
                batch,
                step=progress.step,
                rate=self._rate,
                adversarial=share >= settings.gan_from,
            )
        except torch.OutOfMemoryError as error:
            what = f"The device's memory does not hold a batch of {settings.batch}."
            raise InferenceFailed(what, hint=f"Try --batch {max(1, settings.batch // 2)}.") from error
        progress.step += 1
        progress.samples += settings.batch
        return step, draw_s

    def _judge(self) -> Judgement | None:
        """Judge the averaged task, write what came out of it, and keep its weights if it is the best so far."""
        if not self._folder or not self._inputs.dev:
            return None
        progress, task = self.progress, self._learner.average.task
        judged = judge(task, self._inputs.dev, samples=self._settings.dev_samples)
        self._last = judged
        numbers = {str(count): dict(figures) for count, figures in judged.figures.items()}
        self._note({"step": progress.step, "samples": progress.samples, "dev": numbers, "dev_loss": judged.loss})
        flat = {f"dev_{count}/{name}": v for count, figures in numbers.items() for name, v in figures.items()}
        self._folder.journal.scalars(progress.samples, {**flat, "dev/loss": judged.loss})
        self._folder.show(progress.samples, judged.rows)
        if progress.best is None or judged.loss < progress.best:
            progress.best = judged.loss
            self._folder.save_best(task.model)
        return judged

    def _save(self, *, last: bool) -> None:
        if not self._folder:
            return
        facts = {
            "describe": self._describe,
            "pack": self._inputs.pack,
            "seed": self._settings.seed,
            "progress": asdict(self.progress),
            "skipped": self._learner.skipped,
            "in_a_row": self._learner.in_a_row,
            "arguments": dict(self._inputs.arguments),
        }
        self._folder.save(self._learner.tensors(), facts, self._learner.average.task.model, last=last)

    def _tell(self, tally: Tally) -> None:
        if not self._folder:
            return
        progress, told = self.progress, tally.tell(self.progress.elapsed_s)
        rate = self._rate
        memory = {"memory_mb": peak_rss_mb()}
        if self._ranks.device.type == "cuda":
            memory["gpu_memory_mb"] = torch.cuda.max_memory_allocated(self._ranks.device) / 2**20
        place = {"step": progress.step, "samples": progress.samples, "elapsed_s": progress.elapsed_s}
        skipped = {"skipped": self._learner.skipped}
        self._note({**place, "rate": rate, **told, **skipped, **memory})
        losses = {f"train/{name}": value for name, value in told.pop("losses").items()}  # type: ignore[attr-defined]
        others = {f"run/{name}": value for name, value in {**told, "rate": rate, **skipped, **memory}.items()}
        numbers = {name: value for name, value in {**losses, **others}.items() if value is not None}
        self._folder.journal.scalars(progress.samples, numbers)  # type: ignore[arg-type]

    def _header(self) -> dict[str, Any]:
        device = self._ranks.device
        return {
            "machine": describe_machine(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "precision": self._precision.name,
            "threads": torch.get_num_threads(),
            "processes": self._ranks.world,
            "parameters": sum(p.numel() for p in self._inputs.task.model.parameters()),
            "trained_parameters": sum(p.numel() for p in self._inputs.task.model.parameters() if p.requires_grad),
            "describe": self._describe,
            "pack": self._inputs.pack,
            "arguments": dict(self._inputs.arguments),
            "from_step": self.progress.step,
        }

    def _note(self, facts: Mapping[str, Any]) -> None:
        if self._folder:
            self._folder.journal.note(facts)


def refuse_other(facts: Mapping[str, Any], task: Task, *, pack: str, seed: int) -> None:
    """Refuse to go on with a run that was begun with something else.

    Args:
        facts: of its checkpoint. task, pack, seed: what it is to be gone on with.
    Raises:
        ModelMismatch: model, config, pack or seed differ.
    """
    hint = "Train it in another folder, or name the model, size, options and pack that the run began with."
    describe = _as_saved(task.describe())
    if facts["describe"] != describe:
        what = f"The checkpoint is of another model: expected {_difference(describe, facts['describe'])}."
        raise ModelMismatch(what, hint=hint)
    if facts["pack"] != pack:
        what = f"The checkpoint was trained on another pack: expected {pack}, got {facts['pack']}."
        raise ModelMismatch(what, hint=hint)
    if facts["seed"] != seed:
        raise ModelMismatch(f"The run began with --seed {facts['seed']}, expected {seed}.", hint="Leave --seed out.")


def _as_saved(describe: Mapping[str, object]) -> Any:
    """Return a description as it comes back from a checkpoint."""
    return json.loads(json.dumps(describe))


def _difference(expected: Any, got: Any, where: str = "") -> str:
    """Return the first thing in which two JSON trees differ, in words."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted({*expected, *got}):
            if expected.get(key) != got.get(key):
                return _difference(expected.get(key), got.get(key), f"{where}.{key}" if where else key)
    return f"{where} {expected}, got {got}"
