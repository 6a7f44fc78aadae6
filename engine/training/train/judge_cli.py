# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training judge`: judge weights as a training judges itself, apart from any run."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.console import logging_to_file
from engine.errors import OutputUnwritable
from engine.models.checkpoint import load_checkpoint
from engine.models.registry import kind_of
from engine.training.task import Task
from engine.training.tasks import make_task
from engine.training.train.cli import load_dev
from engine.training.train.device import choose_device
from engine.training.train.judge import judge
from engine.training.train.preview import draw_preview, to_png

__all__ = ["judge_weights", "task_of"]


def judge_weights(
    weights: Annotated[Path, typer.Option(help="A .safetensors file of any of the models.")],
    pack: Annotated[Path, typer.Option(help="Folder of a training pack; its dev split is used.")],
    samples: Annotated[int, typer.Option(help="Samples per number of source pictures.", min=1)] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N; default: CUDA where there is some.")] = "",
    sheet: Annotated[Path | None, typer.Option(help="Write a sheet of the first samples, a PNG.")] = None,
) -> None:
    """Judge weights on a pack's dev split: loss terms and PSNR, from 1 and from 4 source pictures."""
    with logging_to_file():
        chosen = choose_device(device)
        task = task_of(weights).to(chosen)
        judged = judge(task, load_dev(task, pack, chosen), samples=samples)
    for count, figures in judged.figures.items():
        told = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        sys.stdout.write(f"N={count}  {told}\n")
    if sheet:
        try:
            sheet.write_bytes(to_png(draw_preview(judged.rows)))
        except OSError as error:
            what = f"The sheet cannot be written ({error.strerror}): {sheet}."
            raise OutputUnwritable(what, hint="Choose another path.", path=str(sheet)) from error


def task_of(weights: Path) -> Task:
    """Return the task of a trained model, on the CPU.

    Raises:
        ModelFileMissing, ModelMismatch: there are no such weights, or they are damaged.
    """
    model = load_checkpoint(weights)
    config = {field.name: getattr(model.config, field.name) for field in fields(model.config)}  # type: ignore[arg-type]
    task = make_task(kind_of(model), options=config)
    task.model.load_state_dict(model.state_dict())
    return task
