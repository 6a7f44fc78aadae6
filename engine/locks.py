# SPDX-License-Identifier: Apache-2.0
"""Locks between processes that end with the process, however it ends: nothing stale is left by a crash or a kill.

A file is locked by the system (flock on POSIX, a byte range on Windows), never by its mere existence; its content only
says who holds it. Any thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ProcessLock", "holder_of", "try_lock"]

_LOCKED_AT = 1 << 30  # Windows keeps others from reading what is locked: a byte far behind the content
_PID_BYTES = 16


def try_lock(number: int) -> bool:
    """Lock an open file until it is closed; return whether nobody else had it.

    Raises:
        OSError: the file system knows no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(number, _LOCKED_AT, os.SEEK_SET)
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


class ProcessLock:
    """A lock file, held until `close` or the process's end. The file stays: removing it would race with the next one.

    Raises:
        BlockingIOError: another one holds it; see `holder_of`.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._number = _open(path)
        held = False
        try:
            held = try_lock(self._number)
            if held:
                os.ftruncate(self._number, 0)
                os.lseek(self._number, 0, os.SEEK_SET)
                os.write(self._number, str(os.getpid()).encode())
        finally:
            if not held:
                self.close()
        if not held:
            raise BlockingIOError(f"{path} is held by process {holder_of(path) or 'unknown'}")

    def close(self) -> None:
        """Let go; a second call does nothing."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def holder_of(path: Path) -> int:
    """Return the process that holds a lock file now; 0 where nobody does, or it cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        number = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            return 0 if try_lock(number) else int(_read(number))
        finally:
            os.close(number)
    return 0


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o600)


def _read(number: int) -> bytes:
    os.lseek(number, 0, os.SEEK_SET)
    return os.read(number, _PID_BYTES)
