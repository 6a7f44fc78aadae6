# SPDX-License-Identifier: Apache-2.0
"""Threads, slots and states around the renderer; no mathematics.

    thread "capture"  ─Frame→ [latest slot] → thread "render": commands, then `Renderer.render`
                      ─OutputFrame→ [latest slot] live sinks · [queue of 8] recorders, one thread each

Whatever happens on the way in, frames keep going out: a silent camera means held pose, fade and holding card; an
error means the holding card and the state `failed`. Only `OutputFrame`s leave the render thread, so no driving frame
can reach a sink. A character whose set has no complete consent note is not sent to a sink that asks for one: a change
to it is refused, and so is such a sink while it is shown. A pipeline runs once: `start`, then `stop`; make a new one
to run again.
"""

from __future__ import annotations

import datetime
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from engine import state as states
from engine.capture.base import Camera
from engine.capture.feed import CameraFeed
from engine.clock import Clock, SystemClock
from engine.config import LiveSettings
from engine.consent import require_consent
from engine.errors import Closed, InvalidSetting, SinkError
from engine.events import Failed, Finished, PipelineEvent, ThreadStuck
from engine.renderer import WAITING, Renderer
from engine.sinks.base import Sink
from engine.sinks.outlet import Outlet
from engine.slots import LatestSlot
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats, StatsCollector
from engine.status import Status
from engine.track.calibration import Neutral
from engine.types import Frame, OutputFrame, SourceSet
from engine.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Command", "Pipeline"]

Command = Callable[[Renderer], None]

_FAILED = "Back in a moment"


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
        if not sinks or len({sink.name for sink in sinks}) < len(sinks):
            raise ValueError(f"sinks must be at least one and have different names: {[sink.name for sink in sinks]}")
        self._make_renderer = renderer
        self._settings = settings or LiveSettings()
        self._clock: Clock = clock or SystemClock()
        self._status = Status(self._clock, doorbell=doorbell)
        self._lock = self._status.lock
        self._stats = StatsCollector()
        self._frames: LatestSlot[Frame] = LatestSlot()
        self._commands: deque[Command] = deque()
        self._feed = CameraFeed(
            camera,
            self._frames,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            waits=lambda: self._settings.pipeline,
            on_open=self._loaded,
            on_reopen=lambda: self.command(lambda renderer: renderer.reset()),
        )
        self._outlets = [self._outlet_for(sink) for sink in sinks]  # replaced as a whole, so that reading needs no lock
        self._capture = Worker("capture", self._feed.run, on_error=self._fail)
        self._render = Worker("render", self._run_render, on_error=self._fail)
        self._preparing: list[Worker] = []
        self._renderer: Renderer | None = None
        self._loading = 2  # capture and render have something to open
        self._running_outlets = len(self._outlets)
        self._newest_set = 0
        self._cleared: SourceSet | None = None  # the last set whose consent note was found good
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
        renderer = self._renderer
        return renderer.description if renderer is not None else ""

    @property
    def source_set(self) -> SourceSet | None:
        """The character that is shown; None while loading."""
        renderer = self._renderer
        return getattr(renderer, "source_set", None)

    @property
    def neutral(self) -> Neutral | None:
        """The performer's rest pose in use; None before the first calibration and while loading."""
        renderer = self._renderer
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
        return self._stats.snapshot(dropped={"capture": self._frames.dropped, **dropped})

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
        for outlet in self._outlets:
            outlet.worker.start()
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
        for worker in (self._capture, self._render, *self._preparing):
            self._join(worker)
        for outlet in self._outlets:
            outlet.finish()
        for outlet in self._outlets:
            self._join(outlet.worker)
        with self._lock:
            if self.state.phase is Phase.STOPPING:
                self._status.move(states.finish_stopping(self.state))
        self._end()

    def command(self, command: Command) -> None:
        """Have `command(renderer)` run on the render thread before its next frame; its errors become `Warned`."""
        self._commands.append(command)

    def apply(self, settings: LiveSettings) -> None:
        """Use other live settings from the next frame on.

        Raises:
            InvalidSetting: the output's size or rate differs, which outputs cannot follow while open.
        """
        now = self._settings.output
        if (settings.output.size_wh, settings.output.fps) != (now.size_wh, now.fps):
            raise InvalidSetting(
                f"The output size and rate cannot change while running: now {now.size_wh[0]}x{now.size_wh[1]} at "
                f"{now.fps:g} fps, asked for {settings.output.size_wh[0]}x{settings.output.size_wh[1]} at "
                f"{settings.output.fps:g} fps.",
                hint="Stop first, then start with the other size.",
            )

        def use(renderer: Renderer) -> None:
            renderer.set_settings(settings)
            self._settings = settings
            self._status.note(states.BLANKED, settings.blanked)

        self.command(use)

    def set_source_set(self, source_set: SourceSet) -> None:
        """Change the character: prepared beside the running one, switched between two frames; the latest call wins.

        One that may not go to a sink in use is refused with a `Warned` event, and the old one stays.
        """
        with self._lock:
            self._newest_set = mine = self._newest_set + 1

        def prepare(stopping: threading.Event) -> None:
            self._clear(source_set)
            renderer = self._renderer
            if renderer is None:

                def load(renderer: Renderer) -> None:
                    self._clear(source_set)
                    renderer.set_source_set(source_set)

                self.command(load)
                return
            prepared = renderer.prepare(source_set)

            def use(renderer: Renderer) -> None:
                self._clear(source_set)  # a sink that asks for consent may have come meanwhile
                renderer.use(prepared)

            if mine == self._newest_set and not stopping.is_set():
                self.command(use)

        worker = Worker("prepare", prepare, on_error=lambda error: self._status.warn("source set", error))
        self._preparing = [*(one for one in self._preparing if one.alive), worker]
        worker.start()

    def add_sink(self, sink: Sink) -> None:
        """Send frames to one more sink from now on; the pipeline closes it. At once, on any thread.

        Raises:
            ValueError: a sink of this name is there already. Closed: the pipeline has ended; the sink stays open.
            ConsentMissing: the sink asks for a consent note that the character's set does not have; it stays open.
        """
        shown = self.source_set
        if shown is not None and getattr(sink, "needs_consent", False):
            require_consent(shown, _now())
        with self._lock:
            if any(outlet.name == sink.name for outlet in self._outlets):
                raise ValueError(f"there is a sink called {sink.name} already")
            if self._ended.is_set() or self.state.phase in (Phase.STOPPING, Phase.FAILED):
                raise Closed
            outlet = self._outlet_for(sink)
            self._outlets = [*self._outlets, outlet]
            self._running_outlets += 1
            if self._started:
                outlet.worker.start()

    def remove_sink(self, name: str) -> None:
        """Send no more frames to a sink, finish what was handed over, and close it; waits for that.

        Nothing happens where there is no such sink. The other sinks do not miss a frame.

        Raises:
            ValueError: it is the only sink.
        """
        with self._lock:
            leaving = next((outlet for outlet in self._outlets if outlet.name == name), None)
            if leaving is None:
                return
            if len(self._outlets) == 1:
                raise ValueError(f"{name} is the only sink; stop the pipeline instead")
            self._outlets = [outlet for outlet in self._outlets if outlet is not leaving]
        if not self._started:
            leaving.close_unstarted()
            with self._lock:
                self._running_outlets -= 1
            return
        leaving.finish()
        self._join(leaving.worker)
        self._stats.forget_delivery(name)
        for trouble in ("lost", "stopped"):
            self._status.note(f"{name} {trouble}", False)

    def show_sources(self, wanted: bool) -> None:
        """Draw the character in the colours of the pictures its pixels come from; a model that cannot is `Warned`."""
        self.command(lambda renderer: renderer.show_sources(wanted))

    def calibrate(self, *, keep_trying: bool = False) -> None:
        """Take the performer's neutral pose from the next half second of frames."""
        self.command(lambda renderer: renderer.start_calibration(keep_trying=keep_trying))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------- render thread

    def _run_render(self, stopping: threading.Event) -> None:
        renderer: Renderer | None = None
        try:
            renderer = self._make_renderer()
            renderer.listener = self._status.events.post
            self._renderer = renderer
            # Sealed now: whatever fails later, this card can be shown.
            last_resort = renderer.card(_FAILED, at_ns=self._clock.now_ns())
            try:
                self._loaded()
                self._render_all(renderer, stopping)
            except BaseException:
                self._hand_out(last_resort)
                raise
            if self.state.phase is Phase.FAILED:  # another thread's error
                self._hand_out(last_resort)
        finally:
            self._renderer = None
            if renderer is not None:
                renderer.close()
            if self._feed.ended:
                for outlet in self._outlets:
                    outlet.finish()

    def _render_all(self, renderer: Renderer, stopping: threading.Event) -> None:
        silent = False
        while not stopping.is_set():
            period_s = 1.0 / self._settings.output.fps
            try:
                frame = self._frames.get(period_s if silent else self._feed.silence_s)
            except Closed:
                return
            self._run_commands(renderer)  # after the wait: what was asked for meanwhile holds for this very frame
            self._require_cleared(renderer)
            silent = frame is None
            self._status.note(states.CAMERA_STALLED, silent)
            if frame is None:
                output = renderer.render_absent(self._clock.now_ns(), WAITING)
            else:
                output = renderer.render(frame)
                self._stats.add_times(renderer.last_timings)
                self._status.note(states.TRACKING_LOST, renderer.tracking_lost)
            self._stats.add_delivery("render", captured_ns=output.captured_ns, now_ns=self._clock.now_ns())
            self._hand_out(output)

    def _run_commands(self, renderer: Renderer) -> None:
        while self._commands:
            command = self._commands.popleft()
            try:
                command(renderer)
            except Exception as error:  # noqa: BLE001 - a refused setting or set must not end the show
                self._status.warn("command", error)

    def _require_cleared(self, renderer: Renderer) -> None:
        """The last line: whatever way a set or a sink came in, nothing is sent without a note.

        Raises:
            ConsentMissing: the run ends with the holding card.
        """
        shown: SourceSet | None = getattr(renderer, "source_set", None)
        if shown is not None and shown is not self._cleared:
            self._clear(shown)

    def _clear(self, source_set: SourceSet) -> None:
        """Let a set pass to the sinks in use, or raise `ConsentMissing`."""
        if any(outlet.needs_consent for outlet in self._outlets):
            require_consent(source_set, _now())
            self._cleared = source_set

    def _hand_out(self, output: OutputFrame) -> None:
        for outlet in self._outlets:
            outlet.offer(output)

    # -------------------------------------------------------------------------------------------------- sink threads

    def _outlet_for(self, sink: Sink) -> Outlet:
        return Outlet(
            sink,
            status=self._status,
            stats=self._stats,
            clock=self._clock,
            on_broken=self._outlet_broke,
            on_end=self._outlet_ended,
            on_error=self._fail,
        )

    def _outlet_broke(self, outlet: Outlet, error: SinkError) -> None:
        """Go on without this sink; with none left there is nothing to go on for."""
        if all(one.broken for one in self._outlets):
            self._fail(error)
            return
        self._status.warn(outlet.name, error)
        self._status.note(f"{outlet.name} stopped", True)

    def _outlet_ended(self) -> None:
        """After the last sink of a finished source, the run is over."""
        with self._lock:
            self._running_outlets -= 1
            over = self._running_outlets == 0 and self._feed.ended
            if over and self.state.live:
                self._status.move(states.stop(self.state))
                self._status.move(states.finish_stopping(self.state))
        if over:
            self._end()

    # ---------------------------------------------------------------------------------------------------- any thread

    def _loaded(self) -> None:
        with self._lock:
            self._loading -= 1
            if self._loading == 0 and self.state.phase is Phase.LOADING:
                self._status.move(states.finish_loading(self.state))
                self._status.note(states.BLANKED, self._settings.blanked)
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
        if not worker.join(self._settings.pipeline.join_s):
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
        for outlet in self._outlets:
            outlet.close_unstarted()
        self._end()


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()  # a consent ends with the day where the performer sits
