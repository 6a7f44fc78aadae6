# SPDX-License-Identifier: Apache-2.0
"""The one source of time: monotonic nanoseconds, and waiting for a moment; replaced by `FakeClock` in tests."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["NS_PER_S", "Clock", "FakeClock", "SystemClock"]

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Tells the time and waits.

    Thread: every method may be called from any thread.
    """

    def now_ns(self) -> int:
        """Return monotonic nanoseconds."""
        ...

    def wait_until(self, ns: int, wake: threading.Event | None = None) -> None:
        """Block until `ns`, or until `wake` is set."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def wait_until(self, ns: int, wake: threading.Event | None = None) -> None:
        """Block until `ns`, or until `wake` is set."""
        remaining_s = (ns - time.monotonic_ns()) / NS_PER_S
        if remaining_s <= 0:
            return
        if wake is None:
            time.sleep(remaining_s)
        else:
            wake.wait(remaining_s)


class FakeClock:
    """A clock that stands still until told otherwise.

    `wait_until` moves the time forward itself and returns at once, so that paced code runs as fast as it can while
    every time stamp is exact. Create it with `automatic=False` to make waiters block until `advance` reaches them.
    """

    def __init__(self, start_ns: int = 1 * NS_PER_S, *, automatic: bool = True) -> None:
        self._now_ns = start_ns
        self._automatic = automatic
        self._changed = threading.Condition()

    def now_ns(self) -> int:
        """Return the time last set."""
        with self._changed:
            return self._now_ns

    def advance(self, *, s: float = 0.0, ns: int = 0) -> None:
        """Move the time forward and wake whoever waits for a moment now past."""
        with self._changed:
            self._now_ns += round(s * NS_PER_S) + ns
            self._changed.notify_all()

    def wait_until(self, ns: int, wake: threading.Event | None = None) -> None:
        """Return at `ns` or once `wake` is set; moves the time itself where `automatic`."""
        with self._changed:
            if self._automatic:
                if wake is None or not wake.is_set():
                    self._now_ns = max(self._now_ns, ns)
                return
            while self._now_ns < ns and not (wake is not None and wake.is_set()):
                # An Event cannot notify this condition; it is looked at again in real time, which only tests pay.
                self._changed.wait(0.005)
