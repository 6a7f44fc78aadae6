# SPDX-License-Identifier: Apache-2.0
"""Batches from shards of a pack that does not fit in memory: a window of it at a time, the next one read meanwhile.

    step ──▶ epoch, window in it ──▶ a sampler over that window's frames

The number of steps in an epoch and in a window follows from the index of the shards alone, so that a resumed run finds
its window again by reading at most one epoch. Every process reads shards of its own: the same step gives the same
samples in every run, but several processes draw other ones than a single process does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from engine.errors import InvalidSetting, PackInvalid
from engine.training.batch import Batch
from engine.training.data import BatchSource, PackSplit
from engine.training.pack.shards import stream_windows

__all__ = ["SHARDS", "WindowSource", "shard_frames", "shards_identity"]

SHARDS = "shards.json"  # whose presence tells shards from a pack

Open = Callable[[int, int, int], Iterator[PackSplit]]  # (epoch, rank, world) → that epoch's windows
MakeSource = Callable[[PackSplit], BatchSource]  # raises InvalidSetting where a window holds too little


def shards_identity(folder: Path) -> str:
    """Return what the content of shards is known by: a hash of their index."""
    return hashlib.sha256((folder / SHARDS).read_bytes()).hexdigest()[:16]


def shard_frames(folder: Path, split: str) -> int:
    """Return how many frames a split of shards holds.

    Raises:
        PackInvalid: the index cannot be read, or the split is empty.
    """
    try:
        shards = json.loads((folder / SHARDS).read_text("utf-8"))["splits"].get(split, [])
        frames = sum(int(shard["frames"]) for shard in shards)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"The folder holds no shards of a pack that can be read: {error} ({folder})."
        raise PackInvalid(what, hint="Make them with `pack shard`.", path=str(folder)) from error
    if not frames:
        raise PackInvalid(f"The split '{split}' of the shards is empty ({folder}).", path=str(folder))
    return frames


class WindowSource:
    """A `BatchSource` over windows.

    Args:
        windows: opens the stream of an epoch. make: a sampler over a window; all ranks' must be seeded alike, as
            they have to draw the same number of source pictures.
        frames: of a window. total: of an epoch.
    Thread: draws in the caller's; one more reads ahead.
    """

    def __init__(self, windows: Open, make: MakeSource, *, frames: int, total: int) -> None:
        self._open, self._make, self._frames, self._total = windows, make, frames, total
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="window")
        self._epoch, self._window = -1, -1  # what `_source` draws from
        self._stream: Iterator[PackSplit] = iter(())
        self._ahead: Future[PackSplit | None] | None = None
        self._source: BatchSource | None = None

    @classmethod
    def over(cls, folder: Path, make: MakeSource, *, frames: int, side_px: int, every: int, seed: int) -> WindowSource:
        """Open the training split of a folder of shards.

        Raises:
            PackInvalid: no shards there, another version, an empty split.
        """
        total = -(-shard_frames(folder, "train") // every)

        def windows(epoch: int, rank: int, world: int) -> Iterator[PackSplit]:
            # An epoch of its own for every seed: so it can be opened without reading those before it.
            return stream_windows(
                folder,
                "train",
                frames=frames,
                side_px=side_px,
                every=every,
                seed=(seed << 20) + epoch,
                epochs=1,
                rank=rank,
                world=world,
            )

        return cls(windows, make, frames=frames, total=total)

    def draw(self, step: int, *, batch: int, rank: int = 0, world: int = 1) -> Batch:
        """Return this rank's samples of a step; see `engine.training.data.BatchSource`.

        Raises:
            PackInvalid: the shards cannot be read. InvalidSetting: no window of an epoch can be drawn from.
        """
        # Each frame is the driving one about once an epoch. All ranks' windows are used up together.
        in_epoch = max(1, self._total // batch)
        in_window = max(1, self._frames * world // batch)
        self._seek(step // in_epoch, step % in_epoch // in_window, rank, world)
        assert self._source is not None
        return self._source.draw(step, batch=batch // world)

    def _seek(self, epoch: int, window: int, rank: int, world: int) -> None:
        """Have the window of this number, or the epoch's last one; windows that hold too little are not counted."""
        if epoch != self._epoch or window < self._window:
            self._epoch, self._window, self._source = epoch, -1, None
            self._stream = self._open(epoch, rank, world)
            self._read_ahead()
        refused: InvalidSetting | None = None
        while self._window < window and self._ahead is not None:
            read = self._ahead.result()
            if read is None:  # fewer windows than reckoned: the last one is drawn from for longer
                self._ahead = None
                break
            self._read_ahead()
            try:
                self._source = self._make(read)
            except InvalidSetting as error:
                refused = error
                continue
            self._window += 1
        if self._source is None and refused is not None:
            raise refused

    def _read_ahead(self) -> None:
        self._ahead = self._reader.submit(next, self._stream, None)
