# SPDX-License-Identifier: Apache-2.0
"""A picture with its landmarks drawn on it: what a person looks at while placing guide points. Any thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.landmarks import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE_CORNERS,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
    MOUTH_CORNERS,
    RIGHT_BROW,
    RIGHT_EYE_CORNERS,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from engine.sources.guides import GuidePoints

__all__ = ["OUTLINES", "draw_guides"]

OUTLINES: tuple[tuple[int, ...], ...] = (
    (RIGHT_EYE_CORNERS[0], *RIGHT_UPPER_LID, RIGHT_EYE_CORNERS[1], *RIGHT_LOWER_LID[::-1]),
    (LEFT_EYE_CORNERS[0], *LEFT_UPPER_LID, LEFT_EYE_CORNERS[1], *LEFT_LOWER_LID[::-1]),
    (MOUTH_CORNERS[0], *LIPS_OUTER_UPPER, MOUTH_CORNERS[1], *LIPS_OUTER_LOWER[::-1]),
    (78, *LIPS_INNER_UPPER, 308, *LIPS_INNER_LOWER[::-1]),
    RIGHT_IRIS[1:],
    LEFT_IRIS[1:],
    (*RIGHT_BROW[:5], *RIGHT_BROW[:4:-1]),
    (*LEFT_BROW[:5], *LEFT_BROW[:4:-1]),
    FACE_OVAL,
)
"""Closed rings of landmarks that outline a face, for editors and previews."""

_SIDE_PX = 1000  # the face, with some room, is shown this large
_MARGIN = 0.35
_LINE, _DOT, _GUIDE, _SHADE = (255, 214, 64), (70, 220, 255), (255, 70, 90), (20, 20, 24)


def draw_guides(
    rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]], *, guides: GuidePoints | None = None
) -> Image.Image:
    """Return the face of a picture, enlarged, with landmarks, outlines and named guide points.

    Shapes:
        rgb: (H, W, 3) uint8. landmarks_px: (478, 3), pixels of it.
    """
    height, width = rgb.shape[:2]
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    room = _MARGIN * float((high - low).max())
    left, top = (int(v) for v in np.maximum(np.floor(low - room), 0))
    right, bottom = (int(v) for v in np.minimum(np.ceil(high + room), [width, height]))
    scale = _SIDE_PX / max(right - left, bottom - top, 1)
    size_wh = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    sheet = Image.fromarray(rgb[top:bottom, left:right]).resize(size_wh, Image.Resampling.BICUBIC)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)

    def shown(xy: NDArray[np.floating[Any]]) -> tuple[float, float]:
        return float((xy[0] + 0.5 - left) * scale), float((xy[1] + 0.5 - top) * scale)

    for x, y in (shown(point) for point in landmarks_px):
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=_DOT)
    for ring in OUTLINES:
        line = [shown(landmarks_px[index]) for index in ring]
        draw.line([*line, line[0]], fill=_LINE, width=2)
    for name, (x_share, y_share) in (guides.points if guides is not None else {}).items():
        x, y = shown(np.array([x_share * width - 0.5, y_share * height - 0.5]))
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=_GUIDE, width=2)
        draw.text((x + 8, y - 8), name, fill=(255, 255, 255), font=font, stroke_width=2, stroke_fill=_SHADE)
    return sheet
