# SPDX-License-Identifier: Apache-2.0
"""`eval`: same-identity reconstruction over clips, models and numbers of source pictures. Any one thread.

Per clip, one fixed crop. Source picture 1 is the first frame, further ones are chosen farthest-first in landmark
space. Every 4th of the other frames is *scored*: compared with the output it drove. Jitter needs consecutive frames:
up to four of the gaps between scored frames are filled, and on those runs of five frames only landmarks are looked
for, not pixels compared, which makes a run about a third longer. All driving frames are rendered in order in one
pass, so a warper that remembers earlier frames is judged with its memory. They are the same for every number of
sources, so that figures for different N compare. The copy-source baseline runs through the same code as a model.

Source:
    the task of Mallya, Wang, Liu 2022 (arXiv 2210.01794), section 4; the choice of source frames is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DriverError
from engine.evaluation.baseline import CopyWarper, PortraitWarper
from engine.evaluation.clips import EvalClip, FoundClip, find_clips, load_clip
from engine.evaluation.eval_report import COPY, ClipScores, EvalReport, Scores, SheetBand, mean_scores
from engine.evaluation.machine import describe_machine
from engine.evaluation.metrics import jitter_px
from engine.evaluation.plan import ClipPlan, plan_clip, telling_moments
from engine.evaluation.scoring import Truth, alpha_over, find_landmarks, score_frame
from engine.sources.framing import SquareBox, cut_image
from engine.track.base import Tracker
from engine.types import Query, SourceImage, SourceSet

__all__ = ["Instruments", "evaluate_clip", "open_instruments", "run_eval"]

log = logging.getLogger(__name__)

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
    clips: Sequence[Path],
    *,
    models: Sequence[str] = ("lite",),
    source_counts: Sequence[int] = (1, 2, 3, 4, 8),
    backend: str = "auto",
    advance: Advance = lambda _done, _total: None,
) -> EvalReport:
    """Evaluate models on every clip of some folders.

    Args:
        clips: folders of video files, and single files.
        advance: called with (steps done, steps in all); a step is one clip with one model and source count.
    Raises:
        DriverUnreadable: no clip there. NoFaceInDriver: none of them shows a face.
        EngineError: a model cannot run here.
    """
    from engine.warp import open_warper

    found = find_clips(clips)
    with ExitStack() as stack:
        warpers: dict[str, PortraitWarper] = {COPY: CopyWarper()}
        engines: dict[str, str] = {}
        for model in models:
            warper = stack.enter_context(closing(open_warper(model=model, backend=backend)))
            warpers[model], engines[model] = warper, warper.description
        instruments = stack.enter_context(open_instruments())
        rows, bands, skipped = _evaluate_all(found, warpers, source_counts, instruments, advance)
    return EvalReport(tuple(rows), engines, skipped, describe_machine(), tuple(bands))


def _evaluate_all(
    found: Sequence[FoundClip],
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
    for index, one in enumerate(found):
        start, total = index * per_clip, len(found) * per_clip
        advance(start, total)
        try:
            clip = load_clip(one.path, tracker=instruments.follower)
        except DriverError as error:
            # One bad file must not cost the figures of all the others; it is named in the report.
            skipped[f"{one.folder}/{one.path.name}"], last_error = str(error), error
            continue

        def step(done: int, start: int = start, total: int = total) -> None:
            advance(start + done, total)

        clip_rows, band = evaluate_clip(
            clip, warpers, source_counts=source_counts, judge=instruments.judge, matte=instruments.matte, step=step
        )
        rows.extend(replace(row, folder=one.folder) for row in clip_rows)
        bands.append(band)
    if not rows and last_error is not None:
        raise last_error
    for reason in skipped.values():
        log.warning("Clip skipped: %s", reason)
    return rows, bands, skipped


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
    plan = plan_clip(clip.keypoints, clip.captured_ns, most_sources=max(source_counts))
    images = tuple(
        SourceImage(f"{clip.name} {index}", clip.frames[index], matte(clip.frames[index]), clip.keypoints[index])
        for index in plan.sources
    )
    truth = _ClipTruth(clip, plan, judge=judge, matte=matte)
    moments = telling_moments(clip.keypoints, plan.scored, count=_SHEET_MOMENTS)
    rows: list[ClipScores] = []
    pictures: dict[str, tuple[NDArray[np.uint8], ...]] = {}
    shown = {min(source_counts), max(source_counts)}
    for model, warper in warpers.items():
        for count in source_counts:
            outputs = _drive(warper, SourceSet(clip.name, images).take(count), clip, plan.driving)
            rows.append(ClipScores(clip.name, model, count, len(plan.scored), truth.score(outputs)))
            if count in shown and model != COPY:
                pictures[f"{model} N={count}"] = tuple(outputs[moment] for moment in moments)
            step(len(rows))
    band = SheetBand(
        clip.name, tuple(image.rgb for image in images), tuple(clip.frames[moment] for moment in moments), pictures
    )
    return rows, band


class _ClipTruth:
    """What is measured once on a clip's own frames, and the outputs against it."""

    def __init__(self, clip: EvalClip, plan: ClipPlan, *, judge: Tracker, matte: Matte) -> None:
        self._judge, self._runs = judge, plan.runs
        self._scored = {
            index: Truth.look(clip.frames[index], clip.keypoints[index], judge=judge, matte=matte)
            for index in plan.scored
        }
        self._landmarks = {index: truth.landmarks_px for index, truth in self._scored.items()}
        for index in plan.driving:
            if index not in self._landmarks:
                self._landmarks[index] = find_landmarks(judge, clip.frames[index])

    def score(self, outputs: Mapping[int, NDArray[np.uint8]]) -> Scores:
        """Return the mean scores of the outputs, given by frame number."""
        found = {index: find_landmarks(self._judge, output) for index, output in outputs.items()}
        scores, before = [], None
        for index, truth in self._scored.items():
            scores.append(score_frame(outputs[index], truth, found=found[index], before=before))
            before = outputs[index], truth
        return replace(mean_scores(scores), jitter_px=self._jitter_px(found))

    def _jitter_px(self, found: Mapping[int, NDArray[np.float32] | None]) -> float:
        """Return the mean over all runs in which every face was found; NaN where there is none."""
        figures = []
        for run in self._runs:
            here = [found[index] for index in run]
            true = [self._landmarks[index] for index in run]
            both = [(a, b) for a, b in zip(here, true, strict=True) if a is not None and b is not None]
            if len(both) == len(run):
                figures.append(jitter_px(np.stack([a for a, _ in both]), np.stack([b for _, b in both])))
        return float(np.mean(figures)) if figures else float("nan")


def _drive(
    warper: PortraitWarper, source_set: SourceSet, clip: EvalClip, driving: Sequence[int]
) -> dict[int, NDArray[np.uint8]]:
    """Return the outputs for the driving frames, in their order, with no memory of earlier runs."""
    warper.set_sources(source_set)
    warper.reset()
    outputs = {}
    for index in driving:
        output = alpha_over(warper.warp(Query(int(clip.captured_ns[index]), clip.keypoints[index].copy())))
        if output.shape[0] != clip.side_px:  # a model of another size is judged at the clip's
            output = cut_image(output, SquareBox(0, 0, output.shape[0]), side_px=clip.side_px)
        outputs[index] = output
    return outputs
