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

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import tomlkit

from engine.consent import NO_NOTE, Consent
from engine.sources.guides import GuidePoints
from engine.sources.guides_file import guides_table

__all__ = [
    "CONSENT_TEXTS",
    "CROP_KEYS",
    "FORMAT",
    "TOP_TEXTS",
    "Crop",
    "PictureEntry",
    "SetManifest",
    "dump_manifest",
    "suggest",
]

FORMAT = 2
TOP_TEXTS = ("name", "title", "author", "licence", "origin")
CONSENT_TEXTS = ("who", "how", "when", "until", "scope", "source", "licence")
CROP_KEYS = ("x", "y", "size")
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


def dump_manifest(manifest: SetManifest) -> bytes:
    """Return the bytes of a set.toml that `parse_manifest` reads back to the same values."""
    document = tomlkit.document()
    document["format"] = FORMAT
    for key in TOP_TEXTS:
        if value := getattr(manifest, key):
            document[key] = value
    if manifest.keeps_order:
        document["order"] = "listed"
    if manifest.colour_match:
        document["colour_match"] = True
    if manifest.consent.kind:
        consent = manifest.consent
        texts = {key: getattr(consent, key) for key in CONSENT_TEXTS}
        document["consent"] = {"kind": consent.kind, **{key: text for key, text in texts.items() if text}}
    pictures = tomlkit.aot()
    for entry in manifest.pictures:
        table = tomlkit.table()
        table["file"], table["enabled"] = entry.file, entry.enabled
        if entry.notes:
            table["notes"] = entry.notes
        if entry.crop is not None:
            crop = tomlkit.inline_table()
            crop.update({key: round(float(getattr(entry.crop, key)), 5) for key in CROP_KEYS})
            table["crop"] = crop
        if entry.guides is not None:
            table["guides"] = guides_table(entry.guides)
        pictures.append(table)
    if manifest.pictures:
        document["pictures"] = pictures
    return tomlkit.dumps(document).encode()
