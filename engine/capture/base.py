# SPDX-License-Identifier: Apache-2.0
"""What every camera is: the first stage of the data flow, read on the capture thread."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

from engine.types import Frame

__all__ = ["Camera", "CameraInfo"]


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """What is known of a camera or of a file that stands in for one.

    id: stable across restarts and re-plugging, accepted by `open_camera("camera:" + id)`; a path for files.
    name: for people. width_px, height_px, fps: 0 where unknown before opening. fourcc: pixel format, e.g.
    MJPG. frame_count: about how many frames a file holds; 0 where unknown or endless.
    """

    id: str
    name: str
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    fourcc: str = ""
    frame_count: int = 0


@runtime_checkable
class Camera(Protocol):
    """A source of driving frames: a webcam, a video file, a folder of pictures or a generator.

    Thread: one reader at a time; `close` may be called from any thread and ends a waiting `read`.
    """

    @property
    def info(self) -> CameraInfo:
        """What was really opened; `fps` of a live camera is measured and grows accurate while reading."""

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end of a finite source or after `close`.

        Raises:
            CameraStalled: no frame arrived within the time-out.
            CameraMissing: the device went away.
            DriverUnreadable: a file turned out to hold nothing readable.
        """

    def close(self) -> None:
        """Release the device or file; safe to call twice."""

    def __enter__(self) -> Camera:
        """Return the camera itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
