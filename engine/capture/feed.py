# SPDX-License-Identifier: Apache-2.0
"""Keeps a slot filled with a camera's newest frame, and opens the camera again after a loss. Capture thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from engine import state as states
from engine.capture.base import Camera
from engine.capture.watch import PictureWatch
from engine.clock import NS_PER_S, Clock
from engine.config import PipelineSettings
from engine.errors import CameraError, CameraMissing, CameraStalled, Closed, PuppeteerError
from engine.slots import LatestSlot
from engine.stats import StatsCollector
from engine.status import Status
from engine.types import Frame

__all__ = ["CameraFeed"]

_SLOW_SOURCE_FRAMES = 2.5  # a paced source of few frames per second is not silent between two of them
_SHORTEST_PAUSE_S = 0.05  # what a first pause of zero doubles from


class CameraFeed:
    """Camera → slot.

    Args:
        open_camera: called by `run`, again after a loss. frames: closed when the camera is done.
        waits: the waiting times now. on_open: called once, when the camera is open the first time.
        on_reopen: called each time it is open again; what is known of the performer may no longer hold.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        frames: LatestSlot[Frame],
        *,
        status: Status,
        stats: StatsCollector,
        clock: Clock,
        waits: Callable[[], PipelineSettings],
        on_open: Callable[[], None],
        on_reopen: Callable[[], None],
    ) -> None:
        self._open_camera, self._frames = open_camera, frames
        self._status, self._stats, self._clock, self._waits = status, stats, clock, waits
        self._on_open, self._on_reopen = on_open, on_reopen
        self._camera: Camera | None = None
        self.silence_s = waits().stall_s
        """How long no frame may come before the source counts as silent."""
        self.ended = False
        """Whether a finite source came to its end."""

    def run(self, stopping: threading.Event) -> None:
        """Read until the source ends or `stopping` is set.

        Raises:
            CameraError, DriverUnreadable: the camera cannot be opened the first time, or its file is unreadable.
        """
        camera: Camera | None = None
        try:
            camera = self._camera = _open(self._open_camera)
            # A paced video of one frame a second is no stalled camera.
            slowest_s = _SLOW_SOURCE_FRAMES / camera.info.fps if camera.info.fps > 0 else 0.0
            self.silence_s = max(self._waits().stall_s, slowest_s)
            self._on_open()
            watch = PictureWatch(camera.info, self._status)
            while not stopping.is_set():
                started_ns = self._clock.now_ns()
                try:
                    frame = _read(camera)
                except CameraError as error:
                    watch.close()
                    camera = self._reopen(camera, error, stopping)
                    if camera is None:
                        return
                    watch = PictureWatch(camera.info, self._status)
                    continue
                if frame is None:
                    self.ended = not stopping.is_set()
                    return
                waited_ns = self._clock.now_ns() - started_ns
                self._stats.add_stage("capture", waited_ns)
                self._status.note(states.CAMERA_LOST, False)
                watch.look(frame, waited_ns=waited_ns)
                self._frames.put(frame)
        finally:
            self._camera = None
            if camera is not None:
                camera.close()
            self._frames.close()

    def interrupt(self) -> None:
        """Close the camera, which ends a waiting read. Thread: any."""
        if (camera := self._camera) is not None:
            camera.close()

    def _reopen(self, lost: Camera, error: CameraError, stopping: threading.Event) -> Camera | None:
        """Open the camera again, waiting longer each time; None when the pipeline stops meanwhile."""
        self._status.warn("camera", error)
        self._status.note(states.CAMERA_STALLED if isinstance(error, CameraStalled) else states.CAMERA_LOST, True)
        self._camera = None
        with contextlib.suppress(Exception):  # it is gone; a driver that says so once more changes nothing
            lost.close()
        waits = self._waits()
        pause_s = waits.reopen_first_s
        while True:
            self._clock.wait_until(self._clock.now_ns() + round(pause_s * NS_PER_S), stopping)
            if stopping.is_set():
                return None
            try:
                camera = _open(self._open_camera)
            except CameraError as again:
                self._status.warn("camera", again)
                self._status.note(states.CAMERA_LOST, True)
                pause_s = min(max(pause_s, _SHORTEST_PAUSE_S) * 2, waits.reopen_most_s)
                continue
            self._camera = camera
            self._on_reopen()
            return camera


def _read(camera: Camera) -> Frame | None:
    """Read a frame; a driver's own exceptions count as the camera's loss, since opening it again is what helps."""
    try:
        return camera.read()
    except (PuppeteerError, Closed):
        raise
    except Exception as error:
        raise _failure(error) from error


def _open(open_camera: Callable[[], Camera]) -> Camera:
    try:
        return open_camera()
    except (PuppeteerError, Closed):
        raise
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> CameraMissing:
    return CameraMissing(
        f"The camera's driver failed: {type(error).__name__}: {error}.", hint="It is opened again by itself."
    )
