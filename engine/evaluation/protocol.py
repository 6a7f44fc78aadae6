# SPDX-License-Identifier: Apache-2.0
"""`eval`: same-identity reconstruction over clips, models and numbers of source pictures. Any one thread.

Per clip, one fixed crop. Source picture 1 is the first frame, further ones are chosen farthest-first in landmark
space. Every 4th of the other frames is *scored*: compared with the output it drove. Jitter needs consecutive frames:
up to four of the gaps between scored frames are filled, and on those runs of five frames only landmarks are looked
for, not pixels compared, which makes a run about a third longer. All driving frames are rendered in order in one
pass, so a warper that remembers earlier frames is judged with its memory. They are the same for every number of
sources, so that figures for different N compare. The copy-source baseline runs through the same code as a model.

Models driven by landmarks get the clip's own keypoints; models that find keypoints of their own get the true driving
picture, and copy positions (absolute motion): it is the same person.

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
from engine.evaluation.baseline import PortraitWarper
from engine.evaluation.clips import EvalClip, find_clips, load_clip
from engine.evaluation.drive import Moment, begin, open_models, show
from engine.evaluation.eval_report import ClipScores, EvalReport, Scores, SheetRow, mean_scores
from engine.evaluation.machine import describe_machine
from engine.evaluation.metrics import jitter_px
from engine.evaluation.plan import ClipPlan, plan_clip, telling_moments
from engine.evaluation.scoring import Truth, find_landmarks, score_frame
from engine.evaluation.sheet import SheetCollector, moments_shown
from engine.track.base import Tracker
from engine.types import SourceImage, SourceSet

__all__ = [
    "Instruments",
    "evaluate_all",
    "evaluate_clip",
    "moment_of",
    "open_instruments",
    "run_eval",
    "run_jitter_px",
]

log = logging.getLogger(__name__)

_PROTOCOL = (
    "same-identity reconstruction; source 1 = first frame, others farthest-first in landmark space; scored = every 4th "
    "other frame; jitter on runs of consecutive frames between scored ones; learned keypoints move absolutely"
)

Matte = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Advance = Callable[[int, int | None], None]
Landmarks = Mapping[int, NDArray[np.float32] | None]  # by frame number; None where no face is found


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
        EngineError: a model is not there or cannot run here.
    """
    found = find_clips(clips)
    with open_models(models, backend=backend) as opened, open_instruments() as instruments:

        def evaluate(index: int, step: Callable[[int], None]) -> tuple[list[ClipScores], list[SheetRow]]:
            rows, pictures = evaluate_clip(
                load_clip(found[index].path, tracker=instruments.follower),
                opened.warpers,
                source_counts=source_counts,
                judge=instruments.judge,
                matte=instruments.matte,
                sheet_moments=moments_shown(index, len(found)),
                step=step,
            )
            return [replace(row, folder=found[index].folder) for row in rows], pictures

        names = [f"{one.folder}/{one.path.name}" for one in found]
        per_clip = len(opened.warpers) * len(source_counts)
        rows, pictures, skipped = evaluate_all(names, evaluate, steps_each=per_clip, advance=advance)
        return EvalReport(
            tuple(rows), _PROTOCOL, opened.engines, opened.titles, skipped, describe_machine(), tuple(pictures)
        )


def evaluate_all(
    names: Sequence[str],
    evaluate: Callable[[int, Callable[[int], None]], tuple[list[ClipScores], list[SheetRow]]],
    *,
    steps_each: int,
    advance: Advance,
) -> tuple[list[ClipScores], list[SheetRow], dict[str, str]]:
    """Evaluate clips one after the other; what cannot be used is skipped, named and told.

    Args:
        evaluate: called with the clip's number and a function that takes the steps done on it.
    Raises:
        DriverError: none of them could be used; the last one's error.
    """
    rows: list[ClipScores] = []
    pictures: list[SheetRow] = []
    skipped: dict[str, str] = {}
    total = len(names) * steps_each
    last_error: DriverError | None = None
    for index, name in enumerate(names):

        def step(done: int, start: int = index * steps_each) -> None:
            advance(start + done, total)

        step(0)
        try:
            clip_rows, clip_pictures = evaluate(index, step)
        except DriverError as error:
            # One bad file must not cost the figures of all the others; it is named in the report.
            skipped[name], last_error = str(error), error
            continue
        rows.extend(clip_rows)
        pictures.extend(clip_pictures)
    if not rows and last_error is not None:
        raise last_error
    for reason in skipped.values():
        log.warning("Clip skipped: %s", reason)
    return rows, pictures, skipped


def evaluate_clip(
    clip: EvalClip,
    warpers: Mapping[str, PortraitWarper],
    *,
    source_counts: Sequence[int],
    judge: Tracker,
    matte: Matte,
    sheet_moments: int = 0,
    step: Callable[[int], None] = lambda _done: None,
) -> tuple[list[ClipScores], list[SheetRow]]:
    """Evaluate every warper with every number of source pictures on one clip.

    Args:
        judge: finds landmarks on single pictures, truths and outputs alike. sheet_moments: how many moments are kept
            as pictures, each with the fewest and the most source pictures. step: called with runs done.
    """
    plan = plan_clip(clip.keypoints, clip.captured_ns, most_sources=max(source_counts))
    images = tuple(
        SourceImage(f"{clip.name} {index}", clip.frames[index], matte(clip.frames[index]), clip.keypoints[index])
        for index in plan.sources
    )
    truth = _ClipTruth(clip, plan, judge=judge, matte=matte)
    moments = telling_moments(clip.keypoints, plan.scored, count=sheet_moments)
    sheet = SheetCollector(moments, source_counts=source_counts)
    rows: list[ClipScores] = []
    for model, warper in warpers.items():
        for count in source_counts:
            source_set = SourceSet(clip.name, images).take(count)
            begin(warper, source_set, neutral=None)
            outputs = {index: show(warper, moment_of(clip, index), side_px=clip.side_px) for index in plan.driving}
            rows.append(ClipScores(clip.name, model, count, len(plan.scored), truth.score(outputs)))
            sheet.keep(model, source_set, clip.frames, outputs)
            step(len(rows))
    return rows, sheet.rows()


def moment_of(clip: EvalClip, index: int) -> Moment:
    """Return a frame of a clip as its own driving moment."""
    return Moment(int(clip.captured_ns[index]), clip.keypoints[index], clip.frames[index])


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
        return replace(mean_scores(scores, Scores), jitter_px=run_jitter_px(self._runs, found, self._landmarks))


def run_jitter_px(runs: Sequence[Sequence[int]], found: Landmarks, wanted: Landmarks) -> float:
    """Return the mean jitter over all runs in which every face was found; NaN where there is none."""
    figures = []
    for run in runs:
        pairs = [(found[index], wanted[index]) for index in run]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if len(both) == len(run):
            figures.append(jitter_px(np.stack([a for a, _ in both]), np.stack([b for _, b in both])))
    return float(np.mean(figures)) if figures else float("nan")
