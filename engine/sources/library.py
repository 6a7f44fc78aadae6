# SPDX-License-Identifier: Apache-2.0
"""Source sets by name: the built-in ones beside the program and the user's own. Any thread; reads no picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from engine.assets import asset_root
from engine.consent import NO_NOTE, Consent
from engine.errors import PuppeteerError, SourceSetMissing
from engine.sources.manifest import suggest
from engine.sources.source_set import read_manifest
from engine.sources.store import SET_FILE, open_store

__all__ = [
    "SUFFIX",
    "SourceSetInfo",
    "describe_source_set",
    "find_source_set",
    "list_source_sets",
    "user_source_sets_dir",
]

log = logging.getLogger(__name__)

SUFFIX = ".bunraku"


@dataclass(frozen=True, slots=True)
class SourceSetInfo:
    """What is known of a set without reading its pictures.

    name: what `--set` takes. count: pictures in use, `pictures`; `disabled` are switched off. builtin: ships with the
    program. problem: why it cannot be used, empty when it can.
    """

    name: str
    path: Path
    count: int
    title: str = ""
    author: str = ""
    licence: str = ""
    origin: str = ""
    consent: Consent = NO_NOTE
    pictures: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    builtin: bool = False
    problem: str = ""


def user_source_sets_dir() -> Path:
    """Return the folder of the user's own sets; it may not exist yet."""
    return user_data_path("bunraku", appauthor=False) / "source_sets"


def list_source_sets(folders: Sequence[Path] | None = None) -> list[SourceSetInfo]:
    """Return all sets, built-in ones first, by name; one that cannot be read is listed with its problem.

    Args:
        folders: where to look instead of the built-in and the user's folder.
    """
    infos: dict[str, SourceSetInfo] = {}
    for folder in _folders(folders):
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.name.endswith((SUFFIX, f"{SUFFIX}.zip")) or (path / SET_FILE).is_file():
                info = describe_source_set(path)
                if info.name in infos:
                    log.warning("Two source sets are called %s; %s is not listed", info.name, path)
                else:
                    infos[info.name] = info
    return list(infos.values())


def describe_source_set(path: Path) -> SourceSetInfo:
    """Return what a set says about itself; never raises for a broken set."""
    builtin = path.resolve().is_relative_to(asset_root())
    try:
        with closing(open_store(path)) as store:
            manifest = read_manifest(store)
    except PuppeteerError as error:
        name = path.name.removesuffix(".zip").removesuffix(SUFFIX)
        return SourceSetInfo(name, path, 0, builtin=builtin, problem=str(error))
    return SourceSetInfo(
        name=manifest.name,
        path=path,
        count=len(manifest.enabled),
        title=manifest.title,
        author=manifest.author,
        licence=manifest.licence,
        origin=manifest.origin,
        consent=manifest.note,
        pictures=tuple(Path(entry.file).name for entry in manifest.enabled),
        disabled=tuple(Path(entry.file).name for entry in manifest.pictures if not entry.enabled),
        builtin=builtin,
        problem="" if manifest.enabled else "It has no picture to use.",
    )


def find_source_set(name_or_path: str | Path, *, folders: Sequence[Path] | None = None) -> Path:
    """Return the path of a set given by name or by path.

    A known name wins over a file of the same name in the current folder; write `./name` for the file.

    Raises:
        SourceSetMissing: neither a known name nor an existing path; the hint offers the nearest name.
    """
    text = str(name_or_path)
    infos = list_source_sets(folders)
    for info in infos:
        if text == info.name:
            return info.path
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if len(path.parts) > 1 or path.suffix:
        what = f"Source set {path.name} does not exist."
        raise SourceSetMissing(what, hint=f"Check the path, or see: bunraku set list ({path})", path=str(path))
    what = f"There is no source set called {text}."
    raise SourceSetMissing(what, hint=suggest(text, [info.name for info in infos]), name=text)


def _folders(folders: Sequence[Path] | None) -> Sequence[Path]:
    return (asset_root() / "source_sets", user_source_sets_dir()) if folders is None else folders
