# SPDX-License-Identifier: Apache-2.0
"""The synchronous core: one driving frame in, one watermarked frame out. Render thread, or whoever calls it.

Benchmarks, the command line and tests call it directly; `engine.pipeline` puts threads around it. Here is what can be
asked of it: character, settings, rest pose, repair. How a frame gets through is in `engine.passage`, what is known of
the performer in `engine.performer`. Without a face the last pose is held, then faded to the holding card
(`engine.standby`); when the face is back the character returns.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from engine.ahead import one_ahead
from engine.clock import Clock, SystemClock
from engine.compose.compositor import Compositor
from engine.config import LiveSettings
from engine.consent import require_consent
from engine.errors import ConsentMissing, InvalidSetting
from engine.events import PipelineEvent, SourceSetReady, Warned
from engine.passage import FramePath, Rendered, close_broken
from engine.performer import Performer
from engine.stages import Monitor, MotionRetargeter, PortraitWarper, PreparedCharacter, Spares
from engine.standby import LOOKING, WAITING, Standby
from engine.stats import StageTimes
from engine.track.base import Tracker
from engine.track.calibration import Neutral
from engine.types import Frame, Origin, OutputFrame, SourceSet
from engine.warp.base import ShowsSources

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "LOOKING",
    "WAITING",
    "Monitor",
    "MotionRetargeter",
    "PortraitWarper",
    "PreparedCharacter",
    "Rendered",
    "Renderer",
]


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
        self._clock: Clock = clock or SystemClock()
        self._settings = settings or LiveSettings(output=compositor.settings, motion=retargeter.settings)
        self._spares = spares or Spares()
        standby = Standby(self._settings, self._clock, origin=origin)
        self._performer = Performer(tracker, retargeter, warper, settings=self._settings, clock=self._clock)
        self._path = FramePath(self._performer, compositor, standby)
        self.cut_out = False  # whether the pictures have no background of their own
        self._source_set: SourceSet | None = None
        self._warning: BaseException | None = None  # of the set in use
        self.set_settings(self._settings)

    @property
    def listener(self) -> Callable[[PipelineEvent], None]:
        """Told of what happens; on the rendering thread."""
        return self._performer.listener

    @listener.setter
    def listener(self, listener: Callable[[PipelineEvent], None]) -> None:
        self._performer.listener = listener

    @property
    def monitor(self) -> Monitor | None:
        """Told of every driving frame; see `engine.stages.Monitor`."""
        return self._performer.monitor

    @monitor.setter
    def monitor(self, monitor: Monitor | None) -> None:
        self._performer.monitor = monitor

    @property
    def settings(self) -> LiveSettings:
        """The settings in force."""
        return self._settings

    @property
    def last_timings(self) -> StageTimes:
        """What the last frame cost, stage by stage."""
        return self._path.times

    @property
    def stage(self) -> str:
        """The stage of the last frame: where `render` was when it raised; "track", "retarget", "warp" or "compose"."""
        return self._path.stage

    @property
    def source_set(self) -> SourceSet | None:
        """The character that is shown; None before the first."""
        return self._source_set

    @property
    def tracking_lost(self) -> bool:
        """Whether the last frame showed no face."""
        return self._performer.lost

    @property
    def neutral(self) -> Neutral | None:
        """The performer's rest pose that motion is measured from; None before the first calibration."""
        return self._performer.neutral

    @property
    def description(self) -> str:
        """The warper's line for the start of a run."""
        return self._performer.warper.description

    @property
    def needs_portrait(self) -> bool:
        """Whether the model looks at the driving picture itself, the neutral one included."""
        return self._performer.reader is not None

    def set_settings(self, settings: LiveSettings) -> None:
        """Use other settings from the next frame on.

        Raises:
            InvalidSetting: the background picture cannot be used; the old settings stay in force.
        """
        self._path.compositor.set_settings(settings.output)
        self._performer.set_settings(settings)
        self._path.standby.set_settings(settings)
        self._settings, self._path.blanked = settings, settings.blanked

    def prepare(self, source_set: SourceSet) -> PreparedCharacter:
        """Encode a source set while the old one is still shown. Thread: any.

        Raises:
            SourceError: the set cannot be used.
        """
        warper = self._performer.warper
        return PreparedCharacter(source_set, warper.prepare(source_set), warper)

    def use(self, prepared: PreparedCharacter) -> None:
        """Show another character from the next frame on."""
        if prepared.warper not in (None, self._performer.warper):  # replaced meanwhile, and with it what it had encoded
            prepared = self.prepare(prepared.source_set)
        images = prepared.source_set.images[: prepared.warper_side.shown]
        self._warning = prepared.warper_side.warning
        self.cut_out = prepared.source_set.cutout
        self._performer.warper.use(prepared.warper_side)
        shown, note = prepared.source_set, prepared.source_set.consent
        standby = self._path.standby
        standby.origin = replace(standby.origin, consent=note.kind, character=shown.name, note=note.describe())
        coverage = np.stack([image.keypoints for image in images])
        self._performer.retargeter.set_character(images[0].keypoints, coverage=coverage)
        self._source_set, self._path.consented = shown, _has_consent(shown)
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
        warper = self._performer.warper
        if wanted:
            if not isinstance(warper, ShowsSources):
                what = "This model mixes all pictures in one, so there is no map of the pictures its pixels come from."
                raise InvalidSetting(what, hint="Use the model lite or lite-trained for it.", name="model")
            warper.watch_shares()
        self._path.heat = wanted

    def set_neutral(self, neutral: Neutral | None, *, frame: Frame | None = None) -> None:
        """Measure motion from this rest pose from the next frame on; ends a calibration.

        Args:
            frame: the driving frame that shows it, for a model that `needs_portrait`; without it the next one serves.
        """
        self._performer.set_neutral(neutral, frame=frame)

    def start_calibration(self, *, keep_trying: bool = False) -> None:
        """Take the performer's neutral pose from the next half second; `keep_trying` goes on after a rejection."""
        self._performer.start_calibration(keep_trying=keep_trying)

    def reset(self) -> None:
        """Forget the past: the camera or the clip changed. Neutral, character and settings stay."""
        self._performer.tracker.reset()
        self._performer.forget_motion()

    def repair(self, stage: str, *, lost: bool = False) -> None:
        """Make the stage anew that has failed; neutral, character, settings and the held picture stay.

        A model that looks at the driving picture takes its neutral from the next frame then.

        Args:
            lost: what is there cannot work again, and may hold the memory that the new one needs: it goes first.

        Raises:
            EngineError: it cannot be made again; the old one stays, unless it was lost.
        """
        if stage == "track" and self._spares.tracker is not None:
            broken_tracker, self._performer.tracker = self._performer.tracker, self._spares.tracker()
            close_broken(broken_tracker)
        elif stage == "warp" and self._spares.warper is not None:
            self._path.replace_warper(self._spares.warper, self._source_set, lost=lost)
            self._performer.set_settings(self._settings)
            self.show_sources(self._path.heat)
        self._performer.forget_motion()

    def render(self, frame: Frame) -> OutputFrame:
        """Render one driving frame.

        Raises:
            EngineError: the back-end failed. WatermarkError: the frame could not be marked; nothing may be shown.
        """
        self._say_warning()
        return self._path.pass_through(frame)

    def render_ahead(self, frames: Iterable[Frame]) -> Generator[Rendered, None, None]:
        """Render frames one after another, each beside what comes before and after it; for files, not for live use.

        The outputs are those of `render`, pixel for pixel and in order. While a frame is drawn the one before is
        composed, marked and handed out, and the next is read and tracked; two frames are in memory. Until the iterator
        is closed (`contextlib.closing`) or at its end, use the renderer for nothing else.

        Raises:
            as `render` and as `frames` do, after what came before was handed out.
        """
        self._say_warning()
        path = self._path
        with closing(one_ahead(map(path.track, frames), start=path.start, finish=path.draw)) as passages:
            for passage, _ in passages:
                path.tell(passage)
                lost = not passage.blanked and passage.portrait is None
                yield Rendered(passage.frame, path.finish(passage), lost)

    def render_absent(self, now_ns: int, reason: str) -> OutputFrame:
        """Render a moment for which there is no driving frame: hold, fade, holding card."""
        return self._path.absent(now_ns, reason)

    def card(self, reason: str, *, at_ns: int) -> OutputFrame:
        """Return the holding card; what is shown next does not depend on it."""
        return self._path.standby.card(reason, at_ns)

    def close(self) -> None:
        """Free tracker and model; on the thread that rendered."""
        self._performer.tracker.close()
        self._performer.warper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _say_warning(self) -> None:
        """Warn of the set with its first frame, when there is somebody to hear it."""
        if self._warning is not None and not self._settings.blanked:
            self.listener(Warned(self._clock.now_ns(), "source set", self._warning))
            self._warning = None


def _has_consent(source_set: SourceSet) -> bool:
    try:
        require_consent(source_set, datetime.datetime.now().astimezone())
    except ConsentMissing:
        return False
    return True
