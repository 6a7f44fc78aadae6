# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training ablate`: the same model with one part left out at a time, each for the same minutes.

What the whole model gains by a part is the difference to the row without it. Runs that are already finished in the
folder are kept, so that a table can be made in several sittings. Offline.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import InvalidSetting, OutputUnwritable
from engine.training.train.checkpoint import CHECKPOINT
from engine.training.train.cli import train

__all__ = ["ABLATIONS", "Ablation", "ablate", "ablation_table"]


@dataclass(frozen=True, slots=True)
class Ablation:
    """One row. options: fields of the config, as KEY=VALUE. max_sources: of a training sample."""

    name: str
    words: str
    options: tuple[str, ...] = ()
    max_sources: int = 4


ABLATIONS = (
    Ablation("whole", "the whole model"),
    Ablation("no_geometry", "without geometric start", ("geometry=false",)),
    Ablation("no_extra", "without extra key/value rows", ("extra=0",)),
    Ablation("no_residual", "without residual branch", ("residual=false",)),
    Ablation("no_fine", "without fine sampling", ("fine=false",)),
    Ablation("one_source", "1 training source instead of 1–4", (), 1),
)


def ablate(
    pack: Annotated[Path, typer.Option(help="Folder of a training pack.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs and table.md.")],
    minutes: Annotated[float | None, typer.Option(help="Length of each run; default: 5.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length of each in steps instead.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this row; may be given again.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="A field of the config in every row: KEY=VALUE.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "",
    threads: Annotated[int | None, typer.Option(help="CPU threads of torch.")] = None,
) -> None:
    """Train implicit warping with one part left out at a time, and write a table."""
    names = [row.name for row in ABLATIONS]
    if wrong := sorted({*(only or ())} - {*names}):
        raise InvalidSetting(f"There is no ablation '{wrong[0]}'.", hint=f"Choose from: {', '.join(names)}.")
    if minutes is None and steps is None:
        minutes = 5.0
    for row in ABLATIONS:
        folder = out / row.name
        if (only and row.name not in only) or _finished(folder):
            continue
        train(
            model="implicit_warp",
            pack=pack,
            out=folder,
            option=[*(option or ()), *row.options],
            minutes=minutes,
            steps=steps,
            batch=batch,
            device=device,
            threads=threads,
            max_sources=row.max_sources,
            resume=(folder / CHECKPOINT).is_file(),
        )
        (folder / "done").write_text("")
    table = ablation_table([(row, read_run(out / row.name)) for row in ABLATIONS if _finished(out / row.name)])
    try:
        (out / "table.md").write_text(table, encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(f"The table cannot be written ({error.strerror}): {out}.") from error
    sys.stdout.write(table)


def _finished(folder: Path) -> bool:
    return (folder / "done").is_file()


def read_run(folder: Path) -> Mapping[str, Any]:
    """Return the last line of a run's log that holds dev figures."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "dev" in line][-1]  # type: ignore[no-any-return]


def ablation_table(rows: Sequence[tuple[Ablation, Mapping[str, Any]]]) -> str:
    """Return the runs as a Markdown table; every cell is `picture / face` in dB."""
    counts = sorted({int(n) for _, line in rows for n in line["dev"]})
    head = ["", "samples", *(f"N={n}" for n in counts)]
    text = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row, line in rows:
        cells = [f"{line['dev'][str(n)]['psnr_db']:.2f} / {line['dev'][str(n)]['psnr_face_db']:.2f}" for n in counts]
        text.append(f"| {' | '.join([row.words, str(line['samples']), *cells])} |")
    return "\n".join(text) + "\n"
