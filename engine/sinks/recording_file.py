# SPDX-License-Identifier: Apache-2.0
"""A file under a video writer that survives a full disk: after the first fault it swallows everything.

A muxer that is closed after a failed write would still rewrite the file's head and so destroy what was good.
Instead, later writes go nowhere, and `trim` cuts the torn fragment off, so that what remains plays without error.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from engine.locks import try_lock

__all__ = ["RecordingFile"]

_BOX_HEADER_BYTES = 8  # size (4), type (4); ISO/IEC 14496-12, 4.2
_LARGE_SIZE_BYTES = 8


class RecordingFile:
    """A writable, seekable file; `fault` holds the first error.

    Args:
        boxed: the file is made of boxes (MP4, MOV) and can be cut back to whole ones; players of others (WebM) do so.

    Raises:
        OSError: the file cannot be created, or another program is recording into it.
    """

    def __init__(self, path: Path, *, boxed: bool = True) -> None:
        self.path = path
        self._boxed = boxed
        self.fault: OSError | None = None
        self._file = _open_alone(path)

    def write(self, data: bytes) -> int:
        """Write all of `data`.

        Raises:
            OSError: the first time the system refuses; afterwards nothing is written and nothing raised.
        """
        left = memoryview(data)
        try:
            while self.fault is None and len(left):
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            self.fault = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as `io.RawIOBase.seek`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file; after a fault, cut it back to its last whole fragment."""
        if self._file.closed:
            return
        self._file.close()
        if self.fault is not None and self._boxed:
            with contextlib.suppress(OSError), self.path.open("r+b") as file:
                file.truncate(_whole_length(file))


def _open_alone(path: Path) -> io.FileIO:
    """Open a file for writing and empty it, unless somebody else is writing it; POSIX only knows that."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        alone = sys.platform == "win32" or try_lock(number)
        if alone:
            os.ftruncate(number, 0)
            return io.FileIO(number, "r+")
    except BaseException:
        os.close(number)
        raise
    os.close(number)
    raise OSError(errno.EBUSY, "another Bunraku is recording into it")


def _whole_length(file: BinaryIO) -> int:
    """Return how many bytes of an MP4 file are whole fragments (a `moof` counts only with its `mdat`)."""
    end = file.seek(0, os.SEEK_END)
    position = whole = 0
    while position + _BOX_HEADER_BYTES <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(_BOX_HEADER_BYTES))
        if size == 1:  # the size did not fit and follows as 64 bits
            large = file.read(_LARGE_SIZE_BYTES)
            size = struct.unpack(">Q", large)[0] if len(large) == _LARGE_SIZE_BYTES else end
        if size < _BOX_HEADER_BYTES or position + size > end:
            break
        position += size
        if kind != b"moof":
            whole = position
    return whole
