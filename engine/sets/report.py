# SPDX-License-Identifier: Apache-2.0
"""What was found of a set: plain values for the command line, the window and `--json`. Pure, any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sets.coverage import PITCH_ROWS, YAW_COLUMNS, CoverageMap
from engine.sets.leave_one_out import Rebuilt
from engine.sets.poses import Face
from engine.types import SourceSet

__all__ = ["Issue", "SetReport", "Verdict"]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about one picture. key: for programs. sentence: what, and what to do."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """One picture. words: what it shows. issues: what is wrong with it. blur: 0 sharp to 1. rebuilt: from the others.

    portrait: (R, R, 3) uint8 as the model sees it, None where it cannot be used. person: see
    `engine.sets.person.Unlikeness.total`; NaN for fewer than three pictures.
    """

    file: str
    enabled: bool
    words: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    blur: float = float("nan")
    person: float = float("nan")
    portrait: NDArray[np.uint8] | None = None
    face: Face | None = None
    rebuilt: Rebuilt | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SetReport:
    """What was found. coverage: over the enabled pictures with a face, in the order of `covered`; None without any.

    advice: sentences, the most important first. source_set: as the engine would load it; None where it cannot.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    covered: tuple[str, ...]
    coverage: CoverageMap | None
    advice: tuple[str, ...]
    consent: str
    consent_problem: str
    source_set: SourceSet | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for `--json`."""
        coverage: dict[str, Any] = {}
        if self.coverage is not None:
            cover = self.coverage
            coverage = {
                "score": round(cover.score, 3),
                "yaw_deg": [round(v, 1) for v in cover.yaw_deg],
                "pitch_deg": [round(v, 1) for v in cover.pitch_deg],
                "heads": {
                    row: {c: [self.covered[i] for i in cell] for c, cell in zip(YAW_COLUMNS, cells, strict=True)}
                    for row, cells in zip(PITCH_ROWS, cover.heads, strict=True)
                },
                "shown": {key: [self.covered[i] for i in which] for key, which in cover.shown.items()},
                "holes": [{"key": hole.key, "sentence": hole.sentence, "ask": hole.ask} for hole in cover.holes],
            }
        return {
            "name": self.name,
            "consent": self.consent,
            "consent_problem": self.consent_problem,
            "coverage": coverage,
            "advice": list(self.advice),
            "pictures": [_picture_dict(verdict) for verdict in self.verdicts],
        }


def _picture_dict(verdict: Verdict) -> dict[str, Any]:
    rebuilt = verdict.rebuilt
    return {
        "file": verdict.file,
        "enabled": verdict.enabled,
        "shows": list(verdict.words),
        "issues": [{"key": issue.key, "sentence": issue.sentence} for issue in verdict.issues],
        "blur": _number(verdict.blur),
        "person": _number(verdict.person),
        "rebuilt_face_db": None if rebuilt is None else _number(rebuilt.psnr_face_db),
    }


def _number(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
