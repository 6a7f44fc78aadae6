# SPDX-License-Identifier: Apache-2.0
"""`verify`: did Bunraku make this file?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import guarded

__all__ = ["verify"]

_NO_MARK, _CANNOT_READ = 1, 2


@guarded
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video or a picture.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Say whether Bunraku made a video or picture.

    Reads the visible mark, the invisible mark (also from files that were re-encoded, trimmed, cropped, mirrored or
    photographed off the screen by a screenshot) and the signature, in the file or beside it as NAME.c2pa.

    Exit code: 0 marked by Bunraku, 1 no mark found, 2 the file cannot be read.

    It cannot prove that a file is genuine: other tools leave other marks or none, and marks can be removed by somebody
    who sets out to. It cannot say who made a file, when, or of whom, and marks can be copied onto other pictures. A
    signature shows that a file has not changed since one key signed it; whose key that is, only a certificate
    authority could say.
    """
    from engine.verify.check import verify as check
    from engine.verify.media import Unreadable
    from engine.verify.report import as_dict, in_words, unreadable_dict

    try:
        verdict = check(file)
    except Unreadable as error:
        if as_json:
            typer.echo(json.dumps(unreadable_dict(file, str(error)), indent=2, ensure_ascii=False))
        typer.echo(f"The file cannot be read as a video or picture: {error} ({file}).", err=True)
        raise typer.Exit(_CANNOT_READ) from error
    if as_json:
        typer.echo(json.dumps(as_dict(verdict, file), indent=2, ensure_ascii=False))
    else:
        for line in in_words(verdict, file):
            typer.echo(line)
    if not verdict.marked:
        raise typer.Exit(_NO_MARK)
