# SPDX-License-Identifier: Apache-2.0
"""The visible mark: a puppet's head, Bunraku's sign, and "AI MODIFIED" on a small plate; drawn once per size.

The words are those of the EU code of practice on marking (2026), whose size is 5 % of the short side or more. The plate
is translucent and gives the letters contrast on any background; letters and sign are opaque, so that their pixels can
be checked exactly. The mark follows the frame's short side and shrinks only where a narrow frame would cut it off.
Drawn with the font inside Pillow; no file is needed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.errors import WatermarkError
from engine.types import freeze

__all__ = ["MARK_TEXT", "Mark", "box_of", "cover_mark", "draw_mark", "make_mark", "mark_height_px"]

MARK_TEXT = "AI MODIFIED"
_HEIGHT_SHARE = 0.058  # of the short side
_LEAST_HEIGHT_PX = 18  # below, the letters run together
_MARGIN_SHARE = 0.028  # of the short side, from the frame's edges
_WIDEST_SHARE = 0.92  # of the frame's width
_SMALLEST_FRAME_WH = (96, 48)  # below, no legible mark fits
_SUPERSAMPLING = 4
_PLATE_OPACITY = 0.66  # darkens white so far that white letters keep a contrast ratio above 4.5

_STYLES = {  # letters, plate, rim
    "dark": ((255, 255, 255), (14, 16, 22), (255, 255, 255)),
    "light": ((14, 16, 22), (255, 255, 255), (14, 16, 22)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A ready-made mark of one size and style.

    added: (h, w, 3) uint16, premultiplied colour. kept: (h, w, 1) uint16, 0–255, how much of the frame shows through.
    letters: (n,) flat indices of fully opaque letter pixels. plate: (m,) of plate pixels without any letter.
    colour: RGB of the letters. coverage: (h, w) float32 in [0, 1], the letters' shape for the detector.
    """

    added: NDArray[np.uint16]
    kept: NDArray[np.uint16]
    letters: NDArray[np.intp]
    plate: NDArray[np.intp]
    coverage: NDArray[np.float32]
    colour: tuple[int, int, int]


def mark_height_px(size_wh: tuple[int, int]) -> int:
    """Return the plate's height on a frame of this size.

    Raises:
        WatermarkError: the frame is too small to carry a legible mark.
    """
    width_px, height_px = size_wh
    if width_px < _SMALLEST_FRAME_WH[0] or height_px < _SMALLEST_FRAME_WH[1]:
        raise WatermarkError(
            f"A frame of {width_px}x{height_px} pixels is too small for the watermark; "
            f"at least {_SMALLEST_FRAME_WH[0]}x{_SMALLEST_FRAME_WH[1]} is needed.",
            hint="Choose a larger output size.",
            size_wh=size_wh,
        )
    wanted_px = max(_LEAST_HEIGHT_PX, round(min(size_wh) * _HEIGHT_SHARE))
    return min(wanted_px, int(width_px * _WIDEST_SHARE / _aspect()))


def box_of(size_wh: tuple[int, int], mark_wh: tuple[int, int], corner: str) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the mark on a frame of this size."""
    margin = round(min(size_wh) * _MARGIN_SHARE)
    across, down = min(margin, (size_wh[0] - mark_wh[0]) // 2), min(margin, (size_wh[1] - mark_wh[1]) // 2)
    left = across if corner.endswith("left") else size_wh[0] - mark_wh[0] - across
    top = down if corner.startswith("top") else size_wh[1] - mark_wh[1] - down
    return left, top, left + mark_wh[0], top + mark_wh[1]


def draw_mark(rgb: NDArray[np.uint8], mark: Mark, *, corner: str) -> None:
    """Mix the mark into the frame, in place.

    Cost: ≈ 0.2 ms on 1280x720.
    """
    height_px, width_px = mark.kept.shape[:2]
    left, top, right, bottom = box_of((rgb.shape[1], rgb.shape[0]), (width_px, height_px), corner)
    under = rgb[top:bottom, left:right]
    under[:] = ((under * mark.kept + 127) // 255 + mark.added).astype(np.uint8)


def cover_mark(alpha: NDArray[np.uint8], mark: Mark, *, corner: str) -> NDArray[np.uint8]:
    """Return the alpha of a frame on which the mark was drawn: it is as opaque over nothing as over a picture.

    Shapes:
        alpha, returns: (H, W) uint8.
    """
    height_px, width_px = mark.kept.shape[:2]
    left, top, right, bottom = box_of((alpha.shape[1], alpha.shape[0]), (width_px, height_px), corner)
    covered = alpha.copy()
    under = covered[top:bottom, left:right]
    kept = mark.kept[..., 0]
    under[:] = ((under * kept + 127) // 255 + (255 - kept)).astype(np.uint8)
    return covered


@functools.lru_cache(maxsize=16)
def make_mark(height_px: int, style: str) -> Mark:
    """Draw the mark at this height.

    Raises:
        KeyError: no such style.
    """
    letters_rgb, plate_rgb, rim_rgb = _STYLES[style]
    width_px = round(height_px * _aspect())
    big_wh = (width_px * _SUPERSAMPLING, height_px * _SUPERSAMPLING)
    plate = _shrunk(_plate_mask(big_wh, inset_px=0), (width_px, height_px))
    inner = _shrunk(_plate_mask(big_wh, inset_px=max(2, big_wh[1] // 26)), (width_px, height_px))
    text = _shrunk(_text_mask(big_wh), (width_px, height_px))
    rim = np.clip(plate - inner, 0.0, 1.0) * 0.5
    alpha, colour = plate * _PLATE_OPACITY, np.ones((height_px, width_px, 3), np.float32) * plate_rgb
    for cover, rgb in ((rim, rim_rgb), (text, letters_rgb)):
        alpha = alpha + cover - alpha * cover
        colour += (np.array(rgb, np.float32) - colour) * cover[..., None]
    kept = np.rint((1 - alpha) * 255).astype(np.uint16)[..., None]
    opaque = text > 0.999
    kept[opaque] = 0
    return Mark(
        added=freeze(np.floor(colour * (255 - kept) / 255).astype(np.uint16)),
        kept=freeze(kept),
        letters=freeze(np.flatnonzero(opaque)),
        plate=freeze(np.flatnonzero((inner > 0.999) & (text < 0.001))),
        coverage=freeze(text),
        colour=letters_rgb,
    )


@functools.lru_cache(maxsize=1)
def _aspect() -> float:
    """Return the plate's width over its height, from the text's own width."""
    left, _, right, _ = _font(100).getbbox(MARK_TEXT)
    return (right - left) / 100 * _TEXT_SHARE + _SIGN_SHARE + _GAP_SHARE + 2 * _PADDING_SHARE


# over the plate's height: size of the font, of the sign, between them, and beside them
_TEXT_SHARE, _SIGN_SHARE, _GAP_SHARE, _PADDING_SHARE = 0.60, 0.62, 0.24, 0.40


@functools.lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise WatermarkError(
            "The watermark cannot be drawn: this Pillow has no FreeType support.",
            hint="Install Pillow from a wheel (pip install --force-reinstall pillow).",
        )
    return font


def _plate_mask(big_wh: tuple[int, int], *, inset_px: int) -> Image.Image:
    mask = Image.new("L", big_wh, 0)
    box = (inset_px, inset_px, big_wh[0] - 1 - inset_px, big_wh[1] - 1 - inset_px)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=round(big_wh[1] * 0.32) - inset_px, fill=255)
    return mask


def _text_mask(big_wh: tuple[int, int]) -> Image.Image:
    """Draw sign and text, (W, H) "L"."""
    mask = Image.new("L", big_wh, 0)
    height = big_wh[1]
    size_px = round(height * _TEXT_SHARE)
    # The built-in font has one weight; a thin outline makes it semibold and keeps the letters' cores solid.
    ImageDraw.Draw(mask).text(
        (height * (_PADDING_SHARE + _SIGN_SHARE + _GAP_SHARE), height / 2),
        MARK_TEXT,
        fill=255,
        font=_font(size_px),
        anchor="lm",
        stroke_width=max(1, round(size_px * 0.022)),
        stroke_fill=255,
    )
    _draw_sign(
        ImageDraw.Draw(mask), (height * (_PADDING_SHARE + _SIGN_SHARE / 2), height * 0.53), height * _SIGN_SHARE / 2
    )
    return mask


def _draw_sign(draw: ImageDraw.ImageDraw, middle: tuple[float, float], r: float) -> None:
    """Draw a puppet's head of radius about `r`: topknot, face, closed eyes; the holding card's puppet in small."""
    x, y = middle

    def box(cx: float, cy: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        return x + (cx - rx) * r, y + (cy - ry) * r, x + (cx + rx) * r, y + (cy + ry) * r

    draw.ellipse(box(0, -0.86, 0.34, 0.26), fill=255)
    draw.ellipse(box(0, 0.10, 0.90, 0.88), fill=255)
    line = max(1, round(r * 0.17))
    for side in (-1, 1):
        draw.arc(box(side * 0.40, 0.02, 0.22, 0.20), 10, 170, fill=0, width=line)
    draw.arc(box(0, 0.42, 0.22, 0.18), 15, 165, fill=0, width=line)


def _shrunk(mask: Image.Image, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(mask.resize(size_wh, Image.Resampling.BOX), dtype=np.float32) / 255
