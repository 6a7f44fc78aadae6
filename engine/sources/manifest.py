# SPDX-License-Identifier: Apache-2.0
"""set.toml: who a source set shows, by whose leave, and which pictures it has. Any thread.

format = 1
name = "mara"                     # short, as used on the command line
title = "Mara"
author = "..."
licence = "MIT"
origin = "..."                    # where the pictures come from
order = "auto"                    # or "listed": keep the order below, the first is the reference

[consent]
kind = "consented"                # mine | consented | synthetic | licensed
who = "..."                       # who agreed, when, and to what
when = "2026-01-31"
scope = "..."

[[pictures]]
file = "front.png"
enabled = true
notes = "neutral"

[pictures.guides]                 # landmarks by hand, where the tracker finds no face; see guides.py
yaw_deg = 20.0                    # head turn, where the fit should not guess it; pitch_deg likewise
chin = [0.51, 0.62]               # name = [x, y] over the picture's width and height, 12 to 20 of them
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.errors import SourceSetInvalid
from engine.sources.guides import GuidePoints
from engine.sources.guides_file import read_guides

__all__ = ["CONSENT_KINDS", "FORMAT", "Consent", "PictureEntry", "SetManifest", "parse_manifest", "suggest"]

FORMAT = 1
CONSENT_KINDS = ("mine", "consented", "synthetic", "licensed")
_ORDERS = ("auto", "listed")
_TOP_KEYS = ("format", "name", "title", "author", "licence", "origin", "order", "consent", "pictures")
_CONSENT_KEYS = ("kind", "who", "when", "scope")
_PICTURE_KEYS = ("file", "enabled", "notes", "guides")


@dataclass(frozen=True, slots=True)
class Consent:
    """By whose leave the pictures are used; kind is empty where the set does not say."""

    kind: str = ""
    who: str = ""
    when: str = ""
    scope: str = ""

    def describe(self) -> str:
        """Return one line, e.g. `consented: A. Person, 2026-01-31, streaming`."""
        details = ", ".join(part for part in (self.who, self.when, self.scope) if part)
        return f"{self.kind}: {details}" if self.kind and details else self.kind or "not stated"


@dataclass(frozen=True, slots=True)
class PictureEntry:
    """One picture of a set. file: relative to its folder. guides: landmarks by hand; None lets the tracker look."""

    file: str
    enabled: bool = True
    notes: str = ""
    guides: GuidePoints | None = None


@dataclass(frozen=True, slots=True)
class SetManifest:
    """What set.toml says; an ad-hoc set of pictures gets one with names only."""

    name: str
    pictures: tuple[PictureEntry, ...]
    title: str = ""
    author: str = ""
    licence: str = ""
    origin: str = ""
    consent: Consent = Consent()
    keeps_order: bool = False

    @property
    def enabled(self) -> tuple[PictureEntry, ...]:
        """The pictures in use."""
        return tuple(picture for picture in self.pictures if picture.enabled)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a sentence offering the nearest known name, or listing them all when none is near."""
    choices = sorted(known)
    near = difflib.get_close_matches(name.lower(), [choice.lower() for choice in choices], n=1, cutoff=0.5)
    if near:
        return f"Did you mean {next(choice for choice in choices if choice.lower() == near[0])}?"
    return f"Known: {', '.join(choices)}." if choices else "None is known."


def parse_manifest(text: bytes, *, label: str, default_name: str) -> SetManifest:
    """Read the bytes of a set.toml.

    Args:
        label: its path, for messages. default_name: used where the file gives no name.
    Raises:
        SourceSetInvalid: not TOML, an unknown key, a wrong type or a value that is not allowed.
    """
    try:
        data = tomlkit.parse(text).unwrap()
    except (TOMLKitError, UnicodeDecodeError, ValueError) as error:
        raise _invalid(label, f"is not valid TOML: {error}", "Correct that line.") from error
    table = _Table(data, label, "", _TOP_KEYS)
    if (version := table.get("format", int, 0)) != FORMAT:
        hint = "Install a newer Bunraku." if version > FORMAT else f"Write: format = {FORMAT}"
        raise _invalid(label, f"has the wrong format: expected {FORMAT}, got {version or 'none'}", hint)
    pictures = table.get("pictures", list, [])
    entries = tuple(_picture(entry, index, label) for index, entry in enumerate(pictures, 1))
    _refuse_repeats(entries, label)
    return SetManifest(
        name=table.get("name", str, "") or default_name,
        pictures=entries,
        title=table.get("title", str, ""),
        author=table.get("author", str, ""),
        licence=table.get("licence", str, ""),
        origin=table.get("origin", str, ""),
        consent=_consent(table.get("consent", dict, {}), label),
        keeps_order=table.choice("order", _ORDERS, "auto") == "listed",
    )


def _consent(data: Mapping[str, Any], label: str) -> Consent:
    if not data:
        return Consent()
    table = _Table(data, label, "consent.", _CONSENT_KEYS)
    when = data.get("when", "")
    consent = Consent(
        kind=table.choice("kind", CONSENT_KINDS, ""),
        who=table.get("who", str, ""),
        when=when.isoformat() if isinstance(when, datetime.date) else table.get("when", str, ""),
        scope=table.get("scope", str, ""),
    )
    if consent.kind == "consented" and not consent.who:
        raise _invalid(label, "says consented but not by whom", 'Add to [consent]: who = "..."')
    return consent


def _picture(data: object, index: int, label: str) -> PictureEntry:
    where = f"pictures[{index}]"
    if not isinstance(data, Mapping):
        raise _invalid(label, f"has a wrong {where}: expected a table, got {data!r}", "Write [[pictures]] tables.")
    table = _Table(data, label, f"{where}.", _PICTURE_KEYS)
    file = table.get("file", str, "")
    if not file:
        raise _invalid(label, f"has no file in {where}", 'Add: file = "..."')
    guides = read_guides(table.get("guides", dict, {}), where=f"{where}.guides", label=label)
    return PictureEntry(file, table.get("enabled", bool, True), table.get("notes", str, ""), guides)


def _refuse_repeats(entries: Sequence[PictureEntry], label: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.file in seen:
            raise _invalid(label, f"lists {entry.file} twice", "Remove one of the two.")
        seen.add(entry.file)


class _Table:
    """Typed access to one TOML table; refuses unknown keys on construction."""

    def __init__(self, data: Mapping[str, Any], label: str, prefix: str, known: Sequence[str]) -> None:
        self._data, self._label, self._prefix = data, label, prefix
        for key in data:
            if key not in known:
                raise _invalid(label, f"has an unknown key: {prefix}{key}", suggest(key, known))

    def get(self, key: str, kind: type[Any], default: Any) -> Any:
        value = self._data.get(key, default)
        # bool is an int in Python, but `format = true` is still a mistake.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            what = f"has a wrong {self._prefix}{key}: expected {_KIND_WORDS[kind]}, got {value!r}"
            raise _invalid(self._label, what, "Correct it.")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = str(self.get(key, str, default))
        if value != default and value not in allowed:
            what = f"has a wrong {self._prefix}{key}: expected {', '.join(allowed)}, got {value!r}"
            raise _invalid(self._label, what, suggest(value, allowed))
        return value


_KIND_WORDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


def _invalid(label: str, what: str, hint: str) -> SourceSetInvalid:
    return SourceSetInvalid(f"The set file {what}.", hint=f"{hint} ({label})", path=label)
