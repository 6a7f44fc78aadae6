# SPDX-License-Identifier: Apache-2.0
"""Pictures without a mark: how often is one seen in them? Variants of unmarked scenes, as many as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.watermark.detector import FOUND, mark_score
from engine.watermark.imprint_reader import best_guess, judge

__all__ = ["Strangers", "measure_strangers"]

_SIDE_PX = (180, 420)
_SCORED_EVERY = 10  # the visible mark's detector takes longer than all the rest


@dataclass(frozen=True, slots=True)
class Strangers:
    """count: unmarked pictures. read: payloads read in them. traces: marks said to be there without a payload.

    highest_sync: the strongest chance resemblance. scored, seen, highest_score: the same for the visible mark.
    """

    count: int
    read: int
    traces: int
    highest_sync: float
    scored: int
    seen: int
    highest_score: float


def measure_strangers(
    pictures: Sequence[NDArray[np.uint8]],
    count: int,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _done: None,
) -> Strangers:
    """Look for marks in `count` random variants of unmarked pictures.

    Args:
        pictures: (H, W, 3) uint8 RGB, unmarked.
    """
    read = traces = seen = scored = 0
    highest_sync = highest_score = 0.0
    for number, picture in enumerate(_variants(pictures, count, np.random.default_rng(seed))):
        guess = best_guess([picture])
        found = judge(guess)
        read += found is not None and found.payload is not None
        traces += found is not None and found.payload is None
        highest_sync = max(highest_sync, guess.sync)
        if number % _SCORED_EVERY == 0:
            score = mark_score(picture)
            scored, seen, highest_score = scored + 1, seen + (score >= FOUND), max(highest_score, score)
        advance(number + 1)
    return Strangers(count, read, traces, highest_sync, scored, seen, highest_score)


def _variants(
    pictures: Sequence[NDArray[np.uint8]], count: int, random: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Yield other cuts, sizes, sides and lights of the pictures."""
    for _ in range(count):
        picture = pictures[int(random.integers(len(pictures)))]
        height_px, width_px = picture.shape[:2]
        share = random.uniform(0.45, 1.0)
        cut_h, cut_w = int(height_px * share), int(width_px * share)
        top, left = int(random.integers(height_px - cut_h + 1)), int(random.integers(width_px - cut_w + 1))
        cut = picture[top : top + cut_h, left : left + cut_w]
        scale = int(random.integers(*_SIDE_PX)) / min(cut.shape[:2])
        scaled = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if random.random() < 0.5:
            scaled = scaled[:, ::-1]
        lit = scaled * random.uniform(0.7, 1.2) + random.uniform(-10, 10)
        if random.random() < 0.3:
            lit = lit + random.normal(0, random.uniform(0.5, 4), lit.shape)
        yield np.ascontiguousarray(np.clip(lit, 0, 255).astype(np.uint8))
