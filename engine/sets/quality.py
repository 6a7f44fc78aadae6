# SPDX-License-Identifier: Apache-2.0
"""Whether a picture is sharp, whether two are the same, whether two show the same person. Pure, any thread.

Thresholds were measured on the development pictures; the figures stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.cv import cv2
from engine.geometry import fit_similarity
from engine.landmarks import BROWS, EYES, IRISES, LIPS, RIGID
from engine.sources.framing import SquareBox, cut_image, face_box
from engine.types import SourceImage

__all__ = [
    "BLURRED",
    "SAME_PERSON_BELOW",
    "blur_of",
    "identity_distance",
    "near_duplicates",
    "shape_of",
]

_FACE_PX = 160  # sharpness is judged at about the size at which a portrait is shown
_BOX_PX = 9  # of the strong blur that a picture is compared with
# Sharp faces read 0.28 to 0.52 (40 photographs, 60 renderings); blurred by 1 % of their height 0.57 to 0.69.
BLURRED = 0.56
_SAME_POINTS, _SAME_GREY = 0.012, 4.0  # mean landmark distance in portrait space; mean difference on 0-255
_THUMB_PX = 48
SAME_PERSON_BELOW = 0.06  # `identity_distance` up to which two pictures may show one person
# The skull and what sits on it: mouth, lids, irises and brows move, and the jaw with them.
_STABLE = np.array(sorted(set(range(468)) - {*LIPS, *EYES, *BROWS, *IRISES}))


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
            apart = images[first].keypoints[:, :2] - images[second].keypoints[:, :2]
            points = float(np.linalg.norm(apart, axis=1).mean())
            grey = float(np.abs(thumbs[first].astype(np.float32) - thumbs[second]).mean())
            if points < _SAME_POINTS and grey < _SAME_GREY:
                pairs.append((first, second))
    return pairs


def shape_of(keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the stable part of a face in canonical units, (P, 3): what a person keeps in every picture."""
    rigid = list(RIGID)
    fit = fit_similarity(load_canonical_face()[rigid], keypoints[rigid])
    return fit.undo(keypoints)[_STABLE]


def identity_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how differently two stable shapes are built: root mean square distance in canonical units.

    Only x and y count: tracked depth changes more between two pictures of one person than between two people.
    """
    return float(np.sqrt(((one - other)[:, :2] ** 2).sum(1).mean()))
