# SPDX-License-Identifier: Apache-2.0
"""What the coach sees: every camera frame judged by `CaptureCoach`, the frames it wants kept, a view for the window.

Called on one thread at a time, the render thread or the camera's own; read from any. Frames are kept for a second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.cv import shrink
from engine.sets.coach import CaptureCoach, frames_held_ns
from engine.sets.coverage import TARGETS
from engine.sets.frames import FrameFacts, read_facts
from engine.sets.poses import Face
from engine.track.calibration import Neutral
from engine.types import Frame, MonitorView, TrackedMotion

__all__ = ["CoachEye", "CoachView", "TakenFrame"]

_VIEW_PX = 960
_MOST_HELD, _LEAST_HELD = 40, 8  # a slow computer sees a frame a second, and a pose is held over several


@dataclass(frozen=True, slots=True)
class CoachView:
    """What the coach says now. text: one sentence. target: the key of what is asked for; empty when all is there.

    progress: how near the face is, [0, 1]. hold: stay like this. missing: keys still asked for, the next first.
    """

    text: str = ""
    target: str = ""
    progress: float = 0.0
    hold: bool = False
    missing: tuple[str, ...] = tuple(target.key for target in TARGETS)


@dataclass(frozen=True, slots=True, eq=False)
class TakenFrame:
    """A frame that was taken. key: what it shows. rgb: (H, W, 3) uint8, all of it."""

    key: str
    rgb: NDArray[np.uint8]


@dataclass(slots=True)
class _News:
    said: CoachView = field(default_factory=CoachView)
    seen: MonitorView | None = None
    taken: list[TakenFrame] = field(default_factory=list)


class CoachEye:
    """Looks at frames.

    Args:
        have: faces of the pictures that the set has already. doorbell: rung after each frame.
    """

    def __init__(self, have: Sequence[Face], *, doorbell: Callable[[], None]) -> None:
        self._coach = CaptureCoach(have)
        self._doorbell = doorbell
        self._lock = threading.Lock()
        self._held: deque[Frame] = deque(maxlen=_MOST_HELD)
        self._before: FrameFacts | None = None
        self._news = _News(said=CoachView(missing=self._missing()))

    def __call__(self, frame: Frame, motion: TrackedMotion | None, _neutral: Neutral | None = None) -> None:
        """Look at one frame; a `Monitor` of the engine."""
        facts = read_facts(frame, _Seen(motion), self._before)
        size_wh = (frame.rgb.shape[1], frame.rgb.shape[0])
        small = shrink(frame.rgb, width_px=_VIEW_PX)
        points = None
        if facts is not None:
            points = facts.landmarks_px[:, :2] * np.float32(small.shape[1] / size_wh[0])
        with self._lock:
            self._held.append(frame)
            while len(self._held) > _LEAST_HELD and frame.captured_ns - self._held[0].captured_ns > frames_held_ns():
                self._held.popleft()
            self._before = facts
            advice = self._coach.look(facts, size_wh=size_wh, now_ns=frame.captured_ns)
            if advice.take is not None:
                self._keep(advice.take, advice.target)
            self._news.said = CoachView(advice.text, advice.target, advice.progress, advice.hold, self._missing())
            self._news.seen = MonitorView(small, points)
        self._doorbell()

    def skip(self) -> None:
        """Do not ask for the present pose any more."""
        with self._lock:
            if missing := self._missing():
                self._coach.skip(missing[0])
                self._news.said = replace(self._news.said, missing=self._missing())
        self._doorbell()

    def take_now(self) -> None:
        """Take the newest frame as it is."""
        with self._lock:
            if self._held:
                self._news.taken.append(TakenFrame("webcam", self._held[-1].rgb))
        self._doorbell()

    def news(self) -> tuple[CoachView, MonitorView | None, list[TakenFrame]]:
        """Return what is said, the newest view, and what was taken since the last call."""
        with self._lock:
            news, self._news = self._news, _News(said=self._news.said)
        return news.said, news.seen, news.taken

    def _keep(self, number: int, key: str) -> None:
        found = next((frame for frame in self._held if frame.index == number), None)
        if found is not None:
            self._news.taken.append(TakenFrame(key, found.rgb))
        else:  # too slow even for that: ask again rather than lose it
            self._coach.retake(key)

    def _missing(self) -> tuple[str, ...]:
        return tuple(target.key for target in self._coach.missing)


class _Seen:
    """Stands for a tracker that has looked already."""

    def __init__(self, motion: TrackedMotion | None) -> None:
        self._motion = motion

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Return what was found."""
        return self._motion

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is open."""
