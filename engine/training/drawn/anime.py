# SPDX-License-Identifier: Apache-2.0
"""Mika, an anime character: lines, cel shading and soft light, from any side and with any face."""

from __future__ import annotations

import numpy as np

from engine.training.drawn.canvas import Canvas, Point, closed, mix, open_curve
from engine.training.drawn.head import Head, Pose2D

__all__ = ["draw_anime"]

SKIN, SKIN_SHADE, SKIN_LINE = "#fde6d8", "#f3bfa9", "#9c5a4c"
HAIR, HAIR_DARK, HAIR_LIGHT, HAIR_LINE = "#5f7fd0", "#35488f", "#a9c6ff", "#222c5e"
TIPS = "#4fd1c8"
LASH, IRIS_TOP, IRIS_LOW, IRIS_GLOW = "#2a1d2e", "#6b2a12", "#f0902c", "#ffd978"
MOUTH_LINE, MOUTH_DARK, TONGUE, TEETH = "#8c3d3b", "#7c2730", "#ee8a86", "#fffaf5"
JACKET, JACKET_SHADE, JACKET_LINE, TRIM = "#2f3358", "#20233f", "#14162b", "#ff9d4d"
SHIRT, SHIRT_SHADE = "#f7f4ff", "#cfcbe6"

_EYE = (0.50, 0.10)  # middle of the left eye
_EYE_WH = (0.29, 0.27)  # half width and half height
_MOUTH_Y = 0.80


def draw_anime(pose: Pose2D, *, side_px: int) -> tuple[Canvas, Canvas, dict[str, Point]]:
    """Draw one picture.

    Returns:
        the person alone, the background, and the guide points in pixels.
    """
    head = Head(pose, scale_px=side_px * 0.236, centre_px=(side_px * 0.5, side_px * 0.45))
    person, behind = Canvas(side_px), Canvas(side_px)
    _background(behind, side_px)
    _back_hair(person, head)
    _body(person, head, side_px)
    _neck(person, head)
    _face(person, head)
    guides = _mouth(person, head, pose)
    for side in (-1, 1):
        guides.update(_eye(person, head, pose, side))
    _nose(person, head)
    _bangs(person, head)
    for side in (-1, 1):
        guides.update(_brow(person, head, pose, side))
    guides["nose_tip"] = head.at(0.0, 0.50, -0.08)
    guides["chin"] = head.at(*_contour(pose)[6])
    guides["right_cheek"], guides["left_cheek"] = head.at(-1.0, 0.1, 0.8), head.at(1.0, 0.1, 0.8)
    return person, behind, guides


def _background(canvas: Canvas, side: int) -> None:
    whole = closed([(-9, -9), (side + 9, -9), (side + 9, side + 9), (-9, side + 9)], sharp=range(4))
    canvas.fade(whole, (0, 0), (side * 0.3, side), ["#ffd9c0", "#ffb3a8", "#b58fd6"])
    for x, y, radius, alpha in (
        (0.12, 0.2, 0.2, 0.5), (0.86, 0.14, 0.26, 0.45), (0.93, 0.6, 0.16, 0.4), (0.07, 0.66, 0.22, 0.35), (0.5, 0.02, 0.2, 0.3)
    ):  # fmt: skip
        canvas.glow((x * side, y * side), radius * side, "#fff6e6", alpha=alpha)


def _contour(pose: Pose2D) -> list[tuple[float, float, float]]:
    drop = 0.10 * pose.mouth_open
    half = [(-1.0, -0.35, 0.95), (-1.02, 0.12, 0.85), (-0.93, 0.52, 0.68), (-0.70, 0.84 + drop / 3, 0.46), (-0.40, 1.08 + drop * 0.8, 0.24), (-0.15, 1.22 + drop, 0.1)]  # fmt: skip
    chin = [(0.0, 1.26 + drop, 0.06)]
    return [*half, *chin, *[(-x, y, z) for x, y, z in half[::-1]]]


def _face(canvas: Canvas, head: Head) -> None:
    top = [(0.95, -0.9, 0.7), (0.0, -1.3, 0.4), (-0.95, -0.9, 0.7)]
    outline = closed([head.at(*p) for p in [*_contour(head.pose), *top]])
    for side in (-1, 1):  # ears
        ear = [
            (side * 0.99, 0.0, 1.0),
            (side * 1.14, -0.02, 1.05),
            (side * 1.13, 0.24, 1.05),
            (side * 0.98, 0.36, 0.95),
        ]
        path = closed([head.at(*p) for p in ear])
        canvas.fill(path, mix(SKIN, SKIN_SHADE, 0.45))
        canvas.line(path, SKIN_LINE, 1.3)
    canvas.fill(outline, SKIN)
    with canvas.inside(outline):
        # Under the fringe, and on the side away from the light.
        shade = [
            (-1.1, -1.0),
            (-1.1, -0.12),
            (-0.6, -0.3),
            (-0.1, -0.16),
            (0.3, -0.3),
            (0.7, -0.2),
            (1.1, -0.1),
            (1.1, -1.0),
        ]
        canvas.fill(closed([head.at(x, y) for x, y in shade]), SKIN_SHADE, alpha=0.75, blur_px=2)
        side = [
            (1.2, -0.2, 0.95),
            (0.93, 0.3, 0.75),
            (0.72, 0.7, 0.5),
            (0.3, 1.12, 0.2),
            (0.1, 1.3, 0.1),
            (1.2, 1.4, 0.6),
        ]
        canvas.fill(closed([head.at(*p) for p in side]), SKIN_SHADE, alpha=0.5, blur_px=4)
        for x in (-0.66, 0.66):
            canvas.glow(head.at(x, 0.5), 0.26 * head.scale_px, "#ff8f86", alpha=0.5)
            for i in range(3):
                foot, tip = head.at(x - 0.1 + 0.09 * i, 0.53), head.at(x - 0.05 + 0.09 * i, 0.44)
                canvas.line(open_curve([foot, tip]), "#ee7d78", 1.2, alpha=0.55)
    canvas.brush([head.at(*p) for p in _contour(head.pose)[1:-1]], SKIN_LINE, 2.2, thin=(0.4, 0.4))


def _nose(canvas: Canvas, head: Head) -> None:
    canvas.brush(
        [head.at(0.01, 0.44, -0.06), head.at(0.05, 0.50, -0.08), head.at(0.0, 0.535, -0.03)],
        SKIN_LINE,
        1.9,
        thin=(0.1, 0.2),
    )
    canvas.glow(head.at(-0.03, 0.45, -0.07), 3.5, "#ffffff", alpha=0.9)


def _mouth(canvas: Canvas, head: Head, pose: Pose2D) -> dict[str, Point]:
    wide = 0.21 + 0.10 * pose.smile - 0.01 * pose.mouth_open
    up = 0.035 + 0.055 * pose.smile  # how far corners lie above the middle
    opened = 0.29 * pose.mouth_open + 0.16 * pose.smile
    corner_y = _MOUTH_Y - up * 0.5
    right, left = (-wide, corner_y), (wide, corner_y)
    top_y, bottom_y = _MOUTH_Y + 0.01 - 0.01 * pose.mouth_open, _MOUTH_Y + 0.012 + opened
    upper = [
        right,
        (-wide * 0.5, (corner_y + 2 * top_y) / 3),
        (0.0, top_y),
        (wide * 0.5, (corner_y + 2 * top_y) / 3),
        left,
    ]
    if opened > 0.02:
        lower = [
            (wide * 0.74, corner_y + 0.62 * (bottom_y - corner_y)),
            (0.0, bottom_y),
            (-wide * 0.74, corner_y + 0.62 * (bottom_y - corner_y)),
        ]
        cave = closed([head.at(x, y, _front(head, x, y)) for x, y in [*upper, *lower]], sharp=(0, 4))
        canvas.fill(cave, MOUTH_DARK)
        with canvas.inside(cave):
            tongue = [
                (-wide * 0.7, bottom_y + 0.05),
                (-wide * 0.45, bottom_y - 0.42 * opened),
                (wide * 0.45, bottom_y - 0.42 * opened),
                (wide * 0.7, bottom_y + 0.05),
            ]
            canvas.fill(closed([head.at(x, y, _front(head, x, y)) for x, y in tongue]), TONGUE)
            teeth = [
                (-wide, corner_y - 0.1),
                (wide, corner_y - 0.1),
                (wide * 0.8, top_y + 0.055),
                (0.0, top_y + 0.075),
                (-wide * 0.8, top_y + 0.055),
            ]
            canvas.fill(closed([head.at(x, y, _front(head, x, y)) for x, y in teeth]), TEETH)
        canvas.line(cave, MOUTH_LINE, 1.8)
    canvas.brush([head.at(x, y, _front(head, x, y)) for x, y in upper], MOUTH_LINE, 2.6, thin=(0.35, 0.35))
    shade_y = bottom_y + 0.10
    if opened < 0.02:
        canvas.brush([head.at(-0.09, shade_y), head.at(0.0, shade_y + 0.015), head.at(0.09, shade_y)], SKIN_SHADE, 3.0)

    def at(x: float, y: float) -> Point:
        return head.at(x, y, _front(head, x, y))

    return {
        "mouth_right": at(*right),
        "mouth_left": at(*left),
        "lip_top": at(0.0, top_y - 0.025),
        "mouth_inner_top": at(0.0, top_y),
        "mouth_inner_bottom": at(0.0, bottom_y if opened > 0.02 else top_y),
        "lip_bottom": at(0.0, (bottom_y if opened > 0.02 else top_y) + 0.03),
    }


def _front(head: Head, x: float, y: float) -> float:
    return head.surface(x, min(y, 0.85)) - 0.02


def _eye(canvas: Canvas, head: Head, pose: Pose2D, side: int) -> dict[str, Point]:
    cx, cy = side * _EYE[0], _EYE[1]
    w, h = _EYE_WH
    shut = pose.eyes_closed
    droop = 0.28 * pose.smile * (1 - shut)  # lower lids rise with a smile

    def at(u: float, v: float) -> Point:
        return head.at(cx + side * u * w, cy + v * h)

    # u runs from the nose (-1) to the temple (+1).
    upper_open = [(-0.95, 0.02), (-0.72, -0.66), (-0.2, -1.0), (0.35, -0.95), (0.80, -0.50), (1.04, 0.06)]
    lower_open = [(0.78, 0.62), (0.30, 0.98), (-0.28, 1.0), (-0.76, 0.62)]
    # Where a live blink meets too (`engine.track.eyes`): the shut picture then fits it without being moved.
    closed_line = [(-0.95, 0.08), (-0.6, 0.32), (-0.15, 0.42), (0.35, 0.41), (0.78, 0.26), (1.06, 0.04)]
    upper = [
        (u0 + (u1 - u0) * shut, v0 + (v1 - v0) * shut)
        for (u0, v0), (u1, v1) in zip(upper_open, closed_line, strict=True)
    ]
    lower = [(u, v - droop * (v > 0)) for u, v in lower_open]
    if shut < 0.9:
        white = closed([at(*p) for p in [*upper, *lower]], sharp=(0, 5))
        canvas.fill(white, "#ffffff")
        with canvas.inside(white):
            _iris(canvas, at, h * head.scale_px)
            lid = [*upper, (1.1, -0.1), (0.8, -0.12), (0.3, -0.52), (-0.2, -0.58), (-0.7, -0.26)]
            canvas.fill(closed([at(*p) for p in lid], sharp=(0, 5)), "#6a5a86", alpha=0.38, blur_px=1.5)
        canvas.brush([at(*p) for p in lower[:3]], LASH, 1.8, thin=(0.5, 0.0))
        canvas.brush([at(u, v - 0.26) for u, v in upper_open[1:5]], SKIN_LINE, 1.4, alpha=0.7)
    canvas.brush([at(*p) for p in upper], LASH, 7.5 - 2.5 * shut, thin=(0.25, 0.55))
    tip = upper[-1]
    for du, dv, start in ((0.24, -0.20, 0.0), (0.15, -0.24, -0.14)):
        root = (tip[0] + start, tip[1] - 0.02 + start * 0.9)
        flick = -1.0 if shut > 0.5 else 1.0
        canvas.brush(
            [at(*root), at(root[0] + du * 0.55, root[1] + flick * dv * 0.35), at(root[0] + du, root[1] + flick * dv)],
            LASH,
            4.0,
            thin=(0.9, 0.0),
        )
    name = "left" if side > 0 else "right"
    if shut > 0.5:  # the lids' meeting line, with the little gap that the warp wants
        line = [at(u, v) for u, v in closed_line]
        top, bottom = at(0.08, 0.38), at(0.08, 0.44)
        inner, outer = line[0], line[-1]
    else:
        top, bottom = at(0.05, -0.98), at(0.0, 1.0 - droop)
        inner, outer = at(-0.95, 0.08), at(1.02, 0.08)
    return {
        f"{name}_eye_outer": outer, f"{name}_eye_inner": inner, f"{name}_eye_top": top, f"{name}_eye_bottom": bottom
    }  # fmt: skip


def _iris(canvas: Canvas, at: object, h_px: float) -> None:
    place = at  # type: ignore[assignment]

    def ring(u: float, v: float, ru: float, rv: float, n: int = 24) -> list[Point]:
        angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
        return [place(u + ru * np.cos(a), v + rv * np.sin(a)) for a in angles]  # type: ignore[operator]

    iris = closed(ring(-0.04, 0.02, 0.62, 0.94))
    top, low = place(0, -0.9), place(0, 0.95)  # type: ignore[operator]
    canvas.fade(
        iris, top, low, [IRIS_TOP, mix(IRIS_TOP, IRIS_LOW, 0.5), IRIS_LOW, IRIS_GLOW], stops=[0.0, 0.38, 0.72, 1.0]
    )
    with canvas.inside(iris):
        canvas.fill(closed(ring(-0.04, -0.02, 0.30, 0.46)), "#2b0f10")
        canvas.glow(place(-0.04, 0.62), 0.62 * h_px, IRIS_GLOW, alpha=0.85)  # type: ignore[operator]
        canvas.fill(closed(ring(-0.04, -0.72, 0.72, 0.5)), "#3a1320", alpha=0.55, blur_px=2)
    canvas.line(iris, "#3a1512", 2.0)
    canvas.fill(closed(ring(-0.26, -0.36, 0.17, 0.24)), "#ffffff")
    canvas.fill(closed(ring(0.20, 0.42, 0.09, 0.13)), "#ffffff", alpha=0.9)
    canvas.fill(closed(ring(-0.30, 0.10, 0.06, 0.08)), "#ffffff", alpha=0.7)


def _brow(canvas: Canvas, head: Head, pose: Pose2D, side: int) -> dict[str, Point]:
    lift = 0.05 * pose.smile + 0.03 * pose.mouth_open

    def at(x: float, y: float) -> Point:
        return head.at(side * x, y - lift, head.surface(x, y) - 0.05)

    canvas.brush([at(0.26, -0.36), at(0.50, -0.45), at(0.78, -0.37)], HAIR_LINE, 3.4, thin=(0.5, 0.1), alpha=0.85)
    return {f"{'left' if side > 0 else 'right'}_brow": at(0.56, -0.45)}


def _neck(canvas: Canvas, head: Head) -> None:
    side = head.scale_px
    x, y = head.centre_px
    top = head.at(0.0, 0.95, 0.9)
    neck = [
        (top[0] - 0.36 * side, top[1]),
        (x - 0.34 * side, y + 1.55 * side),
        (x - 0.62 * side, y + 1.86 * side),
        (x, y + 2.15 * side),
        (x + 0.62 * side, y + 1.86 * side),
        (x + 0.34 * side, y + 1.55 * side),
        (top[0] + 0.36 * side, top[1]),
    ]
    path = closed(neck, sharp=(0, 6))
    canvas.fill(path, SKIN)
    chin = head.at(0.0, 1.22, 0.1)
    with canvas.inside(path):
        shade = [
            (chin[0] - side, chin[1] - side),
            (chin[0] + side, chin[1] - side),
            (chin[0] + 0.7 * side, chin[1] + 0.1 * side),
            (chin[0] + 0.05 * side, chin[1] + 0.42 * side),
            (chin[0] - 0.6 * side, chin[1] + 0.12 * side),
        ]
        canvas.fill(closed(shade), SKIN_SHADE, alpha=0.95)
    canvas.brush(neck[:3], SKIN_LINE, 2.0, thin=(0.3, 0.3))
    canvas.brush(neck[4:], SKIN_LINE, 2.0, thin=(0.3, 0.3))


def _body(canvas: Canvas, head: Head, side_px: int) -> None:
    s = head.scale_px
    x, y = head.centre_px

    def at(u: float, v: float) -> Point:
        return (x + u * s, y + v * s)

    shoulders = [
        at(-0.5, 1.62),
        at(-1.1, 1.86),
        at(-1.72, 2.05),
        at(-2.05, 2.5),
        at(-2.2, 3.0),
        at(2.2, 3.0),
        at(2.05, 2.5),
        at(1.72, 2.05),
        at(1.1, 1.86),
        at(0.5, 1.62),
    ]
    jacket = closed(shoulders, sharp=(0, 4, 5, 9))
    canvas.fill(jacket, JACKET)
    with canvas.inside(jacket):
        canvas.fade(jacket, at(-1.5, 1.8), at(1.8, 2.6), [mix(JACKET, "#8088c8", 0.35), JACKET, JACKET_SHADE])
        for sign in (-1, 1):
            canvas.line(
                open_curve([at(sign * 1.02, 1.84), at(sign * 1.16, 2.2), at(sign * 1.2, 3.0)]),
                JACKET_LINE,
                2.0,
                alpha=0.7,
            )
            canvas.line(open_curve([at(sign * 1.34, 1.86), at(sign * 1.62, 2.2), at(sign * 1.70, 3.0)]), TRIM, 5.0)
    shirt = closed([at(-0.52, 1.70), at(-0.42, 2.05), at(0.0, 2.75), at(0.42, 2.05), at(0.52, 1.70)], sharp=(0, 2, 4))
    canvas.fill(shirt, SHIRT)
    with canvas.inside(shirt):
        canvas.fill(
            closed([at(0.05, 1.6), at(0.1, 2.75), at(0.7, 2.4), at(0.7, 1.6)]), SHIRT_SHADE, alpha=0.7, blur_px=3
        )
    for sign in (-1, 1):  # collar
        collar = closed(
            [
                at(sign * 0.42, 1.60),
                at(sign * 0.92, 1.80),
                at(sign * 0.66, 2.28),
                at(sign * 0.04, 2.78),
                at(sign * 0.30, 2.14),
            ],
            sharp=(0, 1, 2, 3),
        )
        canvas.fill(collar, mix(JACKET, "#8088c8", 0.22 if sign < 0 else 0.08))
        canvas.line(collar, JACKET_LINE, 2.0)
        canvas.line(
            open_curve([at(sign * 0.86, 1.84), at(sign * 0.62, 2.24), at(sign * 0.08, 2.70)]), TRIM, 2.4, alpha=0.9
        )
    canvas.line(jacket, JACKET_LINE, 2.4)


def _back_hair(canvas: Canvas, head: Head) -> None:
    points = [(-0.0, -1.72, 0.9), (-0.72, -1.58, 0.95), (-1.22, -1.02, 1.05), (-1.42, -0.2, 1.1), (-1.46, 0.6, 1.1), (-1.62, 1.3, 1.1), (-1.30, 1.62, 1.1), (-1.06, 1.42, 1.1), (-0.78, 1.72, 1.1), (-0.42, 1.5, 1.1), (0.0, 1.62, 1.1)]  # fmt: skip
    outline = [head.at(*p) for p in [*points, *[(-x, y, z) for x, y, z in points[-2:0:-1]]]]
    sharp = (5, 6, 8, 12, 14, 15)
    path = closed(outline, sharp=sharp)
    canvas.fade(
        path, head.at(0, -1.6, 1), head.at(0, 1.7, 1), [HAIR, HAIR_DARK, HAIR_DARK, TIPS], stops=[0.0, 0.35, 0.72, 1.0]
    )
    with canvas.inside(path):
        for x in (-1.22, -1.05, 1.05, 1.22):
            canvas.brush(
                [head.at(x * 0.9, -0.4, 1.05), head.at(x, 0.4, 1.05), head.at(x * 1.06, 1.35, 1.05)],
                HAIR_LINE,
                2.2,
                alpha=0.6,
            )
    canvas.line(path, HAIR_LINE, 2.4)


_LOCKS = (
    # root left, root right, tip; on the front of the head
    ((-1.16, -0.62), (-0.72, -1.0), (-1.10, 0.42)),
    ((-0.98, -0.84), (-0.40, -1.02), (-0.66, -0.08)),
    ((-0.62, -0.98), (-0.04, -1.04), (-0.26, -0.04)),
    ((-0.24, -1.02), (0.34, -1.02), (0.06, -0.10)),
    ((0.08, -1.02), (0.68, -0.96), (0.40, -0.06)),
    ((0.46, -0.98), (1.0, -0.80), (0.76, -0.07)),
    ((0.74, -0.98), (1.17, -0.58), (1.12, 0.44)),
)


def _bangs(canvas: Canvas, head: Head) -> None:
    def at(x: float, y: float, lift: float = 0.10) -> Point:
        return head.at(x, y, head.surface(x * 0.9, y * 0.9) - lift)

    for side in (-1, 1):  # long locks before the ears
        lock = [
            (side * 0.92, -0.7, 0.55),
            (side * 1.19, -0.5, 0.75),
            (side * 1.26, 0.3, 0.8),
            (side * 1.22, 1.0, 0.8),
            (side * 1.02, 1.46, 0.75),
            (side * 1.02, 0.9, 0.7),
            (side * 0.97, 0.2, 0.6),
        ]
        path = closed([head.at(*p) for p in lock], sharp=(4,))
        canvas.fade(
            path,
            head.at(side, -0.7, 0.6),
            head.at(side, 1.46, 0.75),
            [HAIR, HAIR, mix(HAIR, TIPS, 0.5), TIPS],
            stops=[0.0, 0.5, 0.75, 1.0],
        )
        with canvas.inside(path):
            canvas.brush(
                [head.at(side * 1.1, -0.3, 0.7), head.at(side * 1.13, 0.5, 0.75), head.at(side * 1.05, 1.2, 0.75)],
                HAIR_DARK,
                3.0,
                alpha=0.6,
            )
        canvas.line(path, HAIR_LINE, 2.0)
    cap = [(-1.20, -0.40, 0.8), (-1.24, -0.95, 1.0), (-0.74, -1.55, 0.95), (0.0, -1.69, 0.9), (0.74, -1.55, 0.95), (1.24, -0.95, 1.0), (1.20, -0.40, 0.8), (0.9, -0.72, 0.3), (0.5, -0.68, 0.0), (0.0, -0.74, -0.05), (-0.5, -0.68, 0.0), (-0.9, -0.72, 0.3)]  # fmt: skip
    cap_path = closed([head.at(*p) for p in cap], sharp=(0, 6))
    canvas.fade(cap_path, head.at(0, -1.7, 0.5), head.at(0, -0.5, 0), [mix(HAIR, HAIR_LIGHT, 0.12), HAIR, HAIR])
    parting = [(0.02, -1.62, 0.75), (-0.03, -1.4, 0.4), (0.03, -1.18, 0.1)]
    canvas.brush([head.at(*p) for p in parting], HAIR_DARK, 2.6, thin=(0.2, 0.0), alpha=0.7)
    for left, right, tip in _LOCKS:
        middle = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
        bow = 0.10 if tip[0] < middle[0] else -0.10
        points = [
            at(*left), at((left[0] + tip[0]) / 2 - 0.05 + bow * 0.3, (left[1] * 0.45 + tip[1] * 0.55)), at(*tip),
            at((right[0] * 0.9 + tip[0] * 1.1) / 2 + 0.06, (right[1] * 0.45 + tip[1] * 0.55)), at(*right), at(middle[0], -1.2),
        ]  # fmt: skip
        path = closed(points, sharp=(0, 2, 4))
        canvas.fade(
            path, at(middle[0], -1.0), at(*tip), [HAIR, HAIR, mix(HAIR, HAIR_DARK, 0.55)], stops=[0.0, 0.45, 1.0]
        )
        with canvas.inside(path):
            canvas.brush(
                [
                    at(middle[0] + 0.1, -0.8),
                    at((middle[0] + tip[0]) / 2 + 0.08, -0.45),
                    at(tip[0] + 0.02, tip[1] - 0.1),
                ],
                HAIR_DARK,
                2.4,
                alpha=0.55,
            )
        canvas.brush(points[:3], HAIR_LINE, 2.2, thin=(0.0, 0.5))
        canvas.brush(points[2:5], HAIR_LINE, 2.2, thin=(0.5, 0.0))
    # The ring of light on the crown: a band with a ragged lower edge.
    upper = [(-0.98, -0.86), (-0.60, -1.06), (-0.2, -1.16), (0.2, -1.16), (0.60, -1.06), (0.98, -0.86)]
    ragged = [(0.82, -0.86), (0.70, -0.97), (0.52, -0.88), (0.40, -1.02), (0.22, -0.94), (0.08, -1.06), (-0.08, -0.96), (-0.24, -1.06), (-0.42, -0.92), (-0.56, -1.0), (-0.72, -0.86), (-0.84, -0.92)]  # fmt: skip
    band = closed([at(x, y, 0.22) for x, y in [*upper, *ragged]], sharp=(0, 5, *range(6, 18)))
    canvas.fade(
        band, at(0, -1.2, 0.2), at(0, -0.85, 0.2), [HAIR_LIGHT, mix(HAIR, HAIR_LIGHT, 0.4)], alpha=0.85, blur_px=0.8
    )
    for dy in (0.0, 0.12):  # a clip
        canvas.line(open_curve([at(0.66, -0.66 + dy, 0.2), at(0.98, -0.52 + dy, 0.2)]), TRIM, 6.0)
        canvas.line(open_curve([at(0.68, -0.67 + dy, 0.2), at(0.96, -0.55 + dy, 0.2)]), "#ffe0bd", 1.6, alpha=0.9)
