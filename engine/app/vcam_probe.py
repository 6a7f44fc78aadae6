# SPDX-License-Identifier: Apache-2.0
"""Does the virtual camera work? A test card is sent, opened again as a camera, and compared. Any one thread.

Reading back needs a system that gives a virtual camera out by the device it was opened with: Linux does. Elsewhere the
driver taking the card is all that can be said.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import Camera, CameraInfo
from engine.cv import cv2
from engine.errors import CameraError, Closed, SinkError
from engine.sinks.virtual_camera import VirtualCameraSink
from engine.types import OutputFrame
from engine.worker import Worker

__all__ = ["VirtualCameraProbe", "open_again", "probe_virtual_camera"]

_SENT_S = 3.0
_STEP_S = 0.1  # less than the host's hold, so that the card stays
_LOOKS = 60  # frames looked at: the first may still be what the device held before
_SAME_DB = 20.0  # a card that went through a YUV driver is above 30 dB; any other picture is below 15 dB
_MOST_DB = 99.0


@dataclass(frozen=True, slots=True)
class VirtualCameraProbe:
    """What became of the card. likeness_db: PSNR of the picture read back; None where none was. reason: why not."""

    device: str
    likeness_db: float | None
    reason: str = ""

    @property
    def works(self) -> bool:
        """Whether what was read back is what was sent; False, too, where nothing could be."""
        return self.likeness_db is not None and self.likeness_db >= _SAME_DB

    @property
    def words(self) -> str:
        """In sentences, with what to do."""
        if self.works:
            return (
                f"It works: the test picture was sent to {self.device} and read back from it as sent "
                f"({self.likeness_db:.0f} dB). Other programs can choose it."
            )
        if self.likeness_db is not None:
            return (
                f"{self.device} takes pictures but gives out another one than was sent ({self.likeness_db:.0f} dB). "
                "Close other programs that send to it, or load its driver again, then repeat the test."
            )
        return (
            f"The driver of {self.device} took the test picture for {_SENT_S:.0f} s. It could not be read back "
            f"({self.reason}): look for it in the call program's list of cameras."
        )


def open_again(device: str) -> Camera | None:
    """Open a virtual camera as a camera; None where the system knows it by another name."""
    if not device.startswith("/dev/video"):
        return None
    from engine.capture.opencv import OpenCvCamera

    return OpenCvCamera(device, info=CameraInfo(device, device))


def probe_virtual_camera(
    card: OutputFrame,
    open_sink: Callable[[], VirtualCameraSink],
    *,
    open_camera: Callable[[str], Camera | None] = open_again,
    sent_s: float = _SENT_S,
) -> VirtualCameraProbe:
    """Send a card for at least `sent_s` seconds and look at what the camera gives out meanwhile.

    Raises:
        SinkError: the camera cannot be opened, or its driver takes no picture.
    """
    faults: list[BaseException] = []
    with open_sink() as sink:

        def send(stopping: threading.Event) -> None:
            while not stopping.is_set():
                sink.send(card)
                stopping.wait(_STEP_S)

        sender = Worker("test picture", send, on_error=faults.append)
        sender.start()
        ends_s = time.monotonic() + sent_s
        try:
            likeness_db, reason = _look(card.rgb, lambda: open_camera(sink.device))
            while time.monotonic() < ends_s and not faults and likeness_db is None:
                time.sleep(_STEP_S)
        finally:
            sender.stop()
            sender.join(sent_s)
        if faults and isinstance(faults[0], SinkError):
            raise faults[0]
        return VirtualCameraProbe(sink.device, likeness_db, reason)


def _look(sent: NDArray[np.uint8], open_camera: Callable[[], Camera | None]) -> tuple[float | None, str]:
    """Return the best likeness of some frames in dB, or None and why."""
    best: float | None = None
    try:
        camera = open_camera()
        if camera is None:
            return None, "this system does not offer it under its own name"
        with closing(camera):
            for _ in range(_LOOKS):
                frame = camera.read()
                if frame is None:
                    break
                best = max(best or 0.0, _likeness_db(sent, frame.rgb))
                if best >= _SAME_DB:
                    break
    except (CameraError, Closed) as error:
        return (best, "") if best is not None else (None, str(error))
    return best, "" if best is not None else "it gave no picture"


def _likeness_db(sent: NDArray[np.uint8], seen: NDArray[np.uint8]) -> float:
    """Return the PSNR, at the size that was sent."""
    if seen.shape != sent.shape:
        seen = np.asarray(cv2.resize(seen, (sent.shape[1], sent.shape[0]), interpolation=cv2.INTER_AREA), np.uint8)
    error = float(np.square(sent.astype(np.float32) - seen).mean())
    return _MOST_DB if error == 0 else min(_MOST_DB, 10 * math.log10(255**2 / error))
