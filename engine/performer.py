# SPDX-License-Identifier: Apache-2.0
"""The driving side of the renderer: a frame → the performer's motion → what the character is to do. Render thread.

The driving frame's pixels go to the tracker and, for models that find keypoints of their own, through one crop to their
detector; nowhere else. Here is what is remembered of the performer from frame to frame: place, rest pose, filters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.clock import NS_PER_S, Clock
from engine.config import LiveSettings
from engine.errors import CalibrationRejected
from engine.events import Calibrated, CalibrationFailed, Drifted, PipelineEvent, TrackingLost, TrackingRecovered
from engine.sources.driving_crop import DrivingCrop
from engine.stages import Monitor, MotionRetargeter, PortraitWarper
from engine.track.base import Tracker
from engine.track.calibration import Calibrator, Neutral, rescale_neutral
from engine.track.drift import DriftWatch
from engine.types import Frame, Query, TrackedMotion
from engine.warp.base import NeedsPortrait

__all__ = ["Performer"]


class Performer:
    """Follows one performer.

    Args:
        warper: draws what is aimed at. It is told when the past of the motion means nothing any more; where its model
            looks at the driving picture itself, of neutral poses too.

    Attributes:
        listener, monitor: see `engine.renderer.Renderer`.
    """

    def __init__(
        self,
        tracker: Tracker,
        retargeter: MotionRetargeter,
        warper: PortraitWarper,
        *,
        settings: LiveSettings,
        clock: Clock,
    ) -> None:
        self.tracker, self.retargeter, self.warper = tracker, retargeter, warper
        self._settings, self._clock = settings, clock
        self.listener: Callable[[PipelineEvent], None] = lambda event: None
        self.monitor: Monitor | None = None
        self._crop = DrivingCrop(side_px=self.reader.side_px) if self.reader is not None else None
        self._calibrator: Calibrator | None = None
        self._keeps_trying = False
        self._drift = DriftWatch()
        self._frame_wh: tuple[int, int] | None = None
        self._face_found: bool | None = None
        self._moved_ns = 0  # when the filters were last fed

    @property
    def reader(self) -> NeedsPortrait | None:
        """The warper, where its model looks at the driving picture itself."""
        return self.warper if isinstance(self.warper, NeedsPortrait) else None

    @property
    def lost(self) -> bool:
        """Whether the last frame showed no face."""
        return self._face_found is False

    @property
    def neutral(self) -> Neutral | None:
        """The rest pose that motion is measured from."""
        return self.retargeter.neutral

    def set_settings(self, settings: LiveSettings) -> None:
        """Use other settings from the next frame on."""
        self._settings, self.retargeter.settings = settings, settings.motion
        if self.reader is not None:
            self.reader.set_motion(settings.motion.motion)

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Return the performer's landmarks on a frame, which may be ahead of what is being drawn."""
        self._note_size(frame)
        return self.tracker.track(frame)

    def tell(self, frame: Frame, motion: TrackedMotion | None) -> None:
        """Show a frame and what was found on it to the monitor, if there is one."""
        if self.monitor is not None:
            self.monitor(frame, motion, self.neutral)

    def miss(self) -> None:
        """Note a frame without a face."""
        self._note_face(False)

    def aim(self, motion: TrackedMotion, frame: Frame) -> Query:
        """Return what the character is to do, after a look whether the rest pose still holds."""
        self._come_back(frame.captured_ns)
        self._calibrate(motion, frame)
        if self._settings.motion.motion > 0 and self._drift.look(motion, self.neutral):
            self.listener(Drifted(self._clock.now_ns()))
        query = self.retargeter.retarget(motion)
        if self._crop is not None:
            query = replace(query, portrait=self._crop.cut(frame.rgb, motion.landmarks_px))
        self._moved_ns = frame.captured_ns
        return query

    def set_neutral(self, neutral: Neutral | None, *, frame: Frame | None) -> None:
        """Measure motion from this rest pose; see `engine.renderer.Renderer.set_neutral`."""
        self._calibrator = None
        self.retargeter.neutral = neutral
        if self.reader is None or self._crop is None:
            return
        self._crop.reset()
        portrait = None
        if neutral is not None and frame is not None:
            portrait = self._crop.cut(frame.rgb, neutral.landmarks_px)
        self.reader.set_neutral(portrait)

    def start_calibration(self, *, keep_trying: bool) -> None:
        """Take the rest pose from the next half second."""
        self._calibrator, self._keeps_trying = Calibrator(), keep_trying

    def forget_motion(self) -> None:
        """Forget what filters remember; place and rest pose stay."""
        self.retargeter.reset()
        self.warper.reset()
        if self._crop is not None:
            self._crop.reset()

    def _note_size(self, frame: Frame) -> None:
        """Carry the neutral pose over to frames of another size, such as a camera that came back in another mode."""
        size_wh = (frame.rgb.shape[1], frame.rgb.shape[0])
        if self._frame_wh not in (None, size_wh):
            if (neutral := self.neutral) is not None and self._frame_wh is not None:
                self.retargeter.neutral = rescale_neutral(neutral, from_wh=self._frame_wh, to_wh=size_wh)
            self._calibrator = Calibrator() if self._calibrator is not None else None
            self.forget_motion()
        self._frame_wh = size_wh

    def _come_back(self, at_ns: int) -> None:
        """Note the face, and forget filters that are too old to be continued: after a loss, or a sleeping computer."""
        if self._face_found is not None and (at_ns - self._moved_ns) / NS_PER_S > self._settings.pipeline.hold_s:
            self.forget_motion()
        self._note_face(True)

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
