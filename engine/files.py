# SPDX-License-Identifier: Apache-2.0
"""Write files so that a crash, a full disk or a pulled plug leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "write_whole"]


def write_whole(path: Path, data: bytes | str, *, durable: bool = False) -> None:
    """Write a file whole or not at all; folders on the way are made.

    Args:
        data: text is written as UTF-8. durable: on the disk, not only in the system's memory, before the old file
            goes; for what nobody can make again, such as settings.
    Raises:
        OSError: it cannot be written; the old file, if any, is as it was, and nothing else is left.
    """
    with replacing(path) as part, part.open("wb") as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def replacing(path: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """Give the name of a file to write beside `path`, which takes its place where the block ends without error.

    Programs and threads that write the same file at once each have a name of their own; the last one wins.

    Args:
        keep_suffix: the name ends as the path's does, for writers that choose the format by it.
    Raises:
        OSError: the folder cannot be made, or the file cannot take its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = f"{os.getpid()}-{threading.get_native_id()}.part"
    part = path.with_name(f"{path.stem}.{mine}{path.suffix}" if keep_suffix else f"{path.name}.{mine}")
    try:
        yield part
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
