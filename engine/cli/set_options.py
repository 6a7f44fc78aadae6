# SPDX-License-Identifier: Apache-2.0
"""What the `set …` commands share: their options, and what these mean for a draft."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.consent import Consent
    from engine.sets.draft import SetDraft
    from engine.sets.report import SetReport

__all__ = [
    "AuthorOption",
    "ColourOption",
    "ConsentOption",
    "FilesArgument",
    "HowOption",
    "LicenceOption",
    "NameArgument",
    "PicksOption",
    "ScopeOption",
    "SheetOption",
    "SourceOption",
    "TitleOption",
    "UntilOption",
    "WhoOption",
    "consent_note",
    "cropped",
    "described",
    "judge_with_progress",
    "own_folder",
]

NameArgument = Annotated[str, typer.Argument(metavar="NAME|PATH", help="Name of `set list`, or a path.")]
FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Pictures, folders of pictures, videos.", exists=True)
]
SheetOption = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE.png", help="Draw what came of it as a picture.")
]
PicksOption = Annotated[
    int, typer.Option("--frames", min=1, max=16, metavar="N", help="Frames to take of a video at most.")
]
TitleOption = Annotated[str | None, typer.Option("--title", help="What people read.")]
AuthorOption = Annotated[str | None, typer.Option("--author", help="Who made the pictures.")]
ConsentOption = Annotated[
    str | None,
    typer.Option("--consent", metavar="KIND", help="Whose pictures: mine, consented, synthetic or licensed."),
]
WhoOption = Annotated[str | None, typer.Option("--who", help="consented: who agreed.")]
HowOption = Annotated[str | None, typer.Option("--how", help="consented: how, such as a signed form.")]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE|withdrawn", help="consented: last day, such as 2027-01-31, or withdrawn."),
]
ScopeOption = Annotated[str | None, typer.Option("--scope", help="consented: to what.")]
SourceOption = Annotated[str | None, typer.Option("--source", help="synthetic, licensed: where the pictures are from.")]
LicenceOption = Annotated[str | None, typer.Option("--licence", help="synthetic, licensed: under which licence.")]
ColourOption = Annotated[
    bool | None,
    typer.Option("--colour-match/--no-colour-match", help="Give all pictures the light of the first."),
]


def consent_note(before: Consent | None, *, consent: str | None, **texts: str | None) -> Consent | None:
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


def described(
    draft: SetDraft, *, title: str | None, author: str | None, note: Consent | None, colour_match: bool | None
) -> SetDraft:
    """Return the draft with what the options say of it as a whole."""
    texts = {key: text for key, text in (("title", title), ("author", author)) if text is not None}
    draft = draft.described(**texts) if texts else draft
    draft = draft.with_consent(note) if note is not None else draft
    return draft.with_colour_match(colour_match) if colour_match is not None else draft


def cropped(draft: SetDraft, text: str) -> SetDraft:
    """Return the draft with one box set by hand, from PICTURE=X,Y,SIZE.

    Raises:
        InvalidSetting: the text is something else. SourceSetInvalid: there is no such picture.
    """
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


def judge_with_progress(draft: SetDraft, *, rebuild: bool, quiet: bool) -> SetReport:
    """Judge a draft with a progress bar."""
    from engine.app.sets import judge
    from engine.cli.console import progress

    with progress("judging", quiet=quiet, unit="") as advance:
        return judge(draft, rebuild=rebuild, advance=advance)


def own_folder(name: str) -> Path:
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
