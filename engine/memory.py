# SPDX-License-Identifier: Apache-2.0
"""Keeps a long run's memory flat on Linux."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["limit_arenas"]

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
