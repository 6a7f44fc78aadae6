# SPDX-License-Identifier: Apache-2.0
"""What `eval` found: figures per clip, model and source count, their means, as plain values for JSON. Any thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClipScores", "CrossScores", "EvalReport", "Scores", "SheetRow", "mean_scores"]

_PSNR_CAP_DB = 60.0  # an error of a quarter of one grey level; nobody sees a difference


def _figure(meaning: str) -> Any:
    return field(metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one frame against the truth, or their means over frames or clips. NaN: nothing to measure.

    The fields say what they are; a report carries their meanings along. Eyes, mouth and face are hulls of the driving
    keypoints, outer is the person without the face, background what lies outside the person's matte. `jitter_px` is
    of a whole clip, never of one frame.
    """

    psnr_db: float = _figure("peak signal-to-noise ratio over the portrait, dB; higher is better, in all regions")
    psnr_face_db: float = _figure("... inside the face's outline")
    psnr_eyes_db: float = _figure("... around both eyes")
    psnr_mouth_db: float = _figure("... around the mouth")
    psnr_outer_db: float = _figure("... on the person without the face: hair, neck, clothes")
    psnr_background_db: float = _figure("... outside the person")
    l1_255: float = _figure("mean absolute difference, 0-255")
    ssim: float = _figure("structural similarity, Wang 2004")
    ms_ssim: float = _figure("multi-scale structural similarity, Wang 2003; none below 176 pixels")
    akd_px: float = _figure("mean distance of 478 landmarks found on output and truth, pixels of the portrait")
    akd_eyes_px: float = _figure("... of lids and irises")
    akd_mouth_px: float = _figure("... of the lips")
    missing: float = _figure("share of frames in which a face is found on the truth but not on the output")
    jitter_px: float = _figure(
        "mean |second difference of output landmarks - that of the truth's| over consecutive frames, pixels"
    )
    flicker_255: float = _figure(
        "mean absolute difference between the changes of output and truth from one scored frame to the next, 0-255: "
        "a still error does not count, an error that jumps does"
    )


@dataclass(frozen=True, slots=True)
class CrossScores:
    """Figures of a character driven by somebody else, where there is no truth. NaN: nothing to measure."""

    missing: float = _figure("share of frames in which no face is found on the output")
    shape_off: float = _figure(
        "distance of the output's neutralised face shape from the character's, % of the face's RMS radius; two "
        "halves of one clip differ by 3, clips of one avatar by 4, strangers by 9"
    )
    shape_driver: float = _figure("... from the driver's: larger is better")
    leak: float = _figure("share of the way from the character's face shape to the driver's that the output went")
    colour_lab: float = _figure("distance of mean and spread of the face's colours from the character's, CIE Lab")
    expression_px: float = _figure("mean distance of brows, lids and lips from the retargeted expression, pixels")
    turn_deg: float = _figure("angle between the retargeted head rotation and the one found, degrees")
    jitter_px: float = _figure(
        "mean |second difference of output landmarks - that of the retargeted ones| over consecutive frames, pixels"
    )


Figures = TypeVar("Figures", Scores, CrossScores)


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Mean figures of one model on one clip (or driver → character) with one number of source pictures.

    frames: those that were scored. folder: where the clip was found.
    """

    clip: str
    model: str
    sources: int
    frames: int
    scores: Scores | CrossScores
    folder: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SheetRow:
    """Pictures of one moment with one number of source pictures, all (R, R, 3) uint8.

    sources: those that were used, in the order they are added. outputs: by model.
    """

    clip: str
    sources: tuple[NDArray[np.uint8], ...]
    driving: NDArray[np.uint8]
    outputs: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class EvalReport:
    """Everything one run of `eval` found.

    protocol: how, in a sentence. engines: per model, what computed it. titles: models' names for people. skipped:
    clip name to reason. pictures: rows for the sheet.
    """

    rows: tuple[ClipScores, ...]
    protocol: str = ""
    engines: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, object] = field(default_factory=dict)
    pictures: tuple[SheetRow, ...] = ()

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
            ClipScores("mean", model, sources, sum(r.frames for r in rows), _mean_of(rows), folder or "")
            for (model, sources), rows in groups.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is not a finite number becomes None."""
        kinds = {type(row.scores) for row in self.rows}
        return {
            "protocol": self.protocol,
            "figures": {f.name: f.metadata["meaning"] for kind in kinds for f in fields(kind)},
            "machine": dict(self.machine),
            "engines": dict(self.engines),
            "skipped": dict(self.skipped),
            "mean": _plain(self.means()),
            "folders": {folder: _plain(self.means(folder)) for folder in self.folders},
            "clips": _plain(self.rows),
        }


def mean_scores(scores: Iterable[Figures], kind: type[Figures]) -> Figures:
    """Return the mean of each figure, leaving out NaN; NaN where nothing is left.

    Among other values a PSNR above 60 dB (infinite for a frame copied to the last bit) counts as 60, or one such
    frame would drown all others; where all are infinite the mean is.
    """
    names = [f.name for f in fields(kind)]
    table = np.array([[getattr(each, name) for name in names] for each in scores], np.float64)
    means = []
    for name, column in zip(names, table.T if table.size else [np.empty(0)] * len(names), strict=True):
        known = column[~np.isnan(column)]
        if name.startswith("psnr") and not np.isinf(known).all():
            known = np.minimum(known, _PSNR_CAP_DB)
        means.append(float(known.mean()) if known.size else float("nan"))
    return kind(*means)


def _mean_of(rows: Sequence[ClipScores]) -> Scores | CrossScores:
    crossed = [row.scores for row in rows if isinstance(row.scores, CrossScores)]
    if crossed:
        return mean_scores(crossed, CrossScores)
    return mean_scores([row.scores for row in rows if isinstance(row.scores, Scores)], Scores)


def _plain(rows: Sequence[ClipScores]) -> list[dict[str, Any]]:
    plain = []
    for row in rows:
        flat = asdict(row)
        flat["scores"] = {k: (round(v, 4) if math.isfinite(v) else None) for k, v in flat["scores"].items()}
        plain.append(flat)
    return plain
