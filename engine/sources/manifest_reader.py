# SPDX-License-Identifier: Apache-2.0
"""The bytes of a stranger's set.toml → `SetManifest`, or one sentence about what is wrong with them. Any thread."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.consent import CONSENT_KINDS, NO_NOTE, Consent, parse_until
from engine.errors import SourceSetInvalid
from engine.sources.guides_file import read_guides
from engine.sources.manifest import (
    CONSENT_TEXTS,
    CROP_KEYS,
    FORMAT,
    TOP_TEXTS,
    Crop,
    PictureEntry,
    SetManifest,
    suggest,
)

__all__ = ["MAX_MANIFEST_BYTES", "parse_manifest"]

MAX_MANIFEST_BYTES = 64 * 2**10  # sixteen pictures need some 4 KiB; parsing a megabyte of brackets takes minutes
_READS = (1, FORMAT)
_ORDERS = ("auto", "listed")
_TOP_KEYS = ("format", *TOP_TEXTS, "order", "colour_match", "consent", "pictures")
_CONSENT_KEYS = ("kind", *CONSENT_TEXTS)
_PICTURE_KEYS = ("file", "enabled", "notes", "crop", "guides")
_LONGEST_TEXT = 1000


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
        **{key: table.day(key) if key in ("when", "until") else table.get(key, str, "") for key in CONSENT_TEXTS},
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
    table = _Table(data, label, f"{where}.", CROP_KEYS)
    try:
        return Crop(*(table.number(key) for key in CROP_KEYS))
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
