# SPDX-License-Identifier: Apache-2.0
"""Backgrounds drawn by ourselves: studio backdrops, out-of-focus rooms and lights, comic paper.

Data flow: recipe → draw_background → (S, S, 3) uint8 RGB, composited under the rendered avatar. Deterministic
for a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import InvalidSetting, SourceUnreadable

__all__ = ["BACKGROUNDS", "draw_background", "parse_colour"]

Picture = NDArray[np.float32]  # (S, S, 3), 0…255
Colours = Sequence[NDArray[np.float32]]


def parse_colour(text: str) -> NDArray[np.float32]:
    """Return an sRGB colour (3,) float32, 0…255, from `#rrggbb`.

    Raises:
        InvalidSetting: the text is no such colour.
    """
    digits = text.removeprefix("#")
    if len(digits) != 6 or any(c not in "0123456789abcdefABCDEF" for c in digits):
        raise InvalidSetting(f"A colour must look like #a1b2c3, got '{text}'.")
    return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)], np.float32)


def draw_background(kind: str, colours: Sequence[str], side_px: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return a background picture.

    Shapes:
        returns: (side_px, side_px, 3) uint8 RGB.
    Args:
        kind: a key of BACKGROUNDS, or the path of a picture, which is cut square and blurred.
        colours: two to four `#rrggbb`; what each paints depends on the kind.
    Raises:
        InvalidSetting: unknown kind, too few colours.
        SourceUnreadable: the picture cannot be read.
    """
    if kind not in BACKGROUNDS:
        if Path(kind).suffix:
            return _from_picture(Path(kind), side_px)
        raise InvalidSetting(f"Unknown background '{kind}'; choose one of {', '.join(sorted(BACKGROUNDS))}.")
    if len(colours) < 2:
        raise InvalidSetting(f"Background '{kind}' needs at least two colours, got {len(colours)}.")
    picture = BACKGROUNDS[kind]([parse_colour(c) for c in colours], side_px, np.random.default_rng([seed, 71]))
    picture += np.random.default_rng([seed, 72]).normal(0, 0.8, picture.shape).astype(np.float32)  # against banding
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _grid(side_px: int) -> tuple[Picture, Picture]:
    """Return x and y (S, S), -1…1."""
    axis = np.linspace(-1, 1, side_px, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _mix(first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float32]) -> Picture:
    """Return first → second by share (S, S)."""
    share = np.clip(share, 0, 1)[..., None]
    return cast("Picture", first * (1 - share) + second * share)


def _clouds(side_px: int, rng: np.random.Generator, cells: Sequence[int] = (3, 5, 9, 17)) -> NDArray[np.float32]:
    """Return smooth noise (S, S) around 0, about ±1."""
    total = np.zeros((side_px, side_px), np.float32)
    for count in cells:
        layer = rng.normal(0, 1, (count + 2, count + 2)).astype(np.float32)
        total += cv2.resize(layer, (side_px, side_px), interpolation=cv2.INTER_CUBIC) / np.sqrt(count)
    return cast("NDArray[np.float32]", total / total.std())


def _studio(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """A painted backdrop: light behind the head, darker to the corners, mottled."""
    x, y = _grid(side_px)
    glow = np.hypot(x * 0.85 + 0.1, y * 0.8 + 0.15)
    return _mix(colours[0], colours[1], glow * 0.85 + 0.06 * _clouds(side_px, rng))


def _gradient(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """A plain slope from the upper left to the lower right."""
    x, y = _grid(side_px)
    return _mix(colours[0], colours[1], (x * 0.45 + y) / 2.9 + 0.5 + 0.01 * _clouds(side_px, rng))


def _blur(picture: Picture, sigma_px: float) -> Picture:
    return cast("Picture", cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT))


def _box(picture: Picture, corners: tuple[float, float, float, float], colour: NDArray[np.float32]) -> None:
    """Fill x0, y0, x1, y1, given as shares of the side."""
    x0, y0, x1, y1 = (round(v * picture.shape[0]) for v in corners)
    picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = colour


def _room(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """A wall with shelves, out of focus: wall, shade, wood and accent colours."""
    wall, shade, wood, accent = (list(colours) + list(colours))[:4]
    x, y = _grid(side_px)
    picture = _mix(wall, shade, x * 0.35 + 0.4 + y * 0.1)
    for top in (0.20, 0.48, 0.76):
        at = 0.60
        while at < 1.0:
            width, height = rng.uniform(0.018, 0.05), rng.uniform(0.10, 0.19)
            colour = _mix(wood, accent, np.full((1, 1), rng.uniform(0, 1), np.float32))[0, 0] * rng.uniform(0.55, 1.1)
            _box(picture, (at, top - height, at + width, top), colour)
            at += width + (0.09 if rng.random() < 0.2 else 0.004)
        _box(picture, (0.58, top, 1.0, top + 0.022), wood * 0.8)
    _box(picture, (0.08, 0.10, 0.30, 0.42), shade * 0.75)
    _box(picture, (0.10, 0.12, 0.28, 0.40), _mix(accent, wall, np.full((1, 1), 0.45, np.float32))[0, 0])
    return _blur(picture, side_px * 0.017)


def _lights(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """A street in the evening, out of focus: dusk from top to bottom, discs of light."""
    x, y = _grid(side_px)
    picture = _mix(colours[0], colours[1], y * 0.5 + 0.5 + 0.05 * _clouds(side_px, rng))
    lamps = list(colours[2:]) or [np.array([255, 214, 150], np.float32)]
    for k in range(34):
        centre = (rng.uniform(-1, 1), rng.normal(0.05, 0.42))
        radius = rng.uniform(0.035, 0.10)
        disc = np.clip((radius - np.hypot(x - centre[0], y - centre[1])) / 0.012, 0, 1)
        rim = np.clip(1 - np.abs(radius * 0.93 - np.hypot(x - centre[0], y - centre[1])) / 0.012, 0, 1)
        picture += (disc * 0.8 + rim * 0.3)[..., None] * lamps[k % len(lamps)] * np.float32(rng.uniform(0.06, 0.30))
    return _blur(picture, side_px * 0.006)


def _garden(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """Foliage far behind: blotches of light and shade."""
    x, y = _grid(side_px)
    leaves = _clouds(side_px, rng, (7, 13, 23)) * 0.20
    picture = _mix(colours[0], colours[1], y * 0.22 + 0.5 + leaves + 0.10 * x)
    if len(colours) > 2:
        spots = np.clip(_clouds(side_px, rng, (11, 19)) - 1.1, 0, 1)
        picture = _mix_map(picture, colours[2], spots * np.clip(0.8 - y, 0, 1) * 0.6)
    return _blur(picture, side_px * 0.010)


def _mix_map(picture: Picture, colour: NDArray[np.float32], share: NDArray[np.float32]) -> Picture:
    """Return the picture blended towards a colour by share (S, S)."""
    return cast("Picture", picture + (colour - picture) * np.clip(share, 0, 1)[..., None])


def _comic(colours: Colours, side_px: int, rng: np.random.Generator) -> Picture:
    """Comic paper: rays from behind the head and a halftone slope."""
    x, y = _grid(side_px)
    angle = np.arctan2(y + 0.05, x) + rng.uniform(0, 0.3)
    wave = np.sin(angle * 14) * np.hypot(x, y + 0.05) * side_px / 28  # edges about one pixel soft
    picture = _mix(colours[0], colours[1], wave + 0.5)
    dot = colours[2] if len(colours) > 2 else colours[1] * 0.8
    pitch = 2 / 34
    u, v = (x + y) / np.sqrt(2) / pitch, (x - y) / np.sqrt(2) / pitch
    distance = np.hypot(u - np.rint(u), v - np.rint(v))
    size = np.clip(0.62 * (y * 0.8 + 0.1), 0, 0.62)
    return _mix_map(picture, dot, (size - distance) * pitch * side_px / 2 + 0.5 * (size > 0))


BACKGROUNDS: dict[str, Callable[[Colours, int, np.random.Generator], Picture]] = {
    "studio": _studio,
    "gradient": _gradient,
    "room": _room,
    "lights": _lights,
    "garden": _garden,
    "comic": _comic,
}


def _from_picture(path: Path, side_px: int) -> NDArray[np.uint8]:
    """Return the middle square of a picture, blurred as if far behind."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceUnreadable(f"The background picture cannot be read: {path}.")
    height, width = bgr.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(bgr[top : top + side, left : left + side], (side_px, side_px), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(square, (0, 0), side_px * 0.02)
    return cast("NDArray[np.uint8]", cv2.cvtColor(blurred, cv2.COLOR_BGR2RGB))
