# SPDX-License-Identifier: Apache-2.0
"""The driving frame → the performer's portrait, for models that find keypoints of their own on it. Render thread.

One square box, cut as a source picture is cut, that stands still: a box that followed the face would hide the very
head motion the character is to make. Only a face that reaches the box's rim pushes it along, without a jump.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sources.framing import SquareBox, cut_image, face_box, fit_box

__all__ = ["DrivingCrop"]

_RIM_SHARE = 0.04  # the face stays this far inside, over the box's side


class DrivingCrop:
    """Cuts portraits of one performer.

    State: the box is set by `fix`, or by the first `cut` after `reset`.

    Args:
        side_px: side R of the portraits.
    """

    def __init__(self, *, side_px: int) -> None:
        self._side_px = side_px
        self._box: SquareBox | None = None

    def reset(self) -> None:
        """Forget the box: the camera, the clip or the performer's place changed."""
        self._box = None

    def fix(self, landmarks_px: NDArray[np.floating[Any]], *, size_wh: tuple[int, int]) -> None:
        """Set the box around a face, (478, 3) pixels of a frame of this size."""
        self._box = fit_box(face_box(landmarks_px), size_wh=size_wh)

    def cut(self, rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Return the portrait of one frame.

        Shapes:
            rgb: (H, W, 3) uint8 RGB. landmarks_px: (478, 3), pixels of it. returns: (R, R, 3) uint8.
        """
        if self._box is None:
            self.fix(landmarks_px, size_wh=(rgb.shape[1], rgb.shape[0]))
        assert self._box is not None
        self._box = _pushed(self._box, landmarks_px)
        return cut_image(rgb, self._box, side_px=self._side_px)


def _pushed(box: SquareBox, landmarks_px: NDArray[np.floating[Any]]) -> SquareBox:
    """Return the box moved as little as keeps the face off its rim."""
    rim = _RIM_SHARE * box.side_px
    corner = []
    for axis, start in enumerate((box.left_px, box.top_px)):
        low, high = float(landmarks_px[:, axis].min()) - rim, float(landmarks_px[:, axis].max()) + rim
        if high - low >= box.side_px:  # a face larger than the box is kept in its middle
            start = round((low + high - box.side_px) / 2)
        else:
            start = min(max(start, int(np.ceil(high)) - box.side_px), int(np.floor(low)))
        corner.append(start)
    return SquareBox(corner[0], corner[1], box.side_px)
