# SPDX-License-Identifier: Apache-2.0
"""A split of a pack → frames, mattes and keypoints in memory. Two threads decode; the call itself blocks.

A missing or damaged clip costs only itself: it is named, counted and left out. Damage is found for certain, by the
files' hashes in the manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import PackInvalid
from engine.sources.framing import SquareBox, cut_image
from engine.training.data import PackItem, PackSplit
from engine.training.pack.files import Damaged, decode_frames, sha256_of
from engine.training.pack.format import LANDMARKS, MANIFEST, SPLITS, StoredItem, read_manifest
from engine.training.pack.landmarks import PackedLandmarks, read_landmarks
from engine.types import LANDMARK_COUNT

__all__ = ["StoredSample", "fill_split", "load_split", "read_pack_landmarks"]

log = logging.getLogger(__name__)

_THREADS = 2


@dataclass(frozen=True, slots=True, eq=False)
class StoredSample:
    """An item with its landmarks and a way to its two files' bytes.

    coefficients: (T, C) int16. tracked: (T,) bool. read: (frames, mattes) as they lie on the disk; raises OSError.
    """

    item: StoredItem
    coefficients: NDArray[np.int16]
    tracked: NDArray[np.bool_]
    read: Callable[[], tuple[bytes, bytes]]


def load_split(
    pack: Path,
    split: str,
    *,
    side_px: int = 256,
    every: int = 1,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> tuple[PackSplit, dict[str, str]]:
    """Read a split of a pack; frames without a tracked face are left out.

    Args:
        every: take every n-th of a clip's frames. advance: called with (items done, items in all).
    Returns:
        The split, and what was skipped: item → reason. `PackItem.name` is GROUP/NAME.
    Raises:
        PackInvalid: no such pack, another version, an unreadable manifest, or nothing usable in the split.
    """
    if split not in SPLITS:
        raise PackInvalid(f"A pack has the splits {' and '.join(SPLITS)}, not '{split}'.", split=split)
    manifest = read_manifest(pack)
    landmarks = read_pack_landmarks(pack, [item.frames for item in manifest.items])
    samples, row = [], 0
    for item in manifest.items:
        rows = slice(row, row := row + item.frames)
        if item.split == split:
            read = _reader(pack / item.file, pack / item.matte_file)
            samples.append(StoredSample(item, landmarks.coefficients[rows], landmarks.tracked[rows], read))
    if not samples:
        what = f"The split '{split}' of the pack is empty ({pack})."
        raise PackInvalid(what, hint="Build the pack from a folder that has it.", path=str(pack))
    loaded, skipped = fill_split(samples, landmarks, side_px=side_px, every=every, advance=advance)
    for name, reason in skipped.items():
        log.warning("Skipped %s of the pack's split %s: %s", name, split, reason)
    if not loaded.items:
        reason = next(iter(skipped.values()))
        what = f"None of the {len(samples)} items of the pack's split '{split}' can be used: {reason} ({pack})."
        raise PackInvalid(what, hint="Copy or build the pack again.", path=str(pack))
    log.info(
        "Pack split %s: %d items, %d frames, %d skipped", split, len(loaded.items), len(loaded.frames), len(skipped)
    )
    return loaded, skipped


def read_pack_landmarks(pack: Path, frames: Sequence[int]) -> PackedLandmarks:
    """Read landmarks.npz and check it against the items' frame counts.

    Raises:
        PackInvalid: missing, damaged, or of another pack.
    """
    path = pack / LANDMARKS
    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"The pack's landmarks cannot be read: {error.strerror or error} ({path})."
        raise PackInvalid(what, hint="Copy or build the pack again.", path=str(path)) from error
    landmarks = read_landmarks(data, where=str(path))
    if len(landmarks.tracked) != sum(frames):
        what = (
            f"The pack's landmarks are of {len(landmarks.tracked)} frames, its {MANIFEST} lists {sum(frames)} ({pack})."
        )
        raise PackInvalid(what, hint="Copy or build the pack again.", path=str(pack))
    return landmarks


def fill_split(
    samples: Sequence[StoredSample],
    landmarks: PackedLandmarks,
    *,
    side_px: int,
    every: int = 1,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> tuple[PackSplit, dict[str, str]]:
    """Decode samples into one split.

    Args:
        landmarks: whose basis the samples' coefficients refer to.
    Returns:
        The split, and item → reason of what could not be decoded.
    """
    chosen = [np.flatnonzero(s.tracked)[:: every if s.item.kind == "clip" else 1] for s in samples]
    total = sum(len(rows) for rows in chosen)
    frames = np.empty((total, side_px, side_px, 3), np.uint8)
    mattes = np.empty((total, side_px, side_px), np.uint8)
    keypoints = np.empty((total, LANDMARK_COUNT, 3), np.float32)
    starts = np.cumsum([0, *(len(rows) for rows in chosen)])

    def fill(index: int) -> str:
        """Decode one sample into its place; return why not, or nothing."""
        part = slice(starts[index], starts[index + 1])
        try:
            _decode(samples[index], chosen[index], frames[part], mattes[part])
        except Damaged as error:
            return str(error)
        except OSError as error:
            return f"the file cannot be read: {error.strerror or error}"
        keypoints[part] = landmarks.basis.expand(samples[index].coefficients[chosen[index]])
        return ""

    items: list[PackItem] = []
    skipped: dict[str, str] = {}
    end = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="pack") as pool:
        for index, reason in enumerate(pool.map(fill, range(len(samples)))):
            advance(index + 1, len(samples))
            item, start, stop = samples[index].item, int(starts[index]), int(starts[index + 1])
            if reason:
                skipped[item.label] = reason
            elif stop > start:
                items.append(PackItem(item.label, item.kind, item.group, end, end + stop - start))
                end += stop - start
    for item, start in _moves(items, samples, starts):
        for array in (frames, mattes, keypoints):
            array[item.start : item.stop] = array[start : start + item.stop - item.start]
    return PackSplit(frames[:end], mattes[:end], keypoints[:end], tuple(items)), skipped


def _moves(
    items: Sequence[PackItem], samples: Sequence[StoredSample], starts: NDArray[np.int64]
) -> list[tuple[PackItem, int]]:
    """Return the items that must close up over a skipped one, in order, and where each was decoded."""
    where = {sample.item.label: int(start) for sample, start in zip(samples, starts[:-1], strict=True)}
    return [(item, where[item.name]) for item in items if where[item.name] != item.start]


def _reader(file: Path, matte: Path) -> Callable[[], tuple[bytes, bytes]]:
    return lambda: (file.read_bytes(), matte.read_bytes())


def _decode(
    sample: StoredSample, rows: NDArray[np.int64], frames: NDArray[np.uint8], mattes: NDArray[np.uint8]
) -> None:
    """Decode the chosen frames of a sample into place. Raises Damaged or OSError."""
    data, matte_data = sample.read()
    item = sample.item
    for what, content, digest in (("file", data, item.sha256), ("matte", matte_data, item.matte_sha256)):
        if sha256_of(content) != digest:
            raise Damaged(f"the {what} is damaged: its hash is not the one in the manifest")
    for content, place, grey in ((data, frames, False), (matte_data, mattes, True)):
        place_of = {int(row): k for k, row in enumerate(rows)}
        count = 0
        for index, picture in enumerate(decode_frames(content, kind=item.kind, grey=grey)):
            if index in place_of:
                place[place_of[index]] = _fitted(picture, place.shape[1])
            count += 1
        if count != item.frames:
            raise Damaged(f"it holds {count} frames, the manifest says {item.frames}")


def _fitted(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    if picture.shape[0] != picture.shape[1]:
        raise Damaged(f"a frame is {picture.shape[1]} x {picture.shape[0]}, expected a square")
    if picture.shape[0] == side_px:
        return picture
    return cut_image(picture, SquareBox(0, 0, picture.shape[0]), side_px=side_px)
