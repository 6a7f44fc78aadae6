# SPDX-License-Identifier: Apache-2.0
"""Which of the 478 landmarks is what: index groups, the mirror permutation and soft face regions.

Origin: the rings were read off MediaPipe's public connection sets (`FACEMESH_LIPS`, `FACEMESH_LEFT_EYE`,
`FACEMESH_RIGHT_EYE`, `FACEMESH_LEFT_EYEBROW`, `FACEMESH_RIGHT_EYEBROW`, `FACEMESH_FACE_OVAL`, `FACEMESH_IRISES`)
by walking their edges from corner to corner; upper and lower rows are listed in the same order, so that equal
positions are partners. Left and right are the person's own: the left eye has the larger x in an unmirrored picture.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.types import LANDMARK_COUNT, freeze

__all__ = [
    "BROWS",
    "CHIN",
    "EYES",
    "EYE_SIDES",
    "FACE_OVAL",
    "FOREHEAD_TOP",
    "IRISES",
    "LEFT_BROW",
    "LEFT_EYE",
    "LEFT_EYE_CORNERS",
    "LEFT_IRIS",
    "LEFT_LOWER_LID",
    "LEFT_UPPER_LID",
    "LIPS",
    "LIPS_INNER_LOWER",
    "LIPS_INNER_UPPER",
    "LIPS_OUTER_LOWER",
    "LIPS_OUTER_UPPER",
    "MOUTH_CORNERS",
    "MOUTH_INNER",
    "NOSE_BASE",
    "REGIONS",
    "RIGHT_BROW",
    "RIGHT_EYE",
    "RIGHT_EYE_CORNERS",
    "RIGHT_IRIS",
    "RIGHT_LOWER_LID",
    "RIGHT_UPPER_LID",
    "RIGID",
    "flip_permutation",
    "region_weights",
]

# Eyes: (outer, inner) corner, then lids from the outer to the inner corner.
RIGHT_EYE_CORNERS = (33, 133)
RIGHT_UPPER_LID = (246, 161, 160, 159, 158, 157, 173)
RIGHT_LOWER_LID = (7, 163, 144, 145, 153, 154, 155)
LEFT_EYE_CORNERS = (263, 362)
LEFT_UPPER_LID = (466, 388, 387, 386, 385, 384, 398)
LEFT_LOWER_LID = (249, 390, 373, 374, 380, 381, 382)
RIGHT_EYE = (*RIGHT_EYE_CORNERS, *RIGHT_UPPER_LID, *RIGHT_LOWER_LID)
LEFT_EYE = (*LEFT_EYE_CORNERS, *LEFT_UPPER_LID, *LEFT_LOWER_LID)
EYES = (*RIGHT_EYE, *LEFT_EYE)

# Irises: centre first, then the four points of the rim.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
IRISES = (*RIGHT_IRIS, *LEFT_IRIS)

# Both eyes, the person's right first: corners, upper lid, lower lid, iris.
EYE_SIDES = (
    (RIGHT_EYE_CORNERS, RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS),
    (LEFT_EYE_CORNERS, LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS),
)

# Brows: upper edge then lower edge, each from the temple to the nose.
RIGHT_BROW = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
BROWS = (*RIGHT_BROW, *LEFT_BROW)

# Lips: (right, left) corner of the outer rim, then rows from right to left without the corners.
MOUTH_CORNERS = (61, 291)
LIPS_OUTER_UPPER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
LIPS_OUTER_LOWER = (146, 91, 181, 84, 17, 314, 405, 321, 375)
LIPS_INNER_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LIPS_INNER_LOWER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
MOUTH_INNER = (78, *LIPS_INNER_UPPER, 308, *LIPS_INNER_LOWER)
LIPS = (*MOUTH_CORNERS, *LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER, *MOUTH_INNER)

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
CHIN, FOREHEAD_TOP, NOSE_BASE = 152, 10, 2

# Points over bone and cartilage that hardly move with expression: nose ridge, temples, forehead, inner and outer
# eye corners, and the cheekbones. Head pose is fitted on these.
RIGID = (
    *(1, 4, 5, 195, 197, 6, 168, 8, 9, 151, 10),
    *(33, 133, 362, 263),
    *(54, 103, 67, 109, 338, 297, 332, 284, 21, 251, 162, 389, 127, 356, 34, 264),
    *(122, 351, 193, 417, 245, 465),
)

REGIONS = ("eyes", "mouth", "brows")

# Canonical-face length (RMS radius = 1) over which one region hands over to the next.
_BLEND_LENGTH = 0.16
# Anchors of the soft regions beside the feature rings themselves: jaw, cheeks and nostrils follow the mouth, the
# forehead follows the brows.
_MOUTH_ANCHORS = (
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 377, 400, 378, 379, 365, 397, 288, 361, 199, 200),
    *(50, 280, 205, 425, 187, 411, 147, 376, 123, 352, 2, 98, 327, 48, 278, 36, 266),
)
_BROW_ANCHORS = (10, 151, 9, 109, 338, 67, 297, 103, 332, 54, 284, 108, 337, 69, 299, 104, 333, 68, 298, 71, 301)


@functools.cache
def flip_permutation() -> NDArray[np.intp]:
    """Return the index of every landmark's mirror partner.

    Mirroring a face is `mirrored = points[flip_permutation()]` with x negated.

    Shapes:
        returns: (478,) intp, an involution, read-only.
    """
    face = load_canonical_face().astype(np.float64)
    mirrored = face * (-1.0, 1.0, 1.0)
    squared = ((face[:, None, :] - mirrored[None, :, :]) ** 2).sum(-1)
    # Skin and irises are matched apart: the iris points float in the same place as lid points.
    squared[:468, 468:] = squared[468:, :468] = np.inf
    return freeze(squared.argmin(0))


@functools.cache
def region_weights() -> NDArray[np.float32]:
    """Return how much every landmark belongs to each region.

    Shapes:
        returns: (3, 478) float32 in the order of `REGIONS`; columns sum to 1; read-only.
    """
    face = load_canonical_face().astype(np.float64)
    anchors = ((*EYES, *IRISES), (*LIPS, *_MOUTH_ANCHORS), (*BROWS, *_BROW_ANCHORS))
    distance = np.empty((len(anchors), LANDMARK_COUNT))
    for row, indices in enumerate(anchors):
        distance[row] = np.linalg.norm(face[:, None] - face[list(indices)][None], axis=-1).min(1)
    # A soft nearest-anchor rule: exactly 1 on an anchor, a smooth hand-over where two regions are equally near.
    nearest = distance.min(0)
    share = np.exp(-(((distance - nearest) / _BLEND_LENGTH) ** 2) * 2.0)
    for row, indices in enumerate(anchors):
        share[:, list(indices)] = 0.0
        share[row, list(indices)] = 1.0
    return freeze((share / share.sum(0)).astype(np.float32))
