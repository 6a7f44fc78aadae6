# SPDX-License-Identifier: Apache-2.0
"""Pictures on disk → `SourceSet`: read, analyse, frame, order. Any thread; takes a moment per picture not cached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.assets import asset_root
from engine.errors import SourceSetEmpty, SourceSetMissing, TooManySources
from engine.sources.analysis import AnalysedPicture, analyse_picture, default_cache_dir
from engine.sources.base import SourceAnalyser
from engine.sources.colour_match import match_colours
from engine.sources.framing import SquareBox, choose_boxes, frame_picture
from engine.sources.guides import GuidePoints
from engine.sources.manifest import PictureEntry, SetManifest
from engine.sources.manifest_reader import parse_manifest
from engine.sources.ordering import order_pictures
from engine.sources.picture import PICTURE_SUFFIXES, decode_picture
from engine.sources.store import SET_FILE, LooseStore, SetStore, open_store
from engine.types import MAX_SOURCES, SourceSet

__all__ = [
    "SetContents",
    "analyse_entry",
    "assemble",
    "load_source_set",
    "read_contents",
    "read_manifest",
    "rest_guides",
]

log = logging.getLogger(__name__)


def load_source_set(
    path: str | Path | Sequence[str | Path],
    *,
    side_px: int = 256,
    analyser: SourceAnalyser | None = None,
    cache_dir: Path | None = None,
    keep_order: bool = False,
) -> SourceSet:
    """Load a source set.

    Args:
        path: a set's folder or a zip of it, a folder of pictures without set.toml, one picture, or several.
        side_px: side R of the portraits.
        analyser: finds face and person where no cache holds them; None is enough for built-in sets.
        cache_dir: the cache of analysed pictures; default: in the user's cache folder.
        keep_order: the pictures as they are listed, instead of the most frontal and neutral one first.
    Raises:
        SourceSetMissing, SourceSetInvalid, SourceSetEmpty, TooManySources: the set as a whole.
        SourceUnreadable, NoFaceInSource: one of its pictures, which the message names.
    """
    with closing(_open(path)) as store:
        contents = read_contents(store, analyser=analyser, cache_dir=cache_dir)
    return assemble(contents, side_px=side_px, keep_order=keep_order)


@dataclass(frozen=True, slots=True, eq=False)
class SetContents:
    """A set with its enabled pictures read and analysed, in the order of its manifest; `assemble` makes it a set.

    entries and pictures belong together one by one.
    """

    manifest: SetManifest
    entries: tuple[PictureEntry, ...]
    pictures: tuple[AnalysedPicture, ...]

    def boxes(self) -> list[SquareBox]:
        """The portrait box of each picture."""
        return choose_boxes(self.pictures, [entry.crop for entry in self.entries])


def read_contents(
    store: SetStore,
    *,
    analyser: SourceAnalyser | None = None,
    cache_dir: Path | None = None,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> SetContents:
    """Read and analyse the enabled pictures of a set.

    Args:
        advance: called with (pictures done, pictures in all); what it raises ends the reading.
    Raises:
        SourceError: as `load_source_set`.
    """
    manifest = read_manifest(store)
    entries = _usable(manifest, store)
    trusted = store.path.resolve().is_relative_to(asset_root())
    rest = rest_guides(entries)
    pictures = []
    for done, entry in enumerate(entries):
        advance(done, len(entries))
        pictures.append(analyse_entry(entry, store, trusted=trusted, analyser=analyser, cache_dir=cache_dir, rest=rest))
    advance(len(entries), len(entries))
    return SetContents(manifest, tuple(entries), tuple(pictures))


def analyse_entry(
    entry: PictureEntry,
    store: SetStore,
    *,
    trusted: bool = False,
    analyser: SourceAnalyser | None = None,
    cache_dir: Path | None = None,
    rest: GuidePoints | None = None,
) -> AnalysedPicture:
    """Read and analyse one listed picture; see `engine.sources.analysis.analyse_picture`."""
    return analyse_picture(
        decode_picture(store.read(entry.file), label=store.label(entry.file)),
        name=entry.file,
        store=store,
        trusted=trusted,
        analyser=analyser,
        cache_dir=cache_dir or default_cache_dir(),
        guides=entry.guides,
        rest=rest,
    )


def rest_guides(entries: Sequence[PictureEntry]) -> GuidePoints | None:
    """Return the guide points of the first picture that has them: the face at rest, which the others move from."""
    return next((entry.guides for entry in entries if entry.guides is not None), None)


def read_manifest(store: SetStore) -> SetManifest:
    """Return what a set's set.toml says, or an ad-hoc manifest of all pictures where there is none.

    Raises:
        SourceSetInvalid: set.toml breaks the format.
    """
    names = store.names()
    if SET_FILE in names:
        return parse_manifest(store.read(SET_FILE), label=store.label(SET_FILE), default_name=store.default_name)
    if isinstance(store, LooseStore):
        files = list(names)  # the user named them: whatever the suffix, try
    else:
        files = [n for n in names if "/" not in n and not n.startswith(".") and n.lower().endswith(PICTURE_SUFFIXES)]
    return SetManifest(store.default_name, tuple(PictureEntry(file) for file in files))


def _open(path: str | Path | Sequence[str | Path]) -> SetStore:
    if isinstance(path, str | Path):
        return open_store(Path(path))
    return LooseStore([Path(each) for each in path])


def _usable(manifest: SetManifest, store: SetStore) -> tuple[PictureEntry, ...]:
    label, entries = str(store.path), manifest.enabled
    if not entries:
        off = len(manifest.pictures)
        got = f"{off} switched off and none on" if off else "none"
        what = f"Source set {manifest.name} has no picture to use: expected 1 to {MAX_SOURCES}, got {got}."
        raise SourceSetEmpty(what, hint=f"Add a picture of the character's face. ({label})", path=label)
    if len(entries) > MAX_SOURCES:
        what = f"Source set {manifest.name} has too many pictures: expected at most {MAX_SOURCES}, got {len(entries)}."
        hint = f"Keep the most different ones, or switch some off in {SET_FILE} with enabled = false. ({label})"
        raise TooManySources(what, hint=hint, path=label, count=len(entries), limit=MAX_SOURCES)
    missing = [entry.file for entry in entries if entry.file not in store.names() and "/" not in entry.file]
    if missing:
        what = f"Source set {manifest.name} lists pictures that are not there: {', '.join(missing)}."
        raise SourceSetMissing(what, hint=f"Copy them back or correct {SET_FILE}. ({label})", path=label)
    return entries


def assemble(contents: SetContents, *, side_px: int = 256, keep_order: bool = False) -> SourceSet:
    """Frame, order and colour-match what was read; keep_order: as `load_source_set`."""
    manifest = contents.manifest
    images = [
        frame_picture(picture, box, name=Path(entry.file).stem, side_px=side_px)
        for entry, picture, box in zip(contents.entries, contents.pictures, contents.boxes(), strict=True)
    ]
    keeps = keep_order or manifest.keeps_order
    order = range(len(images)) if keeps else order_pictures([image.keypoints for image in images])
    ordered = tuple(images[index] for index in order)
    if manifest.colour_match:
        ordered = match_colours(ordered)
    log.info("Source set %s: %s", manifest.name, ", ".join(image.name for image in ordered))
    return SourceSet(manifest.name, ordered, manifest.licence, manifest.note)
