# SPDX-License-Identifier: Apache-2.0
"""Bolt, a robot: enamelled metal, round lamps for eyes with shutters, a jaw on hinges."""

from __future__ import annotations

import numpy as np

from engine.training.drawn.canvas import Canvas, Point, closed, mix, open_curve
from engine.training.drawn.head import Head, Pose2D

__all__ = ["draw_robot"]

SHELL, SHELL_LIGHT, SHELL_DARK, LINE = "#f2a541", "#ffd089", "#b96b1e", "#4a2a14"
STEEL, STEEL_LIGHT, STEEL_DARK = "#8b97a6", "#d5dde6", "#4b5563"
FACE, FACE_LIGHT, FACE_DARK = "#e9edf2", "#ffffff", "#a9b4c2"
LAMP_RIM, LAMP_DEEP, LAMP, LAMP_GLOW = "#2b3442", "#0d2b3a", "#35d6e8", "#b9fbff"
MOUTH, BULB = "#1d2530", "#ff5a4f"

_EYE, _EYE_R = (0.50, 0.02), 0.31


def draw_robot(pose: Pose2D, *, side_px: int) -> tuple[Canvas, Canvas, dict[str, Point]]:
    """Draw one picture.

    Returns:
        the robot alone, the background, and the guide points in pixels.
    """
    head = Head(pose, scale_px=side_px * 0.232, centre_px=(side_px * 0.5, side_px * 0.43), radii=(1.5, 2.1), depth=0.85)
    robot, behind = Canvas(side_px), Canvas(side_px)
    _background(behind, side_px)
    _body(robot, head)
    _antenna(robot, head)
    _ears(robot, head)
    _skull(robot, head)
    guides = _jaw(robot, head, pose)
    for side in (-1, 1):
        guides.update(_eye(robot, head, pose, side))
        guides.update(_brow(robot, head, pose, side))
    _nose(robot, head)
    guides["nose_tip"] = head.at(0.0, 0.46, -0.12)
    guides["right_cheek"], guides["left_cheek"] = head.at(-1.08, 0.1, 0.75), head.at(1.08, 0.1, 0.75)
    return robot, behind, guides


def _background(canvas: Canvas, side: int) -> None:
    whole = closed([(-9, -9), (side + 9, -9), (side + 9, side + 9), (-9, side + 9)], sharp=range(4))
    canvas.fade(whole, (0, 0), (side, side), ["#233a4d", "#2f5d6e", "#5d8f8a"])
    for i in range(9):
        x = (i + 0.5) * side / 9
        canvas.line(open_curve([(x, -5), (x, side + 5)]), "#ffffff", 1.0, alpha=0.06)
        canvas.line(open_curve([(-5, x), (side + 5, x)]), "#ffffff", 1.0, alpha=0.06)
    canvas.glow((0.2 * side, 0.2 * side), 0.55 * side, "#c6fff0", alpha=0.28)
    canvas.glow((0.95 * side, 0.75 * side), 0.4 * side, "#ffc37a", alpha=0.25)


def _ring(head: Head, x: float, y: float, rx: float, ry: float, z: float | None = None, n: int = 28) -> list[Point]:
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return [head.at(x + rx * np.cos(a), y + ry * np.sin(a), z) for a in angles]


def _body(canvas: Canvas, head: Head) -> None:
    s, (x, y) = head.scale_px, head.centre_px

    def at(u: float, v: float) -> Point:
        return (x + u * s, y + v * s)

    for i in range(6):  # a neck of rings
        wide, v = 0.38 + 0.025 * i, 1.12 + 0.13 * i
        ring = closed(
            [at(-wide, v), at(wide, v), at(wide + 0.03, v + 0.13), at(-wide - 0.03, v + 0.13)], sharp=range(4)
        )
        canvas.fade(
            ring, at(-wide, v), at(wide, v), [STEEL_DARK, STEEL_LIGHT, STEEL, STEEL_DARK], stops=[0, 0.35, 0.6, 1]
        )
        canvas.line(ring, LINE, 1.6)
    chest = [
        at(-0.62, 1.84),
        at(-1.35, 1.98),
        at(-1.86, 2.25),
        at(-2.06, 2.7),
        at(-2.2, 3.2),
        at(2.2, 3.2),
        at(2.06, 2.7),
        at(1.86, 2.25),
        at(1.35, 1.98),
        at(0.62, 1.84),
    ]
    path = closed(chest, sharp=(0, 4, 5, 9))
    canvas.fade(path, at(-1.6, 1.8), at(1.7, 3.0), [SHELL_LIGHT, SHELL, SHELL_DARK])
    with canvas.inside(path):
        for sign in (-1, 1):
            canvas.line(open_curve([at(sign * 1.2, 1.9), at(sign * 1.3, 2.4), at(sign * 1.28, 3.2)]), LINE, 2.2)
            canvas.line(
                open_curve([at(sign * 1.2 - 0.02, 1.9), at(sign * 1.3 - 0.02, 2.4), at(sign * 1.28 - 0.02, 3.2)]),
                SHELL_LIGHT,
                1.4,
                alpha=0.8,
            )
            for v in (2.1, 2.42):
                canvas.fill(
                    closed([(px + sign * 1.62 * s + x, py + v * s + y) for px, py in _dot(0.05 * s)]), SHELL_DARK
                )
        plate = closed([at(-0.55, 2.1), at(0.55, 2.1), at(0.5, 2.6), at(-0.5, 2.6)], sharp=range(4))
        canvas.fade(plate, at(0, 2.1), at(0, 2.6), [STEEL_LIGHT, STEEL])
        canvas.line(plate, LINE, 2.0)
        for i, colour in enumerate((BULB, "#ffd34d", "#59e08a")):
            spot = at(-0.3 + 0.3 * i, 2.3)
            canvas.glow(spot, 0.16 * s, colour, alpha=0.7)
            canvas.fill(closed([(px + spot[0], py + spot[1]) for px, py in _dot(0.06 * s)]), colour)
    canvas.line(path, LINE, 2.6)


def _dot(radius: float) -> list[Point]:
    return [(radius * np.cos(a), radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)]


def _antenna(canvas: Canvas, head: Head) -> None:
    foot, tip = head.at(0.0, -1.22, 0.85), head.at(0.0, -1.55, 0.85)
    canvas.line(open_curve([foot, tip]), LINE, 8.0)
    canvas.line(open_curve([foot, tip]), STEEL, 4.6)
    canvas.glow(tip, 0.19 * head.scale_px, BULB, alpha=0.5)
    ball = closed([(x + tip[0], y + tip[1]) for x, y in _dot(0.115 * head.scale_px)])
    canvas.fade(ball, (tip[0] - 8, tip[1] - 10), (tip[0] + 8, tip[1] + 12), ["#ffb0a6", BULB, "#b3261f"])
    canvas.line(ball, LINE, 2.2)


def _ears(canvas: Canvas, head: Head) -> None:
    for side in (-1, 1):
        for reach, tall, colour in ((1.40, 0.30, STEEL), (1.27, 0.42, SHELL)):
            cup = [
                (side * 1.1, 0.1 - tall, 0.8),
                (side * reach, 0.1 - tall * 0.8, 0.9),
                (side * reach, 0.1 + tall * 0.8, 0.9),
                (side * 1.1, 0.1 + tall, 0.8),
            ]
            path = closed([head.at(*p) for p in cup], sharp=(0, 3))
            canvas.fade(
                path,
                head.at(side, 0.1 - tall, 0.8),
                head.at(side, 0.1 + tall, 0.8),
                [mix(colour, "#ffffff", 0.45), colour, mix(colour, "#000000", 0.35)],
            )
            canvas.line(path, LINE, 2.4)


def _skull(canvas: Canvas, head: Head) -> None:
    outline = [(-1.16, 0.0, 0.8), (-1.15, -0.62, 0.8), (-0.92, -1.10, 0.75), (-0.40, -1.30, 0.7), (0.40, -1.30, 0.7), (0.92, -1.10, 0.75), (1.15, -0.62, 0.8), (1.16, 0.0, 0.8), (1.12, 0.55, 0.75), (0.96, 0.90, 0.65), (0.5, 1.02, 0.5), (-0.5, 1.02, 0.5), (-0.96, 0.90, 0.65), (-1.12, 0.55, 0.75)]  # fmt: skip
    path = closed([head.at(*p) for p in outline])
    canvas.fade(
        path,
        head.at(-0.9, -1.2, 0.5),
        head.at(1.0, 1.0, 0.6),
        [SHELL_LIGHT, SHELL, SHELL, SHELL_DARK],
        stops=[0, 0.3, 0.65, 1],
    )
    with canvas.inside(path):
        canvas.fill(closed(_ring(head, -0.45, -0.98, 0.42, 0.13, 0.3)), "#ffffff", alpha=0.45, blur_px=3)
        for x in (-0.16, 0.16):  # a stripe over the crown
            canvas.line(
                open_curve([head.at(x, -1.32, 0.7), head.at(x, -0.95, 0.25), head.at(x, -0.58, 0.0)]), LINE, 1.8
            )
        stripe = [(-0.16, -1.32, 0.7), (-0.16, -0.58, 0.0), (0.16, -0.58, 0.0), (0.16, -1.32, 0.7)]
        canvas.fill(closed([head.at(*p) for p in stripe], sharp=range(4)), FACE, alpha=0.9)
    canvas.line(path, LINE, 2.8)
    mask = [
        (-0.98, 0.05),
        (-0.96, -0.34),
        (-0.72, -0.56),
        (0.72, -0.56),
        (0.96, -0.34),
        (0.98, 0.05),
        (0.90, 0.50),
        (0.62, 0.66),
        (-0.62, 0.66),
        (-0.90, 0.50),
    ]
    plate = closed([head.at(*p) for p in mask])
    canvas.fade(plate, head.at(-0.8, -0.5), head.at(0.8, 0.7), [FACE_LIGHT, FACE, FACE_DARK])
    canvas.line(plate, LINE, 2.4)
    for x, y in ((-0.84, -0.36), (0.84, -0.36), (-0.82, 0.48), (0.82, 0.48)):
        canvas.fill(closed(_ring(head, x, y, 0.045, 0.045)), STEEL_DARK)
        canvas.line(open_curve([head.at(x - 0.03, y), head.at(x + 0.03, y)]), FACE_LIGHT, 1.2)


def _eye(canvas: Canvas, head: Head, pose: Pose2D, side: int) -> dict[str, Point]:
    x, y = side * _EYE[0], _EYE[1]
    r = _EYE_R
    rim = closed(_ring(head, x, y, r * 1.22, r * 1.22))
    canvas.fade(rim, head.at(x - r, y - r), head.at(x + r, y + r), [STEEL_LIGHT, STEEL, STEEL_DARK])
    canvas.line(rim, LINE, 2.2)
    glass = closed(_ring(head, x, y, r, r))
    canvas.fill(glass, LAMP_DEEP)
    shut, squint = pose.eyes_closed, 0.30 * pose.smile
    with canvas.inside(glass):
        canvas.glow(head.at(x, y), r * 1.15 * head.scale_px, LAMP, alpha=0.95)
        canvas.fill(closed(_ring(head, x, y, r * 0.62, r * 0.62)), LAMP)
        canvas.fill(closed(_ring(head, x, y, r * 0.40, r * 0.40)), LAMP_GLOW)
        canvas.fill(closed(_ring(head, x, y, r * 0.17, r * 0.17)), LAMP_DEEP)
        canvas.fill(closed(_ring(head, x - r * 0.38, y - r * 0.42, r * 0.16, r * 0.13)), "#ffffff", alpha=0.95)
        upper, lower = y - r + (1.37 * r) * shut, y + r - (0.57 * r) * shut - 2 * r * squint * 0.5 * (1 - shut)
        if shut > 0:
            _shutter(canvas, head, x, y - r * 1.3, upper, r)
        if shut > 0 or squint > 0:
            _shutter(canvas, head, x, y + r * 1.3, lower, r)
    canvas.line(glass, LAMP_RIM, 2.6)
    name = "left" if side > 0 else "right"
    gap = (upper, lower) if shut < 0.5 else (y + 0.37 * r, y + 0.43 * r)
    return {
        f"{name}_eye_outer": head.at(x + side * r, y),
        f"{name}_eye_inner": head.at(x - side * r, y),
        f"{name}_eye_top": head.at(x, gap[0]),
        f"{name}_eye_bottom": head.at(x, gap[1]),
    }


def _shutter(canvas: Canvas, head: Head, x: float, start: float, end: float, r: float) -> None:
    """Draw a lid of enamelled metal from outside the lamp to where it ends."""
    bow = 0.10 * r if start < end else -0.10 * r
    edge = [head.at(x - 1.2 * r, end - bow), head.at(x, end + bow), head.at(x + 1.2 * r, end - bow)]
    lid = closed([head.at(x - 1.2 * r, start), *edge, head.at(x + 1.2 * r, start)], sharp=(0, 1, 3, 4))
    canvas.fade(lid, head.at(x, start), head.at(x, end), [SHELL_LIGHT, SHELL, SHELL_DARK])
    canvas.line(open_curve(edge), LINE, 2.4)


def _brow(canvas: Canvas, head: Head, pose: Pose2D, side: int) -> dict[str, Point]:
    lift = 0.10 * pose.smile + 0.06 * pose.mouth_open

    def at(x: float, y: float) -> Point:
        return head.at(side * x, y - lift, head.surface(x, y) - 0.12)

    bar = [at(0.22, -0.47), at(0.50, -0.56), at(0.82, -0.47), at(0.80, -0.38), at(0.50, -0.46), at(0.24, -0.38)]
    path = closed(bar, sharp=(0, 2, 3, 5))
    canvas.fade(path, at(0.5, -0.56), at(0.5, -0.38), [STEEL_LIGHT, STEEL_DARK])
    canvas.line(path, LINE, 2.0)
    return {f"{'left' if side > 0 else 'right'}_brow": at(0.56, -0.51)}


def _nose(canvas: Canvas, head: Head) -> None:
    nose = [(0.0, 0.30, -0.08), (0.10, 0.50, -0.12), (0.0, 0.56, -0.12), (-0.10, 0.50, -0.12)]
    path = closed([head.at(*p) for p in nose], sharp=(0, 1, 3))
    canvas.fade(path, head.at(-0.1, 0.3, -0.1), head.at(0.1, 0.56, -0.1), [SHELL_LIGHT, SHELL_DARK])
    canvas.line(path, LINE, 2.0)


def _jaw(canvas: Canvas, head: Head, pose: Pose2D) -> dict[str, Point]:
    opened = 0.30 * pose.mouth_open + 0.12 * pose.smile
    drop = 0.16 * pose.mouth_open
    jaw = [
        (-0.92, 0.56, 0.6),
        (-0.90, 0.98 + drop, 0.55),
        (-0.56, 1.30 + drop, 0.35),
        (0.0, 1.38 + drop, 0.25),
        (0.56, 1.30 + drop, 0.35),
        (0.90, 0.98 + drop, 0.55),
        (0.92, 0.56, 0.6),
    ]
    path = closed([head.at(*p) for p in jaw], sharp=(0, 6))
    canvas.fade(path, head.at(0, 0.6, 0.3), head.at(0, 1.4 + drop, 0.3), [STEEL_LIGHT, STEEL, STEEL_DARK])
    canvas.line(path, LINE, 2.6)
    for side in (-1, 1):
        canvas.fill(closed(_ring(head, side * 0.80, 0.80, 0.07, 0.07, 0.45)), STEEL_DARK)
        canvas.line(closed(_ring(head, side * 0.80, 0.80, 0.07, 0.07, 0.45)), LINE, 1.6)
    wide = 0.42 + 0.10 * pose.smile
    top, up = 0.88, 0.07 * pose.smile
    bottom = top + 0.035 + opened
    corner = top - up + 0.012

    def at(x: float, y: float) -> Point:
        return head.at(x, y, 0.10 + 0.18 * (x / 0.6) ** 2)

    lip = closed([at(-wide - 0.07, corner), at(-wide * 0.5, top - 0.075 - up * 0.3), at(0, top - 0.07), at(wide * 0.5, top - 0.075 - up * 0.3), at(wide + 0.07, corner), at(wide * 0.62, bottom + 0.06), at(0, bottom + 0.085), at(-wide * 0.62, bottom + 0.06)])  # fmt: skip
    canvas.fade(lip, at(0, top - 0.1), at(0, bottom + 0.1), [FACE_LIGHT, FACE_DARK])
    canvas.line(lip, LINE, 2.0)
    cave = closed(
        [
            at(-wide, corner),
            at(-wide * 0.5, top - up * 0.3),
            at(0, top),
            at(wide * 0.5, top - up * 0.3),
            at(wide, corner),
            at(wide * 0.6, bottom - 0.015),
            at(0, bottom),
            at(-wide * 0.6, bottom - 0.015),
        ],
        sharp=(0, 4),
    )
    canvas.fill(cave, MOUTH)
    with canvas.inside(cave):
        canvas.glow(at(0, bottom + 0.05), 0.5 * head.scale_px, "#ff7a3c", alpha=min(1.0, 2.5 * opened))
        if opened > 0.05:
            for i in range(-4, 5):  # teeth of brushed steel
                tooth = closed(
                    [
                        at(i * 0.115 - 0.05, top - 0.1),
                        at(i * 0.115 + 0.05, top - 0.1),
                        at(i * 0.115 + 0.05, top + 0.075),
                        at(i * 0.115 - 0.05, top + 0.075),
                    ],
                    sharp=range(4),
                )
                canvas.fade(tooth, at(0, top - 0.05), at(0, top + 0.08), [FACE_LIGHT, FACE_DARK])
    canvas.line(cave, LINE, 2.0)
    return {
        "chin": head.at(0.0, 1.38 + drop, 0.25),
        "mouth_right": at(-wide, corner),
        "mouth_left": at(wide, corner),
        "lip_top": at(0.0, top - 0.07),
        "mouth_inner_top": at(0.0, top),
        "mouth_inner_bottom": at(0.0, bottom),
        "lip_bottom": at(0.0, bottom + 0.085),
    }
