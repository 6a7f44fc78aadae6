# SPDX-License-Identifier: Apache-2.0
"""`set new`, `set add`, `set capture`: pictures, videos and a camera → a set. Main thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.guard import guarded
from engine.cli.options import CameraOption, QuietOption, ReplaceOption
from engine.cli.set_options import (
    AuthorOption,
    ColourOption,
    ConsentOption,
    FilesArgument,
    HowOption,
    LicenceOption,
    NameArgument,
    PicksOption,
    ScopeOption,
    SheetOption,
    SourceOption,
    TitleOption,
    UntilOption,
    WhoOption,
    consent_note,
    described,
    judge_with_progress,
    own_folder,
)

if TYPE_CHECKING:
    from engine.sets.draft import SetDraft
    from engine.sets.make import Added

__all__ = ["set_add", "set_capture", "set_new"]


@guarded
def set_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a-z, 0-9, _ and -.")],
    files: FilesArgument,
    title: TitleOption = None,
    author: AuthorOption = None,
    consent: ConsentOption = None,
    who: WhoOption = None,
    how: HowOption = None,
    until: UntilOption = None,
    scope: ScopeOption = None,
    source: SourceOption = None,
    licence: LicenceOption = None,
    frames: PicksOption = 8,
    colour_match: ColourOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to put NAME.bunraku instead of your own sets.")
    ] = None,
    replace: ReplaceOption = False,
    sheet: SheetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make a set from pictures, folders or a video.

    Of a video the most useful frames are taken and said why. Crop and size are made equal over the set; `set edit
    --crop` changes one by hand. Files lose what they tell beside the picture, such as where it was taken.
    """
    from engine.sets.make import new_draft
    from engine.sets.save import default_folder, save_draft
    from engine.sources.library import SUFFIX

    draft = new_draft(name)
    folder = default_folder(name) if out is None else out / f"{name}{SUFFIX}"
    note = consent_note(
        None, consent=consent, who=who, how=how, until=until, scope=scope, source=source, licence=licence
    )
    draft = described(draft, title=title, author=author, note=note, colour_match=colour_match)
    added = _add(draft, files, frames=frames, quiet=quiet)
    _refuse_all_off(added)
    save_draft(added.draft, folder, replace=replace)
    _tell(added, folder)
    _judge_briefly(added.draft, sheet=sheet, quiet=quiet)


@guarded
def set_add(
    name: NameArgument,
    files: FilesArgument,
    frames: PicksOption = 8,
    sheet: SheetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Add pictures, or frames of a video, to a set of your own."""
    from engine.sets.draft import open_draft
    from engine.sets.save import save_draft

    path = own_folder(name)
    added = _add(open_draft(path), files, frames=frames, quiet=quiet)
    save_draft(added.draft, path, replace=True)
    _tell(added, path)
    _judge_briefly(added.draft, sheet=sheet, quiet=quiet)


@guarded
def set_capture(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A new set, or one of your own to fill up.")],
    camera: CameraOption = "0",
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, help="Stop by itself after so long.")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", metavar="POSE", help="Do not ask for this.")] = None,
    consent: ConsentOption = None,
    who: WhoOption = None,
    how: HowOption = None,
    until: UntilOption = None,
    scope: ScopeOption = None,
) -> None:
    """Make a set in front of the camera: the coach asks for what is missing and takes each pose when it is right.

    Poses: front, mouth_open, eyes_closed, left, right, smile, up, down, brows_up. What comes unasked is taken too.
    Ctrl-C ends it; what was taken is kept.
    """
    from engine.app.sets import capture
    from engine.sets.draft import open_draft
    from engine.sets.make import new_draft
    from engine.sets.save import default_folder, save_draft

    folder = default_folder(name)
    draft = open_draft(folder) if folder.exists() else new_draft(name)
    note = consent_note(
        draft.manifest.consent, consent=consent, who=who, how=how, until=until, scope=scope, source=None, licence=None
    )
    draft = draft.with_consent(note) if note is not None else draft
    told = ""

    def say(text: str, taken: bool) -> None:
        nonlocal told
        if text != told:
            typer.echo(f"{'*' if taken else ' '} {text}")
            told = text

    done = capture(draft, _camera_spec(camera), skip=tuple(skip or ()), limit_s=seconds, say=say)
    if not done.entries:
        typer.echo("Nothing was taken.", err=True)
        raise typer.Exit(3)
    save_draft(done, folder, replace=folder.exists())
    typer.echo(f"{name}: {len(done.entries)} pictures in {folder}")


def _add(draft: SetDraft, files: list[Path], *, frames: int, quiet: bool) -> Added:
    from engine.app.sets import instruments
    from engine.cli.console import progress
    from engine.sets.make import add_files

    with instruments() as tools, progress("looking", quiet=quiet, unit="") as advance:
        return add_files(draft, files, instruments=tools, picks=frames, advance=advance)


def _tell(added: Added, folder: Path) -> None:
    for path, picks in added.picks:
        typer.echo(f"{path.name}: {len(picks)} frames")
        for pick in picks:
            typer.echo(f"  frame {pick.number:5}  {pick.why}")
    for skip in added.skipped:
        typer.echo(f"note: {skip.reason}", err=True)
    typer.echo(f"{added.draft.name}: {len(added.draft.entries)} pictures in {folder}")


def _refuse_all_off(added: Added) -> None:
    from engine.errors import SourceSetEmpty

    if not any(entry.enabled for entry in added.draft.entries) and added.skipped:
        typer.echo("note: no face was found in any picture; they are saved switched off.", err=True)
    if not added.draft.entries:
        raise SourceSetEmpty("There is no picture to make a set of.", hint="Name some.")


def _judge_briefly(draft: SetDraft, *, sheet: Path | None, quiet: bool) -> None:
    report = judge_with_progress(draft, rebuild=sheet is not None, quiet=quiet)
    for sentence in report.advice:
        typer.echo(f"- {sentence}")
    if sheet is not None:
        from engine.sets.sheet import write_set_sheet

        write_set_sheet(report, sheet)
        typer.echo(f"sheet: {sheet}", err=True)


def _camera_spec(text: str) -> str:
    from engine.cli.live import camera_spec

    return camera_spec(text)
