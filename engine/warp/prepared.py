# SPDX-License-Identifier: Apache-2.0
"""What a source set has become when it can be shown: encoded on the device, with what chooses among its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import OutOfDeviceMemory
from engine.runtime.base import EncodedSourceSet
from engine.warp.drawn_lids import DrawnLids
from engine.warp.selection import SourceSelector

__all__ = ["PreparedSourceSet", "ShutEyes"]


@dataclass(frozen=True, slots=True, eq=False)
class ShutEyes:
    """Shut eyes of a drawn set. encoded: the pictures that show them; made_from: the set's picture each belongs to."""

    lids: DrawnLids
    encoded: EncodedSourceSet
    made_from: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSourceSet:
    """Everything a set needs on the render thread.

    backdrop: (R, R, 3) uint8, the one that is shown. backdrops: (N, R, R, 3) uint8, that of every picture. keypoints:
    (N, 478, 3), of its pictures. shut: of a drawn set, its pictures with shut eyes. warning: what is to be said where
    the device holds only the set's first pictures.
    """

    name: str
    encoded: EncodedSourceSet
    selector: SourceSelector
    backdrop: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    backdrops: NDArray[np.uint8]
    shut: ShutEyes | None = None
    warning: OutOfDeviceMemory | None = None

    @property
    def shown(self) -> int:
        """Pictures in use."""
        return self.encoded.count

    def reset(self) -> None:
        """Forget the past frames."""
        self.selector.reset()
        if self.shut is not None:
            self.shut.lids.reset()
