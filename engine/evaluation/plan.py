# SPDX-License-Identifier: Apache-2.0
"""Which frames of a clip are source pictures, which are scored, and which runs show jitter. Pure, any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sources.ordering import farthest_first

__all__ = ["DRIVING_STEP", "ClipPlan", "jitter_runs", "plan_clip", "telling_moments"]

DRIVING_STEP = 4
_RUN_LENGTHS = (DRIVING_STEP + 1, 3)  # frames; the first that fits anywhere is used
_MOST_RUNS = 4
_EVEN_STEP = 1.5  # a step of more than this many usual ones is a gap: frames without a face were left out there


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """Frame numbers of one clip.

    sources: the source pictures, in the order they are added. scored: the driving frames that are compared with the
    truth. runs: consecutive frames on which jitter is measured; they share frames with `scored`.
    """

    sources: tuple[int, ...]
    scored: tuple[int, ...]
    runs: tuple[tuple[int, ...], ...]

    @property
    def driving(self) -> tuple[int, ...]:
        """All frames that drive, in order."""
        return tuple(sorted({*self.scored, *(index for run in self.runs for index in run)}))


def plan_clip(keypoints: NDArray[np.float32], captured_ns: NDArray[np.int64], *, most_sources: int) -> ClipPlan:
    """Choose source and driving frames of a clip for same-identity reconstruction.

    Shapes:
        keypoints: (T, 478, 3). captured_ns: (T,).
    """
    sources = farthest_first(keypoints.reshape(len(keypoints), -1), first=0, count=most_sources)
    others = [index for index in range(len(keypoints)) if index not in set(sources)]
    scored = others[::DRIVING_STEP]
    return ClipPlan(tuple(sources), tuple(scored), jitter_runs(scored, captured_ns, kept_out=sources))


def jitter_runs(
    scored: list[int], captured_ns: NDArray[np.int64], *, kept_out: list[int] | tuple[int, ...] = ()
) -> tuple[tuple[int, ...], ...]:
    """Choose runs of consecutive frames on which a second difference can be taken, few and evenly spread.

    A run fills the gap between two scored frames: three more frames give three second differences, where runs of
    three around single scored frames would cost twice as many. Only where no gap is free of source pictures are runs
    of three used.

    Args:
        scored: frame numbers that are rendered anyway. kept_out: frames that must not drive.
    """
    if len(captured_ns) < 3:
        return ()
    usual_ns = float(np.median(np.diff(captured_ns)))
    for length in _RUN_LENGTHS:
        fitting: list[tuple[int, ...]] = []
        for start in scored:
            run = tuple(range(start, start + length))
            if run[-1] >= len(captured_ns) or set(run) & set(kept_out) or (fitting and run[0] < fitting[-1][-1]):
                continue
            if np.diff(captured_ns[list(run)]).max() <= _EVEN_STEP * usual_ns:
                fitting.append(run)
        if fitting:
            chosen = np.unique(np.linspace(0, len(fitting) - 1, min(_MOST_RUNS, len(fitting))).round().astype(int))
            return tuple(fitting[index] for index in chosen)
    return ()


def telling_moments(keypoints: NDArray[np.floating[Any]], indices: tuple[int, ...], *, count: int) -> list[int]:
    """Choose the driving frames that show most: far from the first source picture and from each other, in order.

    Shapes:
        keypoints: (T, 478, 3); the first source picture is frame 0. returns: at most `count` of `indices`.
    """
    faces = keypoints[[0, *indices]].reshape(len(indices) + 1, -1)
    picked = farthest_first(faces, first=0, count=count + 1)
    return sorted(indices[row - 1] for row in picked if row)
