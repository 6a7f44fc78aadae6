# SPDX-License-Identifier: Apache-2.0
"""The holding card: a calm picture shown whenever there is no character to show; never the raw camera.

Drawn with Pillow, figures at twice the size and shrunk: a sleeping puppet's face over a quiet gradient, a line that
asks for patience and a smaller one that says why. Other people see it in a call, so it names no error.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.types import freeze

__all__ = ["draw_card"]

_SUPERSAMPLING = 2
_TOP_RGB, _BOTTOM_RGB = (38, 44, 58), (22, 25, 34)
_GLOW_RGB = (74, 66, 78)
_FACE_RGB, _LINE_RGB, _CHEEK_RGB = (239, 232, 220), (52, 46, 54), (222, 138, 116)
_HAIR_RGB = (30, 27, 33)
_TEXT_RGB, _NOTE_RGB = (240, 236, 230), (160, 166, 180)
_HEADLINE = "One moment, please"
_LONGEST_REASON = 60  # letters; more would not be legible in a call's small tile


def draw_card(size_wh: tuple[int, int], reason: str) -> NDArray[np.uint8]:
    """Draw the card, without watermark.

    Args:
        reason: one short line, such as "Looking for a face".

    Shapes:
        returns: (H, W, 3) uint8, read-only; the same array for the same arguments.
    """
    card: NDArray[np.uint8] = _drawn(size_wh, reason[:_LONGEST_REASON])
    return card


@functools.lru_cache(maxsize=8)
def _drawn(size_wh: tuple[int, int], reason: str) -> NDArray[np.uint8]:
    width, height = size_wh[0] * _SUPERSAMPLING, size_wh[1] * _SUPERSAMPLING
    unit = min(width * 1.35, height * 16 / 9) / 100  # keeps face and text together on narrow frames too
    middle_x, middle_y = width / 2, height * 0.40
    text_y = middle_y + unit * 17.5
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    _draw_face(draw, middle_x, middle_y, unit * 9.5)
    _draw_line(draw, _HEADLINE, (middle_x, text_y), size_px=unit * 3.6, fill=_TEXT_RGB, widest=width * 0.9)
    below = (middle_x, text_y + unit * 4.6)
    _draw_line(draw, reason, below, size_px=unit * 2.2, fill=_NOTE_RGB, widest=width * 0.9)
    card = Image.fromarray(_backcloth(*size_wh))
    small = layer.reduce(_SUPERSAMPLING)
    card.paste(small, mask=small)
    pixels: NDArray[np.uint8] = np.array(card, dtype=np.uint8)
    freeze(pixels)
    return pixels


@functools.lru_cache(maxsize=2)
def _backcloth(width: int, height: int) -> NDArray[np.uint8]:
    """Vertical gradient with a soft glow behind the face, dithered so that it does not band."""
    y = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    cloth = np.array(_TOP_RGB, np.float32) * (1 - y) + np.array(_BOTTOM_RGB, np.float32) * y
    across = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :, None] * (width / height)
    down = np.linspace(-0.8, 1.2, height, dtype=np.float32)[:, None, None]
    glow = np.exp(-(down**2) / 0.42) * np.exp(-(across**2) / 0.42) * 0.75
    noise = np.random.default_rng(7).random((height, width, 1), dtype=np.float32)  # 0–1, and truncation rounds
    pixels: NDArray[np.uint8] = (cloth + (np.array(_GLOW_RGB, np.float32) - cloth) * glow + noise).astype(np.uint8)
    return pixels


def _draw_face(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    """A round puppet face of radius `r` with closed eyes."""
    line = max(1, round(r * 0.07))

    def ellipse(cx: float, cy: float, rx: float, ry: float, fill: tuple[int, int, int]) -> None:
        draw.ellipse((x + cx * r - rx * r, y + cy * r - ry * r, x + cx * r + rx * r, y + cy * r + ry * r), fill=fill)

    def arc(cx: float, cy: float, rx: float, ry: float, start: int, end: int) -> None:
        box = (x + cx * r - rx * r, y + cy * r - ry * r, x + cx * r + rx * r, y + cy * r + ry * r)
        draw.arc(box, start, end, fill=_LINE_RGB, width=line)

    ellipse(0, -0.86, 0.36, 0.30, _HAIR_RGB)  # topknot
    ellipse(0, -0.10, 1.00, 1.00, _HAIR_RGB)
    ellipse(0, 0.06, 0.86, 0.92, _FACE_RGB)
    parting = ((-0.80, -0.38), (0.0, -0.30), (0.80, -0.38), (0.70, -0.75), (0.0, -0.98), (-0.70, -0.75))
    draw.polygon([(x + px * r, y + py * r) for px, py in parting], fill=_HAIR_RGB)
    for side in (-1, 1):
        arc(side * 0.36, 0.06, 0.20, 0.15, 15, 165)  # a closed lid
        arc(side * 0.36, -0.20, 0.22, 0.12, 205, 335)  # brow
        ellipse(side * 0.50, 0.40, 0.14, 0.09, _CHEEK_RGB)
    arc(0, 0.44, 0.16, 0.11, 20, 160)  # mouth


def _draw_line(
    draw: ImageDraw.ImageDraw,
    text: str,
    middle: tuple[float, float],
    *,
    size_px: float,
    fill: tuple[int, int, int],
    widest: float,
) -> None:
    """One centred line, made smaller where it would not fit."""
    font = ImageFont.load_default(max(8.0, size_px))
    if (length := draw.textlength(text, font=font)) > widest:
        font = ImageFont.load_default(max(8.0, size_px * widest / length))
    draw.text(middle, text, fill=fill, font=font, anchor="mm")
