# SPDX-License-Identifier: Apache-2.0
"""The render thread: makes the renderer, runs commands, renders the newest frame, hands it out, closes the renderer.

It alone touches the GPU. A frame that cannot be rendered is held over, and what failed is mended
(`engine.pipeline.recovery`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from engine import state as states
from engine.capture.feed import CameraFeed
from engine.clock import Clock
from engine.config import LiveSettings
from engine.errors import Closed, WatermarkError
from engine.pipeline.clearance import Clearance
from engine.pipeline.recovery import Recovery
from engine.renderer import Renderer
from engine.slots import LatestSlot
from engine.standby import BREAK, WAITING
from engine.state import Phase
from engine.stats import StatsCollector
from engine.status import Status
from engine.types import Frame, OutputFrame

__all__ = ["Command", "RenderLoop"]

Command = Callable[[Renderer], None]


class RenderLoop:
    """Slot → renderer → `hand_out`.

    Args:
        make_renderer: called by `run`, which closes it too. frames: what to render. feed: says what counts as silence.
        settings: those in force now. clearance: asked before each frame. hand_out: takes each output; returns at once.
        on_loaded: called once, when the renderer is there. on_end: called when nothing more will be handed out.
    """

    def __init__(
        self,
        make_renderer: Callable[[], Renderer],
        frames: LatestSlot[Frame],
        *,
        feed: CameraFeed,
        status: Status,
        stats: StatsCollector,
        clock: Clock,
        settings: Callable[[], LiveSettings],
        clearance: Clearance,
        hand_out: Callable[[OutputFrame], None],
        on_loaded: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._make_renderer, self._frames, self._feed = make_renderer, frames, feed
        self._status, self._stats, self._clock, self._settings = status, stats, clock, settings
        self._clearance = clearance
        self._hand_out, self._on_loaded, self._on_end = hand_out, on_loaded, on_end
        self._commands: deque[Command] = deque()
        self.renderer: Renderer | None = None
        """The renderer while there is one. Thread: any, to read what it says of itself."""

    def command(self, command: Command) -> None:
        """Have `command(renderer)` run before the next frame. Thread: any."""
        self._commands.append(command)

    def run(self, stopping: threading.Event) -> None:
        """Render until the frames end or `stopping` is set.

        Raises:
            Exception: what kept the renderer from loading, or what could not be mended; the card has been handed out.
        """
        renderer: Renderer | None = None
        try:
            renderer = self._make_renderer()
            renderer.listener = self._status.events.post
            self.renderer = renderer
            # Sealed now: whatever fails later, this card can be shown.
            last_resort = renderer.card(BREAK, at_ns=self._clock.now_ns())
            try:
                self._on_loaded()
                self._render_all(renderer, stopping)
            except BaseException:
                self._hand_out(last_resort)
                raise
            if self._status.state.phase is Phase.FAILED:  # another thread's error
                self._hand_out(last_resort)
        finally:
            self.renderer = None
            if renderer is not None:
                renderer.close()
            self._on_end()

    def _render_all(self, renderer: Renderer, stopping: threading.Event) -> None:
        recovery = Recovery(self._status, self._clock, give_up_s=self._settings().pipeline.give_up_s)
        silent = False
        while not stopping.is_set():
            period_s = 1.0 / self._settings().output.fps
            try:
                frame = self._frames.get(period_s if silent else self._feed.silence_s)
            except Closed:
                return
            self._run_commands(renderer)  # after the wait: what was asked for meanwhile holds for this very frame
            self._clearance.require(renderer)
            silent = frame is None
            self._status.note(states.CAMERA_STALLED, silent)
            if frame is None:
                output = renderer.render_absent(self._clock.now_ns(), WAITING)
            else:
                output = self._render(renderer, frame, recovery)
            self._stats.add_delivery("render", captured_ns=output.captured_ns, now_ns=self._clock.now_ns())
            self._hand_out(output)

    def _render(self, renderer: Renderer, frame: Frame, recovery: Recovery) -> OutputFrame:
        """Render a frame, or what stands in for it while something is being mended."""
        if recovery.ready(renderer):
            try:
                output = renderer.render(frame)
            except WatermarkError:
                raise
            except Exception as error:  # noqa: BLE001 - a stage may raise what it likes; the show goes on without it
                recovery.failed(error, renderer.stage)
            else:
                recovery.succeeded()
                self._stats.add_times(renderer.last_timings)
                self._status.note(states.TRACKING_LOST, renderer.tracking_lost)
                return output
        return renderer.render_absent(frame.captured_ns, BREAK)

    def _run_commands(self, renderer: Renderer) -> None:
        while self._commands:
            command = self._commands.popleft()
            try:
                command(renderer)
            except Exception as error:  # noqa: BLE001 - a refused setting or set must not end the show
                self._status.warn("command", error)
