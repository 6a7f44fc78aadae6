# SPDX-License-Identifier: Apache-2.0
"""Guide points in files: a picture's table in set.toml, read and written, and a file of their own. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.assets import asset_root
from engine.errors import InvalidSetting, OutputUnwritable, SourceSetInvalid, SourceSetMissing
from engine.files import write_whole
from engine.sources.guides import GUIDE_POINTS, GuidePoints
from engine.sources.picture import PICTURE_SUFFIXES
from engine.sources.store import SET_FILE

__all__ = ["guides_table", "load_guides", "read_guides", "save_guides"]

_ANGLES = ("yaw_deg", "pitch_deg")
_DIGITS = 5  # a hundredth of a pixel


def read_guides(table: Mapping[str, Any], *, where: str, label: str) -> GuidePoints | None:
    """Return the guide points of a TOML table; None of an empty one.

    Raises:
        SourceSetInvalid: an unknown name, a point that is none, or too few.
    """
    if not table:
        return None
    points: dict[str, tuple[float, float]] = {}
    angles: dict[str, float] = {}
    try:
        for key, value in table.items():
            if key in _ANGLES:
                angles[key] = _angle(key, value)
            else:
                points[key] = _point(key, value)
        return GuidePoints(points, **angles)
    except InvalidSetting as error:
        raise SourceSetInvalid(f"{where} is wrong: {error.message}", hint=f"{error.hint} ({label})".lstrip()) from error


def _angle(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSetting(f"{name} must be a number of degrees, got {value!r}.")
    return float(value)


def _point(name: str, value: object) -> tuple[float, float]:
    numbers = [float(v) for v in value if isinstance(v, int | float)] if isinstance(value, list | tuple) else []
    if len(numbers) != 2 or len(value) != 2:  # type: ignore[arg-type]
        what = f"{name} must be [x, y] over the picture's width and height, got {value!r}."
        raise InvalidSetting(what, hint=f"Points are called: {', '.join(GUIDE_POINTS)}.")
    return numbers[0], numbers[1]


def guides_table(guides: GuidePoints) -> tomlkit.items.Table:
    """Return guide points as a TOML table that `read_guides` reads back."""
    table = tomlkit.table()
    for key in _ANGLES:
        if (angle := getattr(guides, key)) is not None:
            table[key] = float(angle)
    for name in GUIDE_POINTS:
        if name in guides.points:
            point = tomlkit.array()
            point.extend(round(float(v), _DIGITS) for v in guides.points[name])
            table[name] = point
    return table


def load_guides(path: Path) -> GuidePoints:
    """Read guide points from a TOML file of their own.

    Raises:
        SourceSetInvalid: it cannot be read or does not hold guide points.
    """
    guides = read_guides(_parse(path), where="The guide file", label=str(path))
    if guides is None:
        raise SourceSetInvalid(f"The guide file is empty ({path}).", hint="Write one name = [x, y] a line.")
    return guides


def save_guides(folder: Path, picture: str, guides: GuidePoints | None) -> None:
    """Write a picture's guide points into its set's set.toml; everything else in it stays. None takes them out.

    A folder of pictures without a set.toml gets one that lists them all.

    Raises:
        SourceSetMissing: no such folder, or no such picture in it.
        SourceSetInvalid: set.toml cannot be read. OutputUnwritable: it cannot be written, or the set is built-in.
    """
    if not folder.is_dir():
        raise SourceSetMissing(f"{folder.name} is no folder.", hint=f"Unpack it first. ({folder})", path=str(folder))
    if folder.resolve().is_relative_to(asset_root()):
        hint = f"Copy its folder and change the copy. ({folder})"
        raise OutputUnwritable(f"{folder.name} is built-in and stays as it is.", hint=hint, path=str(folder))
    path = folder / SET_FILE
    document = _parse(path) if path.exists() else _listing(folder)
    entries = [entry for entry in document.get("pictures", []) if entry.get("file") == picture]
    if not entries or not (folder / picture).is_file():
        known = ", ".join(str(entry.get("file")) for entry in document.get("pictures", []))
        raise SourceSetMissing(f"The set has no picture called {picture}.", hint=f"It has: {known}.", name=picture)
    if guides is None:
        entries[0].pop("guides", None)
    else:
        entries[0]["guides"] = guides_table(guides)
    try:
        write_whole(path, tomlkit.dumps(document))
    except OSError as error:
        what = f"The set file cannot be written: {error.strerror or error} ({path})."
        raise OutputUnwritable(what, hint="Check the folder's rights.", path=str(path)) from error


def _parse(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise SourceSetInvalid(f"{path.name} cannot be read: {error} ({path})", hint="Correct it.") from error


def _listing(folder: Path) -> tomlkit.TOMLDocument:
    document = tomlkit.document()
    document["format"] = 1
    pictures = tomlkit.aot()
    for file in sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(PICTURE_SUFFIXES)):
        pictures.append(tomlkit.item({"file": file}))
    document["pictures"] = pictures
    return document
