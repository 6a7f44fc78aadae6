# SPDX-License-Identifier: Apache-2.0
"""What the gallery shows of a source set: thumbnail, title, and how much of a face its pictures cover. Any thread."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from engine.errors import EngineError, PuppeteerError
from engine.runtime.manifest import list_models, load_manifest
from engine.runtime.select import BACKENDS
from engine.sources.library import SourceSetInfo, list_source_sets

if TYPE_CHECKING:
    from engine.sets.coverage import CoverageMap

__all__ = ["SetCard", "backend_names", "coverage_of", "covered_kinds", "model_names", "read_cards"]

_MODEL_KINDS = {
    "implicit_warp": "Implicit Warping",
    "implicit_warp_paper": "Implicit Warping as published",
    "fomm": "FOMM",
    "fv2v": "fv2v",
}
_THUMBNAIL = 176  # twice what is shown, for screens of high density
_MOST_BYTES = 40_000_000

# What a set can show, and the targets of `engine.sets.coverage` that stand for it.
_KINDS = {"turns": ("left", "right", "up", "down"), "mouth": ("mouth_open", "smile"), "eyes": ("eyes_closed",)}


@dataclass(frozen=True, slots=True)
class SetCard:
    """One card. badge: what the pictures cover, in a few words. problem: why it cannot be used; empty if it can.

    builtin: it ships with Bunraku and cannot be changed.
    """

    name: str
    title: str
    badge: str
    hint: str
    thumbnail: QImage | None = None
    problem: str = ""
    builtin: bool = False


def coverage_of(info: SourceSetInfo) -> CoverageMap | None:
    """Return what a set's pictures cover; None where they were not looked at yet, which takes a tracker."""
    from engine.sets.coverage import map_coverage
    from engine.sets.poses import read_face
    from engine.sources.source_set import read_contents
    from engine.sources.store import open_store

    try:
        with closing(open_store(info.path)) as store:
            contents = read_contents(store)
    except PuppeteerError:
        return None
    return map_coverage([read_face(picture.landmarks_px) for picture in contents.pictures])


def covered_kinds(cover: CoverageMap) -> tuple[str, ...]:
    """Return which kinds of change a set's pictures show: "turns", "mouth", "eyes"."""
    return tuple(kind for kind, keys in _KINDS.items() if any(cover.shown[key] for key in keys))


def read_cards() -> list[SetCard]:
    """Return the cards of all source sets, built-in ones first; those whose files did not change are not read again."""
    infos = list_source_sets()
    cards = {info.path: _known_card(info) for info in infos}
    _known.clear()
    _known.update(cards)
    return [cards[info.path][1] for info in infos]


_Files = tuple[tuple[str, int, int], ...]
_known: dict[Path, tuple[tuple[SourceSetInfo, _Files], SetCard]] = {}


def _known_card(info: SourceSetInfo) -> tuple[tuple[SourceSetInfo, _Files], SetCard]:
    """Return a card with what it was made of; it takes a tenth of a second to make one."""
    key = (info, _files_of(info.path))
    before = _known.get(info.path)
    return before if before is not None and before[0] == key else (key, _card(info))


def _files_of(path: Path) -> _Files:
    """Return name, time and size of a set's files."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return tuple((each.name, stat.st_mtime_ns, stat.st_size) for each in found if (stat := _stat(each)) is not None)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # it is just being replaced; the next look sees it
        return None


def model_names() -> list[tuple[str, str]]:
    """Return the shipped models as (what to show, name); one that cannot be read is left out, as it cannot run."""
    names = []
    for name in list_models():
        try:
            manifest = load_manifest(name)
        except EngineError:
            continue
        kind = _MODEL_KINDS.get(manifest.model, manifest.model)
        names.append((f"{kind} – {name}, {manifest.side_px} px", name))
    return sorted(names, key=lambda each: (not each[0].startswith("Implicit"), each[0]))


def backend_names() -> list[str]:
    """Return what a model can be asked to run on; "auto" first."""
    return list(BACKENDS)


def _card(info: SourceSetInfo) -> SetCard:
    title = info.title or info.name
    if info.problem:
        return SetCard(info.name, title, "Cannot be used", info.problem, problem=info.problem, builtin=info.builtin)
    cover = coverage_of(info)
    count = f"{info.count} picture{'s' if info.count != 1 else ''}"
    badge = count
    lacks = ", ".join(info.consent.missing())
    facts = [f"Not for the virtual camera before its note says: {lacks}."] if lacks else []
    if cover is not None:
        kinds = covered_kinds(cover)
        badge = f"{count}\ncovers {cover.score:.0%}"
        missing = ", ".join(hole.key.replace("_", " ") for hole in cover.holes)
        facts.insert(0, f"It shows {', '.join(kinds) or 'a front view'}; missing: {missing or 'nothing'}.")
    facts += [
        info.consent.describe(),
        f"Licence: {info.licence}" if info.licence else "",
    ]
    return SetCard(
        info.name, title, badge, "\n".join(fact for fact in facts if fact), _thumbnail(info), builtin=info.builtin
    )


def _thumbnail(info: SourceSetInfo) -> QImage | None:
    """Return the first picture, cut square from its middle; None where it cannot be read."""
    from engine.sources.store import open_store

    try:
        with closing(open_store(info.path)) as store:
            names = [name for name in store.names() if name.rsplit("/", 1)[-1] in info.pictures[:1]]
            data = store.read(names[0]) if names else b""
    except PuppeteerError:
        return None
    image = QImage.fromData(data) if len(data) <= _MOST_BYTES else QImage()
    if image.isNull():
        return None
    side = min(image.width(), image.height())
    square = image.copy((image.width() - side) // 2, (image.height() - side) // 4, side, side)
    size = QSize(_THUMBNAIL, _THUMBNAIL)
    return square.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
