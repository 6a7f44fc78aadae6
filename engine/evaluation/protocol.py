# SPDX-License-Identifier: Apache-2.0
"""`eval`: same-identity reconstruction over clips, models and numbers of source pictures. Any one thread.

Per clip, one fixed crop. Source picture 1 is the first frame, further ones are chosen farthest-first in landmark
space; every 4th of the other frames drives, in order. The driving frames are the same for every number of sources,
so that figures for different N compare. The copy-source baseline runs through the same code as a model.

Source:
    the task of Mallya, Wang, Liu 2022 (arXiv 2210.01794), section 4; the choice of source frames is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DriverError
from engine.evaluation.baseline import CopyWarper, PortraitWarper
from engine.evaluation.clips import EvalClip, list_clips, load_clip
from engine.evaluation.eval_report import COPY, ClipScores, EvalReport, SheetBand, mean_scores
from engine.evaluation.machine import describe_machine
from engine.evaluation.scoring import Truth, alpha_over, score_frame
from engine.sources.framing import SquareBox, cut_image
from engine.sources.ordering import farthest_first
from engine.track.base import Tracker
from engine.types import Query, SourceImage, SourceSet

__all__ = ["Instruments", "evaluate_clip", "open_instruments", "plan_clip", "run_eval"]

log = logging.getLogger(__name__)

_DRIVING_STEP = 4
_SHEET_MOMENTS = 6

Matte = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Advance = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures. follower: tracks clips in order. judge: looks at single pictures. matte: person in a picture."""

    follower: Tracker
    judge: Tracker
    matte: Matte


@contextmanager
def open_instruments() -> Iterator[Instruments]:
    """Open MediaPipe for an evaluation."""
    from engine.track.face_mesh import FaceMeshTracker
    from engine.track.person_matte import PersonMatte

    with ExitStack() as stack:
        follower = stack.enter_context(closing(FaceMeshTracker(max_faces=1)))
        judge = stack.enter_context(closing(FaceMeshTracker(static=True, max_faces=1)))
        matte = stack.enter_context(closing(PersonMatte()))
        yield Instruments(follower, judge, matte.matte)


def run_eval(
    clips: Path,
    *,
    models: Sequence[str] = ("lite",),
    source_counts: Sequence[int] = (1, 2, 3, 4),
    backend: str = "auto",
    advance: Advance = lambda _done, _total: None,
) -> EvalReport:
    """Evaluate models on every clip of a folder.

    Args:
        clips: a folder of video files, or one file.
        advance: called with (steps done, steps in all); a step is one clip with one model and source count.
    Raises:
        DriverUnreadable: no clip there. NoFaceInDriver: none of them shows a face.
        EngineError: a model cannot run here.
    """
    from engine.warp import open_warper

    paths = list_clips(clips)
    with ExitStack() as stack:
        warpers: dict[str, PortraitWarper] = {COPY: CopyWarper()}
        engines: dict[str, str] = {}
        for model in models:
            warper = stack.enter_context(closing(open_warper(model=model, backend=backend)))
            warpers[model], engines[model] = warper, warper.description
        instruments = stack.enter_context(open_instruments())
        rows, bands, skipped = _evaluate_all(paths, warpers, source_counts, instruments, advance)
    return EvalReport(tuple(rows), engines, skipped, describe_machine(), tuple(bands))


def _evaluate_all(
    paths: Sequence[Path],
    warpers: Mapping[str, PortraitWarper],
    source_counts: Sequence[int],
    instruments: Instruments,
    advance: Advance,
) -> tuple[list[ClipScores], list[SheetBand], dict[str, str]]:
    rows: list[ClipScores] = []
    bands: list[SheetBand] = []
    skipped: dict[str, str] = {}
    per_clip = len(warpers) * len(source_counts)
    last_error: DriverError | None = None
    for index, path in enumerate(paths):
        start, total = index * per_clip, len(paths) * per_clip
        advance(start, total)
        try:
            clip = load_clip(path, tracker=instruments.follower)
        except DriverError as error:
            # One bad file must not cost the figures of all the others; it is named in the report.
            skipped[path.name], last_error = str(error), error
            continue

        def step(done: int, start: int = start, total: int = total) -> None:
            advance(start + done, total)

        clip_rows, band = evaluate_clip(
            clip, warpers, source_counts=source_counts, judge=instruments.judge, matte=instruments.matte, step=step
        )
        rows.extend(clip_rows)
        bands.append(band)
    if not rows and last_error is not None:
        raise last_error
    for reason in skipped.values():
        log.warning("Clip skipped: %s", reason)
    return rows, bands, skipped


def plan_clip(keypoints: NDArray[np.float32], *, most_sources: int) -> tuple[list[int], list[int]]:
    """Choose source and driving frames of a clip.

    Shapes:
        keypoints: (T, 478, 3). returns: indices of at most `most_sources` source frames, and of driving frames.
    """
    sources = farthest_first(keypoints.reshape(len(keypoints), -1), first=0, count=most_sources)
    others = [index for index in range(len(keypoints)) if index not in set(sources)]
    return sources, others[::_DRIVING_STEP]


def evaluate_clip(
    clip: EvalClip,
    warpers: Mapping[str, PortraitWarper],
    *,
    source_counts: Sequence[int],
    judge: Tracker,
    matte: Matte,
    step: Callable[[int], None] = lambda _done: None,
) -> tuple[list[ClipScores], SheetBand]:
    """Evaluate every warper with every number of source pictures on one clip.

    Args:
        judge: finds landmarks on single pictures, truths and outputs alike. step: called with runs done.
    """
    sources, driving = plan_clip(clip.keypoints, most_sources=max(source_counts))
    images = tuple(
        SourceImage(f"{clip.name} {index}", clip.frames[index], matte(clip.frames[index]), clip.keypoints[index])
        for index in sources
    )
    truths = [Truth.look(clip.frames[i], clip.keypoints[i], judge=judge, matte=matte) for i in driving]
    moments = [
        driving[i] for i in np.linspace(0, len(driving) - 1, min(_SHEET_MOMENTS, len(driving))).round().astype(int)
    ]
    rows: list[ClipScores] = []
    pictures: dict[str, tuple[NDArray[np.uint8], ...]] = {}
    shown = {min(source_counts), max(source_counts)}
    for model, warper in warpers.items():
        for count in source_counts:
            source_set = SourceSet(clip.name, images).take(count)
            outputs = _drive(warper, source_set, clip, driving)
            steps = list(zip(outputs, truths, strict=True))
            scores = [
                score_frame(*now, before=before, judge=judge)
                for now, before in zip(steps, [None, *steps[:-1]], strict=True)
            ]
            rows.append(ClipScores(clip.name, model, count, len(driving), mean_scores(scores)))
            if count in shown and model != COPY:
                pictures[f"{model} N={count}"] = tuple(outputs[driving.index(moment)] for moment in moments)
            step(len(rows))
    band = SheetBand(
        clip.name, tuple(image.rgb for image in images), tuple(clip.frames[moment] for moment in moments), pictures
    )
    return rows, band


def _drive(
    warper: PortraitWarper, source_set: SourceSet, clip: EvalClip, driving: Sequence[int]
) -> list[NDArray[np.uint8]]:
    """Return the outputs for the driving frames, in their order, with no memory of earlier runs."""
    warper.set_sources(source_set)
    warper.reset()
    outputs = []
    for index in driving:
        output = alpha_over(warper.warp(Query(int(clip.captured_ns[index]), clip.keypoints[index].copy())))
        if output.shape[0] != clip.side_px:  # a model of another size is judged at the clip's
            output = cut_image(output, SquareBox(0, 0, output.shape[0]), side_px=clip.side_px)
        outputs.append(output)
    return outputs
