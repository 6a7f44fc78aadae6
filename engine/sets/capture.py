# SPDX-License-Identifier: Apache-2.0
"""The capture coach in front of a real camera: reads frames, asks, takes pictures into a draft. Any one thread.

Frames are kept for as long as a held pose may lie back, so that the sharpest of it is taken and not the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import Camera
from engine.sets.coach import Advice, CaptureCoach, frames_held_ns
from engine.sets.draft import SetDraft
from engine.sets.frames import FrameFacts, read_facts
from engine.sets.make import picture_entry
from engine.track.base import Tracker
from engine.types import Frame

__all__ = ["CoachedCapture", "run_session"]


class CoachedCapture:
    """One camera session with the coach.

    State: `look` with every frame, in order; `draft` grows with every picture taken.

    Args:
        draft: what is there; the coach knows what it shows by `coach`.
    """

    def __init__(self, draft: SetDraft, coach: CaptureCoach, tracker: Tracker) -> None:
        self.draft, self.coach = draft, coach
        self._tracker = tracker
        self._before: FrameFacts | None = None
        self._kept: deque[Frame] = deque()
        self._number = 0

    def look(self, frame: Frame) -> Advice:
        """Look at one frame, (H, W, 3) uint8 RGB, unmirrored; when the coach says take, the picture is in the draft."""
        numbered = replace(frame, index=self._number)
        self._number += 1
        self._kept.append(numbered)
        while numbered.captured_ns - self._kept[0].captured_ns > frames_held_ns():
            self._kept.popleft()
        self._before = read_facts(numbered, self._tracker, self._before)
        size_wh = (frame.rgb.shape[1], frame.rgb.shape[0])
        advice = self.coach.look(self._before, size_wh=size_wh, now_ns=frame.captured_ns)
        if advice.take is not None:
            self._take(self._pixels(advice.take), advice.target)
        return advice

    def _pixels(self, number: int) -> NDArray[np.uint8]:
        return next(frame.rgb for frame in self._kept if frame.index == number)

    def _take(self, rgb: NDArray[np.uint8], key: str) -> None:
        first = not self.draft.entries
        self.draft = self.draft.with_pictures([picture_entry(rgb, name=key, notes=f"taken for: {key}")])
        if first and key == "front":  # the relaxed front view is what all else is measured from
            manifest = replace(self.draft.manifest, keeps_order=True)
            self.draft = replace(self.draft, manifest=manifest)


def run_session(
    session: CoachedCapture,
    camera: Camera,
    *,
    say: Callable[[Advice], None] = lambda _advice: None,
    limit_s: float | None = None,
) -> None:
    """Let the coach lead until nothing is missing, the camera ends, or `limit_s` has passed.

    Args:
        say: told of every frame's advice; what it raises ends the session, whose draft keeps what was taken.
    Raises:
        CameraError: the camera failed.
    """
    first_ns: int | None = None
    while not session.coach.done and (frame := camera.read()) is not None:
        first_ns = frame.captured_ns if first_ns is None else first_ns
        if limit_s is not None and frame.captured_ns - first_ns > limit_s * 1e9:
            break
        say(session.look(frame))
