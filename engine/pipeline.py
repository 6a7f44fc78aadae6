# SPDX-License-Identifier: Apache-2.0
"""Threads, slots and states around the renderer; no mathematics.

    thread "capture"  ─Frame→ [latest slot] → thread "render": commands, then `Renderer.render`
                      ─OutputFrame→ [latest slot] live sinks · [queue of 8] recorders, one thread each

Whatever happens on the way in, frames keep going out: a silent camera means held pose, fade and holding card; an
error means the holding card and the state `failed`. Only `OutputFrame`s leave the render thread, so no driving frame
can reach a sink. A pipeline runs once: `start`, then `stop`; make a new one to run again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from engine import state as states
from engine.capture.base import Camera
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.config import LiveSettings
from engine.errors import CameraError, CameraStalled, Closed, InvalidSetting, SinkError, VirtualCameraLost
from engine.events import EventBox, Failed, Finished, PipelineEvent, StateChanged, ThreadStuck, Warned
from engine.renderer import WAITING, Renderer
from engine.sinks.base import Sink
from engine.slots import BoundedQueue, LatestSlot
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats, StatsCollector
from engine.types import Frame, OutputFrame, SourceSet
from engine.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Command", "Pipeline"]

Command = Callable[[Renderer], None]

_QUEUE_CAPACITY = 8  # a quarter of a second at 30 fps: evens out an encoder's hiccups, no more
_WARN_EVERY_NS = NS_PER_S  # the same trouble is told once a second at most
_FAILED = "Back in a moment"
_SLOW_SOURCE_FRAMES = 2.5  # a paced source of few frames per second is not silent between two of them


@dataclass(eq=False)
class _Outlet:
    """One sink, the hand-over in front of it and the thread that feeds it."""

    sink: Sink
    handover: LatestSlot[OutputFrame] | BoundedQueue[OutputFrame]
    worker: Worker | None = None
    broken: bool = False


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
        self._open_camera, self._make_renderer = camera, renderer
        self._settings = settings or LiveSettings()
        self._clock: Clock = clock or SystemClock()
        self._events = EventBox(doorbell)
        self._stats = StatsCollector()
        self._lock = threading.RLock()
        self._state = PipelineState()
        self._frames: LatestSlot[Frame] = LatestSlot()
        self._commands: deque[Command] = deque()
        self._outlets = [_outlet(sink) for sink in sinks]
        self._capture = Worker("capture", self._run_capture, on_error=self._fail)
        self._render = Worker("render", self._run_render, on_error=self._fail)
        self._preparing: list[Worker] = []
        self._camera: Camera | None = None
        self._renderer: Renderer | None = None
        self._loading = 2  # capture and render have something to open
        self._running_outlets = len(self._outlets)
        self._silence_s = self._settings.pipeline.stall_s
        self._source_ended = False
        self._standing: dict[str, None] = {}  # reasons that hold, oldest first
        self._warned_ns: dict[str, int] = {}
        self._newest_set = 0
        self._started = False
        self._live = threading.Event()
        self._ended = threading.Event()

    @property
    def state(self) -> PipelineState:
        """The state now."""
        with self._lock:
            return self._state

    @property
    def description(self) -> str:
        """The run's first line, e.g. `engine: openvino …`; empty while loading."""
        renderer = self._renderer
        return renderer.description if renderer is not None else ""

    def events(self) -> list[PipelineEvent]:
        """Take all events since the last call, oldest first."""
        return self._events.drain()

    def next_event(self, timeout_s: float | None = None) -> PipelineEvent | None:
        """Take the oldest event, waiting for one; None when `timeout_s` passed or the pipeline has ended."""
        try:
            return self._events.wait(timeout_s)
        except Closed:
            return None

    def stats(self) -> PipelineStats:
        """Return times, rates, ages and drops so far."""
        dropped = {outlet.sink.name: outlet.handover.dropped for outlet in self._outlets}
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
            self._move(states.begin(self._state))
        for outlet in self._outlets:
            outlet.worker = Worker(f"sink {outlet.sink.name}", self._feeder(outlet), on_error=self._fail)
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
            if self._state.phase not in (Phase.STOPPING, Phase.IDLE):
                self._move(states.stop(self._state))
        self._capture.stop()
        self._render.stop()
        self._frames.close(discard=True)
        if (camera := self._camera) is not None:
            camera.close()  # ends a waiting read
        for worker in (self._capture, self._render, *self._preparing):
            self._join(worker)
        for outlet in self._outlets:
            outlet.handover.close()
        for outlet in self._outlets:
            if outlet.worker is not None:
                self._join(outlet.worker)
        with self._lock:
            if self._state.phase is Phase.STOPPING:
                self._move(states.finish_stopping(self._state))
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
            self._note(states.BLANKED, settings.blanked)

        self.command(use)

    def set_source_set(self, source_set: SourceSet) -> None:
        """Change the character: prepared beside the running one, switched between two frames; the latest call wins."""
        with self._lock:
            self._newest_set = mine = self._newest_set + 1

        def prepare(stopping: threading.Event) -> None:
            renderer = self._renderer
            if renderer is None:
                self.command(lambda renderer: renderer.set_source_set(source_set))
                return
            prepared = renderer.prepare(source_set)
            if mine == self._newest_set and not stopping.is_set():
                self.command(lambda renderer: renderer.use(prepared))

        worker = Worker("prepare", prepare, on_error=lambda error: self._warn("source set", error))
        self._preparing = [*(one for one in self._preparing if one.alive), worker]
        worker.start()

    def calibrate(self, *, keep_trying: bool = False) -> None:
        """Take the performer's neutral pose from the next half second of frames."""
        self.command(lambda renderer: renderer.start_calibration(keep_trying=keep_trying))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------ capture thread

    def _run_capture(self, stopping: threading.Event) -> None:
        camera: Camera | None = None
        try:
            camera = self._camera = self._open_camera()
            self._loaded()
            self._measure_silence(camera)
            while not stopping.is_set():
                started_ns = self._clock.now_ns()
                try:
                    frame = camera.read()
                except CameraError as error:
                    camera = self._reopen(camera, error, stopping)
                    if camera is None:
                        return
                    continue
                if frame is None:
                    self._source_ended = not stopping.is_set()
                    return
                self._stats.add_stage("capture", self._clock.now_ns() - started_ns)
                self._note(states.CAMERA_LOST, False)
                self._frames.put(frame)
        finally:
            self._camera = None
            if camera is not None:
                camera.close()
            self._frames.close()

    def _measure_silence(self, camera: Camera) -> None:
        """A paced video of one frame a second is no stalled camera."""
        fps = camera.info.fps
        slowest_s = _SLOW_SOURCE_FRAMES / fps if fps > 0 else 0.0
        self._silence_s = max(self._settings.pipeline.stall_s, slowest_s)

    def _reopen(self, lost: Camera, error: CameraError, stopping: threading.Event) -> Camera | None:
        """Open the camera again, waiting longer each time; None when the pipeline stops meanwhile."""
        self._warn("camera", error)
        self._note(states.CAMERA_STALLED if isinstance(error, CameraStalled) else states.CAMERA_LOST, True)
        self._camera = None
        lost.close()
        waits = self._settings.pipeline
        pause_s = waits.reopen_first_s
        while True:
            self._clock.wait_until(self._clock.now_ns() + round(pause_s * NS_PER_S), stopping)
            if stopping.is_set():
                return None
            try:
                camera = self._open_camera()
            except CameraError as again:
                self._warn("camera", again)
                self._note(states.CAMERA_LOST, True)
                pause_s = min(max(pause_s, 0.05) * 2, waits.reopen_most_s)
                continue
            self._camera = camera
            self.command(lambda renderer: renderer.reset())
            return camera

    # ------------------------------------------------------------------------------------------------- render thread

    def _run_render(self, stopping: threading.Event) -> None:
        renderer: Renderer | None = None
        try:
            renderer = self._make_renderer()
            renderer.listener = self._events.post
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
            if self._source_ended:
                for outlet in self._outlets:
                    outlet.handover.close()

    def _render_all(self, renderer: Renderer, stopping: threading.Event) -> None:
        silent = False
        while not stopping.is_set():
            period_s = 1.0 / self._settings.output.fps
            try:
                frame = self._frames.get(period_s if silent else self._silence_s)
            except Closed:
                return
            self._run_commands(renderer)  # after the wait: what was asked for meanwhile holds for this very frame
            silent = frame is None
            self._note(states.CAMERA_STALLED, silent)
            if frame is None:
                output = renderer.render_absent(self._clock.now_ns(), WAITING)
            else:
                output = renderer.render(frame)
                self._stats.add_times(renderer.last_timings)
                self._note(states.TRACKING_LOST, renderer.tracking_lost)
            self._stats.add_delivery("render", captured_ns=output.captured_ns, now_ns=self._clock.now_ns())
            self._hand_out(output)

    def _run_commands(self, renderer: Renderer) -> None:
        while self._commands:
            command = self._commands.popleft()
            try:
                command(renderer)
            except Exception as error:  # noqa: BLE001 - a refused setting or set must not end the show
                self._warn("command", error)

    def _hand_out(self, output: OutputFrame) -> None:
        for outlet in self._outlets:
            with contextlib.suppress(Closed):  # this sink has ended
                outlet.handover.put(output)

    # -------------------------------------------------------------------------------------------------- sink threads

    def _feeder(self, outlet: _Outlet) -> Callable[[threading.Event], None]:
        """Return the body of one sink's thread."""

        def feed(stopping: threading.Event) -> None:
            try:
                self._feed(outlet)
            finally:
                outlet.handover.close(discard=True)
                self._close_sink(outlet)
                self._outlet_ended()

        return feed

    def _feed(self, outlet: _Outlet) -> None:
        sink = outlet.sink
        while True:
            try:
                frame = outlet.handover.get()
            except Closed:
                return
            if frame is None:
                continue
            started_ns = self._clock.now_ns()
            try:
                sink.send(frame)
            except VirtualCameraLost as error:  # it starts again by itself
                self._warn(sink.name, error)
                self._note(f"{sink.name} lost", True)
                continue
            except SinkError as error:
                self._sink_broke(outlet, error)
                return
            now_ns = self._clock.now_ns()
            self._stats.add_stage(f"sink {sink.name}", now_ns - started_ns)
            self._stats.add_delivery(sink.name, captured_ns=frame.captured_ns, now_ns=now_ns)
            self._note(f"{sink.name} lost", False)

    def _sink_broke(self, outlet: _Outlet, error: SinkError) -> None:
        """Go on without this sink; with none left there is nothing to go on for."""
        outlet.broken = True
        if all(one.broken for one in self._outlets):
            self._fail(error)
            return
        self._warn(outlet.sink.name, error)
        self._note(f"{outlet.sink.name} stopped", True)

    def _close_sink(self, outlet: _Outlet) -> None:
        try:
            outlet.sink.close()
        except SinkError as error:
            if not outlet.broken:
                self._sink_broke(outlet, error)

    def _outlet_ended(self) -> None:
        """After the last sink of a finished source, the run is over."""
        with self._lock:
            self._running_outlets -= 1
            over = self._running_outlets == 0 and self._source_ended
            if over and self._state.live:
                self._move(states.stop(self._state))
                self._move(states.finish_stopping(self._state))
        if over:
            self._end()

    # ---------------------------------------------------------------------------------------------------- any thread

    def _loaded(self) -> None:
        with self._lock:
            self._loading -= 1
            if self._loading == 0 and self._state.phase is Phase.LOADING:
                self._move(states.finish_loading(self._state))
                self._note(states.BLANKED, self._settings.blanked)
                for reason in tuple(self._standing):
                    self._note(reason, True)
                self._live.set()

    def _fail(self, error: BaseException) -> None:
        """Stop what comes in; what goes out stays up with the holding card until `stop`."""
        with self._lock:
            if self._state.phase in (Phase.STOPPING, Phase.IDLE, Phase.FAILED):
                self._warn("stopping", error)
                return
            self._move(states.fail(self._state, error))
        self._events.post(Failed(self._clock.now_ns(), error))
        self._capture.stop()
        self._frames.close(discard=True)
        if (camera := self._camera) is not None:
            camera.close()
        self._live.set()
        self._ended.set()

    def _note(self, reason: str, holds: bool) -> None:
        """Set or clear one reason for being degraded; those met while loading count once it runs."""
        with self._lock:
            if holds:
                self._standing.setdefault(reason)
            else:
                self._standing.pop(reason, None)
            if holds != (reason in self._state.reasons):
                self._move((states.degrade if holds else states.clear)(self._state, reason))

    def _move(self, new: PipelineState) -> None:
        with self._lock:
            old, self._state = self._state, new
        if old != new:
            self._events.post(StateChanged(self._clock.now_ns(), str(old), str(new)))

    def _warn(self, where: str, error: BaseException) -> None:
        now_ns = self._clock.now_ns()
        with self._lock:
            key = f"{where} {type(error).__name__}"
            if now_ns - self._warned_ns.get(key, -_WARN_EVERY_NS) < _WARN_EVERY_NS:
                return
            self._warned_ns[key] = now_ns
        self._events.post(Warned(now_ns, where, error))

    def _join(self, worker: Worker) -> None:
        worker.stop()
        if not worker.join(self._settings.pipeline.join_s):
            self._events.post(ThreadStuck(self._clock.now_ns(), worker.name))

    def _end(self) -> None:
        if not self._ended.is_set():
            if self.state.phase is Phase.IDLE and self._source_ended:
                self._events.post(Finished(self._clock.now_ns()))
            self._live.set()
            self._ended.set()
        self._events.close()

    def _close_unstarted(self) -> None:
        if self._ended.is_set():
            return
        for outlet in self._outlets:
            with contextlib.suppress(SinkError):
                outlet.sink.close()
        self._end()


def _outlet(sink: Sink) -> _Outlet:
    if sink.keeps_every_frame:
        return _Outlet(sink, BoundedQueue(_QUEUE_CAPACITY))
    return _Outlet(sink, LatestSlot())
