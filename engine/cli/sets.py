# SPDX-License-Identifier: Apache-2.0
"""`set …`: make, judge, edit and share source sets. Main thread; the work is in `engine.sets`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.guard import guarded
from engine.cli.landmarks import set_landmarks
from engine.cli.options import QuietOption

if TYPE_CHECKING:
    from engine.consent import Consent
    from engine.sets.draft import SetDraft
    from engine.sets.judge import SetReport
    from engine.sets.make import Added

__all__ = ["set_app"]

set_app = typer.Typer(
    help="Source sets: make, judge, edit, share.\n\n"
    "A set is a folder NAME.bunraku with set.toml and 1 to 16 pictures of one character, or a zip of that folder. "
    "The format is described in assets/source_sets/FORMAT.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

set_app.command("landmarks")(set_landmarks)

_NameArgument = Annotated[str, typer.Argument(metavar="NAME|PATH", help="Name of `set list`, or a path.")]
_FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Pictures, folders of pictures, videos.", exists=True)
]
_SheetOption = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE.png", help="Draw what came of it as a picture.")
]
_PicksOption = Annotated[
    int, typer.Option("--frames", min=1, max=16, metavar="N", help="Frames to take of a video at most.")
]
_TitleOption = Annotated[str | None, typer.Option("--title", help="What people read.")]
_AuthorOption = Annotated[str | None, typer.Option("--author", help="Who made the pictures.")]
_ConsentOption = Annotated[
    str | None,
    typer.Option("--consent", metavar="KIND", help="Whose pictures: mine, consented, synthetic or licensed."),
]
_WhoOption = Annotated[str | None, typer.Option("--who", help="consented: who agreed.")]
_HowOption = Annotated[str | None, typer.Option("--how", help="consented: how, such as a signed form.")]
_UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE|withdrawn", help="consented: last day, such as 2027-01-31, or withdrawn."),
]
_ScopeOption = Annotated[str | None, typer.Option("--scope", help="consented: to what.")]
_SourceOption = Annotated[
    str | None, typer.Option("--source", help="synthetic, licensed: where the pictures are from.")
]
_LicenceOption = Annotated[str | None, typer.Option("--licence", help="synthetic, licensed: under which licence.")]
_ColourOption = Annotated[
    bool | None,
    typer.Option("--colour-match/--no-colour-match", help="Give all pictures the light of the first."),
]


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
def set_show(name: _NameArgument) -> None:
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


@set_app.command("new")
@guarded
def set_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a-z, 0-9, _ and -.")],
    files: _FilesArgument,
    title: _TitleOption = None,
    author: _AuthorOption = None,
    consent: _ConsentOption = None,
    who: _WhoOption = None,
    how: _HowOption = None,
    until: _UntilOption = None,
    scope: _ScopeOption = None,
    source: _SourceOption = None,
    licence: _LicenceOption = None,
    frames: _PicksOption = 8,
    colour_match: _ColourOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to put NAME.bunraku instead of your own sets.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a set of this name.")] = False,
    sheet: _SheetOption = None,
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
    note = _note(None, consent=consent, who=who, how=how, until=until, scope=scope, source=source, licence=licence)
    draft = _described(draft, title=title, author=author, note=note, colour_match=colour_match)
    added = _add(draft, files, frames=frames, quiet=quiet)
    _refuse_all_off(added)
    save_draft(added.draft, folder, replace=replace)
    _tell(added, folder)
    _judge_briefly(added.draft, sheet=sheet, quiet=quiet)


@set_app.command("add")
@guarded
def set_add(
    name: _NameArgument,
    files: _FilesArgument,
    frames: _PicksOption = 8,
    sheet: _SheetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Add pictures, or frames of a video, to a set of your own."""
    from engine.sets.draft import open_draft
    from engine.sets.save import save_draft

    path = _own_folder(name)
    added = _add(open_draft(path), files, frames=frames, quiet=quiet)
    save_draft(added.draft, path, replace=True)
    _tell(added, path)
    _judge_briefly(added.draft, sheet=sheet, quiet=quiet)


@set_app.command("check")
@guarded
def set_check(
    name: _NameArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
    sheet: _SheetOption = None,
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

    report = _judge(open_draft(find_source_set(name)), rebuild=rebuild, quiet=quiet)
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
    name: _NameArgument,
    title: _TitleOption = None,
    author: _AuthorOption = None,
    rename: Annotated[str | None, typer.Option("--rename", metavar="NAME", help="Call it something else.")] = None,
    consent: _ConsentOption = None,
    who: _WhoOption = None,
    how: _HowOption = None,
    until: _UntilOption = None,
    scope: _ScopeOption = None,
    source: _SourceOption = None,
    licence: _LicenceOption = None,
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
    colour_match: _ColourOption = None,
) -> None:
    """Change a set of your own: consent, pictures on and off, crop, order, names.

    All changes are saved in one step, or none.
    """
    from engine.sets.draft import open_draft
    from engine.sets.save import default_folder, save_draft
    from engine.sources.library import SUFFIX

    path = _own_folder(name)
    draft = open_draft(path)
    note = _note(
        draft.manifest.consent,
        consent=consent,
        who=who,
        how=how,
        until=until,
        scope=scope,
        source=source,
        licence=licence,
    )
    draft = _described(draft, title=title, author=author, note=note, colour_match=colour_match)
    for file in on or ():
        draft = draft.switched(file, True)
    for file in off or ():
        draft = draft.switched(file, False)
    for file in remove or ():
        draft = draft.without(file)
    for text in crop or ():
        draft = _cropped(draft, text)
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
    name: _NameArgument,
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
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a set of this name.")] = False,
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


def _note(before: Consent | None, *, consent: str | None, **texts: str | None) -> Consent | None:
    """Return the note that the options describe, or None where they say nothing."""
    from engine.consent import CONSENT_KINDS, Consent, parse_until
    from engine.errors import InvalidSetting

    given = {key: text for key, text in texts.items() if text is not None}
    if consent is None and not given:
        return None
    kind = consent or (before.kind if before is not None else "")
    if kind not in CONSENT_KINDS:
        what = f"--consent must be one of {', '.join(CONSENT_KINDS)}, got {kind or 'nothing'!r}."
        raise InvalidSetting(what, name="consent", value=kind)
    try:
        parse_until(given.get("until", ""))
    except ValueError as error:
        what = f"--until must be a day such as 2027-01-31, or withdrawn, got {given['until']!r}."
        raise InvalidSetting(what, name="until", value=given["until"]) from error
    old = before if before is not None and before.kind == kind else Consent()
    note = dataclasses.replace(old, kind=kind, **given)
    if kind == "consented" and not note.who:
        raise InvalidSetting("--consent consented needs --who, the person who agreed.", name="who", value="")
    return note


def _described(
    draft: SetDraft, *, title: str | None, author: str | None, note: Consent | None, colour_match: bool | None
) -> SetDraft:
    texts = {key: text for key, text in (("title", title), ("author", author)) if text is not None}
    draft = draft.described(**texts) if texts else draft
    draft = draft.with_consent(note) if note is not None else draft
    return draft.with_colour_match(colour_match) if colour_match is not None else draft


def _cropped(draft: SetDraft, text: str) -> SetDraft:
    from engine.errors import InvalidSetting
    from engine.sources.manifest import Crop

    file, _, box = text.rpartition("=")
    what = f"--crop must be PICTURE=X,Y,SIZE such as front=0.5,0.4,0.8, or PICTURE=auto, got {text!r}"
    if not file:
        raise InvalidSetting(f"{what}.", name="crop", value=text)
    try:
        crop = None if box == "auto" else Crop(*(float(part) for part in box.split(",")))
    except (ValueError, TypeError) as error:
        raise InvalidSetting(f"{what}: {error}.", name="crop", value=text) from error
    return draft.cropped(file, crop)


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
    report = _judge(draft, rebuild=sheet is not None, quiet=quiet)
    for sentence in report.advice:
        typer.echo(f"- {sentence}")
    if sheet is not None:
        from engine.sets.sheet import write_set_sheet

        write_set_sheet(report, sheet)
        typer.echo(f"sheet: {sheet}", err=True)


def _judge(draft: SetDraft, *, rebuild: bool, quiet: bool) -> SetReport:
    from engine.app.sets import judge
    from engine.cli.console import progress

    with progress("judging", quiet=quiet, unit="") as advance:
        return judge(draft, rebuild=rebuild, advance=advance)


def _own_folder(name: str) -> Path:
    """Return the folder of a set that may be changed.

    Raises:
        SourceSetInvalid: it is built in, a zip, or no set's folder.
    """
    from engine.assets import asset_root
    from engine.errors import SourceSetInvalid
    from engine.sources import find_source_set
    from engine.sources.store import SET_FILE

    path = find_source_set(name)
    if path.resolve().is_relative_to(asset_root()):
        what = f"Source set {name} is built in and cannot be changed."
        raise SourceSetInvalid(what, hint=f"Make a set of your own of it: bunraku set import {path} --name NEW")
    if not (path / SET_FILE).is_file():
        what = f"{path.name} cannot be changed: expected a set's folder with {SET_FILE}."
        raise SourceSetInvalid(what, hint=f"Import it first: bunraku set import {path}", path=str(path))
    return path


def _remove_folder(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
