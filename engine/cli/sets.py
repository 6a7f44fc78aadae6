# SPDX-License-Identifier: Apache-2.0
"""`set …`: list, judge, edit and share source sets; `sets_make` makes them. Main thread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import guarded
from engine.cli.landmarks import set_landmarks
from engine.cli.options import AsJsonOption, QuietOption, ReplaceOption
from engine.cli.set_options import (
    AuthorOption,
    ColourOption,
    ConsentOption,
    HowOption,
    LicenceOption,
    NameArgument,
    ScopeOption,
    SheetOption,
    SourceOption,
    TitleOption,
    UntilOption,
    WhoOption,
    consent_note,
    cropped,
    described,
    judge_with_progress,
    own_folder,
)
from engine.cli.sets_make import set_add, set_capture, set_new

__all__ = ["set_app"]

set_app = typer.Typer(
    help="Source sets: make, judge, edit, share.\n\n"
    "A set is a folder NAME.bunraku with set.toml and 1 to 16 pictures of one character, or a zip of that folder. "
    "The format is described in assets/source_sets/FORMAT.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
set_app.command("new")(set_new)
set_app.command("add")(set_add)
set_app.command("capture")(set_capture)


set_app.command("landmarks")(set_landmarks)


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
def set_show(name: NameArgument) -> None:
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
        "off": ", ".join(info.disabled),
        "problem": info.problem,
    }
    for key, value in rows.items():
        if value:
            typer.echo(f"{key:9} {value}")


@set_app.command("check")
@guarded
def set_check(
    name: NameArgument,
    as_json: AsJsonOption = False,
    sheet: SheetOption = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild/--no-rebuild", help="Rebuild each picture from the others (takes seconds).")
    ] = True,
    quiet: QuietOption = False,
) -> None:
    """Judge a set: what it covers, what is missing, and what is wrong with which picture.

    Exit code 0 whatever is found; 3 where the set cannot be read.
    """
    from engine.sets.draft import open_draft
    from engine.sources import find_source_set

    report = judge_with_progress(open_draft(find_source_set(name)), rebuild=rebuild, quiet=quiet)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        if report.coverage is not None:
            cover = report.coverage
            typer.echo(
                f"{report.name}: {len(report.covered)} pictures in use, covers {cover.score:.0%}; "
                f"head {cover.yaw_deg[0]:+.0f}° to {cover.yaw_deg[1]:+.0f}° sideways, "
                f"{cover.pitch_deg[0]:+.0f}° to {cover.pitch_deg[1]:+.0f}° up"
            )
        width = max((len(verdict.file) for verdict in report.verdicts), default=0)
        for verdict in report.verdicts:
            state = "" if verdict.enabled else "off  "
            figure = f"  others: {verdict.rebuilt.psnr_face_db:.1f} dB" if verdict.rebuilt else ""
            typer.echo(f"  {verdict.file:{width}}  {state}{', '.join(verdict.words)}{figure}")
            for issue in verdict.issues:
                typer.echo(f"  {'':{width}}  ! {issue.sentence}")
        for sentence in report.advice:
            typer.echo(f"- {sentence}")
        if not report.advice:
            typer.echo("Nothing is missing.")
    if sheet is not None:
        from engine.sets.sheet import write_set_sheet

        write_set_sheet(report, sheet)
        typer.echo(f"sheet: {sheet}", err=True)


@set_app.command("edit")
@guarded
def set_edit(
    name: NameArgument,
    title: TitleOption = None,
    author: AuthorOption = None,
    rename: Annotated[str | None, typer.Option("--rename", metavar="NAME", help="Call it something else.")] = None,
    consent: ConsentOption = None,
    who: WhoOption = None,
    how: HowOption = None,
    until: UntilOption = None,
    scope: ScopeOption = None,
    source: SourceOption = None,
    licence: LicenceOption = None,
    on: Annotated[list[str] | None, typer.Option("--on", metavar="PICTURE", help="Switch a picture on.")] = None,
    off: Annotated[list[str] | None, typer.Option("--off", metavar="PICTURE", help="Switch a picture off.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="PICTURE", help="Take it out.")] = None,
    first: Annotated[
        str | None, typer.Option("--first", metavar="PICTURE", help="Make it the reference; keeps the order.")
    ] = None,
    crop: Annotated[
        list[str] | None,
        typer.Option(
            "--crop",
            metavar="PICTURE=X,Y,SIZE",
            help="Set its box: middle over width and height, side over the shorter side; PICTURE=auto undoes it.",
        ),
    ] = None,
    colour_match: ColourOption = None,
) -> None:
    """Change a set of your own: consent, pictures on and off, crop, order, names.

    All changes are saved in one step, or none.
    """
    from engine.sets.draft import open_draft
    from engine.sets.save import default_folder, save_draft
    from engine.sources.library import SUFFIX

    path = own_folder(name)
    draft = open_draft(path)
    note = consent_note(
        draft.manifest.consent,
        consent=consent,
        who=who,
        how=how,
        until=until,
        scope=scope,
        source=source,
        licence=licence,
    )
    draft = described(draft, title=title, author=author, note=note, colour_match=colour_match)
    for file in on or ():
        draft = draft.switched(file, True)
    for file in off or ():
        draft = draft.switched(file, False)
    for file in remove or ():
        draft = draft.without(file)
    for text in crop or ():
        draft = cropped(draft, text)
    if first is not None:
        draft = draft.moved(first, 0)
    if rename is not None:
        draft = draft.described(name=rename)
        target = default_folder(rename) if path == default_folder(name) else path.with_name(f"{rename}{SUFFIX}")
        save_draft(draft, target)
        _remove_folder(path)
        path = target
    else:
        save_draft(draft, path, replace=True)
    typer.echo(f"{draft.name}: saved in {path}")


@set_app.command("export")
@guarded
def set_export(
    name: NameArgument,
    out: Annotated[
        Path | None, typer.Argument(metavar="FILE.bunraku.zip", help="Default: NAME.bunraku.zip here.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the file.")] = False,
) -> None:
    """Pack a set into one file to give away.

    Pictures, set.toml and the consent note go in; caches and what files tell beside the picture do not.
    """
    from engine.sets.share import export_set
    from engine.sources import find_source_set

    path = export_set(find_source_set(name), out, replace=replace)
    typer.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


@set_app.command("import")
@guarded
def set_import(
    file: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A .bunraku.zip, or a set's folder.")],
    name: Annotated[str | None, typer.Option("--name", help="Call it something else.")] = None,
    replace: ReplaceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take a set from somebody else into your own.

    The file is checked before anything is unpacked: what no set contains is refused, and only what is a picture is
    copied.
    """
    from engine.cli.console import progress
    from engine.sets.share import import_set

    with progress("reading", quiet=quiet, unit="pictures") as advance:
        done = import_set(file, name=name, replace=replace, advance=advance)
    typer.echo(f"{done.name}: {done.count} pictures in {done.path}; consent: {done.consent.describe()}")


def _remove_folder(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
