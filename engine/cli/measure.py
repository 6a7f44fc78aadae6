# SPDX-License-Identifier: Apache-2.0
"""`bench`, `eval`, `compare`: how fast, how well, and how it looks. Tables on stdout, files where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import INTERRUPTED, guarded
from engine.cli.options import (
    MODEL_NAMES,
    AbsoluteOption,
    BackendOption,
    JsonFileOption,
    QuietOption,
    SecondsOption,
    SetOption,
    parse_counts,
    parse_names,
    parse_size,
)
from engine.errors import InvalidSetting

__all__ = ["bench", "compare", "evaluate"]

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
    models: Annotated[
        str, typer.Option("--model", metavar="NAME,…", help=f"Warping models, one run each: {MODEL_NAMES}.")
    ] = "lite",
    backend: BackendOption = "auto",
    layers: Annotated[bool, typer.Option("--layers", help="Say what each layer of the model takes.")] = False,
    json_file: JsonFileOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure speed.

    Every stage through the synchronous core, the model's frame graph alone, then delivered frames, frame age and drops
    of the threaded pipeline, fed by a video paced at 30 fps as a webcam would. On an NVIDIA GPU its memory, clocks,
    heat and power too. Figures hold for this machine and what else it is doing.
    """
    from engine.cli.console import print_tables, progress
    from engine.evaluation import bench_tables, run_bench, write_json

    counts, size_wh, names = parse_counts(sources, name="--sources"), parse_size(size), parse_names(models)
    reports = []
    for name in names:
        with progress("measuring", quiet=quiet, unit="steps") as advance:
            report = run_bench(
                source_set=source_set,
                driving=driving,
                seconds=seconds,
                source_counts=counts,
                model=name,
                backend=backend,
                size_wh=size_wh,
                layers=layers,
                advance=advance,
            )
        typer.echo(f"model: {name}\nengine: {report.engine}")
        print_tables(bench_tables(report))
        reports.append(report)
    if json_file is not None:
        dicts = {name: report.as_dict() for name, report in zip(names, reports, strict=True)}
        write_json(dicts[names[0]] if len(names) == 1 else {"models": dicts}, json_file)
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
    cross: Annotated[bool, typer.Option("--cross", help="Let every clip drive somebody else.")] = False,
    between: Annotated[
        bool, typer.Option("--between", help="Rebuild frames between two others, as `interpolate` makes them.")
    ] = False,
    source_set: Annotated[
        str, typer.Option("--set", metavar="NAME|PATH", help="With --cross: the character; else another clip.")
    ] = "",
    backend: BackendOption = "auto",
    json_file: JsonFileOption = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PNG", help="Write sources, driving and outputs side by side.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure likeness.

    Every clip is rebuilt from a few of its own frames: the first and further ones chosen farthest-first are the
    source pictures, every fourth of the others is driven and compared.

    With --cross, a clip drives another person's pictures, and what can be measured without a truth is measured:
    whether a face is found, whose face shape and colours it has, whether it does what was asked, and jitter.

    With --between, the frame half-way between two frames of a turn is rebuilt from these two, beside a cross-fade: in
    all turns of 10 to 60 degrees, and where the performer passed close to the path between both pictures.
    """
    if between:
        _evaluate_between(clips, models=models, cross=cross, backend=backend, sheet=sheet, quiet=quiet)
        return
    from engine.cli.console import print_tables, progress
    from engine.evaluation import eval_tables, run_cross, run_eval, write_json, write_sheet

    if source_set and not cross:
        raise InvalidSetting("--set names the character of --cross, which is missing.", hint="Add --cross.")
    counts = parse_counts(sources, name="--sources")
    names = parse_names(models)
    with progress("evaluating", quiet=quiet, unit="runs") as advance:
        if cross:
            report = run_cross(
                clips, source_set=source_set, models=names, source_counts=counts, backend=backend, advance=advance
            )
        else:
            report = run_eval(clips, models=names, source_counts=counts, backend=backend, advance=advance)
    for description in report.engines.values():
        typer.echo(description)
    print_tables(eval_tables(report))
    if json_file is not None:
        write_json(report.as_dict(), json_file)
        typer.echo(f"figures: {json_file}")
    if sheet is not None:
        write_sheet(report, sheet)
        typer.echo(f"pictures: {sheet}")


def _evaluate_between(
    clips: list[Path], *, models: str, cross: bool, backend: str, sheet: Path | None, quiet: bool
) -> None:
    from engine.cli.console import print_tables, progress
    from engine.evaluation.between import between_tables, run_between
    from engine.evaluation.sheet import write_rows

    names = parse_names(models)
    if cross or len(names) > 1:
        raise InvalidSetting("--between measures one model and no other protocol.", hint="Leave --cross out.")
    with progress("rebuilding", quiet=quiet, unit="clips") as advance:
        report = run_between(clips, model=names[0], backend=backend, advance=advance)
    typer.echo(report.engine)
    for name, reason in report.skipped.items():
        typer.echo(f"{name} is left out: {reason}", err=True)
    if report.rows:
        print_tables(between_tables(report))
    if sheet is not None and report.pictures:
        write_rows(report.pictures, {}, sheet)
        typer.echo(f"pictures: {sheet}")


@guarded
def compare(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.mp4", help="The video to write.")],
    models: Annotated[
        str, typer.Option("--models", metavar="NAME,…", help=f"One column each, of: {MODEL_NAMES}.")
    ] = "lite",
    source_set: SetOption = "",
    clip: Annotated[
        Path | None, typer.Option("--clip", metavar="FILE", help="Take frames of this video as the pictures.")
    ] = None,
    driving: Annotated[
        Path | None, typer.Option("--driving", metavar="FILE", help="Who drives; left out, --clip rebuilds itself.")
    ] = None,
    sources: Annotated[
        int | None, typer.Option("--sources", min=1, help="Number of pictures: all of a set, 4 of a clip.")
    ] = None,
    absolute: AbsoluteOption = False,
    seconds: SecondsOption = None,
    backend: BackendOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Show models side by side.

    A video with a column for the source pictures, one for the driving picture and one for each model. It shows the
    person who drives, which no other command does: give it to others only if that person agrees.
    """
    from engine.cli.console import progress
    from engine.evaluation import CompareJob
    from engine.evaluation.compare import compare as run

    job = CompareJob(
        models=tuple(parse_names(models)),
        out=out,
        source_set=source_set,
        clip=clip,
        driving=driving,
        sources=sources,
        absolute=absolute,
        limit_s=seconds,
        backend=backend,
    )
    with progress("comparing", quiet=quiet) as advance:
        done = run(job, announce=typer.echo, advance=advance)
    if not done.complete:
        typer.echo(f"Stopped. {out} plays up to here ({done.frame_count} frames).", err=True)
        raise typer.Exit(INTERRUPTED)
    lost = f", {done.lost_count} without a face" if done.lost_count else ""
    typer.echo(f"{out}: {done.frame_count} frames{lost}")
