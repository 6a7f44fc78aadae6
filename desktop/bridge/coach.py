# SPDX-License-Identifier: Apache-2.0
"""The capture coach with a camera: the running character's, where one runs, else a camera of its own. GUI thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from desktop.bridge.doorbell import Doorbell
from desktop.bridge.session import Session, camera_spec
from desktop.bridge.studio_views import image_of
from desktop.words import error_words
from engine.capture.base import Camera
from engine.sets.poses import Face
from engine.worker import Worker

if TYPE_CHECKING:
    from desktop.bridge.coach_eye import CoachEye

__all__ = ["Coach"]

_NAME = "coach"
_JOIN_S = 10.0
_WHOLE_PX = 4096


class Coach(QObject):
    """One capture at a time.

    Signals:
        said(CoachView): what is asked for now. seen(MonitorView): the newest picture, for this window only.
        taken(QImage, str): a picture, and what it shows. failed(str): why there is no picture.
    """

    said = Signal(object)
    seen = Signal(object)
    taken = Signal(object, str)
    failed = Signal(str)

    def __init__(self, camera: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._camera = camera
        self._bell, self._error_bell = Doorbell(self), Doorbell(self)
        self._bell.answered.connect(self._take)
        self._error_bell.answered.connect(self._tell)
        self._eye: CoachEye | None = None
        self._session: Session | None = None
        self._worker: Worker | None = None
        self._opened: list[Camera] = []
        self._error: BaseException | None = None

    @property
    def running(self) -> bool:
        """Whether it looks."""
        return self._eye is not None

    def begin(self, have: Sequence[Face]) -> None:
        """Ask for what these faces do not show."""
        from desktop.bridge.coach_eye import CoachEye

        self.end()
        self._eye = CoachEye(have, doorbell=self._bell.ring)
        self._bell.ring()
        self._look()

    def end(self) -> None:
        """Look no more, and let go of the camera."""
        self._eye = None
        self._let_go()

    def follow(self, session: Session | None, *, opening: bool = False) -> None:
        """The character runs now on this session, or no longer. opening: it will, and needs the camera."""
        self._let_go()
        self._session = session
        if self._eye is not None and not opening:
            self._look()

    def skip(self) -> None:
        """Ask for something else."""
        if self._eye is not None:
            self._eye.skip()

    def take_now(self) -> None:
        """Take the present picture, whatever it shows."""
        if self._eye is not None:
            self._eye.take_now()

    def close(self) -> None:
        """End for good."""
        self.end()
        self._bell.close()
        self._error_bell.close()

    def _look(self) -> None:
        eye, camera = self._eye, self._camera()
        if eye is None:
            return
        if self._session is not None:
            self._session.watch(_NAME, eye)
        elif not camera:
            self.failed.emit("No camera is chosen. Choose one in the Camera panel of the live page.")
        else:
            self._worker = Worker(_NAME, lambda stopping: self._run(eye, camera, stopping), on_error=self._broken)
            self._worker.start()

    def _let_go(self) -> None:
        if self._session is not None:
            self._session.watch(_NAME, None)
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.stop()
        for camera in tuple(self._opened):
            camera.close()
        worker.join(_JOIN_S)  # the next reader needs the camera

    def _run(self, eye: CoachEye, camera_id: str, stopping: threading.Event) -> None:
        from engine.capture import open_camera
        from engine.track.face_mesh import FaceMeshTracker

        camera = open_camera(camera_spec(camera_id), width_px=1280, height_px=720, loop=True)
        self._opened.append(camera)
        tracker = FaceMeshTracker()
        try:
            while not stopping.is_set() and (frame := camera.read()) is not None:
                eye(frame, tracker.track(frame))
        finally:
            self._opened.remove(camera)
            tracker.close()
            camera.close()

    def _broken(self, error: BaseException) -> None:
        self._error = error
        self._error_bell.ring()

    def _take(self) -> None:
        if self._eye is None:
            return
        said, seen, taken = self._eye.news()
        if seen is not None:
            self.seen.emit(seen)
        for each in taken:
            self.taken.emit(image_of(each.rgb, side_px=_WHOLE_PX), each.key)
        self.said.emit(said)

    def _tell(self) -> None:
        if self._error is not None and self._eye is not None:
            self.failed.emit(error_words(self._error))
