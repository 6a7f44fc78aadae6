# SPDX-License-Identifier: Apache-2.0
"""`set list`, `set show`, `cameras`, `doctor`: what there is, and whether it works."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from engine.cli.guard import guarded

__all__ = ["cameras", "doctor", "set_app"]

set_app = typer.Typer(help="Source sets.", no_args_is_help=True)


@set_app.command("list")
@guarded
def set_list() -> None:
    """List all source sets, name first."""
    from engine.sources import list_source_sets

    infos = list_source_sets()
    width = max((len(info.name) for info in infos), default=0)
    for info in infos:
        where = "built-in" if info.builtin else "yours"
        about = info.problem or ", ".join(part for part in (info.title, f"{info.count} pictures", info.licence) if part)
        typer.echo(f"{info.name:{width}}  {where:8}  {about}")
    if not infos:
        typer.echo("There is no source set yet.", err=True)


@set_app.command("show")
@guarded
def set_show(name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Name of `set list`, or a path.")]) -> None:
    """Show what a source set holds and by whose leave."""
    from engine.sources import find_source_set
    from engine.sources.library import describe_source_set

    info = describe_source_set(find_source_set(name))
    rows = {
        "name": info.name,
        "title": info.title,
        "author": info.author,
        "licence": info.licence,
        "origin": info.origin,
        "consent": info.consent.describe(),
        "path": str(info.path),
        "pictures": f"{info.count}: {', '.join(info.pictures)}",
        "problem": info.problem,
    }
    for key, value in rows.items():
        if value:
            typer.echo(f"{key:9} {value}")


@guarded
def cameras() -> None:
    """List the cameras, id first."""
    from engine.capture import list_cameras

    found = list_cameras()
    for info in found:
        size = f"{info.width_px}x{info.height_px}" if info.width_px else ""
        rate = f"{info.fps:g} fps" if info.fps else ""
        typer.echo("  ".join(part for part in (info.id, info.name, size, rate, info.fourcc) if part))
    if not found:
        typer.echo("No camera was found. Connect one, or see `bunraku doctor` for what is wrong.", err=True)


@guarded
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Check what Bunraku needs.

    Every failing line says how to mend it.
    """
    from engine.doctor import Verdict, examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([check.as_dict() for check in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.verdict.value:7}  {check.name:16} {check.found}")
            if check.fix:
                typer.echo(f"{'':7}  {'':16} fix: {check.fix}")
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(1)
