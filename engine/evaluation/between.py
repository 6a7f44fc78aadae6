# SPDX-License-Identifier: Apache-2.0
"""How well frames between two pictures are rebuilt, with a cross-fade beside. Any one thread.

Two frames of a clip are the pictures, and a frame between them is the truth. Both ways see the same frames; neither
sees the truth, and both are asked for the half-way moment. Two protocols:

*turns*, fixed before its figures were seen: the head turns by 10 to 60 degrees (from one side picture of a built-in set
to the other) within two seconds, and the frame whose pose is nearest to half-way lies between, no farther from either
end than 65 % of the turn. What the performer's face does meanwhile is not asked.

*path*, the earlier one, settled after seeing results: the landmarks moved by at least 12 % of the head's half width on
average, and the frame nearest to the half-way landmarks is within 6 % of that motion: the performer truly passed close
to the path, expression included.

Of each clip up to six stretches that do not overlap, the widest first; a clip counts once, whatever it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from engine.errors import DriverUnreadable, InvalidSetting
from engine.evaluation.clips import EvalClip, find_clips, load_clip
from engine.evaluation.eval_report import SheetRow
from engine.evaluation.metrics import hull_mask, psnr_db, structural_similarity
from engine.evaluation.scoring import alpha_over
from engine.headpose import describe_head
from engine.landmarks import FACE_OVAL
from engine.track.face_mesh import FaceMeshTracker
from engine.track.head import take_apart
from engine.track.keypoint_path import KeypointPath
from engine.track.person_matte import PersonMatte
from engine.types import SourceImage, SourceSet
from engine.warp import Warper, open_warper
from engine.warp.inbetween import Between, warp_between

__all__ = ["PATH", "TURNS", "BetweenReport", "BetweenRow", "Stretch", "between_tables", "find_stretches", "run_between"]

TURNS, PATH = "turns", "path"

_LONGEST_S = 2.0
_LEAST_TURN_RAD = np.radians(10.0)
_FARTHEST_END = 0.65  # of the turn
_SHORTEST_FRAMES = 4
_LEAST_MOVED = 0.12  # mean landmark distance between the two pictures, over the head's half width
_WIDEST_TURN_RAD = np.radians(60.0)
_NEAR_MIDDLE = 0.06  # of that distance: how close to the half-way pose a frame must come
_STRETCHES = 6  # a clip, the widest first


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frame numbers of a clip. moved: radians (turns), or mean landmark distance over the head's half width (path)."""

    first: int
    middle: int
    last: int
    moved: float


@dataclass(frozen=True, slots=True, eq=False)
class BetweenRow:
    """Means over a clip's stretches: of the cross-fade and of ours, dB and structural similarity.

    gains_db: of every stretch. moved: see `Stretch`.
    """

    clip: str
    folder: str
    protocol: str
    gains_db: tuple[float, ...]
    moved: float
    fade_db: float
    ours_db: float
    fade_face_db: float
    ours_face_db: float
    fade_ssim: float
    ours_ssim: float


@dataclass(frozen=True, slots=True, eq=False)
class BetweenReport:
    """Rows by clip and protocol, and one row of pictures of each clip. skipped: clip → reason."""

    engine: str
    rows: tuple[BetweenRow, ...]
    skipped: dict[str, str]
    pictures: tuple[SheetRow, ...]


def find_stretches(clip: EvalClip, protocol: str = TURNS) -> list[Stretch]:
    """Return up to six stretches that do not overlap, the widest motion first; protocol: `TURNS` or `PATH`."""
    find = _Turns(clip) if protocol == TURNS else _Paths(clip)
    found = []
    for first in range(0, len(clip.keypoints), 2):
        for last in range(first + _SHORTEST_FRAMES, len(clip.keypoints), 2):
            if (clip.captured_ns[last] - clip.captured_ns[first]) / 1e9 > _LONGEST_S:
                break
            if (stretch := find.between(first, last)) is not None:
                found.append(stretch)
    kept: list[Stretch] = []
    for stretch in sorted(found, key=lambda each: -each.moved):
        if len(kept) < _STRETCHES and all(stretch.last <= k.first or stretch.first >= k.last for k in kept):
            kept.append(stretch)
    return kept


class _Turns:
    """Stretches in which the head turns; see *turns* above."""

    def __init__(self, clip: EvalClip) -> None:
        self._rotations = np.stack([take_apart(points)[0].rotation for points in clip.keypoints])  # (T, 3, 3)

    def between(self, first: int, last: int) -> Stretch | None:
        turn = self._angles(first, slice(last, last + 1))[0]
        if not _LEAST_TURN_RAD <= turn <= _WIDEST_TURN_RAD:
            return None
        inner = slice(first + 1, last)
        farther = np.maximum(self._angles(first, inner), self._angles(last, inner))
        nearest = int(farther.argmin())
        return Stretch(first, first + 1 + nearest, last, turn) if farther[nearest] <= _FARTHEST_END * turn else None

    def _angles(self, one: int, others: slice) -> NDArray[np.float64]:
        trace = np.einsum("ij,tij->t", self._rotations[one], self._rotations[others])
        return np.asarray(np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0)), np.float64)


class _Paths:
    """Stretches in which the landmarks pass close to the half-way ones; see *path* above."""

    def __init__(self, clip: EvalClip) -> None:
        self._clip = clip
        self._half_width = float(np.median([describe_head(k).scale for k in clip.keypoints]))

    def between(self, first: int, last: int) -> Stretch | None:
        keypoints = self._clip.keypoints
        points = keypoints[..., :2]
        moved = float(np.linalg.norm(points[last] - points[first], axis=-1).mean()) / self._half_width
        if moved < _LEAST_MOVED:
            return None
        path = KeypointPath([keypoints[first], keypoints[last]])
        if path.turn_rad(0) > _WIDEST_TURN_RAD:
            return None
        half_way = path.at(0.5)[:, :2]
        off = np.linalg.norm(points[first + 1 : last] - half_way, axis=-1).mean(-1) / self._half_width
        nearest = int(off.argmin())
        return Stretch(first, first + 1 + nearest, last, moved) if off[nearest] < _NEAR_MIDDLE * moved else None


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
            shown: list[SheetRow] = []
            for protocol in (TURNS, PATH):
                scores = [_score(clip, stretch, warper, matte) for stretch in find_stretches(clip, protocol)]
                if not scores:
                    continue
                means = np.mean([figures for figures, _ in scores], axis=0)
                gains = tuple(float(figures[2] - figures[1]) for figures, _ in scores)
                rows.append(BetweenRow(clip.name, found.folder, protocol, gains, *(float(value) for value in means)))
                shown.append(scores[0][1])
            if not shown:
                skipped[found.path.name] = "the head hardly turns, or not along a path"
            pictures += shown[:1]
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


def between_tables(report: BetweenReport) -> list[Table]:
    """Return the figures as a table a protocol, with a mean a folder and over all clips."""
    return [_table(protocol, rows) for protocol in (TURNS, PATH) if (rows := _rows_of(report, protocol))]


def _rows_of(report: BetweenReport, protocol: str) -> list[BetweenRow]:
    return [row for row in report.rows if row.protocol == protocol]


def _table(protocol: str, all_rows: Sequence[BetweenRow]) -> Table:
    table = Table(title=f"frames between two pictures ({protocol}): a cross-fade → ours")
    for heading in (
        "folder",
        "clip",
        "stretches",
        "moved",
        "PSNR dB",
        "gain",
        "¼ ½ ¾ of gains",
        "face dB",
        "gain",
        "SSIM",
    ):
        table.add_column(heading, justify="left" if heading in ("folder", "clip") else "right")
    folders = list(dict.fromkeys(row.folder for row in all_rows))
    for folder in folders:
        rows = [row for row in all_rows if row.folder == folder]
        for row in rows:
            table.add_row(*_cells(row.folder, row.clip, [row]))
        table.add_row(*_cells(folder, "mean", rows), end_section=True)
    if len(folders) > 1:
        table.add_row(*_cells("all", "mean", all_rows))
    return table


def _cells(folder: str, name: str, rows: Sequence[BetweenRow]) -> list[str]:
    def mean(field: str) -> float:
        return float(np.mean([getattr(row, field) for row in rows]))

    gains = [gain for row in rows for gain in row.gains_db]
    moved = f"{np.degrees(mean('moved')):.0f}°" if rows[0].protocol == TURNS else f"{mean('moved'):.2f}"
    whole = f"{mean('fade_db'):.2f} → {mean('ours_db'):.2f}"
    face = f"{mean('fade_face_db'):.2f} → {mean('ours_face_db'):.2f}"
    return [
        *(folder, name, str(len(gains)), moved, whole, f"{mean('ours_db') - mean('fade_db'):+.2f}"),
        " ".join(f"{value:+.1f}" for value in np.quantile(gains, (0.25, 0.5, 0.75))),
        *(face, f"{mean('ours_face_db') - mean('fade_face_db'):+.2f}"),
        f"{mean('fade_ssim'):.3f} → {mean('ours_ssim'):.3f}",
    ]
