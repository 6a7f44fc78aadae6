# SPDX-License-Identifier: Apache-2.0
"""Batches from a stream of windows: which window a step draws from, and finding it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import InvalidSetting, PackInvalid
from engine.training.batch import Batch
from engine.training.data import PackSplit
from engine.training.train.windows import SHARDS, WindowSource, shard_frames, shards_identity

FRAMES, TOTAL, BATCH = 8, 20, 4  # 5 steps an epoch, 2 a window: windows 0 0 1 1 2


def split(mark: int) -> PackSplit:
    """An empty split that tells its mark."""
    return PackSplit(np.full((1, 1, 1, 3), mark, np.uint8), np.zeros((1, 1, 1)), np.zeros((1, 478, 3)), ())


class Told:
    """Gives out batches that say which window they come from, and of how many samples they are."""

    def __init__(self, window: PackSplit) -> None:
        self.mark = int(window.frames.max())
        if self.mark % 10 == 9:
            raise InvalidSetting("too little")

    def draw(self, step: int, *, batch: int, rank: int = 0, world: int = 1) -> Batch:
        assert (rank, world) == (0, 1)
        return Batch(*(torch.tensor([self.mark, step, batch]),) * 6)


def source(marks: dict[int, list[int]], opened: list[tuple[int, int, int]] | None = None) -> WindowSource:
    """Epoch → the marks of its windows."""

    def windows(epoch: int, rank: int, world: int) -> Iterator[PackSplit]:
        if opened is not None:
            opened.append((epoch, rank, world))
        return iter([split(mark) for mark in marks[epoch]])

    return WindowSource(windows, Told, frames=FRAMES, total=TOTAL)


def marks_of(source: WindowSource, steps: range, **how: int) -> list[int]:
    return [int(source.draw(step, batch=BATCH, **how).rgb[0]) for step in steps]


def test_steps_go_through_the_windows_of_every_epoch() -> None:
    marks = {0: [1, 2, 3], 1: [11, 12, 13]}
    assert marks_of(source(marks), range(10)) == [1, 1, 2, 2, 3, 11, 11, 12, 12, 13]


def test_a_resumed_run_opens_only_its_own_epoch() -> None:
    marks, opened = {1: [11, 12, 13]}, []
    assert marks_of(source(marks, opened), range(8, 10)) == [12, 13]
    assert opened == [(1, 0, 1)]


def test_an_earlier_step_is_found_again() -> None:
    drawn = source({0: [1, 2, 3]})
    assert marks_of(drawn, range(4, 5)) + marks_of(drawn, range(1, 3)) == [3, 1, 2]


def test_the_last_window_lasts_to_the_end_of_the_epoch() -> None:
    assert marks_of(source({0: [1], 1: [11]}), range(6)) == [1, 1, 1, 1, 1, 11]


def test_windows_that_hold_too_little_are_left_out() -> None:
    assert marks_of(source({0: [9, 1, 19, 2]}), range(5)) == [1, 1, 2, 2, 2]
    with pytest.raises(InvalidSetting, match="too little"):
        source({0: [9, 19]}).draw(0, batch=BATCH)


def test_every_rank_reads_its_own_windows_and_draws_its_share() -> None:
    opened: list[tuple[int, int, int]] = []
    batch = source({0: [1]}, opened).draw(1, batch=8, rank=1, world=2)
    assert opened == [(0, 1, 2)]
    assert batch.rgb.tolist() == [1, 1, 4]


def test_a_stream_that_breaks_is_told_in_the_drawing_thread() -> None:
    def broken(_epoch: int, _rank: int, _world: int) -> Iterator[PackSplit]:
        yield split(1)
        raise PackInvalid("gone")

    drawn = WindowSource(broken, Told, frames=FRAMES, total=TOTAL)
    assert marks_of(drawn, range(2)) == [1, 1]
    with pytest.raises(PackInvalid, match="gone"):
        drawn.draw(2, batch=BATCH)


def test_the_index_of_shards_is_read_and_checked(tmp_path: Path) -> None:
    with pytest.raises(PackInvalid, match="no shards"):
        shard_frames(tmp_path, "train")
    (tmp_path / SHARDS).write_text(json.dumps({"splits": {"train": [{"frames": 3}, {"frames": 4}]}}))
    assert shard_frames(tmp_path, "train") == 7
    with pytest.raises(PackInvalid, match="'dev' of the shards is empty"):
        shard_frames(tmp_path, "dev")
    first = shards_identity(tmp_path)
    (tmp_path / SHARDS).write_text("{}")
    assert shards_identity(tmp_path) != first
