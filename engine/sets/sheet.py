# SPDX-License-Identifier: Apache-2.0
"""A judged set as one picture: every portrait, what the others make of it, where they differ, and what is missing."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.errors import OutputUnwritable
from engine.sets.coverage import PITCH_ROWS, YAW_COLUMNS
from engine.sets.report import SetReport, Verdict
from engine.warp.heat import PALETTE

__all__ = ["draw_set_sheet", "write_set_sheet"]

_PAPER, _INK, _FAINT, _WARN = (24, 26, 30), (225, 226, 230), (150, 154, 164), (240, 170, 90)
_CELL, _GAP, _LABEL = 176, 6, 74
_ACROSS = 4
_MAP_CELL = (118, 40)
_GAIN = 3  # of the difference picture


def draw_set_sheet(report: SetReport) -> Image.Image:
    """Return the sheet: pictures in rows (each: portrait, rebuilt, difference), below them the map and the advice."""
    shown = [verdict for verdict in report.verdicts if verdict.portrait is not None]
    wide = 3 if any(verdict.rebuilt is not None for verdict in shown) else 1
    across = max(1, _ACROSS // (2 if wide == 3 else 1))
    block = wide * (_CELL + 2) + _GAP * 2
    rows = -(-max(len(shown), 1) // across)
    width = max(across * block + _GAP, (len(YAW_COLUMNS) + 1) * _MAP_CELL[0] + 2 * _GAP)
    advice = [line for text in report.advice for line in textwrap.wrap(f"- {text}", max(40, width // 7))] or [
        "- Nothing is missing."
    ]
    top = 40
    map_top = top + rows * (_CELL + _LABEL)
    height = map_top + (len(PITCH_ROWS) + 1) * _MAP_CELL[1] + 26 + 17 * len(advice) + 20
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, small = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    score = f", covers {report.coverage.score:.0%}" if report.coverage is not None else ""
    draw.text(
        (_GAP, 10),
        f"{report.name}: {len(report.covered)} pictures{score}",
        fill=_INK,
        font=ImageFont.load_default(size=18),
    )
    for index, verdict in enumerate(shown):
        left, at = _GAP + index % across * block, top + index // across * (_CELL + _LABEL)
        _draw_picture(sheet, draw, verdict, left, at, letters=block // 7, number=report.covered.index(verdict.file))
    _draw_map(draw, report, map_top)
    at = map_top + (len(PITCH_ROWS) + 1) * _MAP_CELL[1] + 20
    for line in advice:
        draw.text((_GAP, at), line, fill=_INK, font=small)
        at += 17
    return sheet


def write_set_sheet(report: SetReport, path: Path) -> None:
    """Write the sheet as a PNG.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_set_sheet(report).save(path, format="PNG")
    except (OSError, ValueError) as error:
        what = f"The sheet cannot be written: {error} ({path})."
        raise OutputUnwritable(what, hint="Choose another file name ending in .png.", path=str(path)) from error


def _draw_picture(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, verdict: Verdict, left: int, top: int, *, letters: int, number: int
) -> None:
    font = ImageFont.load_default(size=13)
    assert verdict.portrait is not None
    cells = [verdict.portrait]
    if verdict.rebuilt is not None:
        apart = np.abs(verdict.rebuilt.truth.astype(np.int16) - verdict.rebuilt.rgb) * _GAIN
        cells += [verdict.rebuilt.rgb, np.minimum(apart, 255).astype(np.uint8)]
    for column, cell in enumerate(cells):
        sheet.paste(_fit(cell), (left + column * (_CELL + 2), top))
    colour = tuple(PALETTE[number % len(PALETTE)])
    draw.rectangle((left, top, left + 10, top + 10), fill=colour)
    figure = f"   others: {verdict.rebuilt.psnr_face_db:.1f} dB" if verdict.rebuilt is not None else ""
    draw.text((left, top + _CELL + 2), f"{verdict.file}{figure}", fill=_INK, font=font)
    draw.text((left, top + _CELL + 18), ", ".join(verdict.words)[:letters], fill=_FAINT, font=font)
    for line, issue in enumerate(verdict.issues[:2]):
        draw.text((left, top + _CELL + 34 + 16 * line), issue.sentence[:letters], fill=_WARN, font=font)


def _draw_map(draw: ImageDraw.ImageDraw, report: SetReport, top: int) -> None:
    if report.coverage is None:
        return
    font, (width, height) = ImageFont.load_default(size=13), _MAP_CELL
    for column, name in enumerate(YAW_COLUMNS):
        draw.text((_GAP + (column + 1) * width + 4, top + height - 18), name, fill=_FAINT, font=font)
    for row, (name, cells) in enumerate(zip(PITCH_ROWS, report.coverage.heads, strict=True)):
        at = top + (row + 1) * height
        draw.text((_GAP, at + 10), name, fill=_FAINT, font=font)
        for column, cell in enumerate(cells):
            left = _GAP + (column + 1) * width
            fill = (52, 84, 66) if cell else (46, 48, 54)
            draw.rectangle((left, at, left + width - 4, at + height - 4), fill=fill)
            if cell:
                draw.text((left + 6, at + 10), f"{len(cell)}", fill=_INK, font=font)


def _fit(rgb: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(rgb).resize((_CELL, _CELL), Image.Resampling.BOX)
