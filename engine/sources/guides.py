# SPDX-License-Identifier: Apache-2.0
"""Landmarks by hand: twelve to twenty guide points on a drawn face → all 478, by a smooth fit. Pure, any thread.

A tracker that learned people finds no face on an anime girl, an animal or a robot. A person sees at once where its eyes
and mouth are, so they say so, and the rest follows:

1. *Pose*. Roll from the line of the eyes; yaw from how far nose and mouth lie beside the middle of the eyes, which
   their depth on the canonical face explains; pitch is not looked for, since a drawn face's own proportions (a high
   forehead, a tiny chin) look just like it. Both may be given by hand.
2. *Features*. In the head's frame lids and lips get the canonical face's curves, stretched through their guide points:
   so lids meet, lips meet, and irises lie in their eyes, however big those are.
3. *Everything else* follows by a thin-plate spline from canonical face to features and outline (Bookstein 1989,
   "Principal warps: thin-plate splines and the decomposition of deformations", IEEE TPAMI 11(6)), regularised (Wahba
   1990) so that a point that is a little off bends no cheek. Depth is the canonical face's.

Points are kept as shares of the picture's width and height, so they outlive scaling. Left and right are the character's
own: its left eye lies at the larger x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.errors import InvalidSetting
from engine.geometry import angles_from_rotation, fit_similarity, rotation_from_angles
from engine.landmarks import LEFT_EYE_CORNERS, MOUTH_CORNERS, RIGHT_EYE_CORNERS, RIGID
from engine.sources.guides_features import GUIDE_POINTS, lids_at_rest, place_features
from engine.sources.guides_spline import follow

__all__ = [
    "GUIDE_POINTS",
    "REQUIRED_GUIDES",
    "GuidePoints",
    "fit_landmarks",
    "guides_from_landmarks",
    "template_guides",
]

Array = NDArray[np.float64]

REQUIRED_GUIDES = tuple(GUIDE_POINTS)[:12]

_MOST_YAW_SINE = 0.75
_TEMPLATE_FACE = 0.46  # height of the template's face over the picture's shorter side


@dataclass(frozen=True, slots=True)
class GuidePoints:
    """Guide points of one picture.

    points: name of `GUIDE_POINTS` → (x, y) over the picture's width and height; the required ones at least.
    yaw_deg, pitch_deg: head turn towards the picture's right and up; None lets the fit say (yaw) or level (pitch).
    """

    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    yaw_deg: float | None = None
    pitch_deg: float | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.points if name not in GUIDE_POINTS]
        if unknown:
            raise InvalidSetting(
                f"There is no guide point called {unknown[0]}.", hint=f"Known: {', '.join(GUIDE_POINTS)}."
            )
        missing = [name for name in REQUIRED_GUIDES if name not in self.points]
        if missing:
            what = f"{len(missing)} of the {len(REQUIRED_GUIDES)} guide points that must be there are missing"
            raise InvalidSetting(f"{what}: {', '.join(missing)}.", hint="Place them too.")
        for name, (x, y) in self.points.items():
            if not (np.isfinite([x, y]).all() and -1 <= x <= 2 and -1 <= y <= 2):
                raise InvalidSetting(
                    f"Guide point {name} must lie in or near the picture (0 to 1), got ({x:g}, {y:g}).", name=name
                )
        for name, angle in (("yaw_deg", self.yaw_deg), ("pitch_deg", self.pitch_deg)):
            if angle is not None and not -80 <= angle <= 80:
                raise InvalidSetting(f"{name} must be from -80 to 80, got {angle:g}.", name=name, value=angle)
        if self.points["right_eye_outer"][0] >= self.points["left_eye_outer"][0]:
            raise InvalidSetting(
                "The character's right eye must lie left of its left eye in the picture.",
                hint="Left and right are the character's own: swap the points of the two eyes.",
            )


def fit_landmarks(
    guides: GuidePoints, *, size_wh: tuple[int, int], rest: GuidePoints | None = None
) -> NDArray[np.float32]:
    """Return all landmarks of a picture from its guide points.

    Args:
        rest: guide points of the set's first picture. Lids move over a face that stays: what lies around an eye is
            placed by the eye's opening there, or a picture with shut eyes would carry brows and cheeks along.
    Shapes:
        size_wh: of the picture, pixels. returns: (478, 3) float32, pixels, as a tracker would give them.
    """
    size = np.array(size_wh, np.float64)
    given = {name: np.array(point) * size - 0.5 for name, point in guides.points.items()}
    face = load_canonical_face().astype(np.float64)
    rotation, scale, origin = _pose(given, face, guides)
    own = {name: _into_head(point, GUIDE_POINTS[name], face, rotation, scale, origin) for name, point in given.items()}
    placed = place_features(own, face)
    if rest is None:
        shape = follow(placed, face)
    else:
        shape = follow({**placed, **lids_at_rest(own, rest.points, size, face)}, face)
        known = list(placed)
        shape[known] = [placed[index] for index in known]
    landmarks: NDArray[np.float32] = (scale * shape @ rotation.T + np.array([*origin, 0.0])).astype(np.float32)
    return landmarks


def guides_from_landmarks(landmarks_px: NDArray[np.floating[Any]], *, size_wh: tuple[int, int]) -> GuidePoints:
    """Return the guide points of landmarks that were found or fitted, (478, 3): where an editor starts."""
    size = np.array(size_wh, np.float64)
    rigid = list(RIGID)
    fit = fit_similarity(load_canonical_face()[rigid], landmarks_px[rigid])
    yaw, pitch, _ = angles_from_rotation(fit.rotation)
    points = {
        name: (float(x), float(y))
        for name, index in GUIDE_POINTS.items()
        for x, y in [(landmarks_px[index, :2] + 0.5) / size]
    }
    return GuidePoints(points, round(float(np.degrees(yaw)), 1), round(float(np.degrees(pitch)), 1))


def template_guides(*, size_wh: tuple[int, int], face: tuple[float, float, float] | None = None) -> GuidePoints:
    """Return the canonical face's guide points on a picture: what is dragged into place.

    Args:
        face: x, y of the face's middle and its height, over width, height and height of the picture; by default
            upright in the upper middle, as most portraits are.
    """
    width, height = size_wh
    side = min(size_wh)
    x, y, tall = face or (0.5, 0.45 * side / height, _TEMPLATE_FACE * side / height)
    canonical = load_canonical_face().astype(np.float64)[:, :2]
    low, high = canonical.min(0), canonical.max(0)
    px = (canonical - (low + high) / 2) * (tall * height / (high[1] - low[1])) + np.array([x * width, y * height])
    points = {name: (float(px[i, 0] / width), float(px[i, 1] / height)) for name, i in GUIDE_POINTS.items()}
    return GuidePoints(points)


def _pose(given: Mapping[str, Array], face: Array, guides: GuidePoints) -> tuple[Array, float, Array]:
    """Return rotation, scale (pixels a canonical unit) and where the canonical origin lies, (2,)."""
    eyes = [np.mean([given[f"{side}_eye_{part}"] for part in ("outer", "inner")], axis=0) for side in ("right", "left")]
    across = eyes[1] - eyes[0]
    roll = float(np.arctan2(across[1], across[0]))
    cos, sin = np.cos(-roll), np.sin(-roll)
    upright = np.array([[cos, -sin], [sin, cos]])
    middle = (eyes[0] + eyes[1]) / 2
    corners = np.array([*RIGHT_EYE_CORNERS, *LEFT_EYE_CORNERS])
    own_eyes = face[corners].mean(0)
    own_span = float(face[list(LEFT_EYE_CORNERS)].mean(0)[0] - face[list(RIGHT_EYE_CORNERS)].mean(0)[0])
    # Scale from width and height together: drawn eyes lie too far apart or too low, rarely both.
    tall = float((upright @ (given["chin"] - middle))[1]) / float(face[GUIDE_POINTS["chin"], 1] - own_eyes[1])
    wide = float(np.linalg.norm(across)) / own_span
    scale = float(np.sqrt(max(tall, 0.2 * wide) * wide))
    if guides.yaw_deg is None:
        mouth = (given["mouth_right"] + given["mouth_left"]) / 2
        beside = [float((upright @ (p - middle))[0]) for p in (given["nose_tip"], mouth)]
        depth = [
            float(own_eyes[2] - face[GUIDE_POINTS["nose_tip"], 2]),
            float(own_eyes[2] - face[list(MOUTH_CORNERS)].mean(0)[2]),
        ]
        sine = float(np.dot(beside, depth) / np.dot(depth, depth)) / scale
        yaw = float(np.arcsin(np.clip(sine, -_MOST_YAW_SINE, _MOST_YAW_SINE)))
        scale = float(np.sqrt(max(tall, 0.2 * wide) * wide / np.cos(yaw)))
    else:
        yaw = float(np.radians(guides.yaw_deg))
    pitch = float(np.radians(guides.pitch_deg or 0.0))
    spin = np.eye(3)
    spin[:2, :2] = upright.T
    rotation: Array = spin @ rotation_from_angles(yaw_rad=yaw, pitch_rad=pitch)
    origin = middle - scale * (rotation @ own_eyes)[:2]
    return rotation, scale, origin


def _into_head(point: Array, index: int, face: Array, rotation: Array, scale: float, origin: Array) -> Array:
    """Return where a picture's point lies on the upright head at the canonical depth of its landmark, (3,)."""
    depth = face[index, 2]
    xy = np.linalg.solve(rotation[:2, :2], (point - origin) / scale - rotation[:2, 2] * depth)
    return np.array([*xy, depth])
