# SPDX-License-Identifier: Apache-2.0
"""The typer application, and the commands that move a character: `demo`, `animate`, `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import between, checking, library, measure, soak
from engine.cli.guard import INTERRUPTED, debug_wanted, guarded
from engine.cli.options import (
    OUT_HELP,
    AbsoluteOption,
    BackendOption,
    BackgroundOption,
    CameraOption,
    ContactSheetOption,
    DeviceOption,
    FpsOption,
    MirrorOption,
    ModelOption,
    QuietOption,
    SecondsOption,
    SetOption,
    SettingsOption,
    SizeOption,
    SourcesOption,
    settings_from,
)
from engine.cli.sets import set_app

if TYPE_CHECKING:
    from engine.app import AnimateJob, Animation

__all__ = ["app"]

FILE_SIZE_WH = (512, 512)
LIVE_SIZE_WH = (1280, 720)

app = typer.Typer(
    name="bunraku",
    help="Your face drives a set of pictures of one character.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # `guard` has the last word
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich's help costs 0.2 s
)
app.add_typer(set_app, name="set")
app.command("interpolate")(between.interpolate)
app.command("bench")(measure.bench)
app.command("eval")(measure.evaluate)
app.command("compare")(measure.compare)
app.command("soak")(soak.soak)
app.command("cameras")(library.cameras)
app.command("doctor")(library.doctor)
app.command("verify")(checking.verify)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bunraku {version('bunraku')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Your face drives a set of pictures of one character."""
    debug_wanted.set(debug)


@app.command()
@guarded
def demo(
    source_set: SetOption = "",
    model: ModelOption = "lite",
    backend: BackendOption = "auto",
    sources: SourcesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make the demo video.

    A built-in character, driven by the built-in clip, as bunraku-demo.mp4 and a contact sheet in this folder.
    """
    from engine.app import demo_job

    job = demo_job(Path.cwd(), source_set=source_set, sources=sources, model=model, backend=backend)
    _animate(job, quiet=quiet)
    typer.echo(f"video:         {job.out}")
    typer.echo(f"contact sheet: {job.sheet}")


@app.command()
@guarded
def animate(
    source_set: SetOption,
    driving: Annotated[
        str, typer.Option("--driving", metavar="FILE|camera:ID", help="Who drives: a video or a camera.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=OUT_HELP)],
    model: ModelOption = "lite",
    backend: BackendOption = "auto",
    sources: SourcesOption = None,
    absolute: AbsoluteOption = False,
    size: SizeOption = None,
    background: BackgroundOption = None,
    mirror: MirrorOption = False,
    fps: FpsOption = None,
    seconds: SecondsOption = None,
    sheet: ContactSheetOption = None,
    heat_map: Annotated[
        bool, typer.Option("--heat-map", help="Show which picture of the set each pixel comes from, in colours.")
    ] = False,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Animate a character from a video.

    Every frame of the driving video is rendered, with its own time stamps.
    """
    from engine.app import AnimateJob

    job = AnimateJob(
        source_set=source_set,
        driving=driving,
        out=out,
        sheet=sheet,
        sources=sources,
        model=model,
        backend=backend,
        limit_s=seconds,
        heat_map=heat_map,
        settings=settings_from(
            settings=settings,
            default_size_wh=FILE_SIZE_WH,
            size=size,
            background=background,
            mirror=mirror,
            fps=fps,
            absolute=absolute,
        ),
    )
    done = _animate(job, quiet=quiet)
    lost = f", {done.lost_count} without a face" if done.lost_count else ""
    typer.echo(f"{out}: {done.frame_count} frames, {done.duration_s:.1f} s{lost}")


def _animate(job: AnimateJob, *, quiet: bool) -> Animation:
    from engine.app import animate as run
    from engine.cli.console import progress

    with progress("rendering", quiet=quiet) as advance:
        done = run(job, announce=typer.echo, advance=advance)
    if not done.complete:
        kept = (
            f"{job.out} plays up to here ({done.frame_count} frames)." if done.frame_count else "Nothing was written."
        )
        typer.echo(f"Stopped. {kept}", err=True)
        raise typer.Exit(INTERRUPTED)
    return done


@app.command()
@guarded
def run(
    source_set: SetOption,
    camera: CameraOption = "0",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Record into a file too; names as for animate.")
    ] = None,
    virtual_camera: Annotated[bool, typer.Option(help="Offer the picture as a camera to other programs.")] = True,
    device: DeviceOption = None,
    model: ModelOption = "lite",
    backend: BackendOption = "auto",
    sources: SourcesOption = None,
    absolute: AbsoluteOption = False,
    size: SizeOption = None,
    background: BackgroundOption = None,
    mirror: MirrorOption = False,
    fps: FpsOption = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop by itself after so long.")] = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Drive a character live.

    From a camera to the virtual camera, a file, or both. Ctrl-C ends it and closes the file.
    """
    from engine.app.live import LiveJob
    from engine.cli.live import camera_spec, run_live

    job = LiveJob(
        source_set=source_set,
        camera=camera_spec(camera),
        out=out,
        virtual_camera=virtual_camera,
        device=device,
        sources=sources,
        model=model,
        backend=backend,
        settings=settings_from(
            settings=settings,
            default_size_wh=LIVE_SIZE_WH,
            size=size,
            background=background,
            mirror=mirror,
            fps=fps,
            absolute=absolute,
        ),
    )
    run_live(job, limit_s=seconds, quiet=quiet)
