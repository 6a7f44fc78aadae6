# SPDX-License-Identifier: Apache-2.0
"""Files for nobody but the user: what tells of a face, a log, a token. Owner only, whole or not there. Any thread.

On Windows the user's profile folder has the same effect and modes mean nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from engine.files import replacing

__all__ = ["open_private", "private_folder", "write_private"]

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may look into, where it is not there yet, and return it.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=_FOLDER_MODE)
    return path


def open_private(path: str | Path, flags: int) -> int:
    """Open a file that only its owner may read; an `opener` for `open`.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags, _FILE_MODE)


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, on the disk before the old one goes, and the owner's only.

    Raises:
        OSError: it cannot be written.
    """
    private_folder(path.parent)
    with replacing(path) as part, open(part, "wb", opener=open_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
