# SPDX-License-Identifier: Apache-2.0
"""The synchronous core: one driving frame in, one watermarked frame out. Render thread, or whoever calls it.

Benchmarks, the command line and tests call `render` directly; `engine.pipeline`
puts threads around it. The driving frame's pixels go to the tracker and, for models that find keypoints of their own
(`engine.warp.base.NeedsPortrait`), the performer's portrait goes to their detector; nowhere else. Without a face the
last pose is held, then faded to the holding card (`engine.standby`); when the face is back the character returns.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import Clock, SystemClock
from engine.compose.compositor import Compositor
from engine.config import LiveSettings
from engine.consent import require_consent
from engine.errors import CalibrationRejected, ConsentMissing, InferenceFailed, InvalidSetting
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
from engine.memory import release_memory
from engine.sources.driving_crop import DrivingCrop
from engine.stages import Monitor, MotionRetargeter, PortraitWarper, PreparedCharacter, Spares
from engine.standby import LOOKING, WAITING, Standby
from engine.stats import StageTimes
from engine.track.base import Tracker
from engine.track.calibration import Calibrator, Neutral, rescale_neutral
from engine.track.drift import DriftWatch
from engine.types import Frame, Origin, OutputFrame, SourceSet, TrackedMotion
from engine.warp.base import NeedsPortrait, ShowsSources
from engine.warp.heat import tint

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LOOKING", "WAITING", "Monitor", "MotionRetargeter", "PortraitWarper", "PreparedCharacter", "Renderer"]

_log = logging.getLogger(__name__)


class Renderer:
    """Turns driving frames into watermarked frames of one character.

    Args:
        settings: all live settings; `set_settings` replaces them between frames.
        clock: stamps `OutputFrame.rendered_ns`. Hold and fade follow the frames' own `captured_ns`, so that a file
            read at any speed looks the same.
        spares: how to make tracker and warper anew, see `repair`.
        origin: which model renders, for signatures; the set's consent class is added with each set.

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
        spares: Spares | None = None,
        origin: Origin | None = None,
    ) -> None:
        self._tracker, self._retargeter, self._warper, self._compositor = tracker, retargeter, warper, compositor
        self._clock: Clock = clock or SystemClock()
        self._settings = settings or LiveSettings(output=compositor.settings, motion=retargeter.settings)
        self._spares = spares or Spares()
        self._reader = warper if isinstance(warper, NeedsPortrait) else None
        self._crop = DrivingCrop(side_px=self._reader.side_px) if self._reader is not None else None
        self.listener: Callable[[PipelineEvent], None] = lambda event: None
        self.monitor: Monitor | None = None
        self._heat: ShowsSources | None = None
        self.cut_out = False  # whether the pictures have no background of their own
        self.last_timings = StageTimes()
        self.stage = ""
        """The stage of the last frame: where `render` was when it raised; "track", "retarget", "warp" or "compose"."""
        self._source_set: SourceSet | None = None
        self._consented = False
        self._calibrator: Calibrator | None = None
        self._keeps_trying = False
        self._drift = DriftWatch()
        self._standby = Standby(self._settings, self._clock, origin=origin)
        self._frame_wh: tuple[int, int] | None = None
        self._face_found: bool | None = None
        self._warning: BaseException | None = None  # of the set in use
        self.set_settings(self._settings)

    @property
    def settings(self) -> LiveSettings:
        """The settings in force."""
        return self._settings

    @property
    def source_set(self) -> SourceSet | None:
        """The character that is shown; None before the first."""
        return self._source_set

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
        self._standby.set_settings(settings)
        self._settings = settings

    def prepare(self, source_set: SourceSet) -> PreparedCharacter:
        """Encode a source set while the old one is still shown. Thread: any.

        Raises:
            SourceError: the set cannot be used.
        """
        warper = self._warper
        return PreparedCharacter(source_set, warper.prepare(source_set), warper)

    def use(self, prepared: PreparedCharacter) -> None:
        """Show another character from the next frame on."""
        if prepared.warper not in (None, self._warper):  # replaced meanwhile, and with it what it had encoded
            prepared = self.prepare(prepared.source_set)
        images = prepared.source_set.images[: getattr(prepared.warper_side, "shown", None)]
        self._warning = getattr(prepared.warper_side, "warning", None)
        self.cut_out = prepared.source_set.cutout
        self._warper.use(prepared.warper_side)
        shown, note = prepared.source_set, prepared.source_set.consent
        self._standby.origin = replace(
            self._standby.origin, consent=note.kind, character=shown.name, note=note.describe()
        )
        self._retargeter.set_character(images[0].keypoints, coverage=np.stack([image.keypoints for image in images]))
        self._source_set, self._consented = prepared.source_set, _has_consent(prepared.source_set)
        self.listener(SourceSetReady(self._clock.now_ns(), prepared.source_set.name))

    def set_source_set(self, source_set: SourceSet) -> None:
        """Prepare a source set and show it from the next frame on.

        Raises:
            SourceError: the set cannot be used; the old one stays.
        """
        self.use(self.prepare(source_set))

    def show_sources(self, wanted: bool) -> None:
        """Draw the character in the colours of the pictures its pixels come from (`engine.warp.heat`), or as it is.

        Raises:
            InvalidSetting: the model cannot say where its pixels come from.
        """
        if not wanted:
            self._heat = None
            return
        if not isinstance(self._warper, ShowsSources):
            what = "This model mixes all pictures in one, so there is no map of the pictures its pixels come from."
            raise InvalidSetting(what, hint="Use the model lite or lite-trained for it.", name="model")
        self._warper.watch_shares()
        self._heat = self._warper

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

    def repair(self, stage: str, *, lost: bool = False) -> None:
        """Make the stage anew that has failed; neutral, character, settings and the held picture stay.

        A model that looks at the driving picture takes its neutral from the next frame then.

        Args:
            lost: what is there cannot work again, and may hold the memory that the new one needs: it goes first.

        Raises:
            EngineError: it cannot be made again; the old one stays, unless it was lost.
        """
        if stage == "track" and self._spares.tracker is not None:
            broken_tracker, self._tracker = self._tracker, self._spares.tracker()
            _close_broken(broken_tracker)
        elif stage == "warp" and self._spares.warper is not None:
            if lost:
                _close_broken(self._warper)
            warper = self._spares.warper()
            try:
                prepared = warper.prepare(self._source_set) if self._source_set is not None else None
            except Exception:
                _close_broken(warper)
                raise
            if not lost:
                _close_broken(self._warper)
            self._warper = warper
            if self._heat is not None:
                self.show_sources(True)
            self._reader = warper if isinstance(warper, NeedsPortrait) else None
            if self._reader is not None:
                self._reader.set_motion(self._settings.motion.motion)
            if prepared is not None:
                warper.use(prepared)
        self._forget_motion()
        release_memory()

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
        self.stage = "track"
        self._note_size(frame)
        motion = self._tracker.track(frame)
        tracked_ns = time.perf_counter_ns()
        if self.monitor is not None:
            self.monitor(frame, motion, self._retargeter.neutral)
        if motion is None or motion.quality <= 0:
            self._note_face(False)
            return self._without_character(frame.captured_ns, LOOKING, track_ns=tracked_ns - started_ns)
        if not np.isfinite(motion.landmarks_px).all():
            raise InferenceFailed("The tracker returned undefined landmarks.", hint="It is started again by itself.")
        self.stage = "retarget"
        self._come_back(frame.captured_ns)
        self._calibrate(motion, frame)
        if self._settings.motion.motion > 0 and self._drift.look(motion, self._retargeter.neutral):
            self.listener(Drifted(self._clock.now_ns()))
        query = self._retargeter.retarget(motion)
        if self._crop is not None:
            query = replace(query, portrait=self._crop.cut(frame.rgb, motion.landmarks_px))
        retargeted_ns = time.perf_counter_ns()
        self.stage = "warp"
        portrait = self._warper.warp(query)
        if self._heat is not None:
            portrait = replace(portrait, rgba=tint(portrait.rgba, self._heat.source_shares()))
        warped_ns = time.perf_counter_ns()
        self.stage = "compose"
        picture = self._compositor.compose(portrait)
        composed_ns = time.perf_counter_ns()
        output = self._standby.show(picture, frame.captured_ns, consented=self._consented)
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
        return self._without_character(now_ns, reason)

    def card(self, reason: str, *, at_ns: int) -> OutputFrame:
        """Return the holding card; what is shown next does not depend on it."""
        return self._standby.card(reason, at_ns)

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
        return self._standby.blank(at_ns)

    def _without_character(self, at_ns: int, reason: str, *, track_ns: int = 0) -> OutputFrame:
        started_ns = time.perf_counter_ns()
        output = self._standby.without(at_ns, reason)
        self.last_timings = StageTimes(track_ns=track_ns, watermark_ns=time.perf_counter_ns() - started_ns)
        return output

    def _note_size(self, frame: Frame) -> None:
        """Carry the neutral pose over to frames of another size, such as a camera that came back in another mode."""
        size_wh = (frame.rgb.shape[1], frame.rgb.shape[0])
        if self._frame_wh not in (None, size_wh):
            if (neutral := self._retargeter.neutral) is not None and self._frame_wh is not None:
                self._retargeter.neutral = rescale_neutral(neutral, from_wh=self._frame_wh, to_wh=size_wh)
            self._calibrator = Calibrator() if self._calibrator is not None else None
            self._forget_motion()
        self._frame_wh = size_wh

    def _come_back(self, at_ns: int) -> None:
        """Note the face, and forget filters that are too old to be continued: after a loss, or a sleeping computer."""
        if self._face_found is not None and self._standby.away_s(at_ns) > self._settings.pipeline.hold_s:
            self._forget_motion()
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


def _has_consent(source_set: SourceSet) -> bool:
    try:
        require_consent(source_set, datetime.datetime.now().astimezone())
    except ConsentMissing:
        return False
    return True


def _close_broken(part: Tracker | PortraitWarper) -> None:
    try:
        part.close()
    except Exception:  # noqa: BLE001 - it is broken already; what counts is the one that takes its place
        _log.debug("a broken %s could not be closed", type(part).__name__, exc_info=True)
