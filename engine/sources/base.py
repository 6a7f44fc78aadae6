# SPDX-License-Identifier: Apache-2.0
"""What the source side needs from a tracker, without importing one.

`engine.app` puts the real analyser together from `engine.track`; `ScriptedAnalyser` answers from a list and
lets everything here run without a tracker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ScriptedAnalyser", "SourceAnalyser"]


class SourceAnalyser(Protocol):
    """Finds faces and the person in one still picture.

    Convention:
        pictures are (H, W, 3) uint8 RGB; pixel coordinates as in `engine.geometry`, integers on pixel centres.
    """

    def keypoints(self, rgb: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return one (478, 3) float32 array of landmarks in pixels per face; empty where there is none."""
        ...

    def matte(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W) uint8, 255 on the person."""
        ...


class ScriptedAnalyser:
    """Answers with the given faces, one list per call, the last one again when the script is used up.

    Args:
        faces: per call, the landmark arrays to return.
        mattes: per call, the matte to return; a fully opaque one where the script has none.
    """

    def __init__(
        self, faces: Sequence[Sequence[NDArray[np.float32]]], *, mattes: Sequence[NDArray[np.uint8]] = ()
    ) -> None:
        self._faces, self._mattes = list(faces), list(mattes)
        self.keypoint_calls = 0
        self.matte_calls = 0

    def keypoints(self, rgb: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        answer = self._faces[min(self.keypoint_calls, len(self._faces) - 1)]
        self.keypoint_calls += 1
        return answer

    def matte(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        call = min(self.matte_calls, len(self._mattes) - 1)
        self.matte_calls += 1
        return self._mattes[call] if self._mattes else np.full(rgb.shape[:2], 255, np.uint8)
