# SPDX-License-Identifier: Apache-2.0
"""Landmarks by hand, for the window: guide points with their words, and the dense mesh that follows them.

Cheap enough for the GUI thread: a fit takes a millisecond. Positions are shares of the picture's width and height.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.sources.guides import (
    GUIDE_POINTS,
    GuidePoints,
    fit_landmarks,
    guides_from_landmarks,
    template_guides,
)
from engine.sources.guides_preview import OUTLINES

__all__ = ["OUTLINES", "POINT_WORDS", "GuidePoints", "mesh_of", "move_all", "move_point", "start_guides", "turned"]

_WORDS = {
    "eye_outer": "eye, outer corner",
    "eye_top": "eye, upper lid",
    "eye_inner": "eye, inner corner",
    "eye_bottom": "eye, lower lid",
    "brow": "brow, middle",
    "cheek": "cheek, at the ear",
}
_PLAIN = {
    "nose_tip": "Tip of the nose",
    "mouth_right": "Right mouth corner",
    "mouth_left": "Left mouth corner",
    "chin": "Chin",
    "lip_top": "Upper lip, upper rim",
    "lip_bottom": "Lower lip, lower rim",
    "mouth_inner_top": "Upper lip, lower rim",
    "mouth_inner_bottom": "Lower lip, upper rim",
}


def _words(name: str) -> str:
    if name in _PLAIN:
        return _PLAIN[name]
    side, _, part = name.partition("_")
    return f"{side.capitalize()} {_WORDS[part]}"


POINT_WORDS: dict[str, str] = {name: _words(name) for name in GUIDE_POINTS}
"""Guide point → what it is called. Left and right are the character's own."""


def start_guides(size_wh: tuple[int, int], landmarks: NDArray[np.float32] | None = None) -> GuidePoints:
    """Return where an editor starts: at what the tracker found, else at a template.

    Shapes:
        size_wh: of the picture, pixels. landmarks: (478, 3), pixels of it.
    """
    if landmarks is not None:
        return guides_from_landmarks(landmarks, size_wh=size_wh)
    return template_guides(size_wh=size_wh)


def mesh_of(guides: GuidePoints, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Return all landmarks in shares of the picture, (478, 2) float32."""
    size = np.array(size_wh, np.float32)
    mesh: NDArray[np.float32] = (fit_landmarks(guides, size_wh=size_wh)[:, :2] + np.float32(0.5)) / size
    return mesh


def move_point(guides: GuidePoints, name: str, place: tuple[float, float]) -> GuidePoints:
    """Put one guide point elsewhere.

    Raises:
        InvalidSetting: it cannot lie there.
    """
    return GuidePoints({**guides.points, name: place}, guides.yaw_deg, guides.pitch_deg)


def move_all(
    guides: GuidePoints,
    size_wh: tuple[int, int],
    *,
    by: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    turn_deg: float = 0.0,
) -> GuidePoints:
    """Move all points together, then scale and turn them about their middle.

    Args:
        size_wh: of the picture, so that a turn stays a turn. by: shares of the picture. turn_deg: clockwise.
    Raises:
        InvalidSetting: one would lie too far outside.
    """
    size, names = np.array(size_wh, np.float64), list(guides.points)
    places = np.array([guides.points[name] for name in names]) * size
    middle = (places.min(0) + places.max(0)) / 2
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    places = (places - middle) @ np.array([[cos, sin], [-sin, cos]]) * scale + middle + np.array(by) * size
    points = {name: (float(x), float(y)) for name, (x, y) in zip(names, places / size, strict=True)}
    return GuidePoints(points, guides.yaw_deg, guides.pitch_deg)


def turned(guides: GuidePoints, *, yaw_deg: float | None, pitch_deg: float | None) -> GuidePoints:
    """Say how the head is turned, or let the fit say."""
    return GuidePoints(guides.points, yaw_deg, pitch_deg)
