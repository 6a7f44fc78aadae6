# SPDX-License-Identifier: Apache-2.0
"""`soak`: the real pipeline under random faults for minutes or hours, with a verdict. Main thread."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import guarded
from engine.cli.options import BackendOption, DeviceOption, ModelOption, QuietOption, parse_names, parse_size

__all__ = ["soak"]

_NOT_PASSED = 1


@guarded
def soak(
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, help="How long.")] = 1.0,
    faults: Annotated[
        str,
        typer.Option(
            "--faults",
            metavar="NAME,…",
            help="Which to inject: all, none, groups (camera, scene, tracker, model, sink) or names.",
        ),
    ] = "all",
    seed: Annotated[int, typer.Option("--seed", help="The same seed draws the same faults.")] = 1,
    source_sets: Annotated[
        str, typer.Option("--sets", metavar="NAME,…", help="Source sets to switch between.")
    ] = "amara,otto",
    driving: Annotated[
        Path | None,
        typer.Option("--driving", metavar="FILE", help="A video of a face as the camera; default: built in."),
    ] = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the picture that goes out.")] = "640x360",
    virtual_camera: Annotated[bool, typer.Option(help="Feed a real virtual camera too; there must be one.")] = False,
    device: DeviceOption = None,
    model: ModelOption = "lite",
    backend: BackendOption = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all samples and faults as JSON.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw memory, handles, threads and queues over time.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Run for long, with faults.

    The real pipeline, driven by a video in the place of a camera. Faults come one after another: the camera is
    unplugged, black, frozen; the model fails; the GPU is lost; the disk is full. Every frame that is sent is inspected
    for its watermark and for pixels of the driver. Memory is judged by a line through the samples after the first
    tenth of half an hour or more; recoveries by their time, those apart during which other programs had more than a
    quarter of the processor. The last line is the verdict; the exit code is 1 where it did not pass. Recordings go
    into a temporary folder and are deleted.
    """
    from engine.cli.console import print_tables, progress
    from engine.evaluation import write_json
    from engine.evaluation.soak import SoakJob, parse_faults, run_soak, soak_tables, write_plot

    job = SoakJob(
        minutes=minutes,
        faults=tuple(parse_faults(faults)),
        seed=seed,
        source_sets=tuple(parse_names(source_sets)),
        driving=driving,
        size_wh=parse_size(size),
        model=model,
        backend=backend,
        virtual_camera=virtual_camera,
        device=device,
    )
    with progress("soaking", quiet=quiet, unit="seconds") as advance:
        report = run_soak(job, announce=(lambda _line: None) if quiet else typer.echo, advance=advance)
    print_tables(soak_tables(report))
    if json_file is not None:
        write_json(report.as_dict(), json_file)
        typer.echo(f"figures: {json_file}")
    if plot is not None:
        write_plot(report, plot)
        typer.echo(f"plot: {plot}")
    typer.echo(report.verdict)
    if report.problems:
        raise typer.Exit(_NOT_PASSED)
