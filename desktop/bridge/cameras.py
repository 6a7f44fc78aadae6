# SPDX-License-Identifier: Apache-2.0
"""Which cameras are plugged in now, and a look through one before anything runs. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.bridge.doorbell import Doorbell, Tasks
from desktop.bridge.session import camera_spec
from desktop.words import error_words
from engine.capture.base import Camera, CameraInfo

if TYPE_CHECKING:
    from engine.capture.peek import CameraPeek

__all__ = ["CameraLook", "CameraWatch"]

_EVERY_MS = 3000


def _list() -> list[CameraInfo]:
    from engine.capture import list_cameras

    return list_cameras()


class CameraWatch(QObject):
    """Looks for cameras every few seconds; virtual ones, ours too, are never listed.

    Signals:
        changed(list[CameraInfo]): what is plugged in now.
    """

    changed = Signal(object)

    def __init__(self, tasks: Tasks, parent: QObject | None = None, *, every_ms: int = _EVERY_MS) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._known: list[CameraInfo] | None = None
        self._looking = False
        self._timer = QTimer(self, interval=every_ms)
        self._timer.timeout.connect(self.look)

    def begin(self) -> None:
        """Look now, and go on looking."""
        self.look()
        self._timer.start()

    def end(self) -> None:
        """Look no more."""
        self._timer.stop()

    def look(self) -> None:
        """Look once; while one look is under way another does not begin."""
        if not self._looking:
            self._looking = True
            self._tasks.run("cameras", _list, done=self._found, failed=lambda _error: self._found([]))

    def _found(self, cameras: list[CameraInfo]) -> None:
        self._looking = False
        if cameras != self._known:
            self._known = cameras
            self.changed.emit(cameras)


class CameraLook(QObject):
    """A live thumbnail of one camera, on this screen only.

    Signals:
        picture(NDArray): (h, w, 3) uint8. failed(str): why there is none.
    """

    picture = Signal(object)
    failed = Signal(str)

    def __init__(self, tasks: Tasks, parent: QObject | None = None, *, width_px: int = 320) -> None:
        super().__init__(parent)
        self._tasks, self._width_px = tasks, width_px
        self._bell, self._error_bell = Doorbell(self), Doorbell(self)
        self._bell.answered.connect(self._take)
        self._error_bell.answered.connect(self._tell)
        self._peek: CameraPeek | None = None
        self._error: BaseException | None = None

    def look(self, camera: str) -> None:
        """Show this camera instead of the one before; empty shows none."""
        self.end()
        if not camera:
            return

        def open_it() -> Camera:
            from engine.capture import open_camera

            return open_camera(camera_spec(camera), width_px=640, height_px=360, loop=True)

        from engine.capture.peek import CameraPeek

        self._peek = CameraPeek(open_it, doorbell=self._bell.ring, on_error=self._broken, width_px=self._width_px)

    def end(self, *, wait: bool = False) -> None:
        """Let go of the camera. wait: until it is free."""
        peek, self._peek = self._peek, None
        if peek is not None and wait:
            peek.close()
        elif peek is not None:
            self._tasks.run("let go", peek.close, failed=lambda _error: None)

    def close(self) -> None:
        """End for good."""
        self.end(wait=True)
        self._bell.close()
        self._error_bell.close()

    def _broken(self, error: BaseException) -> None:
        self._error = error
        self._error_bell.ring()

    def _take(self) -> None:
        if self._peek is not None and (picture := self._peek.take()) is not None:
            self.picture.emit(picture)

    def _tell(self) -> None:
        if self._error is not None:
            self.failed.emit(error_words(self._error))
