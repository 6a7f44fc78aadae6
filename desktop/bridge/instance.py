# SPDX-License-Identifier: Apache-2.0
"""One window per settings file: a second start finds the first one and brings it to the front. GUI thread.

The first holds a lock that ends with its process (`engine.locks`), so that a crash or a kill leaves nothing stale. The
second rings by a file in the lock's folder; the first takes the file away, which is its answer. No socket is opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path
from PySide6.QtCore import QFileSystemWatcher, QObject

from engine.locks import ProcessLock, holder_of

__all__ = ["AlreadyRunning", "Instance", "claim"]

_log = logging.getLogger(__name__)
_ANSWER_S = 5.0  # a window that is just being made answers when it is there
_LOOK_S = 0.02


class AlreadyRunning(Exception):
    """Another window uses these settings. pid: its process. answered: whether it has come to the front."""

    def __init__(self, pid: int, *, answered: bool) -> None:
        super().__init__(
            "Bunraku is already running; its window was brought to the front."
            if answered
            else f"Bunraku is already running (process {pid}) and does not answer. End it, then start again."
        )
        self.pid, self.answered = pid, answered


class Instance(QObject):
    """The hold on a settings file. A folder that cannot be written gives a hold on nothing: that keeps nobody out."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._bell = _bell(folder)
        self._lock: ProcessLock | None = None
        self._watcher: QFileSystemWatcher | None = None
        self._ring: Callable[[], None] = lambda: None
        try:
            self._lock = ProcessLock(_lock(folder))
        except BlockingIOError:
            raise
        except OSError as error:  # no room, no rights, a file system without locks
            _log.info("A second window would not be noticed: %s", error)

    def on_ring(self, ring: Callable[[], None]) -> None:
        """Call `ring` whenever somebody starts a second window, and tell that one so."""
        self._ring = ring
        if self._lock is not None:
            self._watcher = QFileSystemWatcher([str(self._bell.parent)], self)
            self._watcher.directoryChanged.connect(self._look)
            self._look()  # somebody may have rung while the window was being made

    def close(self) -> None:
        """Let go."""
        if self._watcher is not None:
            self._watcher.directoryChanged.disconnect(self._look)
            self._watcher = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _look(self, _folder: str = "") -> None:
        with contextlib.suppress(FileNotFoundError):
            self._bell.unlink()
            self._ring()


def claim(settings: Path, *, answer_s: float | None = None) -> Instance:
    """Take hold of a settings file for this process.

    Args:
        answer_s: how long the one who holds it may take to come to the front; None is long enough for a slow machine.
    Raises:
        AlreadyRunning: another process holds it.
    """
    name = hashlib.sha256(str(settings.expanduser().resolve()).encode()).hexdigest()[:12]
    folder = user_cache_path("bunraku", appauthor=False) / f"window-{name}"
    try:
        return Instance(folder)
    except BlockingIOError:
        pid = holder_of(_lock(folder))
    raise AlreadyRunning(pid, answered=_call(_bell(folder), _ANSWER_S if answer_s is None else answer_s))


def _call(bell: Path, answer_s: float) -> bool:
    """Ring; return whether it was heard."""
    try:
        bell.touch()
    except OSError:
        return False
    until_s = time.monotonic() + answer_s
    while bell.exists():
        if time.monotonic() > until_s:
            with contextlib.suppress(OSError):
                bell.unlink()
            return False
        time.sleep(_LOOK_S)
    return True


def _lock(folder: Path) -> Path:
    return folder / "lock"


def _bell(folder: Path) -> Path:
    return folder / "bell"
