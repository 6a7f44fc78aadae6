# SPDX-License-Identifier: Apache-2.0
"""Gives memory back to the system after something big has gone. Any thread; takes up to a tenth of a second.

Measured on Linux: 24 trackers made one after another beside a loaded model leave 300 MB behind, which the C library
keeps in pieces, and nothing that grows where both steps are taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

__all__ = ["release_memory"]


def release_memory() -> None:
    """Collect what refers to itself, and have the C library return what it only keeps."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
