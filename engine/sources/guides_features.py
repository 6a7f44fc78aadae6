# SPDX-License-Identifier: Apache-2.0
"""Guide points in the head's frame → lids, irises, lips, brows and outline of the face. Pure, any thread.

Lids and lips get the canonical face's curves, stretched through their guide points: so lids meet, lips meet, and
irises lie in their eyes, however big those are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["GUIDE_POINTS", "lids_at_rest", "place_features"]

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
_LEAST_EYE = 0.05  # eye height over width below which an eye counts as shut, and its lids stay this far apart
_IRIS_HEIGHT, _IRIS_WIDTH = 0.42, 0.24  # iris radius over the eye's height and width, the smaller counts


def place_features(own: Mapping[str, Array], face: Array) -> dict[int, Array]:
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


def lids_at_rest(
    own: Mapping[str, Array], rest: Mapping[str, tuple[float, float]], size: Array, face: Array
) -> dict[int, Array]:
    """Return lids and irises of this face with the eyes as open, for their width, as in another picture."""
    placed: dict[int, Array] = {}
    for side, corners, upper, lower, iris, _ in _SIDES:
        there = {name: np.array(rest[f"{side}_eye_{name}"]) * size for name in ("outer", "inner", "top", "bottom")}
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
