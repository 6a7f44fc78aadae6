# SPDX-License-Identifier: Apache-2.0
"""What the studio shows of a source set being made: plain values, of a draft and what was found in it. Any thread.

Pictures are `QImage`s no larger than a screen shows; boxes are in shares of the picture, as set.toml has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from engine.consent import Consent, parse_until
from engine.sets import coverage
from engine.sets.coverage import PITCH_ROWS, YAW_COLUMNS
from engine.sets.draft import SetDraft
from engine.sources.guides import GuidePoints
from engine.sources.manifest import Crop

if TYPE_CHECKING:  # they pull the engine's libraries, which a window that opens does not wait for
    from engine.sets.leave_one_out import Rebuilt
    from engine.sets.report import SetReport, Verdict

__all__ = [
    "EXPRESSIONS",
    "PITCH_ROWS",
    "TARGETS",
    "YAW_COLUMNS",
    "Consent",
    "CoverageView",
    "Crop",
    "Flag",
    "Look",
    "PictureView",
    "StudioView",
    "image_of",
    "parse_until",
    "show",
]

_PREVIEW_PX = 1024
_SHOWN = {
    "front": "Front, relaxed",
    "mouth_open": "Mouth open",
    "eyes_closed": "Eyes closed",
    "left": "Turned left",
    "right": "Turned right",
    "smile": "Smile",
    "up": "Looking up",
    "down": "Looking down",
    "brows_up": "Brows raised",
}

TARGETS = tuple(_SHOWN.items())
"""What a good set shows: (key, words), keys as in `engine.sets.coverage`."""

EXPRESSIONS = tuple((key, _SHOWN[key]) for key in ("front", "mouth_open", "smile", "eyes_closed", "brows_up"))
"""What a set shows besides head poses: (key, words)."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about a picture. key: for programs. sentence: what, and what to do."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class PictureView:
    """One picture. image: all of it. box: the portrait's, None while unknown. by_hand: whether the user set the box.

    words: what it shows. flags: what is wrong. portrait, rebuilt: as the model sees it, and made of the others;
    rebuilt_db: how near the two are on the face, NaN while unknown. has_face: landmarks are known. landmarks: (478, 3)
    as found or placed, x and y in shares of the picture, z in shares of its width. guides: what was placed by hand.
    """

    file: str
    enabled: bool
    reference: bool
    by_hand: bool
    image: QImage | None = None
    box: Crop | None = None
    notes: str = ""
    words: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    portrait: QImage | None = None
    rebuilt: QImage | None = None
    rebuilt_db: float = float("nan")
    has_face: bool = True
    landmarks: NDArray[np.float32] | None = None
    guides: GuidePoints | None = None


@dataclass(frozen=True, slots=True)
class CoverageView:
    """What the pictures cover. heads: `PITCH_ROWS` × `YAW_COLUMNS`, the files in each cell.

    expressions: (key, words, files that show it). holes: (what is missing and what comes of it, what to do).
    score: share of what a good set shows.
    """

    heads: tuple[tuple[tuple[str, ...], ...], ...]
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...]
    holes: tuple[tuple[str, str], ...]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class StudioView:
    """All of it. advice: sentences, what matters most first. consent_lacks: what a complete note lacks.

    looked: whether everything was looked at since the last change. unsaved: whether there is something to save.
    existing: the set is on disk already and keeps its name.
    """

    name: str
    title: str
    consent: Consent
    consent_lacks: tuple[str, ...]
    pictures: tuple[PictureView, ...]
    coverage: CoverageView | None
    advice: tuple[str, ...]
    colour_match: bool
    keeps_order: bool
    can_undo: bool = False
    can_redo: bool = False
    looked: bool = False
    unsaved: bool = False
    existing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was found in one version of a draft. images, rebuilt: by the bytes of a picture's file; landmarks: by name.

    rebuilt may be of an older version: what the others make of a picture changes little with one more or less.
    """

    draft: SetDraft
    report: SetReport
    boxes: Mapping[str, Crop]
    images: Mapping[bytes, QImage] = field(default_factory=dict)
    rebuilt: Mapping[bytes, Rebuilt] = field(default_factory=dict)
    landmarks: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def image_of(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None, *, side_px: int = _PREVIEW_PX) -> QImage:
    """Return pixels, (H, W, 3) uint8 with or without (H, W) alpha, as a picture of the window's, shrunk to a side."""
    height, width = rgb.shape[:2]
    if alpha is None:
        pixels = np.ascontiguousarray(rgb)
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    else:
        pixels = np.ascontiguousarray(np.dstack([rgb, alpha]))
        image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    if max(width, height) <= side_px:
        return image.copy()
    kept, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    return image.scaled(side_px, side_px, kept, smooth)


def show(
    draft: SetDraft,
    look: Look | None,
    *,
    can_undo: bool = False,
    can_redo: bool = False,
    unsaved: bool = False,
    home: str = "",
) -> StudioView:
    """Return what to show of a draft.

    Args:
        look: the newest there is; of an older version, what still holds is taken. home: its name in the library.
    """
    verdicts = {verdict.file: verdict for verdict in look.report.verdicts} if look is not None else {}
    fresh = look is not None and look.draft is draft
    reference = look.report.covered[0] if fresh and look is not None and look.report.covered else ""
    if draft.manifest.keeps_order:
        reference = next((entry.file for entry in draft.entries if entry.enabled), "")
    pictures = tuple(
        _picture(draft, index, look, verdicts.get(entry.file), reference=entry.file == reference)
        for index, entry in enumerate(draft.entries)
    )
    manifest = draft.manifest
    return StudioView(
        name=home or manifest.name,
        title=manifest.title,
        consent=manifest.note,
        consent_lacks=manifest.note.missing(),
        pictures=pictures,
        coverage=_coverage(look.report) if look is not None and draft.entries else None,
        advice=look.report.advice if look is not None and draft.entries else (),
        colour_match=manifest.colour_match,
        keeps_order=manifest.keeps_order,
        can_undo=can_undo,
        can_redo=can_redo,
        looked=fresh,
        unsaved=unsaved,
        existing=bool(home),
    )


def _picture(
    draft: SetDraft, index: int, look: Look | None, verdict: Verdict | None, *, reference: bool
) -> PictureView:
    entry = draft.entries[index]
    data = draft.files[entry.file]
    image = look.images.get(data) if look is not None else None
    box = entry.crop or (look.boxes.get(entry.file) if look is not None else None)
    plain = PictureView(
        entry.file,
        entry.enabled,
        reference,
        entry.crop is not None,
        image=image,
        box=box,
        notes=entry.notes,
        guides=entry.guides,
    )
    if verdict is None or look is None or look.draft.files.get(entry.file) is not data:
        return plain
    rebuilt = look.rebuilt.get(data)
    return replace(
        plain,
        words=verdict.words,
        flags=tuple(Flag(issue.key, issue.sentence) for issue in verdict.issues),
        portrait=image_of(verdict.portrait) if verdict.portrait is not None else None,
        rebuilt=image_of(rebuilt.rgb) if rebuilt is not None else None,
        rebuilt_db=rebuilt.psnr_face_db if rebuilt is not None else float("nan"),
        has_face=verdict.face is not None,
        landmarks=look.landmarks.get(entry.file),
    )


def _coverage(report: SetReport) -> CoverageView | None:
    cover = report.coverage
    if cover is None:
        return None
    names: Sequence[str] = report.covered
    weights = {target.key: target.weight for target in coverage.TARGETS}
    return CoverageView(
        heads=tuple(tuple(tuple(names[i] for i in cell) for cell in row) for row in cover.heads),
        expressions=tuple((key, words, tuple(names[i] for i in cover.shown[key])) for key, words in EXPRESSIONS),
        holes=tuple(
            (f"{hole.sentence[0].upper()}{hole.sentence[1:]}.", f"{hole.ask}.")
            for hole in sorted(cover.holes, key=lambda hole: -weights[hole.key])
        ),
        score=cover.score,
    )
