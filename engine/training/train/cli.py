# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training train`: from the command line's words to a run, and its result in a sentence."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from engine.cli.console import logging_to_file, progress
from engine.errors import InvalidSetting, ModelMismatch, PuppeteerError
from engine.models.checkpoint import load_checkpoint
from engine.training.data import BatchSource, PackSplit
from engine.training.pack.format import read_manifest
from engine.training.pack.load import load_split
from engine.training.pack.shards import stream_windows
from engine.training.sampler import Sampler
from engine.training.task import Task
from engine.training.tasks import TASKS, make_task
from engine.training.train.checkpoint import read_facts
from engine.training.train.device import choose_precision
from engine.training.train.folder import make_folder
from engine.training.train.parallel import Ranks, open_ranks, seed_step
from engine.training.train.run import Inputs, Run, RunResult, refuse_other
from engine.training.train.schedule import Budget
from engine.training.train.settings import TrainSettings
from engine.training.train.signals import watch_for_stop
from engine.training.train.windows import SHARDS, WindowSource, shard_frames, shards_identity

__all__ = ["load_dev", "load_start", "load_train", "pack_identity", "parse_options", "train"]

_INTERRUPTED = 130  # what a shell reports for Ctrl-C
_DEV_COUNTS = (1, 4)  # source pictures at which a run is judged
_BATCH = {"cpu": 8, "cuda": 32}
_GAN_FROM = {"cpu": 1.0, "cuda": 0.5}  # on a CPU a run sees too few pictures for an adversary to be of use
_MINUTES = 25.0


def train(
    model: Annotated[str, typer.Option(help=f"What to train: {', '.join(TASKS)}.")],
    pack: Annotated[Path, typer.Option(help="Folder of a training pack.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, weights, log, previews.")],
    size: Annotated[str, typer.Option(help="A named size of the model; default: its smallest one.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="A field of the model's config: KEY=VALUE.")] = None,
    minutes: Annotated[float | None, typer.Option(help=f"Length of the run; default: {_MINUTES:g}.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length in steps instead.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step, of all processes; default: 8, on CUDA 32.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N; default: CUDA where there is some.")] = "",
    threads: Annotated[int | None, typer.Option(help="CPU threads of torch; default: as torch chooses.")] = None,
    seed: Annotated[int | None, typer.Option(help="Start of all random numbers; default: 0.")] = None,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 4e-4,
    start: Annotated[Path | None, typer.Option(help="Weights to start from; what fits by name is taken.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    gan_from: Annotated[
        float | None, typer.Option(help="Share of the run from which an adversary plays; default: 0.5, on a CPU never.")
    ] = None,
    max_sources: Annotated[int, typer.Option(help="Source pictures of a sample are 1 to so many.", min=1, max=8)] = 4,
    still_share: Annotated[float, typer.Option(help="Share of samples made from stills.", min=0, max=1)] = 0.3,
    every: Annotated[int, typer.Option(help="Take every K-th frame of the training clips.", min=1)] = 1,
    window_frames: Annotated[int, typer.Option(help="Frames in memory at a time where PACK is shards.", min=64)] = 8192,
    eval_minutes: Annotated[float, typer.Option(help="Minutes between two dev evaluations.")] = 10.0,
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between two checkpoints.")] = 5.0,
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
) -> None:
    """Train a model on a pack. Ctrl-C writes a checkpoint; --resume goes on from it exactly."""
    arguments = {name: _plain(value) for name, value in locals().items()}
    if resume and start:
        raise InvalidSetting("--resume and --start exclude each other: the checkpoint holds the weights.")
    if threads is not None:
        if threads < 1:
            raise InvalidSetting(f"--threads must be at least 1, got {threads}.")
        torch.set_num_threads(threads)
    budget = Budget(_MINUTES if minutes is None and steps is None else minutes, steps)
    if resume and seed is None:
        seed = read_facts(out)["seed"]
    with logging_to_file(), open_ranks(device) as ranks:
        kind = ranks.device.type
        settings = TrainSettings(
            budget=budget,
            batch=_BATCH.get(kind, 8) if batch is None else batch,
            seed=seed or 0,
            rate=rate,
            gan_from=_GAN_FROM.get(kind, 1.0) if gan_from is None else gan_from,
            eval_minutes=eval_minutes,
            checkpoint_minutes=checkpoint_minutes,
        )
        if settings.batch % ranks.world:
            what = f"A batch of {settings.batch} cannot be shared by {ranks.world} processes."
            raise InvalidSetting(what, hint="Use a multiple.")
        try:
            seed_step(settings.seed, -1)
            task = _make(model, size, parse_options(option or ()))
            started = load_start(task, start) if start else None
            chosen = choose_precision(precision, ranks.device)
            identity = pack_identity(pack)
            if resume:  # all that can be refused is refused before the pack is read
                refuse_other(read_facts(out), task, pack=identity, seed=settings.seed)
            if ranks.leads:
                make_folder(out, resumed=resume)
            source = load_train(
                task,
                pack,
                ranks,
                seed=settings.seed,
                every=every,
                max_sources=max_sources,
                still_share=still_share,
                window_frames=window_frames,
            )
            dev = load_dev(task, pack, ranks.device) if ranks.leads else {}
            inputs = Inputs(task, source, dev, identity, {**arguments, "started_with": started})
            run = Run(inputs, out, settings=settings, ranks=ranks, precision=chosen, resume=resume)
            quiet = not ranks.leads
            with progress("Training", quiet=quiet, unit=budget.unit) as advance, watch_for_stop() as stop:
                result = run.train(stop=stop, advance=advance)
        except KeyboardInterrupt as error:  # before there was anything to keep
            raise typer.Exit(_INTERRUPTED) from error
        except PuppeteerError as error:
            if ranks.leads:
                raise
            raise typer.Exit(error.exit_code) from error  # one sentence, not one a process
        if ranks.leads:
            sys.stdout.write(_sentence(result, out) + "\n")
    if result.stopped:
        raise typer.Exit(_INTERRUPTED)


def _make(model: str, size: str, options: Mapping[str, object]) -> Task:
    """Make the task; numbers that no network can be built with are the user's mistake."""
    try:
        return make_task(model, size=size, options=options)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"The model cannot be made with these options: {str(error).splitlines()[0]}."
        raise InvalidSetting(what, hint="Give every --option a value of the kind and size of its default.") from error


def load_train(
    task: Task,
    pack: Path,
    ranks: Ranks,
    *,
    seed: int,
    every: int,
    max_sources: int,
    still_share: float,
    window_frames: int,
) -> BatchSource:
    """Read a pack's training split, or open the shards of one.

    Raises:
        PackInvalid, InvalidSetting: the pack has no usable training split.
    """
    side = int(task.model.config.side_px)

    def sampler(split: PackSplit) -> Sampler:
        return Sampler(split, device=ranks.device, seed=seed, max_sources=max_sources, still_share=still_share)

    if (pack / SHARDS).is_file():
        return WindowSource.over(pack, sampler, frames=window_frames, side_px=side, every=every, seed=seed)
    with progress("Reading the pack", quiet=not ranks.leads, unit="items") as advance:
        return sampler(load_split(pack, "train", side_px=side, every=every, advance=advance)[0])


def load_dev(task: Task, pack: Path, device: torch.device) -> Mapping[int, BatchSource]:
    """Read a pack's dev split, all of it: number of source pictures → what a task is judged on with so many.

    Raises:
        PackInvalid, InvalidSetting: the pack has no usable dev split.
    """
    side = int(task.model.config.side_px)
    if (pack / SHARDS).is_file():
        held = next(stream_windows(pack, "dev", frames=shard_frames(pack, "dev"), side_px=side, epochs=1))
    else:
        with progress("Reading the dev split", unit="items") as advance:
            held, _ = load_split(pack, "dev", side_px=side, advance=advance)
    return {n: Sampler(held, device=device, sources=n, augment=False) for n in _DEV_COUNTS}


def pack_identity(pack: Path) -> str:
    """Return what a pack's content, or that of shards, is known by: a hash that is the same for a copy.

    Raises:
        PackInvalid: no such pack, or an unreadable one.
    """
    if (pack / SHARDS).is_file():
        return shards_identity(pack)
    items = [[i.split, i.label, i.kind, i.frames, i.sha256, i.matte_sha256] for i in read_manifest(pack).items]
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]


def parse_options(words: Sequence[str]) -> dict[str, object]:
    """Return KEY=VALUE words as a mapping; a value that is JSON (a number, true, false) is read as such.

    Raises:
        InvalidSetting: a word has no `=`.
    """
    found: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise InvalidSetting(f"--option must be KEY=VALUE, got '{word}'.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def load_start(task: Task, path: Path) -> dict[str, int]:
    """Start from other weights: take every tensor whose name and shape fit; what the file lacks stays untrained.

    Returns:
        How many tensors were `taken`, `untrained` (not in the file) and `unused` (only in the file).
    Raises:
        ModelFileMissing: no such file. ModelMismatch: it is damaged, or of a model with other shapes.
    """
    known, own = load_checkpoint(path).state_dict(), task.model.state_dict()
    for name in sorted({*known} & {*own}):
        if known[name].shape != own[name].shape:
            got, expected = tuple(known[name].shape), tuple(own[name].shape)
            what = f"The weights to start from do not fit: {name} is {got}, expected {expected}: {path}."
            raise ModelMismatch(what, hint="Name the size and options they were trained with.", path=str(path))
    taken = {name: tensor for name, tensor in known.items() if name in own}
    if not taken:
        raise ModelMismatch(f"The weights to start from are of another model: {path}.", path=str(path))
    task.model.load_state_dict(taken, strict=False)
    return {"taken": len(taken), "untrained": len(own) - len(taken), "unused": len(known) - len(taken)}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _sentence(result: RunResult, out: Path) -> str:
    done = result.progress
    said = [f"{done.step} steps, {done.samples} samples in {done.elapsed_s / 60:.1f} minutes"]
    if result.skipped:
        said.append(f"{result.skipped} steps skipped")
    if result.last:
        before = f"{result.first.loss:.4f} → " if result.first and result.first is not result.last else ""
        said.append(f"dev loss {before}{result.last.loss:.4f}")
        said += [f"N={n} {f['psnr_db']:.2f} dB" for n, f in result.last.figures.items()]
    end = "Stopped; go on with --resume. " if result.stopped else ""
    return f"{end}{'; '.join(said)}. Written: {out}"
