# SPDX-License-Identifier: Apache-2.0
"""The test's end of the socket back-end: what a call app would see of the virtual camera."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np

__all__ = ["BACKEND_MODULE", "CallApp", "same_picture"]

BACKEND_MODULE = Path(__file__).with_name("vcam_socket_backend.py")


_RUNS_DIFFER = 12  # levels: the invisible mark says which run made a picture, and every process is another run


def same_picture(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two marked pictures show the same, whichever run made them."""
    return a.shape == b.shape and int(np.abs(a.astype(int) - b).max()) <= _RUNS_DIFFER


class CallApp:
    """Accepts hosts and reads their pictures; every read blocks until data or the end comes."""

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self._shape = (size_wh[1], size_wh[0], 3)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(30)
        self._connection: socket.socket | None = None
        self.device = f"127.0.0.1:{self._server.getsockname()[1]}"

    def accept(self) -> None:
        """Wait for a host to open the device."""
        if self._connection is not None:
            self._connection.close()
        self._connection, _ = self._server.accept()
        self._connection.settimeout(30)

    def unplug(self) -> None:
        """Take the device away: whoever feeds it gets an error, and nobody can open it."""
        self._port = self._server.getsockname()[1]
        self._server.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def plug_in(self) -> None:
        """Bring the device back under its old name."""
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._server.settimeout(30)

    def read(self) -> np.ndarray | None:
        """Return the next picture, or None when the host has closed the device."""
        assert self._connection is not None
        size, data = int(np.prod(self._shape)), bytearray()
        while len(data) < size:
            try:
                piece = self._connection.recv(size - len(data))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
        return np.frombuffer(bytes(data), np.uint8).reshape(self._shape)

    def read_until(self, wanted: np.ndarray, *, most: int = 2000) -> list[np.ndarray]:
        """Read pictures until one is `wanted`, see `same_picture`; return the ones before it."""
        before = []
        for _ in range(most):
            picture = self.read()
            assert picture is not None, "the camera went away"
            if same_picture(picture, wanted):
                return before
            before.append(picture)
        raise AssertionError(f"{most} pictures and not the one expected")

    def close(self) -> None:
        """Hang up on everybody."""
        if self._connection is not None:
            self._connection.close()
        self._server.close()
