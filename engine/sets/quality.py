# SPDX-License-Identifier: Apache-2.0
"""Whether a picture is sharp, and whether two show the same. Pure, any thread.

Thresholds were measured on the development pictures; the figures stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.landmarks import EYES, LIPS
from engine.sources.framing import SquareBox, cut_image, face_box
from engine.types import SourceImage

__all__ = ["BLURRED", "blur_of", "near_duplicates"]

_FACE_PX = 160  # sharpness is judged at about the size at which a portrait is shown
_BOX_PX = 9  # of the strong blur that a picture is compared with
# Sharp faces read 0.28 to 0.52 (40 photographs, 60 renderings); blurred by 1 % of their height 0.57 to 0.69.
BLURRED = 0.56
# Of two pictures that show the same: mean landmark distance, the largest at eyes and lips, both in portrait space;
# mean difference of thumbnails on 0-255.
_SAME_POINTS, _SAME_TELLING, _SAME_GREY = 0.012, 0.025, 4.0
_TELLING = np.array(sorted({*EYES, *LIPS}))
_THUMB_PX = 48


def blur_of(rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]]) -> float:
    """Return how blurred a face is: 0 sharp, 1 without any detail.

    A picture that loses little by being blurred once more was blurred before. The face is judged at a fixed size, so
    that a small face, which must be enlarged, counts as blurred too.

    Shapes:
        rgb: (H, W, 3) uint8. landmarks_px: (478, 3).
    Source:
        Crete, Dolmiere, Ladret, Nicolas 2007, "The blur effect: perception and estimation with a new no-reference
        perceptual blur metric", SPIE 6492, eq. 1-8.
    """
    whole = face_box(landmarks_px)
    inner = round(whole.side_px / 2)  # the face without its surroundings
    box = SquareBox(whole.left_px + inner // 2, whole.top_px + inner // 2, max(2, inner))
    grey = cv2.cvtColor(cut_image(rgb, box, side_px=_FACE_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    worst = 0.0
    for axis, kernel in ((1, (_BOX_PX, 1)), (0, (1, _BOX_PX))):
        blurred = cv2.blur(grey, kernel)
        own, after = np.abs(np.diff(grey, axis=axis)), np.abs(np.diff(blurred, axis=axis))
        total = float(own.sum())
        lost = float(np.maximum(own - after, 0.0).sum())
        worst = max(worst, 1.0 if total < 1e-6 else (total - lost) / total)
    return worst


def near_duplicates(images: Sequence[SourceImage]) -> list[tuple[int, int]]:
    """Return the pairs of pictures that show the same, the earlier first."""
    thumbs = [
        cv2.resize(cv2.cvtColor(i.rgb, cv2.COLOR_RGB2GRAY), (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
        for i in images
    ]
    pairs = []
    for first in range(len(images)):
        for second in range(first + 1, len(images)):
            apart = np.linalg.norm(images[first].keypoints[:, :2] - images[second].keypoints[:, :2], axis=1)
            grey = float(np.abs(thumbs[first].astype(np.float32) - thumbs[second]).mean())
            # One shut eye is a small part of a face and all of a picture's worth.
            same = float(apart.mean()) < _SAME_POINTS and float(apart[_TELLING].max()) < _SAME_TELLING
            if same and grey < _SAME_GREY:
                pairs.append((first, second))
    return pairs
