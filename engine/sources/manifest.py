# SPDX-License-Identifier: Apache-2.0
"""set.toml: who a source set shows, by whose leave, and which pictures it has. Any thread.

format = 2                        # 1 is read too: it lacks `colour_match`, `crop` and the longer consent note
name = "mara"                     # short, as used on the command line
title = "Mara"
author = "..."
licence = "MIT"
origin = "..."                    # where the pictures come from
order = "auto"                    # or "listed": keep the order below, the first is the reference
colour_match = false              # true: take every picture's light to that of the reference

[consent]
kind = "consented"                # mine | consented | synthetic | licensed
who = "..."                       # consented: who agreed, how, when, until when ("withdrawn": no end), and to what
how = "..."
when = "2026-01-31"
until = "2027-01-31"
scope = "..."
source = "..."                    # synthetic, licensed: where the pictures come from; `origin` stands in for it
licence = "..."                   # … and under which licence; the `licence` above stands in for it

[[pictures]]
file = "front.png"
enabled = true
notes = "neutral"
crop = { x = 0.5, y = 0.4, size = 0.8 }  # by hand: middle over width and height, side over the shorter side

[pictures.guides]                 # landmarks by hand, where the tracker finds no face; see guides.py
yaw_deg = 20.0                    # head turn, where the fit should not guess it; pitch_deg likewise
chin = [0.51, 0.62]               # name = [x, y] over the picture's width and height, 12 to 20 of them
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.consent import CONSENT_KINDS, NO_NOTE, Consent, parse_until
from engine.errors import SourceSetInvalid
from engine.sources.guides import GuidePoints
from engine.sources.guides_file import guides_table, read_guides

__all__ = [
    "FORMAT",
    "MAX_MANIFEST_BYTES",
    "Crop",
    "PictureEntry",
    "SetManifest",
    "dump_manifest",
    "parse_manifest",
    "suggest",
]

FORMAT = 2
MAX_MANIFEST_BYTES = 64 * 2**10  # sixteen pictures need some 4 KiB; parsing a megabyte of brackets takes minutes
_READS = (1, FORMAT)
_ORDERS = ("auto", "listed")
_TOP_TEXTS = ("name", "title", "author", "licence", "origin")
_TOP_KEYS = ("format", *_TOP_TEXTS, "order", "colour_match", "consent", "pictures")
_CONSENT_TEXTS = ("who", "how", "when", "until", "scope", "source", "licence")
_CONSENT_KEYS = ("kind", *_CONSENT_TEXTS)
_PICTURE_KEYS = ("file", "enabled", "notes", "crop", "guides")
_CROP_KEYS = ("x", "y", "size")
_LONGEST_TEXT = 1000
_CROP_SIZE = (0.05, 3.0)


@dataclass(frozen=True, slots=True)
class Crop:
    """A portrait box set by hand, free of the picture's resolution.

    x, y: its middle over the picture's width and height, in [0, 1]. size: its side over the picture's shorter side.
    """

    x: float
    y: float
    size: float

    def __post_init__(self) -> None:
        low, high = _CROP_SIZE
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1 and low <= self.size <= high):
            raise ValueError(f"expected x and y from 0 to 1 and size from {low:g} to {high:g}, got {self}")


@dataclass(frozen=True, slots=True)
class PictureEntry:
    """One picture of a set. file: relative to the set's folder. crop: by hand; None lets the engine choose. guides:
    landmarks by hand; None lets the tracker look."""

    file: str
    enabled: bool = True
    notes: str = ""
    crop: Crop | None = None
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
    consent: Consent = NO_NOTE
    keeps_order: bool = False
    colour_match: bool = False

    @property
    def note(self) -> Consent:
        """The consent note, completed by the set's own origin and licence where pictures of nobody need them."""
        consent = self.consent
        if consent.kind not in ("synthetic", "licensed"):
            return consent
        return replace(consent, source=consent.source or self.origin, licence=consent.licence or self.licence)

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
    if len(text) > MAX_MANIFEST_BYTES:
        what = f"is too long: expected at most {MAX_MANIFEST_BYTES // 2**10} KiB, got {len(text) // 2**10} KiB"
        raise _invalid(label, what, "A set's own file has a few lines for each picture.")
    data = _parse_toml(text, label)
    # First, since a newer format may well have keys that this version does not know.
    version = data.get("format", 0)
    if not isinstance(version, int) or isinstance(version, bool):
        raise _invalid(label, f"has a wrong format: expected a whole number, got {_short(version)}", "Correct it.")
    if version not in _READS:
        hint = "Install a newer Bunraku." if version > FORMAT else f"Write: format = {FORMAT}"
        raise _invalid(label, f"has the wrong format: expected {FORMAT}, got {version or 'none'}", hint)
    table = _Table(data, label, "", _TOP_KEYS)
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
        colour_match=table.get("colour_match", bool, False),
    )


def dump_manifest(manifest: SetManifest) -> bytes:
    """Return the bytes of a set.toml that `parse_manifest` reads back to the same values."""
    document = tomlkit.document()
    document["format"] = FORMAT
    for key in _TOP_TEXTS:
        if value := getattr(manifest, key):
            document[key] = value
    if manifest.keeps_order:
        document["order"] = "listed"
    if manifest.colour_match:
        document["colour_match"] = True
    if manifest.consent.kind:
        consent = manifest.consent
        texts = {key: getattr(consent, key) for key in _CONSENT_TEXTS}
        document["consent"] = {"kind": consent.kind, **{key: text for key, text in texts.items() if text}}
    pictures = tomlkit.aot()
    for entry in manifest.pictures:
        table = tomlkit.table()
        table["file"], table["enabled"] = entry.file, entry.enabled
        if entry.notes:
            table["notes"] = entry.notes
        if entry.crop is not None:
            crop = tomlkit.inline_table()
            crop.update({key: round(float(getattr(entry.crop, key)), 5) for key in _CROP_KEYS})
            table["crop"] = crop
        if entry.guides is not None:
            table["guides"] = guides_table(entry.guides)
        pictures.append(table)
    if manifest.pictures:
        document["pictures"] = pictures
    return tomlkit.dumps(document).encode()


def _parse_toml(text: bytes, label: str) -> Mapping[str, Any]:
    try:
        return tomlkit.parse(text).unwrap()
    except RecursionError as error:
        raise _invalid(label, "is nested too deep", "Write plain tables.") from error
    except (TOMLKitError, UnicodeDecodeError, ValueError) as error:
        reason = _plain(" ".join(str(error).split())[:200].rstrip("."))
        raise _invalid(label, f"is not valid TOML: {reason}", "Correct that line.") from error
    except Exception as error:
        # tomlkit meets some broken files with a TypeError or an IndexError of its own.
        raise _invalid(label, f"is not valid TOML: {type(error).__name__}", "Write it again.") from error


def _consent(data: Mapping[str, Any], label: str) -> Consent:
    if not data:
        return NO_NOTE
    table = _Table(data, label, "consent.", _CONSENT_KEYS)
    consent = Consent(
        kind=table.choice("kind", CONSENT_KINDS, ""),
        **{key: table.day(key) if key in ("when", "until") else table.get(key, str, "") for key in _CONSENT_TEXTS},
    )
    if consent.kind == "consented" and not consent.who:
        raise _invalid(label, "says consented but not by whom", 'Add to [consent]: who = "..."')
    try:
        parse_until(consent.until)
    except ValueError as error:
        what = f"has a wrong consent.until: expected a day such as 2027-01-31 or withdrawn, got {_short(consent.until)}"
        raise _invalid(label, what, "Correct it.") from error
    return consent


def _picture(data: object, index: int, label: str) -> PictureEntry:
    where = f"pictures[{index}]"
    if not isinstance(data, Mapping):
        raise _invalid(
            label, f"has a wrong {where}: expected a table, got {_short(data)}", "Write [[pictures]] tables."
        )
    table = _Table(data, label, f"{where}.", _PICTURE_KEYS)
    file = table.get("file", str, "")
    if not file:
        raise _invalid(label, f"has no file in {where}", 'Add: file = "..."')
    crop = _crop(table.get("crop", dict, {}), f"{where}.crop", label)
    guides = read_guides(table.get("guides", dict, {}), where=f"{where}.guides", label=label)
    return PictureEntry(file, table.get("enabled", bool, True), table.get("notes", str, ""), crop=crop, guides=guides)


def _crop(data: Mapping[str, Any], where: str, label: str) -> Crop | None:
    if not data:
        return None
    table = _Table(data, label, f"{where}.", _CROP_KEYS)
    try:
        return Crop(*(table.number(key) for key in _CROP_KEYS))
    except ValueError as error:
        raise _invalid(label, f"has a wrong {where}: {error}", "Remove it to let Bunraku choose.") from error


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
                raise _invalid(label, f"has an unknown key: {prefix}{_plain(key)}", suggest(key, known))

    def get(self, key: str, kind: type[Any], default: Any) -> Any:
        value = self._data.get(key, default)
        # bool is an int in Python, but `format = true` is still a mistake.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            what = f"has a wrong {self._prefix}{key}: expected {_KIND_WORDS[kind]}, got {_short(value)}"
            raise _invalid(self._label, what, "Correct it.")
        if isinstance(value, str) and (len(value) > _LONGEST_TEXT or not value.isprintable()):
            # Texts are printed on terminals and drawn in windows: control characters there are commands.
            what = f"has a wrong {self._prefix}{key}: expected up to {_LONGEST_TEXT} printable letters"
            raise _invalid(self._label, f"{what}, got {_short(value)}", "Shorten it, on one line.")
        return value

    def number(self, key: str) -> float:
        value = self._data.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _invalid(
                self._label, f"has a wrong {self._prefix}{key}: expected a number, got {_short(value)}", "Correct it."
            )
        return float(value)

    def day(self, key: str) -> str:
        value = self._data.get(key, "")
        return value.isoformat() if isinstance(value, datetime.date) else str(self.get(key, str, ""))

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = str(self.get(key, str, default))
        if value != default and value not in allowed:
            what = f"has a wrong {self._prefix}{key}: expected {', '.join(allowed)}, got {_short(value)}"
            raise _invalid(self._label, what, suggest(value, allowed))
        return value


_KIND_WORDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


def _plain(key: str) -> str:
    """Return foreign text as it stands, or escaped where a terminal would take it for a command."""
    return key[:200] if key.isprintable() else ascii(key)[:200]


def _short(value: object) -> str:
    return ascii(value) if len(repr(value)) <= 80 else f"{ascii(value)[:80]}…"


def _invalid(label: str, what: str, hint: str) -> SourceSetInvalid:
    return SourceSetInvalid(f"The set file {what}.", hint=f"{hint} ({label})", path=label)
