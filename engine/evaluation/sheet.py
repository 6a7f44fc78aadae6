# SPDX-License-Identifier: Apache-2.0
"""The pictures behind the figures: per clip its sources, some driving frames and the outputs, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.errors import OutputUnwritable
from engine.evaluation.eval_report import EvalReport, SheetBand

__all__ = ["draw_sheet", "write_sheet"]

_CELL_PX = 160
_LABEL_PX = 18
_GAP_PX = 3
_PAPER, _INK = (24, 26, 30), (225, 226, 230)


def draw_sheet(bands: Sequence[SheetBand]) -> Image.Image:
    """Return one band per clip, a row of pictures per label, below each other."""
    rows = [row for band in bands for row in _rows(band)]
    columns = max((len(pictures) for _, pictures in rows), default=1)
    row_px = _CELL_PX + _LABEL_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * (_CELL_PX + _GAP_PX) + _GAP_PX, max(1, len(rows)) * row_px + _GAP_PX), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for index, (label, pictures) in enumerate(rows):
        top = index * row_px + _GAP_PX
        draw.text((_GAP_PX + 2, top), label, fill=_INK, font=font)
        for column, picture in enumerate(pictures):
            cell = Image.fromarray(picture).resize((_CELL_PX, _CELL_PX), Image.Resampling.BOX)
            sheet.paste(cell, (column * (_CELL_PX + _GAP_PX) + _GAP_PX, top + _LABEL_PX))
    return sheet


def write_sheet(report: EvalReport, path: Path) -> None:
    """Write the contact sheet of a report as a PNG.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    try:
        draw_sheet(report.bands).save(path, format="PNG", optimize=True)
    except (OSError, ValueError) as error:  # ValueError: Pillow knows no format for this name
        what = f"The contact sheet cannot be written: {error} ({path})."
        raise OutputUnwritable(what, hint="Choose another file name ending in .png.", path=str(path)) from error


def _rows(band: SheetBand) -> list[tuple[str, Sequence[NDArray[np.uint8]]]]:
    return [
        (f"{band.clip}: source pictures", band.sources),
        ("driving", band.driving),
        *((label, pictures) for label, pictures in band.outputs.items()),
    ]
