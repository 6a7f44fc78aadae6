# SPDX-License-Identifier: Apache-2.0
"""Pictures, folders, videos → a draft: read, checked, named, and the best kept where there are too many.

Nothing here writes a set. What cannot be used is told with its reason instead of ending the rest. Any one thread.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.errors import DriverError, InvalidSetting, NoFaceInSource, SourceError, SourceSetEmpty, SourceUnreadable
from engine.sets.draft import DraftStore, SetDraft, tidy_name
from engine.sets.frames import Advance, grab_frames, look_through
from engine.sets.picker import MOST_PICKS, Pick, pick_frames
from engine.sources.analysis import analyse_picture, default_cache_dir
from engine.sources.base import SourceAnalyser
from engine.sources.manifest import PictureEntry, SetManifest
from engine.sources.ordering import describe_face, farthest_first, feature_steps, order_pictures
from engine.sources.picture import (
    PICTURE_SUFFIXES,
    WORKING_SIDE_PX,
    Picture,
    decode_picture,
    is_animation,
    read_picture_bytes,
)
from engine.track.base import Tracker
from engine.types import MAX_SOURCES

__all__ = [
    "VIDEO_SUFFIXES",
    "Added",
    "Instruments",
    "Skipped",
    "add_files",
    "clean_picture",
    "encode_picture",
    "new_draft",
    "picture_entry",
]

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".gif")
_JPEG_QUALITY = 95
_KEPT_FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
# What a picture's file may carry besides its pixels without telling on anyone: place and time of a photograph do.
_HARMLESS = {"dpi", "jfif", "jfif_version", "jfif_unit", "jfif_density", "gamma", "srgb", "aspect", "interlace"}


@dataclass(frozen=True, slots=True)
class Instruments:
    """What looks at pictures. analyser: at single ones. follower: makes a tracker for a video, closed after it."""

    analyser: SourceAnalyser
    follower: Callable[[], Tracker]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that did not make it into the set, or only switched off. reason: one sentence."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding files. picks: of each video, by its path. added: names in the set, in order."""

    draft: SetDraft
    added: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    picks: tuple[tuple[Path, tuple[Pick, ...]], ...] = ()


def new_draft(name: str, **texts: str) -> SetDraft:
    """Return an empty draft of this name; texts: title, author, licence, origin.

    Raises:
        SourceSetInvalid: a set cannot be called that.
    """
    return SetDraft(SetManifest(name, ())).described(name=name, **texts)


def add_files(
    draft: SetDraft,
    paths: Sequence[Path],
    *,
    instruments: Instruments,
    picks: int = MOST_PICKS,
    advance: Advance = lambda _done, _total: None,
    cache_dir: Path | None = None,
) -> Added:
    """Add pictures, folders of pictures and videos to a draft.

    A picture in which no face is found is added switched off: its landmarks can be placed by hand. Where there are
    more pictures than a set takes, those that show most stay on, and the others are added switched off.

    Args:
        picks: frames to take of a video at most. advance: called with (steps done, steps in all or None); whatever it
            raises ends the work, and nothing has changed.
    Raises:
        SourceSetEmpty: nothing of it can be used; the reasons are in the message.
        DriverError: the only file is a video that cannot be used. InvalidSetting: no path was given.
    """
    if not paths:
        raise InvalidSetting("No picture, folder or video was given.", hint="Name at least one.", name="files")
    files = [file for path in paths for file in _expand(path)]
    skipped: list[Skipped] = []
    taken: list[tuple[PictureEntry, bytes]] = []
    found: list[tuple[Path, tuple[Pick, ...]]] = []
    known = set(draft.files.values())
    for done, path in enumerate(files):
        advance(done, len(files))
        try:
            if _is_video(path):
                chosen, pictures = _from_video(path, instruments, count=picks, advance=advance)
                found.append((path, tuple(chosen)))
                taken += pictures
            else:
                entry, data = _from_file(path, instruments.analyser, cache_dir or default_cache_dir(), skipped)
                if data in known:
                    skipped.append(Skipped(str(path), f"{path.name} is in the set already."))
                    continue
                known.add(data)
                taken.append((entry, data))
        except (SourceError, DriverError) as error:
            if len(files) == 1:
                raise
            skipped.append(Skipped(str(path), str(error)))
    advance(len(files), len(files))
    if not taken:
        reasons = " ".join(skip.reason for skip in skipped[:3])
        what = f"None of the {len(files)} files can be a picture of a set."
        raise SourceSetEmpty(what, hint=reasons or "Name pictures, folders of pictures, or videos.")
    before = len(draft.entries)
    grown = draft.with_pictures(taken)
    if found and not before:  # the picker knows which frame is the reference
        grown = replace(grown, manifest=replace(grown.manifest, keeps_order=True))
    grown = _within_limit(grown, instruments.analyser, cache_dir or default_cache_dir(), skipped)
    return Added(grown, tuple(e.file for e in grown.entries[before:]), tuple(skipped), tuple(found))


def picture_entry(rgb: NDArray[np.uint8], *, name: str, notes: str = "") -> tuple[PictureEntry, bytes]:
    """Return a frame or a pasted picture, (H, W, 3 or 4) uint8, as a draft takes it: for clipboard and capture."""
    alpha = np.ascontiguousarray(rgb[..., 3]) if rgb.shape[2] == 4 else None
    picture = Picture(name, np.ascontiguousarray(rgb[..., :3]), alpha, (rgb.shape[1], rgb.shape[0]), "")
    data, suffix = encode_picture(picture, lossless=True)
    return PictureEntry(f"{tidy_name(name, fallback='picture')}{suffix}", notes=notes), data


def encode_picture(picture: Picture, *, lossless: bool) -> tuple[bytes, str]:
    """Return a decoded picture's file, free of metadata, and its suffix."""
    buffer = io.BytesIO()
    if picture.alpha is None and not lossless:
        Image.fromarray(picture.rgb).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return buffer.getvalue(), ".jpg"
    image = Image.fromarray(picture.rgb if picture.alpha is None else np.dstack([picture.rgb, picture.alpha]))
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue(), ".png"


def _expand(path: Path) -> list[Path]:
    """Return the files that a path stands for; a folder for its pictures and videos, not for its sub-folders'."""
    if not path.is_dir():
        return [path]
    suffixes = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    if not found:
        what = f"The folder {path.name} holds no picture and no video."
        raise SourceSetEmpty(what, hint=f"Name another one. ({path})", path=str(path))
    return found


def _is_video(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in VIDEO_SUFFIXES and (suffix != ".gif" or is_animation(path))


def _from_file(
    path: Path, analyser: SourceAnalyser, cache_dir: Path, skipped: list[Skipped]
) -> tuple[PictureEntry, bytes]:
    data, suffix = clean_picture(read_picture_bytes(path), label=str(path))
    entry = PictureEntry(f"{tidy_name(path.stem, fallback='picture')}{suffix}")
    try:
        _landmarks(data, label=str(path), analyser=analyser, cache_dir=cache_dir)
    except NoFaceInSource as error:
        skipped.append(Skipped(str(path), f"{error.message} It is in the set, switched off."))
        return replace(entry, enabled=False, notes="no face found"), data
    return entry, data


def clean_picture(data: bytes, *, label: str) -> tuple[bytes, str]:
    """Return a picture's file without what it tells beside the picture; one that tells nothing stays as it is."""
    picture = decode_picture(data, label=label)
    with Image.open(io.BytesIO(data)) as image:
        kind, told = image.format or "", set(image.info) - _HARMLESS
        several = getattr(image, "is_animated", False) if kind != "TIFF" else True
    small = max(picture.original_size_wh) <= WORKING_SIDE_PX
    lossy = kind in ("JPEG", "MPO")
    if kind in _KEPT_FORMATS and small and not several and not told - {"transparency", "loop", "background"}:
        return data, _KEPT_FORMATS[kind]
    return encode_picture(picture, lossless=not lossy)


def _landmarks(data: bytes, *, label: str, analyser: SourceAnalyser, cache_dir: Path) -> NDArray[np.float32]:
    picture = decode_picture(data, label=label)
    empty = DraftStore(SetDraft(SetManifest("one", ())))
    found = analyse_picture(picture, name=label, store=empty, trusted=False, analyser=analyser, cache_dir=cache_dir)
    return found.landmarks_px


def _from_video(
    path: Path, instruments: Instruments, *, count: int, advance: Advance
) -> tuple[list[Pick], list[tuple[PictureEntry, bytes]]]:
    tracker = instruments.follower()
    try:
        facts = look_through(path, tracker=tracker, advance=advance)
    finally:
        tracker.close()
    chosen = pick_frames(facts.frames, count=count)
    frames = grab_frames(path, [pick.number for pick in chosen])
    pictures = [
        picture_entry(_workable(frames[pick.number]), name=pick.name, notes=pick.why)
        for pick in chosen
        if pick.number in frames
    ]
    return chosen, pictures


def _workable(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame no larger than what the loader works with: a 4K frame as PNG is 20 MB."""
    longest = max(rgb.shape[:2])
    if longest <= WORKING_SIDE_PX:
        return rgb
    scale = WORKING_SIDE_PX / longest
    size_wh = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(Image.fromarray(rgb).resize(size_wh, Image.Resampling.BOX), np.uint8)


def _within_limit(draft: SetDraft, analyser: SourceAnalyser, cache_dir: Path, skipped: list[Skipped]) -> SetDraft:
    """Switch off what a set cannot take: the pictures that add least to the others."""
    on = [entry for entry in draft.entries if entry.enabled]
    if len(on) <= MAX_SOURCES:
        return draft
    points: list[NDArray[np.float32] | None] = []
    for entry in on:
        try:
            points.append(_landmarks(draft.files[entry.file], label=entry.file, analyser=analyser, cache_dir=cache_dir))
        except SourceUnreadable:
            points.append(None)
    known = [(entry, found) for entry, found in zip(on, points, strict=True) if found is not None]
    faces = np.stack([describe_face(found) for _, found in known]) / feature_steps()
    first = order_pictures([found for _, found in known])[0]
    kept = {known[i][0].file for i in farthest_first(faces, first=first, count=MAX_SOURCES)}
    for entry in on:
        if entry.file not in kept:
            draft = draft.switched(entry.file, False)
            skipped.append(
                Skipped(
                    entry.file,
                    f"{entry.file} is switched off: a set takes {MAX_SOURCES} pictures, and the others show more.",
                )
            )
    return draft
