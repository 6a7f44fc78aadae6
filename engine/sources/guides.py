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

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.errors import InvalidSetting
from engine.geometry import angles_from_rotation, fit_similarity, rotation_from_angles
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
    RIGID,
)

__all__ = [
    "GUIDE_POINTS",
    "REQUIRED_GUIDES",
    "GuidePoints",
    "fit_landmarks",
    "guides_from_landmarks",
    "template_guides",
]

Array = NDArray[np.float64]

# Name → the landmark it stands for.
GUIDE_POINTS: Mapping[str, int] = {
    "right_eye_outer": 33,
    "right_eye_top": 159,
    "right_eye_inner": 133,
    "right_eye_bottom": 145,
    "left_eye_inner": 362,
    "left_eye_top": 386,
    "left_eye_outer": 263,
    "left_eye_bottom": 374,
    "nose_tip": 4,
    "mouth_right": 61,
    "mouth_left": 291,
    "chin": 152,
    "right_brow": 105,
    "left_brow": 334,
    "lip_top": 0,
    "lip_bottom": 17,
    "mouth_inner_top": 13,
    "mouth_inner_bottom": 14,
    "right_cheek": 234,
    "left_cheek": 454,
}
REQUIRED_GUIDES = tuple(GUIDE_POINTS)[:12]

_SIDES = (
    ("right", RIGHT_EYE_CORNERS, RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS, RIGHT_BROW),
    ("left", LEFT_EYE_CORNERS, LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS, LEFT_BROW),
)
_LIP_ROWS = (
    ("lip_top", LIPS_OUTER_UPPER),
    ("lip_bottom", LIPS_OUTER_LOWER),
    ("mouth_inner_top", LIPS_INNER_UPPER),
    ("mouth_inner_bottom", LIPS_INNER_LOWER),
)
_INNER_CORNERS = (78, 308)
_INNER_IN = 0.06  # inner mouth corners lie this share of the mouth's width inside the outer ones
_LIP_UP, _LIP_DOWN = 0.10, 0.14  # lips without guide points, over the mouth's width
_CLOSED_AT = 0.45  # where closed lips meet, from upper to lower rim
_MOST_YAW_SINE = 0.75
_BEND = 2e-3  # regularisation of the spline: a point 3 % off moves its surroundings, but bends nothing
_LEAST_EYE = 0.05  # eye height over width below which an eye counts as shut, and its lids stay this far apart
_IRIS_HEIGHT, _IRIS_WIDTH = 0.42, 0.24  # iris radius over the eye's height and width, the smaller counts
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
    placed = _features(own, face)
    if rest is None:
        shape = _follow(placed, face)
    else:
        shape = _follow({**placed, **_lids_at_rest(own, rest, size, face)}, face)
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


def _features(own: Mapping[str, Array], face: Array) -> dict[int, Array]:
    """Return positions in the head's frame of lids, irises, lips, brows, nose tip and outline."""
    placed: dict[int, Array] = {}
    for side, corners, upper, lower, iris, brow in _SIDES:
        part = {name: own[f"{side}_eye_{name}"] for name in ("outer", "inner", "top", "bottom")}
        _place_eye(placed, part, corners, upper, lower, iris, face)
        if (point := own.get(f"{side}_brow")) is not None:
            middle = face[GUIDE_POINTS[f"{side}_brow"]]
            stretch = np.linalg.norm(part["outer"] - part["inner"]) / np.linalg.norm(
                face[corners[0]] - face[corners[1]]
            )
            for index in brow:
                off = face[index] - middle
                placed[index] = point + np.array([off[0] * stretch, off[1], 0.0])
                placed[index][2] = face[index, 2]
    _place_mouth(placed, own, face)
    for name in ("nose_tip", "chin", "right_cheek", "left_cheek"):
        if name in own:
            placed[GUIDE_POINTS[name]] = own[name]
    _place_outline(placed, own, face)
    return placed


def _lids_at_rest(own: Mapping[str, Array], rest: GuidePoints, size: Array, face: Array) -> dict[int, Array]:
    """Return lids and irises of this face with the eyes as open, for their width, as in another picture."""
    placed: dict[int, Array] = {}
    for side, corners, upper, lower, iris, _ in _SIDES:
        there = {
            name: np.array(rest.points[f"{side}_eye_{name}"]) * size for name in ("outer", "inner", "top", "bottom")
        }
        width = float(np.linalg.norm(there["outer"] - there["inner"]))
        opened = float(np.linalg.norm(there["top"] - there["bottom"])) / width
        sag = float(((there["top"] + there["bottom"]) / 2 - (there["outer"] + there["inner"]) / 2)[1]) / width
        outer, inner = own[f"{side}_eye_outer"], own[f"{side}_eye_inner"]
        own_width = float(np.linalg.norm((outer - inner)[:2]))
        middle = (outer + inner) / 2 + np.array([0.0, sag * own_width, 0.0])
        half = np.array([0.0, opened * own_width / 2, 0.0])
        part = {"outer": outer, "inner": inner, "top": middle - half, "bottom": middle + half}
        _place_eye(placed, part, corners, upper, lower, iris, face)
    return placed


def _place_eye(
    placed: dict[int, Array],
    part: Mapping[str, Array],
    corners: tuple[int, int],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    iris: tuple[int, ...],
    face: Array,
) -> None:
    outer, inner = part["outer"], part["inner"]
    placed[corners[0]], placed[corners[1]] = outer, inner
    along = inner - outer
    width = float(np.linalg.norm(along[:2]))
    gap = max(float(np.linalg.norm((part["top"] - part["bottom"])[:2])), _LEAST_EYE * width)
    middle = (part["top"] + part["bottom"]) / 2
    # Both lids lie about one seam, however far it sags below the corners: so they never cross.
    sag = middle - (outer + inner) / 2
    down = np.array([0.0, gap / 2, 0.0])
    for row, lid in ((upper, -down), (lower, down)):
        _place_row(placed, row, corners, (outer, inner), (outer + inner) / 2 + lid, row[3], face)
        for place, index in enumerate(row, 1):
            u = place / (len(row) + 1)
            placed[index][:2] += 4 * u * (1 - u) * sag[:2]
    radius = min(_IRIS_HEIGHT * gap, _IRIS_WIDTH * width)
    centre = (middle + (outer + inner) / 2) / 2
    own_radius = float(np.linalg.norm(face[list(iris[1:])] - face[iris[0]], axis=1).mean())
    for index in iris:
        placed[index] = np.array([*centre[:2], face[index, 2]])
        placed[index][:2] += (face[index] - face[iris[0]])[:2] * radius / own_radius


def _place_row(
    placed: dict[int, Array],
    row: tuple[int, ...],
    corners: tuple[int, int],
    ends: tuple[Array, Array],
    peak: Array,
    peak_index: int,
    face: Array,
) -> None:
    """Give a row of landmarks between two corners the canonical curve, stretched through one point."""
    base, tip = face[corners[0], :2], face[corners[1], :2]
    axis = (tip - base) / np.dot(tip - base, tip - base)

    def local(point: Array) -> tuple[float, float]:
        u = float(np.dot(point[:2] - base, axis))
        return u, float((point[:2] - base - u * (tip - base))[1])

    peak_u, peak_v = local(face[peak_index])
    along = ends[1] - ends[0]
    wanted = peak - (ends[0] + peak_u * along)
    for index in row:
        u, v = local(face[index])
        share = v / peak_v if abs(peak_v) > 1e-3 else np.sin(np.pi * np.clip(u, 0, 1))
        point = ends[0] + u * along + share * wanted
        placed[index] = np.array([*point[:2], face[index, 2]])


def _place_mouth(placed: dict[int, Array], own: Mapping[str, Array], face: Array) -> None:
    right, left = own["mouth_right"], own["mouth_left"]
    placed[MOUTH_CORNERS[0]], placed[MOUTH_CORNERS[1]] = right, left
    along, middle = left - right, (right + left) / 2
    width = float(np.linalg.norm(along[:2]))
    peaks = dict(own)
    peaks.setdefault("lip_top", (own.get("mouth_inner_top", middle)) - np.array([0.0, _LIP_UP * width, 0.0]))
    peaks.setdefault("lip_bottom", (own.get("mouth_inner_bottom", middle)) + np.array([0.0, _LIP_DOWN * width, 0.0]))
    meet = peaks["lip_top"] + _CLOSED_AT * (peaks["lip_bottom"] - peaks["lip_top"])
    peaks.setdefault("mouth_inner_top", meet)
    peaks.setdefault("mouth_inner_bottom", np.maximum(meet, peaks["mouth_inner_top"]))
    inner = (right + _INNER_IN * along, left - _INNER_IN * along)
    for index, point in zip(_INNER_CORNERS, inner, strict=True):
        placed[index] = np.array([*point[:2], face[index, 2]])
    for name, row in _LIP_ROWS:
        outer = name.startswith("lip_")
        corners = MOUTH_CORNERS if outer else _INNER_CORNERS
        ends = (right, left) if outer else inner
        _place_row(placed, row, (corners[0], corners[1]), ends, peaks[name], row[4], face)


def _place_outline(placed: dict[int, Array], own: Mapping[str, Array], face: Array) -> None:
    """Stretch the face's outline to cheeks and chin; above the eyes it keeps the head's own scale."""
    eyes_y = float(face[[*RIGHT_EYE_CORNERS, *LEFT_EYE_CORNERS], 1].mean())
    own_y = float(np.mean([own[f"{s}_eye_{p}"][1] for s in ("right", "left") for p in ("outer", "inner")]))
    chin = GUIDE_POINTS["chin"]
    below = (float(own["chin"][1]) - own_y) / (float(face[chin, 1]) - eyes_y)
    for index in FACE_OVAL:
        if index in placed:
            continue
        x, y, z = face[index]
        side = "right" if x < 0 else "left"
        outer = own[f"{side}_eye_outer"][0] / face[GUIDE_POINTS[f"{side}_eye_outer"], 0]
        cheek = own.get(f"{side}_cheek")
        wide = outer if cheek is None else cheek[0] / face[GUIDE_POINTS[f"{side}_cheek"], 0]
        lower = float(np.clip((y - eyes_y) / (face[chin, 1] - eyes_y), 0.0, 1.0))
        shift = lower * float(own["chin"][0])  # a chin beside the middle takes the jaw along
        up = own_y + (y - eyes_y) * (below if y > eyes_y else 1.0)
        placed[index] = np.array([x * max(wide, 0.3) + shift, up, z])


@functools.cache
def _kernel() -> Array:
    """Return the thin-plate kernel r² log r between all landmarks of the canonical face, (478, 478)."""
    xy = load_canonical_face().astype(np.float64)[:, :2]
    squared = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    kernel: Array = 0.5 * squared * np.log(np.maximum(squared, 1e-12))
    return kernel


def _follow(placed: Mapping[int, Array], face: Array) -> Array:
    """Return the shape of the whole face, (478, 3): placed points where they were put, the others carried along."""
    known = np.array(sorted(placed))
    target = np.stack([placed[index] for index in known])
    kernel = _kernel()
    flat = np.column_stack([np.ones(len(face)), face[:, :2]])  # (478, 3): what no bending is needed for
    count = len(known)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel[np.ix_(known, known)] + _BEND * np.eye(count)
    system[:count, count:], system[count:, :count] = flat[known], flat[known].T
    offset = np.zeros((count + 3, 2))
    offset[:count] = (target - face[known])[:, :2]
    weights = np.linalg.solve(system, offset)
    shape = face.copy()
    shape[:, :2] += kernel[:, known] @ weights[:count] + flat @ weights[count:]
    shape[known] = target
    return shape
