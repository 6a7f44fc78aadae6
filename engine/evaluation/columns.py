# SPDX-License-Identifier: Apache-2.0
"""The canvas of `compare`: labelled columns, sources | driving | each model, over a line that says what is seen.

What does not change is drawn once; a frame then costs a few copies. Any one thread.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.evaluation.sheet import INK, PAPER, tile_sources

__all__ = ["Columns"]

CELL_PX = 256
_GAP_PX, _HEADER_PX, _FOOTER_PX = 4, 46, 46  # the footer keeps the watermark off the pictures
_TITLE_LETTERS = 26
_MARK_ROOM_PX = 220  # at the footer's right end
_EMPTY = (44, 47, 54)


class Columns:
    """Draws one frame after the other.

    Args:
        sources: (R, R, 3) uint8 each, of any side. titles: of the models' columns. caption: the line below.
        driver: what the driving column is called.
    """

    def __init__(
        self, sources: Sequence[NDArray[np.uint8]], titles: Sequence[str], *, caption: str, driver: str = "driving"
    ) -> None:
        self._count = len(titles)
        self._canvas = _draw_frame([f"source pictures, N = {len(sources)}", driver, *titles], caption)
        self._place(0, tile_sources(sources, side_px=CELL_PX))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size of every canvas."""
        return self._canvas.shape[1], self._canvas.shape[0]

    def draw(self, driving: NDArray[np.uint8], outputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return the canvas of one frame, (H, W, 3) uint8; pictures are (256, 256, 3) uint8, one output a title."""
        assert len(outputs) == self._count, "one output for each title"
        for column, picture in enumerate((driving, *outputs), start=1):
            self._place(column, picture)
        return self._canvas.copy()

    def hold(self) -> NDArray[np.uint8]:
        """Return the last frame's canvas again; empty columns before the first."""
        return self._canvas.copy()

    def _place(self, column: int, picture: NDArray[np.uint8]) -> None:
        left = _left(column)
        self._canvas[_HEADER_PX : _HEADER_PX + CELL_PX, left : left + CELL_PX] = picture


def _left(column: int) -> int:
    return _GAP_PX + column * (CELL_PX + _GAP_PX)


def _draw_frame(titles: Sequence[str], caption: str) -> NDArray[np.uint8]:
    size_wh = _left(len(titles)), _HEADER_PX + CELL_PX + _FOOTER_PX
    image = Image.new("RGB", size_wh, PAPER)
    draw = ImageDraw.Draw(image)
    heading, small = ImageFont.load_default(size=17), ImageFont.load_default(size=14)
    for column, title in enumerate(titles):
        left = _left(column)
        middle = (left + CELL_PX // 2, _HEADER_PX // 2)
        text = textwrap.fill(title, _TITLE_LETTERS)
        draw.multiline_text(middle, text, fill=INK, font=heading, anchor="mm", align="center", spacing=1)
        draw.rectangle((left, _HEADER_PX, left + CELL_PX - 1, _HEADER_PX + CELL_PX - 1), fill=_EMPTY)
    room_px = size_wh[0] - _MARK_ROOM_PX - 2 * _GAP_PX
    while caption and draw.textlength(caption, font=small) > room_px:
        caption = caption[:-1]
    draw.text((2 * _GAP_PX, size_wh[1] - _FOOTER_PX // 2), caption, fill=INK, font=small, anchor="lm")
    return np.array(image, np.uint8)
