# SPDX-License-Identifier: Apache-2.0
"""What `eval` found, as tables for a terminal of 80 columns: means of all figures, then a few per clip. Any thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.evaluation.eval_report import ClipScores, CrossScores, EvalReport

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["eval_tables"]

Columns = tuple[tuple[str, str, str], ...]  # field of `Scores`, heading, format

_PIXELS: Columns = (
    ("psnr_db", "PSNR", ".2f"),
    ("psnr_face_db", "face", ".2f"),
    ("psnr_eyes_db", "eyes", ".2f"),
    ("psnr_mouth_db", "mouth", ".2f"),
    ("psnr_outer_db", "outer", ".2f"),
    ("psnr_background_db", "backg", ".2f"),
    ("l1_255", "L1", ".2f"),
    ("ssim", "SSIM", ".3f"),
    ("ms_ssim", "MS", ".3f"),
)
_MOTION: Columns = (
    ("akd_px", "AKD", ".2f"),
    ("akd_eyes_px", "eyes", ".2f"),
    ("akd_mouth_px", "mouth", ".2f"),
    ("missing", "lost", ".1%"),
    ("jitter_px", "jitter", ".2f"),
    ("flicker_255", "flicker", ".2f"),
)
# With clip names beside them, only these fit a terminal of 80 columns.
_PER_CLIP: Columns = (
    ("psnr_db", "PSNR", ".2f"),
    ("psnr_face_db", "face", ".2f"),
    ("ms_ssim", "MS", ".3f"),
    ("akd_px", "AKD", ".2f"),
    ("missing", "lost", ".0%"),
    ("jitter_px", "jitter", ".2f"),
)
_PIXELS_CAPTION = (
    "PSNR in dB over the portrait and its regions (outer: hair, neck, clothes); L1 0-255; MS: MS-SSIM; "
    "copy: the nearest source picture, unwarped"
)
_MOTION_CAPTION = (
    "AKD: landmark distance in pixels, whole face and regions; lost: share of frames without a face; jitter: second "
    "difference of landmarks against the truth's, pixels; flicker 0-255"
)


_CROSS: Columns = (
    ("missing", "lost", ".1%"),
    ("shape_off", "shape", ".1f"),
    ("shape_driver", "driver", ".1f"),
    ("leak", "leak", ".0%"),
    ("colour_lab", "colour", ".1f"),
    ("expression_px", "express", ".2f"),
    ("turn_deg", "turn", ".1f"),
    ("jitter_px", "jitter", ".2f"),
)
_CROSS_PER_PAIR: Columns = tuple(_CROSS[index] for index in (0, 1, 3, 5, 7))
_CROSS_CAPTION = (
    "shape, driver: distance of the neutral face shape from the character's and from the driver's, % of a face; leak: "
    "share of the way between both; colour: of the face, Lab; express, jitter: against the retargeted landmarks, "
    "pixels; turn: degrees"
)

_SHORT_NAME = 12  # letters of a model's name
_KINDS = (("Pixels", _PIXELS, _PIXELS_CAPTION), ("Landmarks and motion", _MOTION, _MOTION_CAPTION))
_CROSS_KINDS = (("Character and motion", _CROSS, _CROSS_CAPTION),)


def eval_tables(report: EvalReport) -> list[Table]:
    """Return the means over all clips and over each folder, then the figures per clip."""
    folders = report.folders
    parts = [(f"mean over {_count(report, folder)} in {folder}/", folder) for folder in folders if folder]
    crossed = any(isinstance(row.scores, CrossScores) for row in report.rows)
    kinds = _CROSS_KINDS if crossed else _KINDS
    tables: list[Table] = []
    for what, folder in [*parts, (f"mean over {_count(report, None)}", None)] if len(parts) != 1 else parts:
        means = report.means(folder)
        tables += [_table(f"{title}, {what}", means, columns) for title, columns, _ in kinds]
    for table, (_, _, caption) in zip(tables[-len(kinds) :], kinds, strict=True):
        table.caption = caption
    if len({(row.folder, row.clip) for row in report.rows}) > 1:
        tables.append(_table("Per clip", report.rows, _CROSS_PER_PAIR if crossed else _PER_CLIP, with_clip=True))
    return tables


def _count(report: EvalReport, folder: str | None) -> str:
    clips = {(row.folder, row.clip) for row in report.rows if folder in (None, row.folder)}
    return f"{len(clips)} clip{'s' * (len(clips) != 1)}"


def _table(title: str, rows: Sequence[ClipScores], columns: Columns, *, with_clip: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.caption_justify = "left"
    # The box parts columns by one space; a second one is for tables that fit 80 columns all the same.
    roomy = max((len(row.model) for row in rows), default=0) <= _SHORT_NAME
    table.padding, table.pad_edge = (0, 1 if roomy else 0, 0, 0), False
    # Where a terminal is too narrow, names give way and figures stay whole.
    if with_clip:
        table.add_column("clip", overflow="ellipsis", max_width=32 if columns is _CROSS_PER_PAIR else 20)
    table.add_column("model", overflow="ellipsis", max_width=19)
    for heading in ("N", *(heading for _, heading, _ in columns)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = [_spell(getattr(row.scores, name), form) for name, _, form in columns]
        clip = row.clip.replace(" ", "")  # a name is never broken into two lines
        table.add_row(*([clip] if with_clip else []), row.model, str(row.sources), *figures)
    return table


def _spell(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"
