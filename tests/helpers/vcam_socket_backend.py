# SPDX-License-Identifier: Apache-2.0
"""A virtual-camera back-end for tests: sends every picture to a socket, so that the test sees what a call would.

`device` is "host:port" of the test's server; without one, `$BUNRAKU_TEST_DEVICE` is the first that is free.
Run inside the host through `--backend-module`. A test that stops reading makes `send` block, as a stuck driver does.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import numpy as np
import pyvirtualcam

__all__ = ["SocketCamera"]

_WIDEST_PX = 2000


class SocketCamera:
    """Follows pyvirtualcam's back-end contract."""

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any) -> None:
        if width > _WIDEST_PX:
            raise RuntimeError(f"unsupported width {width}")
        device = device or os.environ.get("BUNRAKU_TEST_DEVICE")
        if device is None:
            raise RuntimeError("no device given")
        host, port = device.rsplit(":", 1)
        try:
            self._socket = socket.create_connection((host, int(port)), timeout=10)
        except OSError as error:
            raise RuntimeError(f"device {device} is not there") from error
        self._socket.settimeout(None)
        self._device = device

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, frame: np.ndarray) -> None:
        """Send one picture's bytes."""
        self._socket.sendall(frame.tobytes())

    def device(self) -> str:
        """The address."""
        return self._device

    def native_fourcc(self) -> None:
        """No format of its own."""


sys.stdout.write("a driver library that greets the world\n")
pyvirtualcam.register_backend("socket", SocketCamera)
