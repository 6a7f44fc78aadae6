# SPDX-License-Identifier: Apache-2.0
"""`Pipeline`: camera to sinks, live; owns the threads, the state and what may be asked of them while they run.

A pipeline runs once: `start`, then `stop`; make a new one to run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from engine import state as states
from engine.capture.base import Camera
from engine.capture.feed import CameraFeed
from engine.clock import Clock, SystemClock
from engine.config import LiveSettings
from engine.errors import Closed
from engine.events import Failed, Finished, PipelineEvent, ThreadStuck
from engine.pipeline.clearance import Clearance
from engine.pipeline.outlets import Outlets
from engine.pipeline.render_loop import Command, RenderLoop
from engine.pipeline.sets import SetChanger
from engine.pipeline.settings import RunningSettings
from engine.renderer import Renderer
from engine.sinks.base import Sink
from engine.slots import LatestSlot
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats, StatsCollector
from engine.status import Status
from engine.track.calibration import Neutral
from engine.types import Frame, SourceSet
from engine.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Command", "Pipeline"]


class Pipeline:
    """Camera to sinks, live.

    Args:
        camera: opens the camera; called on the capture thread, again after a loss.
        renderer: makes the renderer; called on the render thread, which closes it too and alone touches the GPU.
        sinks: open sinks with different names; the pipeline closes them.
        settings: waiting times and output rate; the renderer has its own copy.
        doorbell: rings when events wait (see `engine.events.EventBox`).

    State: `engine.state`. Thread: all methods may be called from any thread but the pipeline's own.
    """

    def __init__(
        self,
        camera: Callable[[], Camera],
        renderer: Callable[[], Renderer],
        sinks: Sequence[Sink],
        *,
        settings: LiveSettings | None = None,
        clock: Clock | None = None,
        doorbell: Callable[[], None] | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._status = Status(self._clock, doorbell=doorbell)
        self._settings = RunningSettings(settings or LiveSettings(), self._status)
        self._lock = self._status.lock
        self._stats = StatsCollector()
        self._frames: LatestSlot[Frame] = LatestSlot()
        self._feed = CameraFeed(
            camera,
            self._frames,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            waits=lambda: self._settings.value.pipeline,
            on_open=self._loaded,
            on_reopen=lambda: self.command(lambda renderer: renderer.reset()),
        )
        self._outlets = Outlets(
            sinks,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            join=self._join,
            on_all_broken=self._fail,
            on_ended=self._outlet_ended,
            on_error=self._fail,
        )
        self._clearance = Clearance(lambda: self._outlets.needs_consent)
        self._loop = RenderLoop(
            renderer,
            self._frames,
            feed=self._feed,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            settings=lambda: self._settings.value,
            clearance=self._clearance,
            hand_out=self._outlets.hand_out,
            on_loaded=self._loaded,
            on_end=self._rendered_all,
        )
        self._capture = Worker("capture", self._feed.run, on_error=self._fail)
        self._render = Worker("render", self._loop.run, on_error=self._fail)
        self._sets = SetChanger(self._loop, self._status, self._clearance)
        self._loading = 2  # capture and render have something to open
        self._started = False
        self._live = threading.Event()
        self._ended = threading.Event()

    @property
    def state(self) -> PipelineState:
        """The state now."""
        return self._status.state

    @property
    def description(self) -> str:
        """The run's first line, e.g. `engine: openvino …`; empty while loading."""
        renderer = self._loop.renderer
        return renderer.description if renderer is not None else ""

    @property
    def source_set(self) -> SourceSet | None:
        """The character that is shown; None while loading."""
        renderer = self._loop.renderer
        return renderer.source_set if renderer is not None else None

    @property
    def neutral(self) -> Neutral | None:
        """The performer's rest pose in use; None before the first calibration and while loading."""
        renderer = self._loop.renderer
        return renderer.neutral if renderer is not None else None

    def events(self) -> list[PipelineEvent]:
        """Take all events since the last call, oldest first."""
        return self._status.events.drain()

    def next_event(self, timeout_s: float | None = None) -> PipelineEvent | None:
        """Take the oldest event, waiting for one; None when `timeout_s` passed or the pipeline has ended."""
        try:
            return self._status.events.wait(timeout_s)
        except Closed:
            return None

    def stats(self) -> PipelineStats:
        """Return times, rates, ages and drops so far."""
        dropped = {outlet.name: outlet.dropped for outlet in self._outlets}
        waiting = {outlet.name: outlet.waiting for outlet in self._outlets}
        return self._stats.snapshot(
            dropped={"capture": self._frames.dropped, **dropped}, waiting={"capture": self._frames.waiting, **waiting}
        )

    def start(self) -> None:
        """Open camera and renderer on their threads and begin; returns at once (see `wait_until_live`).

        Raises:
            ValueError: the pipeline was started before.
        """
        with self._lock:
            if self._started or self._ended.is_set():
                raise ValueError("a pipeline runs once; make a new one to run again")
            self._started = True
            self._status.move(states.begin(self.state))
        self._outlets.start()
        self._render.start()
        self._capture.start()

    def wait_until_live(self, timeout_s: float) -> bool:
        """Wait until frames leave the pipeline, or it has failed; return whether they do."""
        self._live.wait(timeout_s)
        return self.state.live

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a finite source is done or the pipeline has failed or stopped; return whether it is."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Stop everything in order and close the sinks; safe to call twice.

        Threads that do not end within `join_s` are left behind and named in a `ThreadStuck` event.
        """
        with self._lock:
            if not self._started:
                self._close_unstarted()
                return
            if self.state.phase not in (Phase.STOPPING, Phase.IDLE):
                self._status.move(states.stop(self.state))
        self._capture.stop()
        self._render.stop()
        self._frames.close(discard=True)
        self._feed.interrupt()
        for worker in (self._capture, self._render, *self._sets.workers):
            self._join(worker)
        self._outlets.finish()
        self._outlets.join()
        with self._lock:
            if self.state.phase is Phase.STOPPING:
                self._status.move(states.finish_stopping(self.state))
        self._end()

    def command(self, command: Command) -> None:
        """Have `command(renderer)` run on the render thread before its next frame; its errors become `Warned`."""
        self._loop.command(command)

    def apply(self, settings: LiveSettings) -> None:
        """Use other live settings from the next frame on.

        Raises:
            InvalidSetting: the output's size or rate differs, which outputs cannot follow while open.
        """
        self.command(self._settings.change_to(settings))

    def set_source_set(self, source_set: SourceSet) -> None:
        """Change the character: prepared beside the running one, switched between two frames; the latest call wins.

        One that may not go to a sink in use is refused with a `Warned` event, and the old one stays.
        """
        self._sets.change(source_set)

    def add_sink(self, sink: Sink) -> None:
        """Send frames to one more sink from now on; the pipeline closes it. At once, on any thread.

        Raises:
            ValueError: a sink of this name is there already. Closed: the pipeline has ended; the sink stays open.
            ConsentMissing: the sink asks for a consent note that the character's set does not have; it stays open.
        """
        self._clearance.let_sink(sink, self.source_set)
        with self._lock:
            if self._ended.is_set() or self.state.phase in (Phase.STOPPING, Phase.FAILED):
                raise Closed
            self._outlets.add(sink, started=self._started)

    def remove_sink(self, name: str) -> None:
        """Send no more frames to a sink, finish what was handed over, and close it; waits for that.

        Nothing happens where there is no such sink. The other sinks do not miss a frame.

        Raises:
            ValueError: it is the only sink.
        """
        self._outlets.remove(name, started=self._started)

    def calibrate(self, *, keep_trying: bool = False) -> None:
        """Take the performer's neutral pose from the next half second of frames."""
        self.command(lambda renderer: renderer.start_calibration(keep_trying=keep_trying))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # ---------------------------------------------------------------------------------------------------- any thread

    def _outlet_ended(self, running: int) -> None:
        """After the last sink of a finished source, the run is over."""
        with self._lock:
            over = running == 0 and self._feed.ended
            if over and self.state.live:
                self._status.move(states.stop(self.state))
                self._status.move(states.finish_stopping(self.state))
        if over:
            self._end()

    def _rendered_all(self) -> None:
        if self._feed.ended:
            self._outlets.finish()

    def _loaded(self) -> None:
        with self._lock:
            self._loading -= 1
            if self._loading == 0 and self.state.phase is Phase.LOADING:
                self._status.move(states.finish_loading(self.state))
                self._status.note(states.BLANKED, self._settings.value.blanked)
                self._status.recall()
                self._live.set()

    def _fail(self, error: BaseException) -> None:
        """Stop what comes in; what goes out stays up with the holding card until `stop`."""
        with self._lock:
            if self.state.phase in (Phase.STOPPING, Phase.IDLE, Phase.FAILED):
                self._status.warn("stopping", error)
                return
            self._status.move(states.fail(self.state, error))
        self._status.events.post(Failed(self._clock.now_ns(), error))
        self._capture.stop()
        self._frames.close(discard=True)
        self._feed.interrupt()
        self._live.set()
        self._ended.set()

    def _join(self, worker: Worker) -> None:
        worker.stop()
        if not worker.join(self._settings.value.pipeline.join_s):
            self._status.events.post(ThreadStuck(self._clock.now_ns(), worker.name))

    def _end(self) -> None:
        if not self._ended.is_set():
            if self.state.phase is Phase.IDLE and self._feed.ended:
                self._status.events.post(Finished(self._clock.now_ns()))
            self._live.set()
            self._ended.set()
        self._status.events.close()

    def _close_unstarted(self) -> None:
        if self._ended.is_set():
            return
        self._outlets.close_unstarted()
        self._end()
