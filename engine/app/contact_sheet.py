# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: driver and character side by side at moments spread over a video, as one picture.

Frames are offered one by one and only the chosen ones are kept, so a long video costs no memory. Any thread.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.errors import OutputUnwritable
from engine.types import OutputFrame

__all__ = ["ContactSheet"]

_CELL_PX = 200
_GAP_PX = 8
_LABEL_PX = 22
_PAIRS_PER_ROW = 3
_PAPER, _INK = (24, 26, 30), (225, 226, 230)


class ContactSheet:
    """Collects pairs of driving and output pictures, evenly spread over however many frames come.

    Args:
        title: the line on top. labels: what stands over each of a pair. moments: the sheet shows at most so many pairs.
    """

    def __init__(self, *, title: str, moments: int = 12, labels: tuple[str, str] = ("driver", "character")) -> None:
        self._labels = labels
        self._title, self._moments, self._stride = title, moments, 1
        self._pairs: list[tuple[int, float, Image.Image, Image.Image]] = []

    def offer(self, index: int, *, at_s: float, driver: NDArray[np.uint8], output: OutputFrame) -> None:
        """Keep frame `index` where its turn has come. driver: (H, W, 3) uint8 RGB."""
        if index % self._stride:
            return
        self._pairs.append((index, at_s, _cell(driver), _cell(output.rgb)))
        # The length of a video is not known beforehand: with four times too many, every other one goes.
        if len(self._pairs) >= 4 * self._moments:
            self._stride *= 2
            self._pairs = [pair for pair in self._pairs if pair[0] % self._stride == 0]

    def _shown(self) -> list[tuple[int, float, Image.Image, Image.Image]]:
        last, most = len(self._pairs) - 1, min(self._moments, len(self._pairs))
        return [self._pairs[round(i * last / max(most - 1, 1))] for i in range(most)]

    def render(self) -> Image.Image:
        """Return the sheet; empty where nothing was kept."""
        pairs = self._shown()
        columns = min(_PAIRS_PER_ROW, max(len(pairs), 1))
        rows = -(-len(pairs) // _PAIRS_PER_ROW)
        pair_px = (2 * _CELL_PX + _GAP_PX + 2 * _GAP_PX, _CELL_PX + _LABEL_PX + _GAP_PX)
        sheet = Image.new("RGB", (columns * pair_px[0] + _GAP_PX, rows * pair_px[1] + 2 * _LABEL_PX), _PAPER)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
        draw.text((2 * _GAP_PX, _GAP_PX), self._title, fill=_INK, font=font)
        for place, (_, at_s, driver, character) in enumerate(pairs):
            left = 2 * _GAP_PX + place % _PAIRS_PER_ROW * pair_px[0]
            top = _LABEL_PX + _GAP_PX + place // _PAIRS_PER_ROW * pair_px[1]
            draw.text((left, top), f"{self._labels[0]} {at_s:.1f} s", fill=_INK, font=font)
            draw.text((left + _CELL_PX + _GAP_PX, top), self._labels[1], fill=_INK, font=font)
            sheet.paste(driver, (left, top + _LABEL_PX))
            sheet.paste(character, (left + _CELL_PX + _GAP_PX, top + _LABEL_PX))
        return sheet

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG.

        Raises:
            OutputUnwritable: the file cannot be written.
        """
        try:
            self.render().save(path, format="PNG", optimize=True)
        except OSError as error:
            raise OutputUnwritable(
                f"The contact sheet cannot be written: {error} ({path})", hint="Choose another folder.", path=str(path)
            ) from error


def _cell(rgb: NDArray[np.uint8]) -> Image.Image:
    """Return the picture scaled to fit a cell, centred."""
    picture = Image.fromarray(rgb)
    scale = _CELL_PX / max(picture.size)
    size_wh = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    small = picture.resize(size_wh, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (_CELL_PX, _CELL_PX), _PAPER)
    cell.paste(small, ((_CELL_PX - small.width) // 2, (_CELL_PX - small.height) // 2))
    return cell
