# SPDX-License-Identifier: Apache-2.0
"""A camera that does what real ones do on a bad day, and a scene that changes before it. Capture thread.

Every picture it delivers has a magenta border, which nothing else draws: a sent frame in which that colour is found
has let driving pixels out (`engine.evaluation.soak.sinks`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import Camera, CameraInfo
from engine.cv import cv2
from engine.errors import CameraMissing, CameraStalled
from engine.evaluation.soak.faults import Switchboard
from engine.types import Frame

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BEACON_RGB", "FaultyCamera", "open_faulty"]

BEACON_RGB = (255, 0, 255)
_BORDER_PX = 12
_STALL_S = 2.0  # as `engine.capture.opencv`: without a picture for this long, `read` raises
_SLOW_EVERY = 6  # of 30 frames a second: 5 fps
_SKIN_RGB = (196, 150, 122)


class FaultyCamera:
    """Passes a camera's frames on, changed by what is switched on.

    Args:
        camera: closed with this one.
    """

    def __init__(self, camera: Camera, board: Switchboard) -> None:
        self._camera, self._board = camera, board
        self._closed = threading.Event()
        self._last: NDArray[np.uint8] | None = None
        self._still: NDArray[np.uint8] | None = None
        self._rng = np.random.default_rng(5)

    @property
    def info(self) -> CameraInfo:
        """The camera's own, but live: a file would be forgiven for standing still."""
        info = self._camera.info
        return CameraInfo(info.id, info.name, info.width_px, info.height_px, info.fps, info.fourcc)

    def read(self) -> Frame | None:
        """Return the next frame as the faults leave it.

        Raises:
            CameraMissing, CameraStalled, OSError: the fault says so.
        """
        board = self._board
        if board.on("stalled") and not board.wait_off("stalled", _STALL_S) and not self._closed.is_set():
            raise CameraStalled(f"The camera sent no frame for {_STALL_S:g} s.", hint="Check its cable.")
        frame = self._read_one()
        if frame is None or self._closed.is_set():
            return None
        if board.on("unplugged"):
            raise CameraMissing("The camera is gone.", hint="Plug it in again.")
        if board.on("driver-error"):
            raise OSError("ioctl(VIDIOC_DQBUF): Input/output error")
        return Frame(frame.index, frame.captured_ns, self._picture(frame.rgb))

    def close(self) -> None:
        """Close the camera."""
        self._closed.set()
        self._camera.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read_one(self) -> Frame | None:
        frame = self._camera.read()
        for _ in range(_SLOW_EVERY - 1):
            if not self._board.on("slow-camera"):
                break
            frame = self._camera.read()
        return frame

    def _picture(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        board = self._board
        if board.on("frozen") and self._last is not None:
            return self._last
        if board.on("poster"):
            self._still = rgb if self._still is None else self._still
            rgb = self._noisy(self._still)
        else:
            self._still = None
        if board.on("no-face"):
            rgb = self._noisy(np.full_like(rgb, 110))  # the wall behind an empty chair
        if board.on("two-faces"):
            small = cv2.resize(rgb, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
            beside = np.full_like(rgb, 90)
            beside[rgb.shape[0] - small.shape[0] :, : small.shape[1]] = small
            rgb = np.concatenate([rgb, beside], axis=1)
        if board.on("hand"):
            rgb = _with_hand(rgb)
        rgb = np.zeros_like(rgb) if board.on("black") else _with_border(rgb)
        if board.on("other-size"):
            rgb = np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        self._last = np.ascontiguousarray(rgb, np.uint8)
        return self._last

    def _noisy(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Add the noise of a sensor: what stands still before a camera is not still in its pictures."""
        noise = self._rng.integers(-3, 4, rgb.shape, np.int16)
        return np.asarray(np.clip(rgb.astype(np.int16) + noise, 0, 255), np.uint8)


def open_faulty(open_camera: Callable[[], Camera], board: Switchboard) -> FaultyCamera:
    """Open a camera that may be unplugged.

    Raises:
        CameraMissing: it is.
    """
    for fault in ("unplugged", "driver-error"):
        if board.on(fault):
            raise CameraMissing("There is no camera.", hint="Plug it in.")
    return FaultyCamera(open_camera(), board)


def _with_border(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    framed = rgb.copy()
    for edge in (np.s_[:_BORDER_PX], np.s_[-_BORDER_PX:], np.s_[:, :_BORDER_PX], np.s_[:, -_BORDER_PX:]):
        framed[edge] = BEACON_RGB
    return framed


def _with_hand(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay five fingers over the middle of the picture."""
    covered = rgb.copy()
    height, width = rgb.shape[:2]
    for finger in range(5):
        x = round(width * (0.30 + 0.09 * finger))
        cv2.line(covered, (x, round(height * 0.2)), (x, round(height * 0.85)), _SKIN_RGB, max(4, width // 14))
    return covered
