# SPDX-License-Identifier: Apache-2.0
"""Training data as it lies in memory, and batches drawn from it. Offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.training.batch import Batch

__all__ = ["BatchSource", "PackItem", "PackSplit"]


@dataclass(frozen=True, slots=True)
class PackItem:
    """One clip or still of a split: frames[start:stop]. kind: "clip" or "still". group: the folder it came from."""

    name: str
    kind: str
    group: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class PackSplit:
    """All frames of one split.

    frames: (F, R, R, 3) uint8 RGB. mattes: (F, R, R) uint8, 255 on the person. keypoints: (F, 478, 3) float32,
    portrait space. Frames without a tracked face are left out.
    """

    frames: NDArray[np.uint8]
    mattes: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    items: tuple[PackItem, ...]


class BatchSource(Protocol):
    """What the trainer draws from; `engine.training.sampler.Sampler` is one."""

    def draw(self, step: int, *, batch: int, rank: int = 0, world: int = 1) -> Batch:
        """Return the samples of one step, (batch / world) of them where there are several processes.

        The same step gives the same samples in every run, and the parts of all ranks put together are what one
        process would have drawn: nothing about the data has to be saved for an exact resume.
        """
        ...
