# SPDX-License-Identifier: Apache-2.0
"""Preview sheets: what a model makes of a few dev samples, to be looked at while it trains."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

__all__ = ["PreviewRow", "draw_preview", "to_png", "to_rgb"]

_CELL_PX, _GAP_PX, _LABEL_PX = 160, 3, 18
_PAPER, _INK = (24, 26, 30), (225, 226, 230)


class PreviewRow(NamedTuple):
    """One sample: source pictures, driving frame and output, (R, R, 3) uint8 RGB each."""

    sources: Sequence[NDArray[np.uint8]]
    driving: NDArray[np.uint8]
    output: NDArray[np.uint8]


def to_rgb(picture: Tensor) -> NDArray[np.uint8]:
    """Return (3, R, R) in [-1, 1] as (R, R, 3) uint8."""
    values = (picture.detach().float().clamp(-1, 1) + 1) * 127.5
    return values.round().byte().permute(1, 2, 0).cpu().numpy()


def draw_preview(rows: Sequence[PreviewRow]) -> Image.Image:
    """Return one row per sample: sources, driving frame, output; missing sources leave their cells empty."""
    most = max((len(row.sources) for row in rows), default=0)
    step = _CELL_PX + _GAP_PX
    size_wh = ((most + 2) * step + _GAP_PX, _LABEL_PX + len(rows) * step + _GAP_PX)
    sheet = Image.new("RGB", size_wh, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for column, label in ((0, "sources"), (most, "driving"), (most + 1, "output")):
        draw.text((column * step + _GAP_PX + 2, 1), label, fill=_INK, font=font)
    for index, row in enumerate(rows):
        cells = [*enumerate(row.sources), (most, row.driving), (most + 1, row.output)]
        for column, picture in cells:
            cell = Image.fromarray(picture).resize((_CELL_PX, _CELL_PX), Image.Resampling.BOX)
            sheet.paste(cell, (column * step + _GAP_PX, _LABEL_PX + index * step + _GAP_PX))
    return sheet


def to_png(sheet: Image.Image) -> bytes:
    """Return a sheet as the bytes of a PNG file."""
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
