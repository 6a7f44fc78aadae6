# SPDX-License-Identifier: Apache-2.0
"""A controller on the real pipeline with scripted stages, and what it says."""

from __future__ import annotations

from collections.abc import Callable

from pytestqt.qtbot import QtBot

from desktop.bridge.session import Session, SessionRequest
from desktop.controller import Controller, Notice
from engine.clock import SystemClock
from engine.pipeline import Pipeline
from engine.sinks.base import BaseSink, require_output_frame
from engine.sinks.preview import PreviewSink
from engine.state import Phase
from engine.track.monitor import TrackingMonitor
from engine.types import OutputFrame
from tests.helpers.scripted import (
    ScriptedCamera,
    ScriptedTracker,
    driving_frame,
    make_renderer,
)

__all__ = ["WAIT_MS", "FakeVcam", "Scene"]

WAIT_MS = 60_000


class Scene:
    """A controller, what it says, and the camera of the latest session."""

    def __init__(self, controller: Controller, qtbot: QtBot) -> None:
        self.controller, self.qtbot = controller, qtbot
        self.camera = ScriptedCamera()
        self.requests: list[SessionRequest] = []
        self.frames: list[OutputFrame] = []
        self.notices: list[Notice] = []
        self.views: list[object] = []
        self.index = 0
        controller.frame.connect(self.frames.append)
        controller.notice.connect(self.notices.append)
        controller.monitor.connect(self.views.append)

    def open(self, request: SessionRequest, **rings: Callable[[], None]) -> Session:
        """Open the real session on scripted stages."""
        self.camera = ScriptedCamera()
        self.requests.append(request)
        preview = PreviewSink(rings["on_frame"])
        pipeline = Pipeline(
            self.plug_in,
            lambda: make_renderer(tracker=ScriptedTracker(), settings=request.live),
            [preview, *request.sinks],
            settings=request.live,
            doorbell=rings["on_event"],
        )
        return Session(request, pipeline, preview, TrackingMonitor(rings["on_monitor"]))

    def plug_in(self) -> ScriptedCamera:
        """Open the camera anew, on the capture thread."""
        if self.camera.closed.is_set():
            self.camera = ScriptedCamera()
        return self.camera

    def go_live(self) -> None:
        self.controller.start()
        self.until(lambda: self.controller.current.phase is Phase.RUNNING)

    def feed(self) -> OutputFrame:
        """Send one camera frame and return what came out."""
        before = len(self.frames)
        self.index += 1
        self.camera.put(driving_frame(self.index, at_ns=SystemClock().now_ns()))
        self.until(lambda: len(self.frames) > before)
        return self.frames[-1]

    def until(self, done: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(done, timeout=WAIT_MS)

    def stop(self) -> None:
        self.controller.stop()
        self.until(lambda: self.controller.current.phase is Phase.IDLE)

    @property
    def told(self) -> str:
        return self.notices[-1].text if self.notices else ""


class FakeVcam(BaseSink):
    """Stands for a driver."""

    name = "virtual camera"
    device = "/dev/video9"

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self.size_wh, self.count, self.closed = size_wh, 0, 0

    def send(self, frame: OutputFrame) -> None:
        require_output_frame(frame)
        self.count += 1

    def close(self) -> None:
        self.closed += 1
