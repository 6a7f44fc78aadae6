# SPDX-License-Identifier: Apache-2.0
"""Frames for another process: the writing end of a ring in shared memory. `vcam_host.py` holds the reading end.

The two ends share this description and no code, because the host is a separate program under another licence.

    byte 0     8 bytes "BNRKRING", then four uint32: layout version (1), width_px, height_px, slots
    byte 64    uint64 sequence: number of the newest frame, 0 before the first; written by the app
    byte 72    uint64 beat: pictures the host has handed to the driver; written by the host
    byte 128   one uint64 stamp per slot: number of the frame in it, 0 while it is being written
    byte 4096  the holding card, then the slots; each height_px * width_px * 3 bytes of RGB

All numbers are little-endian. Frame n lies in slot n mod slots. A reader copies a slot and keeps the copy only if the
stamp was n before and after. Neither end ever waits for the other.
"""

from __future__ import annotations

import contextlib
import struct
from multiprocessing import shared_memory

import numpy as np
from numpy.typing import NDArray

from engine.errors import OutputUnwritable
from engine.types import OutputFrame

__all__ = ["SharedRing"]

_MAGIC, _VERSION = b"BNRKRING", 1
_SLOTS = 3  # one being read, one newest, one being written
_SEQUENCE_AT, _BEAT_AT, _STAMPS_AT, _PIXELS_AT = 64, 72, 128, 4096


class SharedRing:
    """The app's end: owns the memory and writes frames into it.

    Args:
        card: the watermarked holding card, which also fixes the size of all frames.

    Raises:
        OutputUnwritable: the system gives no shared memory.
    """

    def __init__(self, card: OutputFrame) -> None:
        height_px, width_px = card.rgb.shape[:2]
        picture = card.rgb.size
        try:
            self._memory = shared_memory.SharedMemory(create=True, size=_PIXELS_AT + picture * (_SLOTS + 1))
        except OSError as error:
            raise OutputUnwritable(
                f"The system gives no shared memory for the virtual camera: {error}.",
                hint="Free some memory (on Linux: space in /dev/shm).",
            ) from error
        self.name = self._memory.name
        buffer = self._memory.buf
        assert buffer is not None
        struct.pack_into("<8s4I", buffer, 0, _MAGIC, _VERSION, width_px, height_px, _SLOTS)
        self._sequence: NDArray[np.uint64] = np.frombuffer(buffer, "<u8", 1, _SEQUENCE_AT)
        self._beat: NDArray[np.uint64] = np.frombuffer(buffer, "<u8", 1, _BEAT_AT)
        self._stamps: NDArray[np.uint64] = np.frombuffer(buffer, "<u8", _SLOTS, _STAMPS_AT)
        pixels: NDArray[np.uint8] = np.frombuffer(buffer, np.uint8, picture * (_SLOTS + 1), _PIXELS_AT)
        self._pictures = pixels.reshape(_SLOTS + 1, height_px, width_px, 3)
        self._pictures[0] = card.rgb

    @property
    def beat(self) -> int:
        """How many pictures the host has handed to the driver."""
        return int(self._beat[0])

    def write(self, frame: OutputFrame) -> None:
        """Publish a frame; never waits."""
        number = int(self._sequence[0]) + 1
        slot = number % _SLOTS
        self._stamps[slot] = 0
        self._pictures[slot + 1] = frame.rgb
        self._stamps[slot] = number
        self._sequence[0] = number

    def close(self) -> None:
        """Give the memory back; a host that still maps it keeps its view."""
        with contextlib.suppress(AttributeError):
            del self._sequence, self._beat, self._stamps, self._pictures  # views keep the mapping alive
            self._memory.close()
            with contextlib.suppress(FileNotFoundError):  # cleaned up behind us
                self._memory.unlink()
