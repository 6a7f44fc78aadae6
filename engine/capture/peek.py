# SPDX-License-Identifier: Apache-2.0
"""A look through a camera before anything runs: the live thumbnail beside its name. A thread of its own.

It keeps the newest picture only, shrunk, at a leisurely rate, and lets go of the camera when closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import Camera
from engine.cv import shrink
from engine.errors import Closed
from engine.slots import LatestSlot
from engine.worker import Worker

__all__ = ["CameraPeek"]

_PERIOD_S = 0.1
_JOIN_S = 3.0


class CameraPeek:
    """Opens a camera and keeps its newest picture, (h, w, 3) uint8, no wider than `width_px`.

    Args:
        open_camera: called on the peek's thread. doorbell: rings there after each picture. on_error: called there when
            the camera cannot be used; the peek is over then.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        doorbell: Callable[[], None],
        on_error: Callable[[BaseException], None],
        width_px: int = 320,
    ) -> None:
        self._open_camera, self._doorbell, self._width_px = open_camera, doorbell, width_px
        self._slot: LatestSlot[NDArray[np.uint8]] = LatestSlot()
        self._camera: Camera | None = None
        self._worker = Worker("peek", self._run, on_error=on_error)
        self._worker.start()

    def take(self) -> NDArray[np.uint8] | None:
        """Return the newest picture, or None if there is none newer than the last one taken."""
        try:
            return self._slot.get(timeout_s=0)
        except Closed:
            return None

    def close(self, *, wait: bool = True) -> None:
        """Let go of the camera. wait: until it is free, which another reader needs."""
        self._worker.stop()
        if (camera := self._camera) is not None:
            camera.close()
        if wait:
            self._worker.join(_JOIN_S)

    def _run(self, stopping: threading.Event) -> None:
        camera = self._camera = self._open_camera()
        try:
            while not stopping.is_set() and (frame := camera.read()) is not None:
                self._slot.put(shrink(frame.rgb, width_px=self._width_px))
                self._doorbell()
                stopping.wait(_PERIOD_S)
        finally:
            camera.close()
