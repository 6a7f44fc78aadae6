# SPDX-License-Identifier: Apache-2.0
"""`bench` and `eval`: how fast, and how well. Tables on stdout, JSON and pictures where asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.guard import guarded
from engine.cli.options import MODEL_NAMES, BackendOption, ModelOption, QuietOption, SetOption, parse_counts, parse_size

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["bench", "evaluate"]

JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON too.")]
CountsOption = Annotated[
    str, typer.Option("--sources", metavar="N,N,…", help="How many pictures to use, one run each.")
]


@guarded
def bench(
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Measuring time per number of pictures.")] = 6.0,
    sources: CountsOption = "1,2,4,8",
    source_set: SetOption = "",
    driving: Annotated[
        str, typer.Option("--driving", metavar="FILE", help="A video of a face; default: built in.")
    ] = "",
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the picture that goes out.")] = "1280x720",
    model: ModelOption = "lite",
    backend: BackendOption = "auto",
    json_file: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure speed.

    Every stage through the synchronous core, then delivered frames, frame age and drops of the threaded pipeline,
    fed by a video paced at 30 fps as a webcam would. Figures hold for this machine and what else it is doing.
    """
    from engine.cli.console import progress
    from engine.evaluation import bench_tables, run_bench, write_json

    counts, size_wh = parse_counts(sources, name="--sources"), parse_size(size)
    with progress("measuring", quiet=quiet, unit="steps") as advance:
        report = run_bench(
            source_set=source_set,
            driving=driving,
            seconds=seconds,
            source_counts=counts,
            model=model,
            backend=backend,
            size_wh=size_wh,
            advance=advance,
        )
    typer.echo(f"engine: {report.engine}")
    _print_tables(bench_tables(report))
    if json_file is not None:
        write_json(report.as_dict(), json_file)
        typer.echo(f"figures: {json_file}")


@guarded
def evaluate(
    clips: Annotated[
        list[Path],
        typer.Option(
            "--clips", metavar="DIR", help="Folder of video clips, one face each; may be given several times."
        ),
    ],
    sources: CountsOption = "1,2,3,4,8",
    models: Annotated[
        str, typer.Option("--models", metavar="NAME,…", help=f"Models to compare: {MODEL_NAMES}.")
    ] = "lite",
    backend: BackendOption = "auto",
    json_file: JsonOption = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="PNG", help="Write the pictures too.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure likeness.

    Every clip is rebuilt from a few of its own frames: the first and further ones chosen farthest-first are the
    source pictures, every fourth of the others is driven and compared.
    """
    from engine.cli.console import progress
    from engine.evaluation import eval_tables, run_eval, write_json, write_sheet

    counts = parse_counts(sources, name="--sources")
    names = [name.strip() for name in models.split(",") if name.strip()]
    with progress("evaluating", quiet=quiet, unit="runs") as advance:
        report = run_eval(clips, models=names, source_counts=counts, backend=backend, advance=advance)
    for description in report.engines.values():
        typer.echo(description)
    _print_tables(eval_tables(report))
    if json_file is not None:
        write_json(report.as_dict(), json_file)
        typer.echo(f"figures: {json_file}")
    if sheet is not None:
        write_sheet(report, sheet)
        typer.echo(f"pictures: {sheet}")


def _print_tables(tables: Iterable[Table]) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file or pipe has no width of its own, and a wrapped table cannot be read
    for table in tables:
        console.print(table)
