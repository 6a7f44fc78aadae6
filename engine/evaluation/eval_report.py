# SPDX-License-Identifier: Apache-2.0
"""What `eval` found: scores per clip, model and source count, their means, as plain values for JSON. Any thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COPY", "ClipScores", "EvalReport", "Scores", "SheetBand", "mean_scores"]

_PSNR_CAP_DB = 60.0  # an error of a quarter of one grey level; nobody sees a difference
COPY = "copy"  # the row of the copy-source baseline

_FIGURES = {
    "psnr_db": "peak signal-to-noise ratio over the portrait, dB",
    "psnr_face_db": "… inside the face's outline",
    "psnr_eyes_db": "… around both eyes",
    "psnr_mouth_db": "… around the mouth",
    "psnr_outer_db": "… on the person without the face: hair, neck, clothes",
    "psnr_background_db": "… outside the person",
    "l1_255": "mean absolute difference, 0-255",
    "ssim": "structural similarity (Wang 2004)",
    "ms_ssim": "multi-scale structural similarity (Wang 2003)",
    "akd_px": "mean distance of 478 landmarks found on output and truth, pixels of the portrait",
    "akd_eyes_px": "… of the lids and irises",
    "akd_mouth_px": "… of the lips",
    "missing": "share of frames with a face on the truth and none on the output",
    "jitter_px": "mean |second difference of output landmarks - that of the truth's|, pixels, consecutive frames",
    "flicker_255": "mean absolute difference between the changes of output and truth from one scored frame to the next",
}


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one frame, or their means over frames or clips. NaN where there is nothing to measure.

    psnr_db and its regions: higher is better; eyes, mouth and face are hulls of the driving keypoints, outer is the
    person without the face (hair, neck, clothes), background is outside the person's matte. l1_255: mean absolute
    difference, 0-255. ssim: Wang 2004. ms_ssim: Wang 2003; NaN below 176 pixels. akd_px: mean distance of 478
    landmarks found on output and truth, in pixels of the portrait; akd_eyes_px and akd_mouth_px: of lids and irises,
    and of the lips. missing: share of frames in which a face is found on the truth but not on the output.
    jitter_px: see `engine.evaluation.metrics.jitter_px`; of a whole clip, never of one frame. flicker_255: mean
    absolute difference between the frame-to-frame changes of output and truth, 0-255; a still error does not count,
    an error that jumps does.
    """

    psnr_db: float
    psnr_face_db: float
    psnr_eyes_db: float
    psnr_mouth_db: float
    psnr_outer_db: float
    psnr_background_db: float
    l1_255: float
    ssim: float
    ms_ssim: float
    akd_px: float
    akd_eyes_px: float
    akd_mouth_px: float
    missing: float
    jitter_px: float
    flicker_255: float


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Mean scores of one model on one clip with one number of source pictures. folder: where the clip was found."""

    clip: str
    model: str
    sources: int
    frames: int
    scores: Scores
    folder: str = ""


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

    @property
    def folders(self) -> list[str]:
        """The folders of the clips, in order of appearance."""
        return list(dict.fromkeys(row.folder for row in self.rows))

    def means(self, folder: str | None = None) -> list[ClipScores]:
        """Return the mean over clips of every model and source count, each clip counting the same.

        Args:
            folder: only the clips of this folder; None takes all.
        """
        groups: dict[tuple[str, int], list[ClipScores]] = {}
        for row in self.rows:
            if folder is None or row.folder == folder:
                groups.setdefault((row.model, row.sources), []).append(row)
        return [
            ClipScores(
                "mean", model, sources, sum(r.frames for r in rows), mean_scores(r.scores for r in rows), folder or ""
            )
            for (model, sources), rows in groups.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is not a finite number becomes None."""
        return {
            "protocol": "same-identity reconstruction; source 1 = first frame, others farthest-first in landmark "
            "space; scored = every 4th other frame; jitter on runs of consecutive frames between scored ones",
            "figures": dict(_FIGURES),
            "machine": dict(self.machine),
            "engines": dict(self.engines),
            "skipped": dict(self.skipped),
            "mean": _plain(self.means()),
            "folders": {folder: _plain(self.means(folder)) for folder in self.folders},
            "clips": _plain(self.rows),
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


def _plain(rows: Sequence[ClipScores]) -> list[dict[str, Any]]:
    plain = []
    for row in rows:
        flat = asdict(row)
        flat["scores"] = {k: (round(v, 4) if math.isfinite(v) else None) for k, v in flat["scores"].items()}
        plain.append(flat)
    return plain
