# SPDX-License-Identifier: Apache-2.0
"""What `eval` found: scores per clip, model and source count, their means, as tables and as JSON. Any thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["COPY", "ClipScores", "EvalReport", "Scores", "SheetBand", "eval_tables", "mean_scores"]

_PSNR_CAP_DB = 60.0  # an error of a quarter of one grey level; nobody sees a difference
COPY = "copy"  # the row of the copy-source baseline


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one frame, or their means over frames or clips. NaN where there is nothing to measure.

    psnr_db and its regions: higher is better; eyes, mouth and face are hulls of the driving keypoints, outer is the
    person without the face (hair, neck, clothes), background is outside the person's matte. l1_255: mean absolute
    difference, 0-255. ssim: Wang 2004. akd_px: mean distance of 478 landmarks found on output and truth, in pixels
    of the portrait. missing: share of frames in which a face is found on the truth but not on the output.
    flicker_255: mean absolute difference between the frame-to-frame changes of output and truth, 0-255; a still
    error does not count, an error that jumps does.
    """

    psnr_db: float
    psnr_face_db: float
    psnr_eyes_db: float
    psnr_mouth_db: float
    psnr_outer_db: float
    psnr_background_db: float
    l1_255: float
    ssim: float
    akd_px: float
    missing: float
    flicker_255: float


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Mean scores of one model on one clip with one number of source pictures."""

    clip: str
    model: str
    sources: int
    frames: int
    scores: Scores


@dataclass(frozen=True, slots=True, eq=False)
class SheetBand:
    """Pictures of one clip for the contact sheet, all (R, R, 3) uint8.

    sources: in the order they are added. driving: some moments. outputs: by label, the same moments.
    """

    clip: str
    sources: tuple[NDArray[np.uint8], ...]
    driving: tuple[NDArray[np.uint8], ...]
    outputs: Mapping[str, tuple[NDArray[np.uint8], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class EvalReport:
    """Everything one run of `eval` found. engines: per model, what computed it. skipped: clip name to reason."""

    rows: tuple[ClipScores, ...]
    engines: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, object] = field(default_factory=dict)
    bands: tuple[SheetBand, ...] = ()

    def means(self) -> list[ClipScores]:
        """Return the mean over clips of every model and source count, each clip counting the same."""
        groups: dict[tuple[str, int], list[ClipScores]] = {}
        for row in self.rows:
            groups.setdefault((row.model, row.sources), []).append(row)
        return [
            ClipScores("mean", model, sources, sum(r.frames for r in rows), mean_scores(r.scores for r in rows))
            for (model, sources), rows in groups.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is not a finite number becomes None."""
        return {
            "protocol": "same-identity reconstruction; source 1 = first frame, others farthest-first in landmark "
            "space; driving = every 4th other frame",
            "machine": dict(self.machine),
            "engines": dict(self.engines),
            "skipped": dict(self.skipped),
            "mean": [_plain(row) for row in self.means()],
            "clips": [_plain(row) for row in self.rows],
        }


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """Return the mean of each figure, leaving out NaN; NaN where nothing is left.

    Among other values an infinite PSNR (a frame copied to the last bit) counts as 60 dB, or one such frame would
    drown all others; where all are infinite the mean is.
    """
    table = np.array([[getattr(each, f.name) for f in fields(Scores)] for each in scores], np.float64)
    means = []
    for column in table.T if table.size else [np.empty(0)] * len(fields(Scores)):
        known = column[~np.isnan(column)]
        if known.size and not np.isinf(known).all():
            known = np.minimum(known, _PSNR_CAP_DB)  # no other figure comes near
        means.append(float(known.mean()) if known.size else float("nan"))
    return Scores(*means)


def eval_tables(report: EvalReport) -> list[Table]:
    """Return the means and the figures per clip as two tables for a terminal."""
    tables = [_table("Mean over clips", report.means(), with_clip=False)]
    if len({row.clip for row in report.rows}) > 1:
        tables.append(_table("Per clip", report.rows, with_clip=True))
    return tables


_COLUMNS = (
    ("psnr_db", "PSNR", ".2f"),
    ("psnr_face_db", "face", ".2f"),
    ("psnr_eyes_db", "eyes", ".2f"),
    ("psnr_mouth_db", "mouth", ".2f"),
    ("psnr_outer_db", "outer", ".2f"),
    ("psnr_background_db", "backg", ".2f"),
    ("l1_255", "L1", ".2f"),
    ("ssim", "SSIM", ".3f"),
    ("akd_px", "AKD", ".2f"),
    ("missing", "lost", ".0%"),
    ("flicker_255", "flick", ".2f"),
)
_PER_CLIP = ("psnr_db", "psnr_face_db", "psnr_outer_db", "l1_255", "ssim", "akd_px", "missing")
_CAPTION = (
    "PSNR in dB over the portrait and its regions; L1 and flicker 0-255; AKD in pixels; "
    "lost: share of frames without a face; outer: hair, neck and clothes; copy: the nearest source picture, unwarped"
)


def _table(title: str, rows: Sequence[ClipScores], *, with_clip: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.caption, table.caption_justify = (None if with_clip else _CAPTION), "left"
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for heading in (["clip"] if with_clip else []) + ["model"]:
        table.add_column(heading, no_wrap=True, max_width=16)
    # With clip names beside them, only these fit a terminal of 80 columns.
    columns = [column for column in _COLUMNS if not with_clip or column[0] in _PER_CLIP]
    for heading in ("N", *(heading for _, heading, _ in columns)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = [_spell(getattr(row.scores, name), form) for name, _, form in columns]
        table.add_row(*([row.clip] if with_clip else []), row.model, str(row.sources), *figures)
    return table


def _spell(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _plain(row: ClipScores) -> dict[str, Any]:
    flat = asdict(row)
    flat["scores"] = {k: (round(v, 4) if math.isfinite(v) else None) for k, v in flat["scores"].items()}
    return flat
