# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM become a question that the loop asks between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["watch_for_stop"]

_WATCHED = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def watch_for_stop() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether to stop; a second signal acts at once, as if nobody watched.

    Thread: the main thread; elsewhere Python takes no signals, and the answer is always no.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in _WATCHED}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        put_back()

    for number in _WATCHED:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        put_back()
