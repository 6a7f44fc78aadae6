# SPDX-License-Identifier: Apache-2.0
"""Source sets as a product: made, judged, edited, shared. Qt-free; any one thread, with progress and cancelling.

    draft.py          a set in memory: immutable, every operation gives a new one; undo
    make.py           pictures, folders, videos → a draft: `add_files`
    frames.py         a video → what is known of its frames
    picker.py         … and which of them to take: `pick_frames`
    poses.py          one face in numbers and words
    coverage.py       what a set shows and what is missing: `map_coverage`
    quality.py        blurred pictures, duplicates
    person.py         another person's picture
    leave_one_out.py  every picture rebuilt from the others
    judge.py          all of that over a draft: `judge_draft`
    sheet.py          … as a picture
    coach.py          what to do next in front of the camera: `CaptureCoach`
    capture.py        … with a real camera: `run_session`
    save.py           a draft → disk, whole or not at all
    share.py          one zip out, a stranger's file in

Progress callbacks take (done, total or None); an exception raised in one (`Closed`, for instance) cancels the work and
comes out of the call, and nothing has changed. The real tracker and model come in through `engine.app.sets`.

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine.sets.capture import CoachedCapture, run_session
    from engine.sets.coach import CaptureCoach
    from engine.sets.coverage import map_coverage
    from engine.sets.draft import DraftHistory, SetDraft, open_draft
    from engine.sets.judge import judge_draft
    from engine.sets.make import add_files, new_draft
    from engine.sets.picker import pick_frames
    from engine.sets.report import SetReport
    from engine.sets.save import save_draft
    from engine.sets.share import export_set, import_set

__all__ = [
    "CaptureCoach",
    "CoachedCapture",
    "DraftHistory",
    "SetDraft",
    "SetReport",
    "add_files",
    "export_set",
    "import_set",
    "judge_draft",
    "map_coverage",
    "new_draft",
    "open_draft",
    "pick_frames",
    "run_session",
    "save_draft",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CaptureCoach": "coach",
        "CoachedCapture": "capture",
        "run_session": "capture",
        "DraftHistory": "draft",
        "SetDraft": "draft",
        "SetReport": "judge",
        "add_files": "make",
        "export_set": "share",
        "import_set": "share",
        "judge_draft": "judge",
        "map_coverage": "coverage",
        "new_draft": "make",
        "open_draft": "draft",
        "pick_frames": "picker",
        "save_draft": "save",
    },
)
