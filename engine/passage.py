# SPDX-License-Identifier: Apache-2.0
"""A driving frame's way through the stages, in four steps: `track`, `start`, `draw`, `finish`. Render thread.

Between `start` and `draw` the model computes by itself where it can. Live, one after another (`pass_through`), only the
performer's own preview has a place there, as all that follows needs the picture; the asynchronous start costs nothing
(0.97 and 1.05 of a waiting call's time in two runs) and gains where other programs keep the processor busy (0.83; two
cores of an AMD EPYC). A file's next frame is tracked and its last one encoded meanwhile (`Renderer.render_ahead`): more
frames a second, each of them later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from engine.compose.compositor import Compositor
from engine.errors import InferenceFailed
from engine.performer import Performer
from engine.stages import PortraitWarper
from engine.standby import LOOKING, Standby
from engine.stats import StageTimes
from engine.track.base import Tracker
from engine.types import Frame, OutputFrame, SourceSet, TrackedMotion, WarpedPortrait
from engine.warp.base import ShowsSources, WarpsBeside
from engine.warp.heat import tint

__all__ = ["FramePath", "Passage", "Rendered", "close_broken"]

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Passage:
    """One driving frame between `track` and `finish`.

    motion: what was tracked. blanked: nobody looked. begun: the warper is drawing. portrait: what it has drawn; None
    where no face was found. times: of the steps so far.
    """

    frame: Frame
    motion: TrackedMotion | None = None
    blanked: bool = False
    begun: bool = False
    portrait: WarpedPortrait | None = None
    times: StageTimes = field(default_factory=StageTimes)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A driving frame and its output. lost: whether it showed no face."""

    frame: Frame
    output: OutputFrame
    lost: bool


class FramePath:
    """The stages in their order; the renderer that owns them sets them up.

    Attributes:
        heat: whether the character is shown in the colours of its sources. blanked, consented: as of the frames that
            follow.
        times: of the last frame that was finished.
        stage: the stage of the last step: where it was when it raised; "track", "retarget", "warp" or "compose".
    """

    def __init__(self, performer: Performer, compositor: Compositor, standby: Standby) -> None:
        self.performer, self.compositor, self.standby = performer, compositor, standby
        self.heat = self.blanked = self.consented = False
        self.times = StageTimes()
        self.stage = ""

    def track(self, frame: Frame) -> Passage:
        """Look for the performer. The frame before may still be anywhere between `start` and `finish`."""
        if self.blanked:
            return Passage(frame, blanked=True)
        started_ns = time.perf_counter_ns()
        self.stage = "track"
        motion = self.performer.track(frame)
        return Passage(frame, motion, times=StageTimes(track_ns=time.perf_counter_ns() - started_ns))

    def pass_through(self, frame: Frame) -> OutputFrame:
        """Take all steps; who watches the performer is told of the frame while it is drawn, or cannot be."""
        passage = self.track(frame)
        try:
            self.start(passage)
        finally:
            self.tell(passage)
        return self.finish(passage)

    def tell(self, passage: Passage) -> None:
        """Show the frame to whoever watches the performer."""
        if not passage.blanked:
            self.performer.tell(passage.frame, passage.motion)

    def start(self, passage: Passage) -> None:
        """Pose the character and begin to draw it; no other frame may be between here and `draw`."""
        motion = passage.motion
        if passage.blanked:
            return
        if motion is None or motion.quality <= 0:
            self.performer.miss()
            return
        started_ns = time.perf_counter_ns()
        if not np.isfinite(motion.landmarks_px).all():
            raise InferenceFailed("The tracker returned undefined landmarks.", hint="It is started again by itself.")
        self.stage = "retarget"
        query = self.performer.aim(motion, passage.frame)
        retargeted_ns = time.perf_counter_ns()
        self.stage = "warp"
        warper = self.performer.warper
        if isinstance(warper, WarpsBeside):
            warper.start(query)
            passage.begun = True
        else:
            passage.portrait = self._coloured(warper.warp(query))
        warp_ns = time.perf_counter_ns() - retargeted_ns
        passage.times = replace(passage.times, retarget_ns=retargeted_ns - started_ns, warp_ns=warp_ns)

    def draw(self, passage: Passage) -> None:
        """Wait for what `start` began; nothing where it began nothing."""
        if not passage.begun:
            return
        started_ns = time.perf_counter_ns()
        self.stage, passage.begun = "warp", False
        warper = self.performer.warper
        assert isinstance(warper, WarpsBeside), "it was started"
        passage.portrait = self._coloured(warper.finish())
        spent_ns = time.perf_counter_ns() - started_ns
        passage.times = replace(passage.times, warp_ns=passage.times.warp_ns + spent_ns)

    def finish(self, passage: Passage) -> OutputFrame:
        """Compose and mark, or show what stands in for a character that is not to be seen."""
        at_ns = passage.frame.captured_ns
        if passage.blanked:
            return self.blank(at_ns)
        self.draw(passage)
        if passage.portrait is None:
            return self.without_character(at_ns, LOOKING, track_ns=passage.times.track_ns)
        started_ns = time.perf_counter_ns()
        self.stage = "compose"
        picture = self.compositor.compose(passage.portrait)
        composed_ns = time.perf_counter_ns()
        output = self.standby.show(picture, at_ns, consented=self.consented)
        ended_ns = time.perf_counter_ns()
        spent = {"composite_ns": composed_ns - started_ns, "watermark_ns": ended_ns - composed_ns}
        self.times = replace(passage.times, **spent)
        return output

    def absent(self, at_ns: int, reason: str) -> OutputFrame:
        """Return what is shown at a moment for which there is no driving frame."""
        return self.blank(at_ns) if self.blanked else self.without_character(at_ns, reason)

    def blank(self, at_ns: int) -> OutputFrame:
        """Hide the character at once."""
        self.times = StageTimes()
        return self.standby.blank(at_ns)

    def without_character(self, at_ns: int, reason: str, *, track_ns: int = 0) -> OutputFrame:
        """Hold, fade, or show the card."""
        started_ns = time.perf_counter_ns()
        output = self.standby.without(at_ns, reason)
        self.times = StageTimes(track_ns=track_ns, watermark_ns=time.perf_counter_ns() - started_ns)
        return output

    def replace_warper(self, make: Callable[[], PortraitWarper], shown: SourceSet | None, *, lost: bool) -> None:
        """Put a new warper in the place of a broken one; see `engine.renderer.Renderer.repair`.

        Args:
            shown: the character to go on with.
        """
        broken = self.performer.warper
        if lost:
            close_broken(broken)
        warper = make()
        try:
            prepared = warper.prepare(shown) if shown is not None else None
        except Exception:
            close_broken(warper)
            raise
        if not lost:
            close_broken(broken)
        self.performer.warper = warper
        if prepared is not None:
            warper.use(prepared)

    def _coloured(self, portrait: WarpedPortrait) -> WarpedPortrait:
        """Return the portrait in its sources' colours where that is wanted."""
        warper = self.performer.warper
        if not self.heat or not isinstance(warper, ShowsSources):
            return portrait
        return replace(portrait, rgba=tint(portrait.rgba, warper.source_shares()))


def close_broken(part: Tracker | PortraitWarper) -> None:
    """Close what may not even do that."""
    try:
        part.close()
    except Exception:  # noqa: BLE001 - it is broken already; what counts is the one that takes its place
        _log.debug("a broken %s could not be closed", type(part).__name__, exc_info=True)
