# SPDX-License-Identifier: Apache-2.0
"""Source sets with the real instruments: MediaPipe looks, the shipped model rebuilds. Any one thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from engine.app.assembly import FaceAnalyser
from engine.capture import open_camera
from engine.sets.capture import CoachedCapture, run_session
from engine.sets.coach import CaptureCoach
from engine.sets.draft import SetDraft
from engine.sets.judge import analyse_draft, judge_draft
from engine.sets.make import Instruments
from engine.sets.poses import read_face
from engine.sets.report import SetReport
from engine.sources.analysis import AnalysedPicture
from engine.track.face_mesh import FaceMeshTracker
from engine.warp import open_warper
from engine.warp.warper import Warper

__all__ = ["capture", "instruments", "judge"]


@contextmanager
def instruments() -> Iterator[Instruments]:
    """Open what `engine.sets.make.add_files` needs."""
    with closing(FaceAnalyser()) as analyser:
        yield Instruments(analyser, FaceMeshTracker)


def capture(
    draft: SetDraft,
    camera: str,
    *,
    skip: Sequence[str] = (),
    limit_s: float | None = None,
    say: Callable[[str, bool], None] = lambda _text, _taken: None,
) -> SetDraft:
    """Let the coach fill up a draft in front of a camera; Ctrl-C ends it, and what was taken is in the draft.

    Args:
        camera: what `engine.capture.open_camera` takes. skip: targets not to ask for.
        say: told the coach's sentence for every frame, and whether a picture was taken.
    Raises:
        CameraError, DriverError: the camera cannot be used.
    """
    with closing(FaceAnalyser()) as analyser:
        found = analyse_draft(draft, analyser).values()
    have = [read_face(one.landmarks_px) for one in found if isinstance(one, AnalysedPicture)]
    coach = CaptureCoach(have)
    for key in skip:
        coach.skip(key)
    with open_camera(camera) as opened, closing(FaceMeshTracker()) as tracker:
        session = CoachedCapture(draft, coach, tracker)
        with contextlib.suppress(KeyboardInterrupt):
            run_session(session, opened, limit_s=limit_s, say=lambda advice: say(advice.text, advice.take is not None))
        return session.draft


def judge(
    draft: SetDraft,
    *,
    rebuild: bool = True,
    backend: str = "auto",
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> SetReport:
    """Judge a draft, with the default model for the rebuilt pictures; see `judge_draft`.

    Raises:
        EngineError: the model cannot run here.
    """
    with closing(FaceAnalyser()) as analyser:
        if not rebuild:
            return judge_draft(draft, analyser, advance=advance)
        with closing(open_warper(model="lite", backend=backend)) as warper:
            assert isinstance(warper, Warper)
            return judge_draft(draft, analyser, warper=warper, advance=advance)
