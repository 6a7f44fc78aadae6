# SPDX-License-Identifier: Apache-2.0
"""The pictures behind the figures, laid out as the papers do: sources | driving | each model, a row per moment.

Columns are labelled at the top, rows at the left with the clip and the number N of source pictures. Any one thread.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.errors import OutputUnwritable
from engine.evaluation.baseline import COPY
from engine.evaluation.eval_report import EvalReport, SheetRow
from engine.types import SourceSet

__all__ = ["INK", "PAPER", "SheetCollector", "draw_sheet", "moments_shown", "tile_sources", "write_rows", "write_sheet"]

PAPER, INK = (24, 26, 30), (225, 226, 230)
_FAINT = (150, 154, 164)

_CLIPS = 12  # more would make a sheet that nobody reads
_MOMENTS = 3
_CELL_PX, _GAP_PX, _GROUP_GAP_PX = 192, 4, 14
_LABEL_PX, _HEADER_PX = 116, 44
_LETTERS_PER_LINE = 14
_HEADER_LETTERS = 20


def moments_shown(index: int, total: int) -> int:
    """Return how many moments of clip `index` of `total` the sheet shows: clips evenly spread, more of few clips."""
    shown = np.unique(np.linspace(0, total - 1, min(total, _CLIPS)).round().astype(int))
    return min(_MOMENTS, max(1, _CLIPS // total)) if index in shown else 0


class SheetCollector:
    """Collects the pictures of some moments over all runs of one clip, with the fewest and the most sources.

    Args:
        moments: frame numbers of the driver.
    """

    def __init__(self, moments: Sequence[int], *, source_counts: Sequence[int]) -> None:
        self._moments, self._counts = moments, {min(source_counts), max(source_counts)}
        self._rows: dict[tuple[int, int], SheetRow] = {}

    def keep(
        self,
        model: str,
        source_set: SourceSet,
        driving: NDArray[np.uint8],
        outputs: Mapping[int, NDArray[np.uint8]],
    ) -> None:
        """Keep what is to be shown of one run.

        Args:
            driving: (T, R, R, 3) uint8, the driver's frames. outputs: by frame number.
        """
        count = len(source_set.images)
        if model == COPY or count not in self._counts:
            return
        for moment in self._moments:
            row = self._rows.get((moment, count))
            if row is None:
                row = SheetRow(source_set.name, tuple(image.rgb for image in source_set.images), driving[moment], {})
            self._rows[moment, count] = replace(row, outputs={**row.outputs, model: outputs[moment]})

    def rows(self) -> list[SheetRow]:
        """Return the rows, moment by moment, few source pictures first."""
        return [self._rows[key] for key in sorted(self._rows)]


def draw_sheet(rows: Sequence[SheetRow], titles: Mapping[str, str]) -> Image.Image:
    """Return the sheet.

    Args:
        titles: what each model's column is called; a model without one goes by its name.
    """
    models = list(dict.fromkeys(model for row in rows for model in row.outputs))
    tops, height_px = _row_tops(rows)
    columns = [*("source pictures", "driving"), *(titles.get(model, model) for model in models)]
    sheet = Image.new("RGB", (_LABEL_PX + len(columns) * (_CELL_PX + _GAP_PX), height_px), PAPER)
    draw = ImageDraw.Draw(sheet)
    heading, label, count = (ImageFont.load_default(size=size) for size in (17, 13, 22))
    for column, title in enumerate(columns):
        text = textwrap.fill(title, _HEADER_LETTERS)
        middle = (_left(column) + _CELL_PX // 2, _HEADER_PX // 2)
        draw.multiline_text(middle, text, fill=INK, font=heading, anchor="mm", align="center", spacing=1)
    for row, top in zip(rows, tops, strict=True):
        draw.text((8, top + 6), f"N = {len(row.sources)}", fill=INK, font=count)
        name = row.clip.replace("→", "drives")  # Pillow's own font has no arrow
        draw.multiline_text((8, top + 38), textwrap.fill(name, _LETTERS_PER_LINE), fill=_FAINT, font=label)
        cells = [tile_sources(row.sources, side_px=_CELL_PX), row.driving, *(row.outputs.get(m) for m in models)]
        for column, picture in enumerate(cells):
            if picture is not None:
                cell = Image.fromarray(picture).resize((_CELL_PX, _CELL_PX), Image.Resampling.BOX)
                sheet.paste(cell, (_left(column), top))
    return sheet


def tile_sources(pictures: Sequence[NDArray[np.uint8]], *, side_px: int) -> NDArray[np.uint8]:
    """Return source pictures side by side in one square, the first at the top left.

    Shapes:
        pictures: (R, R, 3) uint8 each. returns: (side, side, 3) uint8.
    """
    across = math.ceil(math.sqrt(len(pictures)))
    square = Image.new("RGB", (side_px, side_px), PAPER)
    for index, picture in enumerate(pictures):
        left, top, right, bottom = (
            round(place * side_px / across)
            for place in (index % across, index // across, index % across + 1, index // across + 1)
        )
        tile = Image.fromarray(picture).resize((right - left, bottom - top), Image.Resampling.BOX)
        square.paste(tile, (left, top))
    return np.array(square, np.uint8)


def write_sheet(report: EvalReport, path: Path) -> None:
    """Write the sheet of a report as a PNG; see `write_rows`."""
    write_rows(report.pictures, report.titles, path)


def write_rows(rows: Sequence[SheetRow], titles: Mapping[str, str], path: Path) -> None:
    """Write a sheet as a PNG.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    try:
        draw_sheet(rows, titles).save(path, format="PNG", optimize=True)
    except (OSError, ValueError) as error:  # ValueError: Pillow knows no format for this name
        what = f"The contact sheet cannot be written: {error} ({path})."
        raise OutputUnwritable(what, hint="Choose another file name ending in .png.", path=str(path)) from error


def _left(column: int) -> int:
    return _LABEL_PX + column * (_CELL_PX + _GAP_PX)


def _row_tops(rows: Sequence[SheetRow]) -> tuple[list[int], int]:
    """Return where each row begins, with more room where another clip or moment begins, and the sheet's height."""
    tops, top = [], _HEADER_PX
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        if before is not None:
            top += _CELL_PX + (_GAP_PX if np.array_equal(before.driving, row.driving) else _GROUP_GAP_PX)
        tops.append(top)
    return tops, top + (_CELL_PX if rows else 0) + _GAP_PX
