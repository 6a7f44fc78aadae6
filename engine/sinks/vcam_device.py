# SPDX-License-Identifier: Apache-2.0
"""Who feeds which virtual camera: the app by a lock that ends with it, its host by a token in a file. Any thread."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import platformdirs

from engine.errors import VirtualCameraBusy
from engine.locks import ProcessLock, holder_of
from engine.private import write_private

__all__ = ["busy_error", "device_file", "lock_device", "other_feeder", "write_token"]


def _cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("bunraku", appauthor=False))


def device_file(device: str | None, kind: str) -> Path:
    """Return a file that belongs to one device.

    token: by which successive hosts know of each other. lock: held by the app whose host feeds it.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", device or "default").strip("-")
    return _cache_folder() / f"vcam-{name}.{kind}"


def lock_device(device: str) -> ProcessLock | None:
    """Hold a device for this app; None where the cache folder cannot be written, which is no reason not to run.

    Raises:
        VirtualCameraBusy: another one holds it.
    """
    path = device_file(device, "lock")
    try:
        return ProcessLock(path)
    except BlockingIOError:
        raise busy_error(device, holder_of(path)) from None
    except OSError:
        return None


def other_feeder() -> int:
    """Return a process that feeds some device now; 0 where there is none."""
    return next(filter(None, map(holder_of, sorted(_cache_folder().glob("vcam-*.lock")))), 0)


def busy_error(device: str, pid: int) -> VirtualCameraBusy:
    """Return the error for a device that another app feeds; an empty name where none was free."""
    what = f"The virtual camera {device} is fed" if device else "No virtual camera is free: one is fed"
    return VirtualCameraBusy(
        f"{what} by another Bunraku (process {pid}).",
        hint="End that one first, or choose another device (--device).",
        device=device,
        pid=pid,
    )


def write_token(path: Path, token: str) -> bool:
    """Announce a new host; return whether an earlier one may still hold the device."""
    with contextlib.suppress(OSError):
        earlier = path.exists()
        write_private(path, token.encode())
        return earlier
    return False
