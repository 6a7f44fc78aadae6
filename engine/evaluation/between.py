# SPDX-License-Identifier: Apache-2.0
"""How well frames between two pictures are rebuilt, with a cross-fade beside. Any one thread.

Two frames of a clip are the pictures, and a frame between them is the truth. Where the performer did something else on
the way, no interpolation can know it: so stretches are taken in which the face truly moved (by at least 12 % of the
head's half width on average over the landmarks, by a turn of 60 degrees at most: from one side picture of a built-in
set to the other) and passed close to the half-way pose, and the frame that came nearest is compared. Both ways see the
same frames; neither sees the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from engine.errors import DriverUnreadable, InvalidSetting
from engine.evaluation.clips import EvalClip, find_clips, load_clip
from engine.evaluation.eval_report import SheetRow
from engine.evaluation.metrics import hull_mask, psnr_db, structural_similarity
from engine.evaluation.scoring import alpha_over
from engine.headpose import describe_head
from engine.landmarks import FACE_OVAL
from engine.track.face_mesh import FaceMeshTracker
from engine.track.keypoint_path import KeypointPath
from engine.track.person_matte import PersonMatte
from engine.types import SourceImage, SourceSet
from engine.warp import Warper, open_warper
from engine.warp.inbetween import Between, warp_between

__all__ = ["BetweenReport", "BetweenRow", "Stretch", "between_table", "find_stretches", "run_between"]

_LONGEST_S = 2.0
_SHORTEST_FRAMES = 4
_LEAST_MOVED = 0.12  # mean landmark distance between the two pictures, over the head's half width
_WIDEST_TURN_RAD = np.radians(60.0)
_NEAR_MIDDLE = 0.06  # of that distance: how close to the half-way pose a frame must come
_STRETCHES = 6  # a clip, the widest first


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frame numbers of a clip. moved: mean landmark distance from first to last, over the head's half width."""

    first: int
    middle: int
    last: int
    moved: float


@dataclass(frozen=True, slots=True, eq=False)
class BetweenRow:
    """Means over a clip's stretches: of the cross-fade and of ours, dB and structural similarity."""

    clip: str
    folder: str
    stretches: int
    moved: float
    fade_db: float
    ours_db: float
    fade_face_db: float
    ours_face_db: float
    fade_ssim: float
    ours_ssim: float


@dataclass(frozen=True, slots=True, eq=False)
class BetweenReport:
    """Rows by clip, and one row of pictures of each. skipped: clip → reason."""

    engine: str
    rows: tuple[BetweenRow, ...]
    skipped: dict[str, str]
    pictures: tuple[SheetRow, ...]


def find_stretches(clip: EvalClip) -> list[Stretch]:
    """Return up to six stretches that do not overlap, the widest motion first."""
    points = clip.keypoints[..., :2]
    half_width = float(np.median([describe_head(k).scale for k in clip.keypoints]))
    found = []
    for first in range(0, len(points), 2):
        for last in range(first + _SHORTEST_FRAMES, len(points), 2):
            if (clip.captured_ns[last] - clip.captured_ns[first]) / 1e9 > _LONGEST_S:
                break
            moved = float(np.linalg.norm(points[last] - points[first], axis=-1).mean()) / half_width
            if moved < _LEAST_MOVED:
                continue
            path = KeypointPath([clip.keypoints[first], clip.keypoints[last]])
            if path.turn_rad(0) > _WIDEST_TURN_RAD:
                continue
            off = np.linalg.norm(points[first + 1 : last] - path.at(0.5)[:, :2], axis=-1).mean(-1) / half_width
            nearest = int(off.argmin())
            if off[nearest] < _NEAR_MIDDLE * moved:
                found.append(Stretch(first, first + 1 + nearest, last, moved))
    kept: list[Stretch] = []
    for stretch in sorted(found, key=lambda each: -each.moved):
        if len(kept) < _STRETCHES and all(stretch.last <= k.first or stretch.first >= k.last for k in kept):
            kept.append(stretch)
    return kept


def run_between(
    places: Sequence[Path],
    *,
    model: str = "lite",
    backend: str = "auto",
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> BetweenReport:
    """Measure all clips of some folders.

    Raises:
        DriverUnreadable: a folder without clips. InvalidSetting: a model that is not driven by landmarks.
    """
    clips = find_clips(places)
    rows: list[BetweenRow] = []
    skipped: dict[str, str] = {}
    pictures: list[SheetRow] = []
    with (
        closing(open_warper(model=model, backend=backend)) as warper,
        closing(FaceMeshTracker()) as tracker,
        closing(PersonMatte()) as matte,
    ):
        if not isinstance(warper, Warper):
            raise InvalidSetting(f"Model {model} is not driven by landmarks.", hint="Use lite.", model=model)
        for number, found in enumerate(clips):
            advance(number, len(clips))
            try:
                clip = load_clip(found.path, tracker=tracker, side_px=warper.side_px)
            except DriverUnreadable as error:
                skipped[found.path.name] = str(error)
                continue
            stretches = find_stretches(clip)
            if not stretches:
                skipped[found.path.name] = "the face hardly moves, or not along a path"
                continue
            scores = [_score(clip, stretch, warper, matte) for stretch in stretches]
            means = np.mean([figures for figures, _ in scores], axis=0)
            rows.append(BetweenRow(clip.name, found.folder, len(scores), *(float(value) for value in means)))
            pictures.append(scores[0][1])
        return BetweenReport(warper.description, tuple(rows), skipped, tuple(pictures))


def _score(clip: EvalClip, stretch: Stretch, warper: Warper, matte: PersonMatte) -> tuple[list[float], SheetRow]:
    ends = (stretch.first, stretch.last)
    images = tuple(
        SourceImage(str(i), clip.frames[i].copy(), matte.matte(clip.frames[i]), clip.keypoints[i].copy()) for i in ends
    )
    warper.set_sources(SourceSet(clip.name, images))
    first, last = (image.keypoints for image in images)
    moment = Between(0.5, first, last, KeypointPath([first, last]).at(0.5))
    ours = alpha_over(warp_between(warper, (0, 1), moment))
    shown = [image.rgb.astype(np.float32) for image in images]
    fade = np.rint((shown[0] + shown[1]) / 2).astype(np.uint8)
    truth = clip.frames[stretch.middle]
    face = hull_mask(clip.keypoints[stretch.middle], groups=[FACE_OVAL], side_px=clip.side_px)
    figures = [stretch.moved]
    figures += [psnr_db(each, truth) for each in (fade, ours)]
    figures += [psnr_db(each, truth, mask=face) for each in (fade, ours)]
    figures += [structural_similarity(each, truth).ssim for each in (fade, ours)]
    pair = (images[0].rgb, images[1].rgb)
    return figures, SheetRow(clip.name, pair, truth, {"cross-fade": fade, "interpolated": ours})


def between_table(report: BetweenReport) -> Table:
    """Return the figures as a table, with a mean a folder and over all clips."""
    table = Table(title="frames between two pictures: a cross-fade → ours")
    for heading in ("folder", "clip", "stretches", "moved", "PSNR dB", "gain", "face dB", "gain", "SSIM"):
        table.add_column(heading, justify="left" if heading in ("folder", "clip") else "right")
    folders = list(dict.fromkeys(row.folder for row in report.rows))
    for folder in folders:
        rows = [row for row in report.rows if row.folder == folder]
        for row in rows:
            table.add_row(*_cells(row.folder, row.clip, [row]))
        table.add_row(*_cells(folder, "mean", rows), end_section=True)
    if len(folders) > 1:
        table.add_row(*_cells("all", "mean", report.rows))
    return table


def _cells(folder: str, name: str, rows: Sequence[BetweenRow]) -> list[str]:
    def mean(field: str) -> float:
        return float(np.mean([getattr(row, field) for row in rows]))

    cells = [folder, name, str(sum(row.stretches for row in rows)), f"{mean('moved'):.2f}"]
    for region in ("", "_face"):
        fade, ours = mean(f"fade{region}_db"), mean(f"ours{region}_db")
        cells += [f"{fade:.2f} → {ours:.2f}", f"{ours - fade:+.2f}"]
    return [*cells, f"{mean('fade_ssim'):.3f} → {mean('ours_ssim'):.3f}"]
