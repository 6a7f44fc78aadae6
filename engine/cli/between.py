# SPDX-License-Identifier: Apache-2.0
"""`interpolate`: what lies between pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import INTERRUPTED, guarded
from engine.cli.options import (
    OUT_HELP,
    BackendOption,
    BackgroundOption,
    ContactSheetOption,
    FpsOption,
    ModelOption,
    QuietOption,
    SettingsOption,
    SizeOption,
    settings_from,
)

__all__ = ["interpolate"]

_SIZE_WH = (512, 512)


@guarded
def interpolate(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(metavar="A.png B.png …", help="Two or more pictures; with --set the names of its pictures."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=OUT_HELP)] = ...,  # type: ignore[assignment]
    source_set: Annotated[
        str, typer.Option("--set", metavar="NAME|PATH", help="Take pictures of this set; all, where none is named.")
    ] = "",
    seconds: Annotated[float, typer.Option("--seconds", help="How long the video is.")] = 3.0,
    fps: FpsOption = None,
    ease: Annotated[
        str,
        typer.Option(
            "--ease",
            help="in-out rests at every picture, smooth passes those in the middle without stopping, linear is even.",
        ),
    ] = "in-out",
    loop: Annotated[bool, typer.Option("--loop", help="Go back from the last picture to the first.")] = False,
    size: SizeOption = None,
    background: BackgroundOption = None,
    model: ModelOption = "lite-512",
    backend: BackendOption = "auto",
    sheet: ContactSheetOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make the frames between pictures.

    The head turns and the face changes from one picture to the next, without a driver: A.png B.png C.png --seconds 3
    --loop --out turn.mp4. Cut-out pictures stay cut out where the output can keep that.
    """
    from engine.app.interpolate import InterpolateJob
    from engine.app.interpolate import interpolate as run
    from engine.cli.console import progress

    job = InterpolateJob(
        pictures=tuple(pictures or ()),
        out=out,
        source_set=source_set,
        seconds=seconds,
        easing=ease,
        loop=loop,
        sheet=sheet,
        model=model,
        backend=backend,
        settings=settings_from(settings=settings, default_size_wh=_SIZE_WH, size=size, background=background, fps=fps),
    )
    with progress("rendering", quiet=quiet) as advance:
        done = run(job, announce=typer.echo, advance=advance)
    if not done.complete:
        typer.echo(f"Stopped. {out} plays up to here ({done.frame_count} frames).", err=True)
        raise typer.Exit(INTERRUPTED)
    typer.echo(f"{out}: {done.frame_count} frames, {done.duration_s:.1f} s")
