# SPDX-License-Identifier: Apache-2.0
"""A pack ↔ tar shards in webdataset's layout, for packs that do not fit in memory. One thread, and two that decode.

    shards.json               format, version, side_px, and per split its shards with their items and frames
    basis.npz                 mean, basis and step of the landmarks, as in `engine.training.pack.landmarks`
    <split>-00000.tar         samples one after the other, each as the files of one key:
        GROUP/NAME.mp4|.jpg   GROUP/NAME.matte.mp4|.jpg   GROUP/NAME.coefficients.npy   GROUP/NAME.tracked.npy
        GROUP/NAME.json       the item as in manifest.json; it ends the sample

Items lie in a random order, so that any stretch of a shard is a mixture. A reader takes the shards in a new order
every epoch and hands them on as windows: splits of as many frames as may lie in memory at a time.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import OutputUnwritable, PackInvalid
from engine.training.data import PackSplit
from engine.training.pack.files import write_bytes, writing
from engine.training.pack.format import SPLITS, StoredItem, parse_item, read_manifest
from engine.training.pack.landmarks import PackedLandmarks, read_landmarks
from engine.training.pack.load import StoredSample, fill_split, read_pack_landmarks
from engine.training.pack.settings import item_rng, rank_of

__all__ = ["stream_windows", "write_shards"]

log = logging.getLogger(__name__)

_FORMAT, _VERSION = "bunraku-shards", 1
_INDEX, _BASIS = "shards.json", "basis.npz"
_BROKEN = (tarfile.TarError, OSError, ValueError, KeyError, TypeError, EOFError)


def write_shards(
    pack: Path,
    out: Path,
    *,
    shard_bytes: int = 64_000_000,
    seed: int = 1,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> dict[str, int]:
    """Cut a pack into shards.

    Args:
        shard_bytes: a shard is closed once it is this large. advance: called with (items done, items in all).
    Returns:
        Number of shards by split.
    Raises:
        PackInvalid: the pack, or a file of it, cannot be read. OutputUnwritable: `out` is not empty, or cannot be
        written. DiskFull: no room.
    """
    manifest = read_manifest(pack)
    landmarks = read_pack_landmarks(pack, [item.frames for item in manifest.items])
    if out.is_dir() and any(out.iterdir()):
        raise OutputUnwritable(f"The folder for the shards is not empty: {out}.", hint="Name a new folder.")
    ends = np.cumsum([item.frames for item in manifest.items])
    rows = {(i.split, i.label): slice(int(e) - i.frames, int(e)) for i, e in zip(manifest.items, ends, strict=True)}
    basis = PackedLandmarks(landmarks.basis, landmarks.coefficients[:0], landmarks.tracked[:0])
    write_bytes(out / _BASIS, basis.to_bytes())
    index: dict[str, list[dict[str, Any]]] = {}
    done = 0
    for split in SPLITS:
        items = [item for item in manifest.items if item.split == split]
        items.sort(key=lambda item: rank_of(seed, item.split, item.label))
        for number, group in enumerate(_shared_out(pack, items, shard_bytes)):
            file = f"{split}-{number:05d}.tar"
            with writing(out / file), tarfile.open(out / file, "w", format=tarfile.USTAR_FORMAT) as tar:
                for item in group:
                    part = rows[item.split, item.label]
                    _add_sample(tar, pack, item, landmarks.coefficients[part], landmarks.tracked[part])
                    done += 1
                    advance(done, len(manifest.items))
            frames = sum(item.frames for item in group)
            index.setdefault(split, []).append({"file": file, "items": len(group), "frames": frames})
    about = {"format": _FORMAT, "version": _VERSION, "side_px": manifest.side_px, "splits": index}
    write_bytes(out / _INDEX, (json.dumps(about, indent=1) + "\n").encode())
    return {split: len(shards) for split, shards in index.items()}


def _shared_out(pack: Path, items: list[StoredItem], shard_bytes: int) -> list[list[StoredItem]]:
    """Return the items of each shard; a shard ends with the item that makes it large enough."""
    groups: list[list[StoredItem]] = []
    room = 0
    for item in items:
        if room <= 0:
            groups.append([])
            room = shard_bytes
        groups[-1].append(item)
        with _reading(pack, item):
            room -= (pack / item.file).stat().st_size + (pack / item.matte_file).stat().st_size
    return groups


@contextlib.contextmanager
def _reading(pack: Path, item: StoredItem) -> Iterator[None]:
    """Turn a missing file into one sentence."""
    try:
        yield
    except OSError as error:
        what = f"Item {item.label} of the pack cannot be read: {error.strerror or error} ({pack})."
        raise PackInvalid(what, hint="`pack info` names every damaged file.", path=str(pack)) from error


def _add_sample(
    tar: tarfile.TarFile,
    pack: Path,
    item: StoredItem,
    coefficients: NDArray[np.int16],
    tracked: NDArray[np.bool_],
) -> None:
    suffix = Path(item.file).suffix
    with _reading(pack, item):
        data, matte = (pack / item.file).read_bytes(), (pack / item.matte_file).read_bytes()
    files = (
        (suffix, data),
        (f".matte{suffix}", matte),
        (".coefficients.npy", _npy(coefficients)),
        (".tracked.npy", _npy(tracked)),
        (".json", json.dumps(asdict(item)).encode()),
    )
    for ending, content in files:
        entry = tarfile.TarInfo(item.label + ending)  # no time, no owner: equal packs give equal shards
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def stream_windows(
    folder: Path,
    split: str,
    *,
    frames: int,
    side_px: int = 256,
    every: int = 1,
    seed: int = 0,
    epochs: int | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[PackSplit]:
    """Read shards as windows that follow each other without overlap; a damaged item or shard is named and left out.

    Args:
        frames: a window is handed on once it has this many; every epoch may end with a smaller one.
        every: take every n-th frame of a clip. seed: order of the shards. epochs: None goes on for ever.
        rank, world: this process and the number of processes, each of which reads its own shards.
    Raises:
        PackInvalid: no shards there, another version, an empty split, fewer shards than processes, or a whole epoch
        without one usable item.
    """
    names, basis = _open_index(folder, split)
    if len(names) < world:
        what = f"The split '{split}' has {len(names)} shards, fewer than the {world} processes ({folder})."
        raise PackInvalid(what, hint="Cut the pack into smaller shards.", path=str(folder))
    epoch = 0
    while epochs is None or epoch < epochs:
        order = item_rng(seed, split, str(epoch)).permutation(len(names))[rank::world]
        usable = False
        for window in _windows((folder / names[k] for k in order), frames=frames, every=every):
            loaded, skipped = fill_split(window, basis, side_px=side_px, every=every)
            for name, reason in skipped.items():
                log.warning("Skipped %s of the shards: %s", name, reason)
            if loaded.items:
                usable = True
                yield loaded
        if not usable:
            what = f"Not one item of the shards of '{split}' can be used ({folder})."
            raise PackInvalid(what, hint="Copy or cut them again.", path=str(folder))
        epoch += 1


def _open_index(folder: Path, split: str) -> tuple[list[str], PackedLandmarks]:
    """Return the shards' names and an empty PackedLandmarks with their basis."""
    path = folder / _INDEX
    try:
        tree = json.loads(path.read_text("utf-8"))
        if tree["format"] != _FORMAT or tree["version"] != _VERSION:
            what = f"The shards have format {tree['format']} {tree['version']}, expected {_FORMAT} {_VERSION} ({path})."
            raise PackInvalid(what, hint="Cut the pack again with this version.", path=str(path))
        names = [Path(shard["file"]).name for shard in tree["splits"].get(split, [])]
        basis = (folder / _BASIS).read_bytes()
    except _BROKEN as error:
        what = f"The folder holds no shards of a pack that can be read: {error} ({folder})."
        raise PackInvalid(what, hint="Make them with `pack shard`.", path=str(folder)) from error
    if not names:
        raise PackInvalid(f"The split '{split}' of the shards is empty ({folder}).", path=str(folder))
    return names, read_landmarks(basis, where=str(folder / _BASIS))


def _windows(shards: Iterator[Path], *, frames: int, every: int) -> Iterator[list[StoredSample]]:
    window: list[StoredSample] = []
    count = 0
    for shard in shards:
        for sample in _samples(shard):
            window.append(sample)
            count += -(-int(sample.tracked.sum()) // (every if sample.item.kind == "clip" else 1))
            if count >= frames:
                yield window
                window, count = [], 0
    if window:
        yield window


def _samples(shard: Path) -> Iterator[StoredSample]:
    """Yield the samples of a shard as far as it can be read."""
    parts: dict[str, bytes] = {}
    try:
        with tarfile.open(shard, "r|") as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                if file is None:
                    continue
                ending = entry.name[len(_key(entry.name)) :]
                parts[ending] = file.read()
                if ending == ".json":
                    yield _to_sample(parts)
                    parts = {}
    except _BROKEN as error:
        log.warning("Shard %s is damaged; the rest of it is left out: %s", shard, error)


def _key(name: str) -> str:
    """Return the part of a name that all files of a sample share: up to the first dot of its last part."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.split('.', 1)[0]}"


def _to_sample(parts: dict[str, bytes]) -> StoredSample:
    item = parse_item(json.loads(parts[".json"]))
    suffix = Path(item.file).suffix
    data, matte = parts[suffix], parts[f".matte{suffix}"]
    arrays = (np.load(io.BytesIO(parts[f".{name}.npy"]), allow_pickle=False) for name in ("coefficients", "tracked"))
    coefficients, tracked = arrays
    if coefficients.shape[:1] != (item.frames,) or tracked.shape != (item.frames,):
        raise ValueError(f"landmarks of {item.label} are of {len(tracked)} frames, expected {item.frames}")
    return StoredSample(item, coefficients, tracked, lambda: (data, matte))


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
