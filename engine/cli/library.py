# SPDX-License-Identifier: Apache-2.0
"""`cameras`, `doctor`: what there is, and whether it works."""

from __future__ import annotations

import json

import typer

from engine.cli.guard import guarded
from engine.cli.options import AsJsonOption

__all__ = ["cameras", "doctor"]


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
    as_json: AsJsonOption = False,
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
