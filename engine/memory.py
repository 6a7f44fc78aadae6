# SPDX-License-Identifier: Apache-2.0
"""Keeps a long run's memory flat on Linux: fewer heaps, and what has gone is given back. Any thread."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

__all__ = ["heap_in_use", "limit_arenas", "release_memory", "trim_heap"]

_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2


def limit_arenas() -> bool:
    """Let all threads share two heaps; return whether the system took it. Call before threads begin.

    glibc gives every new thread a heap of its own, up to eight for each processor, and keeps what was freed in each.
    A program that prepares source sets on short-lived threads then wanders: switching sets 60 times took 510 to 560
    MiB, and 475 MiB throughout with two heaps.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS))
    except (OSError, AttributeError):  # another C library
        return False


def trim_heap() -> None:
    """Have the C library return what was freed and it only keeps, a few milliseconds that hold no Python thread up.

    For when much was freed at once. A source set that was left needs 150 MB while it is encoded and prepared: kept as
    gaps between what lives on, they made a window in which sets were switched each minute wander by 100 MB.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


def release_memory() -> None:
    """Collect what refers to itself, and have the C library return what it only keeps; up to a tenth of a second.

    Measured with trackers made anew beside a loaded model: 12 MB each were left behind without, 1 MB with both steps.
    Where the automatic collection is off, somebody else collects, on a thread that may: the first step is theirs then.
    """
    if gc.isenabled():
        gc.collect()
    trim_heap()


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h: bytes, over all heaps."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
            "keepcost",
        )
    ]


def heap_in_use() -> int | None:
    """Return the bytes that the program has asked the C library for and not given back; None where it cannot say.

    A leak shows here and not in what the heaps keep for later, so it tells growth from scatter in the resident memory.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        ask = ctypes.CDLL(None).mallinfo2  # glibc 2.33
    except (OSError, AttributeError):
        return None
    ask.restype = _MallInfo
    info = ask()
    return int(info.uordblks + info.hblkhd)
