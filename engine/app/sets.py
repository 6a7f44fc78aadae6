# SPDX-License-Identifier: Apache-2.0
"""Source sets with the real instruments: MediaPipe looks, the shipped model rebuilds. Any one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from engine.app.assembly import FaceAnalyser
from engine.sets.draft import SetDraft
from engine.sets.judge import SetReport, judge_draft
from engine.sets.make import Instruments
from engine.track.face_mesh import FaceMeshTracker
from engine.warp import open_warper
from engine.warp.warper import Warper

__all__ = ["instruments", "judge"]


@contextmanager
def instruments() -> Iterator[Instruments]:
    """Open what `engine.sets.make.add_files` needs."""
    with closing(FaceAnalyser()) as analyser:
        yield Instruments(analyser, FaceMeshTracker)


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
