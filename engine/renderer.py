# SPDX-License-Identifier: Apache-2.0
"""The synchronous core: one driving frame in, one watermarked frame out.

    Frame → tracker → retargeter → warper → compositor → watermark gate → OutputFrame

No threads, no queues: benchmarks, evaluation, the command line and tests call `render` directly; `engine.pipeline`
puts threads around it. The driving frame's pixels go to the tracker and, for models that find keypoints of their own
(`engine.warp.base.NeedsPortrait`), the performer's portrait goes to their detector; nowhere else. Without a face the
last pose is held, then faded to the holding card; when the face is back the character returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S, Clock, SystemClock
from engine.compose.compositor import Compositor, cross_fade
from engine.config import LiveSettings, MotionSettings
from engine.errors import CalibrationRejected
from engine.events import (
    Calibrated,
    CalibrationFailed,
    Drifted,
    PipelineEvent,
    SourceSetReady,
    TrackingLost,
    TrackingRecovered,
    Warned,
)
from engine.sources.driving_crop import DrivingCrop
from engine.stats import StageTimes
from engine.track.base import Tracker
from engine.track.calibration import Calibrator, Neutral
from engine.track.drift import DriftWatch
from engine.types import Composite, Frame, OutputFrame, Query, SourceSet, TrackedMotion, WarpedPortrait
from engine.warp.base import NeedsPortrait
from engine.watermark.card import draw_card
from engine.watermark.gate import seal

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LOOKING", "WAITING", "Monitor", "MotionRetargeter", "PortraitWarper", "PreparedCharacter", "Renderer"]

LOOKING = "Looking for a face"
WAITING = "Waiting for the camera"
_BREAK = "Back in a moment"

Monitor = Callable[[Frame, "TrackedMotion | None", "Neutral | None"], None]
"""Told of every driving frame, what was found on it, and the neutral pose; for the performer's own eyes only."""


class MotionRetargeter(Protocol):
    """What the renderer needs of `engine.track.retarget.Retargeter`."""

    settings: MotionSettings
    neutral: Neutral | None

    def set_character(
        self, character: NDArray[np.floating[Any]], *, coverage: NDArray[np.floating[Any]] | None = None
    ) -> None:
        """Switch to another character."""

    def retarget(self, motion: TrackedMotion) -> Query:
        """Return the character's keypoints for one tracked frame."""

    def reset(self) -> None:
        """Forget the past frames."""


class PortraitWarper(Protocol):
    """What the renderer needs of a warper; one that is a `NeedsPortrait` too gets the driving portrait with a query."""

    @property
    def description(self) -> str:
        """Model and back-end in one line."""

    def prepare(self, source_set: SourceSet) -> Any:
        """Encode a set without using it yet; on any thread."""

    def use(self, prepared: Any) -> None:
        """Switch to a prepared set."""

    def warp(self, query: Query) -> WarpedPortrait:
        """Render the character in the query's pose."""

    def reset(self) -> None:
        """Forget temporal state."""

    def close(self) -> None:
        """Free the model."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCharacter:
    """A source set ready to be switched to between two frames."""

    source_set: SourceSet
    warper_side: Any


class Renderer:
    """Turns driving frames into watermarked frames of one character.

    Args:
        settings: all live settings; `set_settings` replaces them between frames.
        clock: stamps `OutputFrame.rendered_ns`. Hold and fade follow the frames' own `captured_ns`, so that a file
            read at any speed looks the same.

    Thread: one thread at a time (`prepare` excepted); that thread owns the GPU.
    """

    def __init__(
        self,
        tracker: Tracker,
        retargeter: MotionRetargeter,
        warper: PortraitWarper,
        compositor: Compositor,
        *,
        settings: LiveSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._tracker, self._retargeter, self._warper, self._compositor = tracker, retargeter, warper, compositor
        self._clock: Clock = clock or SystemClock()
        self._settings = settings or LiveSettings(output=compositor.settings, motion=retargeter.settings)
        self._reader = warper if isinstance(warper, NeedsPortrait) else None
        self._crop = DrivingCrop(side_px=self._reader.side_px) if self._reader is not None else None
        self.listener: Callable[[PipelineEvent], None] = lambda event: None
        self.monitor: Monitor | None = None
        self.last_timings = StageTimes()
        self._calibrator: Calibrator | None = None
        self._keeps_trying = False
        self._drift = DriftWatch()
        self._picture: NDArray[np.uint8] | None = None  # the last canvas with the character, unmarked
        self._tracked_ns = 0
        self._output_ns = 0
        self._shown: float | None = None  # share of the character against the card; None before the first frame
        self._face_found: bool | None = None
        self._warning: BaseException | None = None  # of the set in use
        self.set_settings(self._settings)

    @property
    def settings(self) -> LiveSettings:
        """The settings in force."""
        return self._settings

    @property
    def tracking_lost(self) -> bool:
        """Whether the last frame showed no face."""
        return self._face_found is False

    @property
    def neutral(self) -> Neutral | None:
        """The performer's rest pose that motion is measured from; None before the first calibration."""
        return self._retargeter.neutral

    @property
    def description(self) -> str:
        """The warper's line for the start of a run."""
        return self._warper.description

    @property
    def needs_portrait(self) -> bool:
        """Whether the model looks at the driving picture itself, the neutral one included."""
        return self._reader is not None

    def set_settings(self, settings: LiveSettings) -> None:
        """Use other settings from the next frame on.

        Raises:
            InvalidSetting: the background picture cannot be used; the old settings stay in force.
        """
        self._compositor.set_settings(settings.output)
        self._retargeter.settings = settings.motion
        if self._reader is not None:
            self._reader.set_motion(settings.motion.motion)
        if settings.output.size_wh != self._settings.output.size_wh:
            self._picture = None
        self._settings = settings
        draw_card(settings.output.size_wh, LOOKING)  # now, since a fade must not begin with a pause for drawing

    def prepare(self, source_set: SourceSet) -> PreparedCharacter:
        """Encode a source set while the old one is still shown. Thread: any.

        Raises:
            SourceError: the set cannot be used.
        """
        return PreparedCharacter(source_set, self._warper.prepare(source_set))

    def use(self, prepared: PreparedCharacter) -> None:
        """Show another character from the next frame on."""
        images = prepared.source_set.images[: getattr(prepared.warper_side, "shown", None)]
        self._warning = getattr(prepared.warper_side, "warning", None)
        self._warper.use(prepared.warper_side)
        self._retargeter.set_character(images[0].keypoints, coverage=np.stack([image.keypoints for image in images]))
        self.listener(SourceSetReady(self._clock.now_ns(), prepared.source_set.name))

    def set_source_set(self, source_set: SourceSet) -> None:
        """Prepare a source set and show it from the next frame on.

        Raises:
            SourceError: the set cannot be used; the old one stays.
        """
        self.use(self.prepare(source_set))

    def set_neutral(self, neutral: Neutral | None, *, frame: Frame | None = None) -> None:
        """Measure motion from this rest pose from the next frame on; ends a calibration.

        Args:
            frame: the driving frame that shows it, for a model that `needs_portrait`; without it the next one serves.
        """
        self._calibrator = None
        self._retargeter.neutral = neutral
        if self._reader is None or self._crop is None:
            return
        self._crop.reset()
        portrait = None
        if neutral is not None and frame is not None:
            portrait = self._crop.cut(frame.rgb, neutral.landmarks_px)
        self._reader.set_neutral(portrait)

    def start_calibration(self, *, keep_trying: bool = False) -> None:
        """Take the performer's neutral pose from the next half second; `keep_trying` goes on after a rejection."""
        self._calibrator, self._keeps_trying = Calibrator(), keep_trying

    def reset(self) -> None:
        """Forget the past: the camera or the clip changed. Neutral, character and settings stay."""
        self._tracker.reset()
        self._forget_motion()

    def render(self, frame: Frame) -> OutputFrame:
        """Render one driving frame.

        Raises:
            EngineError: the back-end failed. WatermarkError: the frame could not be marked; nothing may be shown.
        """
        if self._settings.blanked:
            return self._blank(frame.captured_ns)
        if self._warning is not None:  # said with the first frame, when there is somebody to hear it
            self.listener(Warned(self._clock.now_ns(), "source set", self._warning))
            self._warning = None
        started_ns = time.perf_counter_ns()
        motion = self._tracker.track(frame)
        tracked_ns = time.perf_counter_ns()
        if self.monitor is not None:
            self.monitor(frame, motion, self._retargeter.neutral)
        if motion is None or motion.quality <= 0:
            self._note_face(False)
            return self._without_character(frame.captured_ns, LOOKING, StageTimes(track_ns=tracked_ns - started_ns))
        self._come_back(frame.captured_ns)
        self._calibrate(motion, frame)
        if self._settings.motion.motion > 0 and self._drift.look(motion, self._retargeter.neutral):
            self.listener(Drifted(self._clock.now_ns()))
        query = self._retargeter.retarget(motion)
        if self._crop is not None:
            query = replace(query, portrait=self._crop.cut(frame.rgb, motion.landmarks_px))
        retargeted_ns = time.perf_counter_ns()
        portrait = self._warper.warp(query)
        warped_ns = time.perf_counter_ns()
        self._picture = self._compositor.compose(portrait).rgb
        composed_ns = time.perf_counter_ns()
        output = self._output(self._picture, LOOKING, frame.captured_ns)
        self.last_timings = StageTimes(
            track_ns=tracked_ns - started_ns,
            retarget_ns=retargeted_ns - tracked_ns,
            warp_ns=warped_ns - retargeted_ns,
            composite_ns=composed_ns - warped_ns,
            watermark_ns=time.perf_counter_ns() - composed_ns,
        )
        return output

    def render_absent(self, now_ns: int, reason: str) -> OutputFrame:
        """Render a moment for which there is no driving frame: hold, fade, holding card."""
        if self._settings.blanked:
            return self._blank(now_ns)
        return self._without_character(now_ns, reason, StageTimes())

    def card(self, reason: str, *, at_ns: int) -> OutputFrame:
        """Return the holding card; what is shown next does not depend on it."""
        return self._seal(draw_card(self._settings.output.size_wh, reason), at_ns)

    def close(self) -> None:
        """Free tracker and model; on the thread that rendered."""
        self._tracker.close()
        self._warper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _blank(self, at_ns: int) -> OutputFrame:
        self.last_timings = StageTimes()
        self._shown, self._output_ns = 0.0, at_ns
        return self.card(_BREAK, at_ns=at_ns)

    def _without_character(self, at_ns: int, reason: str, times: StageTimes) -> OutputFrame:
        """Hold the last picture for `hold_s`, then fade to the card during `fade_s`."""
        waits = self._settings.pipeline
        if self._picture is None or self._shown is None:
            self._shown = 0.0
        else:
            over_s = (at_ns - self._tracked_ns) / NS_PER_S - waits.hold_s
            left = 1.0 - over_s / waits.fade_s if waits.fade_s > 0 else float(over_s <= 0)
            self._shown = max(0.0, min(self._shown, left))
        started_ns = time.perf_counter_ns()
        output = self._output(self._picture, reason, at_ns)
        self.last_timings = StageTimes(track_ns=times.track_ns, watermark_ns=time.perf_counter_ns() - started_ns)
        return output

    def _come_back(self, at_ns: int) -> None:
        """Raise the character's share again after a loss, and forget filters that are too old to be continued."""
        waits = self._settings.pipeline
        if self._face_found is False and (at_ns - self._tracked_ns) / NS_PER_S > waits.hold_s:
            self._forget_motion()
        step = (at_ns - self._output_ns) / NS_PER_S / waits.recover_s if waits.recover_s > 0 else 1.0
        self._shown = 1.0 if self._shown is None else min(1.0, self._shown + max(0.0, step))
        self._tracked_ns = at_ns
        self._note_face(True)

    def _forget_motion(self) -> None:
        self._retargeter.reset()
        self._warper.reset()
        if self._crop is not None:
            self._crop.reset()

    def _note_face(self, found: bool) -> None:
        if found != self._face_found:
            was, self._face_found = self._face_found, found
            now_ns = self._clock.now_ns()
            if not found:
                self.listener(TrackingLost(now_ns))
            elif was is not None:
                self.listener(TrackingRecovered(now_ns))

    def _calibrate(self, motion: TrackedMotion, frame: Frame) -> None:
        if self._calibrator is None:
            return
        try:
            neutral = self._calibrator.add(motion)
        except CalibrationRejected as error:
            if not self._keeps_trying:
                self._calibrator = None
            self.listener(CalibrationFailed(self._clock.now_ns(), error))
            return
        if neutral is not None:
            self.set_neutral(neutral, frame=frame)
            self.listener(Calibrated(self._clock.now_ns()))

    def _output(self, picture: NDArray[np.uint8] | None, reason: str, at_ns: int) -> OutputFrame:
        """Mix picture and card by what is shown, and seal."""
        self._output_ns = at_ns
        shown = self._shown if picture is not None and self._shown is not None else 0.0
        if picture is None or shown < 1.0:
            card = draw_card(self._settings.output.size_wh, reason)
            picture = card if picture is None else cross_fade(picture, card, share=1.0 - shown)
        return self._seal(picture, at_ns)

    def _seal(self, rgb: NDArray[np.uint8], at_ns: int) -> OutputFrame:
        look = self._settings.output
        return seal(
            Composite(at_ns, rgb),
            rendered_ns=self._clock.now_ns(),
            corner=look.watermark_corner,
            style=look.watermark_style,
        )
