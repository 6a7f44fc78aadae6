# SPDX-License-Identifier: Apache-2.0
"""A file camera with a plug to pull, for journeys and pictures of the window."""

from __future__ import annotations

from collections.abc import Callable

from engine.capture.base import Camera, CameraInfo
from engine.errors import CameraMissing
from engine.types import Frame

__all__ = ["PluggedCamera"]


class PluggedCamera:
    """Stands for `open_camera`. All that were opened share the plug.

    Args:
        really: opens the camera itself.
    """

    def __init__(self, really: Callable[..., Camera]) -> None:
        self.really, self.plugged = really, True

    def open(self, spec: str, **options: object) -> Camera:
        """What `open_camera` is meanwhile."""
        if not self.plugged:
            raise CameraMissing("The camera is gone.", hint="Plug it in again.")
        return _Reading(self, self.really(spec, **options))


class _Reading:
    def __init__(self, plug: PluggedCamera, camera: Camera) -> None:
        self._plug, self._camera = plug, camera

    @property
    def info(self) -> CameraInfo:
        """The camera's own."""
        return self._camera.info

    def read(self) -> Frame | None:
        """Read, while the plug is in."""
        if not self._plug.plugged:
            raise CameraMissing("The camera was unplugged.", hint="Plug it in again.")
        return self._camera.read()

    def close(self) -> None:
        """Close it."""
        self._camera.close()
