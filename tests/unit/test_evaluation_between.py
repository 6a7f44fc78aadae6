# SPDX-License-Identifier: Apache-2.0
"""Which stretches of a clip are rebuilt, and what the tables say of them."""

from __future__ import annotations

import itertools

import numpy as np
from rich.console import Console

from engine.evaluation.between import PATH, TURNS, BetweenReport, BetweenRow, between_tables, find_stretches
from engine.evaluation.clips import EvalClip
from tests.helpers.source_faces import make_keypoints


def clip_of(yaws: list[float], *, fps: float = 25.0) -> EvalClip:
    keypoints = np.stack([make_keypoints(yaw=yaw) for yaw in yaws]).astype(np.float32)
    times = (np.arange(len(yaws)) * 1e9 / fps).astype(np.int64)
    return EvalClip("turning", np.zeros((len(yaws), 8, 8, 3), np.uint8), keypoints, times)


def test_a_turn_is_taken_with_the_frame_that_lies_half_way() -> None:
    (stretch,) = find_stretches(clip_of(list(np.linspace(0.0, 0.6, 21))), TURNS)
    assert (stretch.first, stretch.middle, stretch.last) == (0, 10, 20)
    assert np.isclose(stretch.moved, 0.6, atol=0.05)


def test_small_turns_wide_ones_slow_ones_and_jumps_are_left_out() -> None:
    assert not find_stretches(clip_of(list(np.linspace(0.0, 0.12, 21))), TURNS)  # 7 degrees
    assert not find_stretches(clip_of([0.0] * 10 + [1.3] * 10), TURNS)  # 74 degrees
    assert not find_stretches(clip_of([0.0] * 10 + [0.5] * 10), TURNS)  # nothing lies between
    assert not find_stretches(clip_of(list(np.linspace(0.0, 0.6, 21)), fps=2.0), TURNS)  # 0.6 rad in 10 s


def test_stretches_do_not_overlap() -> None:
    there_and_back = [*np.linspace(0.0, 0.6, 15), *np.linspace(0.6, 0.0, 15)[1:]]
    for protocol in (TURNS, PATH):
        found = find_stretches(clip_of(there_and_back), protocol)
        assert len(found) >= 2
        ordered = sorted(found, key=lambda each: each.first)
        assert all(a.last <= b.first for a, b in itertools.pairwise(ordered))


def test_the_tables_keep_protocols_and_folders_apart() -> None:
    def row(clip: str, folder: str, protocol: str, gain: float) -> BetweenRow:
        return BetweenRow(clip, folder, protocol, (gain - 1, gain, gain + 1), 0.5, 20, 20 + gain, 18, 24, 0.7, 0.8)

    rows = (row("a", "real", TURNS, 1.0), row("b", "drawn", TURNS, 4.0), row("a", "real", PATH, 2.0))
    tables = between_tables(BetweenReport("engine", rows, {}, ()))
    assert len(tables) == 2
    console = Console(width=200, record=True)
    for table in tables:
        console.print(table)
    text = console.export_text()
    assert "+2.50" in text  # the mean over both clips' turns
    assert "+0.5 +1.0 +1.5" in text  # quartiles over a clip's stretches
    assert "29°" in text
