# SPDX-License-Identifier: Apache-2.0
"""A real webcam through OpenCV. Its frames are grabbed on a thread of its own, read on the capture thread.

Motion JPEG, size and rate are asked for when the camera is opened: many webcams otherwise deliver raw pictures at
5-10 frames a second. The rate is then measured, since drivers report what was asked for. BGR ends here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import CameraInfo
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.cv import cv2
from engine.errors import CameraBusy, CameraMissing, CameraStalled, Closed
from engine.slots import LatestSlot
from engine.types import Frame

__all__ = ["OpenCvCamera"]

_STALL_S = 2.0  # the first frame of a USB camera may take this long, later ones only if it hangs
_FAILED_READS = 5  # in a row, before the device counts as gone
_RATE_SHARE = 0.05  # weight of the newest interval in the measured rate
_JOIN_S = 1.0


class OpenCvCamera:
    """One webcam.

    Args:
        node: what OpenCV opens: a device path on Linux, a number elsewhere.
        info: id and name of the camera.
        width_px, height_px, fps: what to ask for; the driver may give something else, see `info`.
        stall_s: without a frame for this long, `read` raises.
        clock: time source.
        opener: makes the device object; replaced in tests.

    Raises:
        CameraMissing: no such device.
        CameraBusy: the device exists but cannot be opened.
    """

    def __init__(
        self,
        node: str | int,
        *,
        info: CameraInfo,
        width_px: int = 1280,
        height_px: int = 720,
        fps: float = 30.0,
        stall_s: float = _STALL_S,
        clock: Clock | None = None,
        opener: Callable[[str | int, list[int]], Any] | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._stall_s = stall_s
        self._node = node
        self._device = (opener or _open_device)(node, _wishes(width_px, height_px, fps))
        if not self._device.isOpened():
            self._device.release()
            raise _cannot_open(node, info)
        self._info = replace(
            info,
            width_px=int(self._device.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height_px=int(self._device.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=float(self._device.get(cv2.CAP_PROP_FPS)) or fps,
            fourcc=_fourcc_text(int(self._device.get(cv2.CAP_PROP_FOURCC))),
        )
        self._measured_s = 0.0
        self._slot: LatestSlot[Frame] = LatestSlot()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._grab, name="bunraku-grab", daemon=True)
        self._thread.start()

    @property
    def info(self) -> CameraInfo:
        """The camera as opened, with the measured frame rate once frames have come."""
        return replace(self._info, fps=1.0 / self._measured_s) if self._measured_s else self._info

    @property
    def dropped(self) -> int:
        """Frames that were replaced before anyone read them."""
        return self._slot.dropped

    def read(self) -> Frame | None:
        """Return the newest unread frame; None after `close`.

        Raises:
            CameraStalled: no frame within the time-out; the camera may come back.
            CameraMissing: the camera was unplugged or its driver gave up.
        """
        try:
            frame = self._slot.get(self._stall_s)
        except Closed:
            if self._stopping.is_set():
                return None
            raise CameraMissing(
                f"The camera {self._info.name} is gone.", hint="Plug it in again.", id=self._info.id
            ) from None
        if frame is None:
            raise CameraStalled(
                f"The camera {self._info.name} sent no frame for {self._stall_s:g} s.",
                hint="Another program may hold it, its privacy shutter may be closed, or its cable may be loose.",
                id=self._info.id,
                waited_s=self._stall_s,
            )
        return frame

    def close(self) -> None:
        """Stop grabbing and release the device."""
        self._stopping.set()
        self._slot.close(discard=True)
        if self._thread is not threading.current_thread():
            # A driver that hangs in read() keeps its thread; releasing under it would crash.
            self._thread.join(_JOIN_S)

    def __enter__(self) -> OpenCvCamera:
        """Return the camera itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _grab(self) -> None:
        """Read the device until told to stop; always the newest frame is kept (grab thread)."""
        index, failed, last_ns = 0, 0, 0
        try:
            while not self._stopping.is_set() and failed < _FAILED_READS:
                arrived, bgr = self._device.read()
                now_ns = self._clock.now_ns()
                if not arrived or bgr is None:
                    failed += 1
                    continue
                failed = 0
                self._measure(now_ns - last_ns if last_ns else 0)
                last_ns = now_ns
                self._slot.put(Frame(index, now_ns, _rgb_from_bgr(bgr)))
                index += 1
        except Closed:
            pass
        finally:
            self._device.release()
            self._slot.close()

    def _measure(self, interval_ns: int) -> None:
        if interval_ns <= 0:
            return
        interval_s = interval_ns / NS_PER_S
        previous = self._measured_s or interval_s
        self._measured_s = previous + _RATE_SHARE * (interval_s - previous)


def _wishes(width_px: int, height_px: int, fps: float) -> list[int]:
    """Return OpenCV's open parameters; the pixel format comes first, it decides which sizes and rates exist."""
    return [
        *(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        *(cv2.CAP_PROP_FRAME_WIDTH, width_px),
        *(cv2.CAP_PROP_FRAME_HEIGHT, height_px),
        *(cv2.CAP_PROP_FPS, round(fps)),
    ]


def _open_device(node: str | int, wishes: list[int]) -> Any:
    backend = {"win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}.get(sys.platform, cv2.CAP_V4L2)
    device = cv2.VideoCapture(node, backend, wishes)
    if not device.isOpened():
        # Some drivers refuse to open with a wish they do not know, but take the others afterwards.
        device = cv2.VideoCapture(node, backend)
        for key, value in zip(wishes[::2], wishes[1::2], strict=True):
            device.set(key, value)
    return device


def _cannot_open(node: str | int, info: CameraInfo) -> CameraBusy | CameraMissing:
    if isinstance(node, str) and not Path(node).exists():
        return CameraMissing(
            f"There is no camera {info.name} ({node}).", hint="Plug it in; `bunraku cameras` lists what is there."
        )
    return CameraBusy(
        f"The camera {info.name} ({node}) cannot be opened.",
        hint="Close the program that uses it, and check that you may use cameras (on Linux: group video).",
        id=info.id,
    )


def _rgb_from_bgr(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    code = cv2.COLOR_GRAY2RGB if bgr.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(bgr, code), np.uint8)


def _fourcc_text(code: int) -> str:
    text = "".join(chr((code >> shift) & 0xFF) for shift in (0, 8, 16, 24))
    return text if text.isprintable() else ""
