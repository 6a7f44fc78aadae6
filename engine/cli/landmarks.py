# SPDX-License-Identifier: Apache-2.0
"""`set landmarks`: place landmarks by hand where the tracker finds no face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import guarded
from engine.errors import InvalidSetting

__all__ = ["set_landmarks"]


@guarded
def set_landmarks(
    source_set: Annotated[str, typer.Argument(metavar="SET", help="Name of `set list`, or a folder.")],
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="File name of the picture in the set.")],
    guides: Annotated[
        Path | None, typer.Option("--guides", metavar="FILE.toml", help="Guide points, name = [x, y] a line.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option("--point", metavar="NAME=X,Y", help="Move one point, e.g. chin=0.51,0.62; may be repeated."),
    ] = None,
    copy_from: Annotated[
        str, typer.Option("--copy", metavar="PICTURE", help="Start from the points of another picture of the set.")
    ] = "",
    yaw: Annotated[float | None, typer.Option("--yaw", help="Head turn to the picture's right, degrees.")] = None,
    pitch: Annotated[float | None, typer.Option("--pitch", help="Head turn upwards, degrees.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the points out; the tracker looks again.")] = False,
    save: Annotated[bool, typer.Option(help="Save into the set's set.toml.")] = True,
    preview: Annotated[
        Path | None, typer.Option("--preview", metavar="FILE.png", help="Draw points and landmarks on the picture.")
    ] = None,
) -> None:
    """Place landmarks by hand.

    For drawn faces, animals and robots, where the tracker finds no face: 12 to 20 guide points, as shares of the
    picture's width and height; all 478 landmarks follow. Left and right are the character's own. Without points the
    present ones are shown (saved, found or a template), ready to be changed with --point; look at --preview.
    """
    from dataclasses import replace

    from engine.app.landmarks import look_at_picture, moved
    from engine.errors import OutputUnwritable
    from engine.sources import find_source_set
    from engine.sources.guides import fit_landmarks
    from engine.sources.guides_file import guides_table, load_guides, save_guides
    from engine.sources.guides_preview import draw_guides

    folder = find_source_set(source_set)
    if clear:
        save_guides(folder, picture, None)
        typer.echo(f"{picture}: the tracker looks for the face again.")
        return
    start = look_at_picture(folder, picture, copy_from=copy_from)
    chosen = load_guides(guides) if guides is not None else start.guides
    chosen = moved(chosen, dict(_parse_point(text) for text in point or ()))
    if yaw is not None or pitch is not None:
        chosen = replace(
            chosen,
            yaw_deg=chosen.yaw_deg if yaw is None else yaw,
            pitch_deg=chosen.pitch_deg if pitch is None else pitch,
        )
    changed = bool(guides is not None or point or copy_from or yaw is not None or pitch is not None)
    height, width = start.rgb.shape[:2]
    landmarks_px = fit_landmarks(chosen, size_wh=(width, height)) if changed else start.landmarks_px
    if changed and save:
        save_guides(folder, picture, chosen)
        typer.echo(f"{picture}: {len(chosen.points)} guide points saved.")
    else:
        typer.echo(f"# {picture}: {start.origin if not changed else 'not saved'}")
        typer.echo(guides_table(chosen).as_string().strip())
    if preview is not None:
        try:
            draw_guides(start.rgb, landmarks_px, guides=chosen).save(preview)
        except (OSError, ValueError) as error:
            what = f"The preview cannot be written: {error} ({preview})."
            raise OutputUnwritable(what, hint="Choose another file name ending in .png.") from error
        typer.echo(f"preview: {preview}", err=True)


def _parse_point(text: str) -> tuple[str, tuple[float, float]]:
    name, _, numbers = text.partition("=")
    try:
        x, y = (float(part) for part in numbers.split(","))
    except ValueError as error:
        raise InvalidSetting(f"--point must be NAME=X,Y such as chin=0.51,0.62, got {text!r}.") from error
    return name.strip(), (x, y)
