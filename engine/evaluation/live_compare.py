# SPDX-License-Identifier: Apache-2.0
"""`compare`, live: sources | you | each model, side by side, at whatever rate the models reach beside a running one.

It is told of the driving frames by the renderer (`Renderer.monitor`), so no camera is opened and nothing is tracked
twice. It always takes the newest and rests as long as it worked, so that the picture that goes out keeps its rate. Like
`compare` it shows the performer, because that is what it is for; its frames are sealed like every other, and nothing
hands them to a sink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.app.assembly import load_sources
from engine.clock import SystemClock
from engine.config import MotionSettings
from engine.errors import Closed
from engine.evaluation.baseline import PortraitWarper
from engine.evaluation.columns import Columns
from engine.evaluation.drive import Models, Moment, open_models, show
from engine.slots import LatestSlot
from engine.sources.driving_crop import DrivingCrop
from engine.track.calibration import Neutral
from engine.track.retarget import Retargeter
from engine.types import Composite, Frame, OutputFrame, SourceSet, TrackedMotion
from engine.warp.base import NeedsPortrait
from engine.watermark.gate import seal
from engine.worker import Worker

__all__ = ["LiveCompare", "LiveComparison"]

_SIDE_PX = 256
_LOOK_S = 0.2  # how often an idle comparison looks whether it is to end
_NEW_SHARE = 0.2  # of a new measurement in the figures


@dataclass(frozen=True, slots=True, eq=False)
class LiveComparison:
    """One moment. took_ms: what each model takes, by its title, smoothed. fps: comparisons a second."""

    frame: OutputFrame
    took_ms: Mapping[str, float]
    fps: float


@dataclass(frozen=True, slots=True, eq=False)
class _Driving:
    frame: Frame
    motion: TrackedMotion | None
    neutral: Neutral | None


class LiveCompare:
    """A `Renderer.monitor` with a thread of its own.

    Args:
        models: names, one column each. source_set: name or path. motion: how motion reaches the character.
        doorbell: rings when there is a new comparison. on_error: called with what ended it, e.g. a model that cannot
            be loaded. Both run on the comparison's thread and must return at once.
    Thread: calling it, on the render thread; the rest, on any.
    """

    def __init__(
        self,
        models: Sequence[str],
        source_set: str,
        *,
        motion: MotionSettings,
        doorbell: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.motion = motion
        self._models, self._source_set, self._doorbell = tuple(models), source_set, doorbell
        self._driving: LatestSlot[_Driving] = LatestSlot()
        self._shown: LatestSlot[LiveComparison] = LatestSlot()
        self._worker = Worker("live compare", self._run, on_error=on_error)
        self._worker.start()

    def __call__(self, frame: Frame, motion: TrackedMotion | None, neutral: Neutral | None) -> None:
        """Keep the newest driving frame until there is time for it."""
        if not self._worker.stopping.is_set():
            self._driving.put(_Driving(frame, motion, neutral))

    def take(self) -> LiveComparison | None:
        """Return the newest comparison, or None if there is none newer than the last one taken."""
        try:
            return self._shown.get(timeout_s=0)
        except Closed:
            return None

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._worker.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait until its models are freed; return whether they are."""
        return self._worker.join(timeout_s)

    def _run(self, stopping: threading.Event) -> None:
        source_set = load_sources(self._source_set, side_px=_SIDE_PX)
        with open_models(self._models, baseline=False) as opened:
            scene = _Scene(opened, source_set)
            while not stopping.is_set():
                driving = self._driving.get(timeout_s=_LOOK_S)
                if driving is None:
                    continue
                started_s = time.monotonic()
                self._shown.put(scene.compare(driving, self.motion))
                self._doorbell()
                stopping.wait(time.monotonic() - started_s)


class _Scene:
    """Models, character and canvas. The comparison's thread."""

    def __init__(self, opened: Models, source_set: SourceSet) -> None:
        self._warpers, self._titles = opened.warpers, opened.titles
        pictures = [image.rgb for image in source_set.images]
        caption = f"{source_set.name}, N = {len(pictures)}, live, at a reduced rate; you see this, nobody else"
        self._columns = Columns(pictures, list(opened.titles.values()), driver="you", caption=caption)
        keypoints = np.stack([image.keypoints for image in source_set.images])
        self._retargeter = Retargeter(keypoints[0], coverage=keypoints)
        self._crop = DrivingCrop(side_px=_SIDE_PX)
        self._took_ms: dict[str, float] = {}
        self._ended_s: list[float] = []
        for warper in self._warpers.values():
            warper.set_sources(source_set)
            warper.reset()
            if isinstance(warper, NeedsPortrait):
                warper.set_neutral(None)  # the first portrait serves

    def compare(self, driving: _Driving, motion: MotionSettings) -> LiveComparison:
        """Return the canvas of one moment; without a face the last one."""
        frame, found = driving.frame, driving.motion
        self._follow(driving.neutral, motion)
        if found is None or found.quality <= 0:
            canvas = self._columns.hold()
        else:
            query = self._retargeter.retarget(found)
            portrait = self._crop.cut(frame.rgb, found.landmarks_px)
            moment = Moment(query.captured_ns, query.keypoints, portrait)
            canvas = self._columns.draw(portrait, [self._show(name, w, moment) for name, w in self._warpers.items()])
        composite = Composite(frame.captured_ns, canvas)
        sealed = seal(composite, rendered_ns=SystemClock().now_ns(), corner="bottom-right")
        return LiveComparison(sealed, dict(self._took_ms), self._rate())

    def _follow(self, neutral: Neutral | None, motion: MotionSettings) -> None:
        """Take up a new neutral pose, or another way of moving."""
        if neutral is not self._retargeter.neutral:
            self._retargeter.neutral = neutral
            self._crop.reset()
            for warper in self._warpers.values():
                if isinstance(warper, NeedsPortrait):
                    warper.set_neutral(None)
        if motion is not self._retargeter.settings:
            self._retargeter.settings = motion
            for warper in self._warpers.values():
                if isinstance(warper, NeedsPortrait):
                    warper.set_motion(motion.motion)

    def _show(self, name: str, warper: PortraitWarper, moment: Moment) -> NDArray[np.uint8]:
        started_s = time.perf_counter()
        picture = show(warper, moment, side_px=_SIDE_PX)
        took_ms = (time.perf_counter() - started_s) * 1000
        title = self._titles[name]
        self._took_ms[title] = took_ms + (self._took_ms.get(title, took_ms) - took_ms) * (1 - _NEW_SHARE)
        return picture

    def _rate(self) -> float:
        self._ended_s = [*self._ended_s[-9:], time.monotonic()]
        span_s = self._ended_s[-1] - self._ended_s[0]
        return (len(self._ended_s) - 1) / span_s if span_s > 0 else 0.0
