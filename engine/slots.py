# SPDX-License-Identifier: Apache-2.0
"""Hand-over between threads: one-element slots where the latest wins, and short queues for recorders.

Every live hand-over is a `LatestSlot`: a slow reader sees fewer frames, never old ones. `BoundedQueue` is for
sinks that want every frame; when full it refuses the new one, because what was accepted must stay in order. Both
count what was lost. After `close` a reader still gets what is left, then `Closed`; a writer gets `Closed` at once.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from engine.errors import Closed

__all__ = ["BoundedQueue", "LatestSlot"]

T = TypeVar("T")


class _Handover(Generic[T]):
    """What both kinds share: reading, counting, closing. `put` belongs to each."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were lost because nobody read in time."""
        with self._changed:
            return self._dropped

    @property
    def waiting(self) -> int:
        """How many items nobody has read yet."""
        with self._changed:
            return len(self._items)

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item; wait for one if there is none.

        Returns:
            The item, or None when `timeout_s` passed without one.

        Raises:
            Closed: nothing is left and nothing will come.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout_s)
            if self._items:
                return self._items.popleft()
            if self._closed:
                raise Closed
            return None

    def close(self, *, discard: bool = False) -> None:
        """End the hand-over and wake everyone; `discard` also throws away what is unread."""
        with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()

    def _append(self, item: T) -> None:
        self._items.append(item)
        self._changed.notify()


class LatestSlot(_Handover[T]):
    """Holds at most one item; a new one replaces an unread one.

    Thread: any number of writers and readers.
    """

    def put(self, item: T) -> None:
        """Store the item and wake one reader.

        Raises:
            Closed: the slot was closed.
        """
        with self._changed:
            if self._closed:
                raise Closed
            self._dropped += len(self._items)
            self._items.clear()
            self._append(item)


class BoundedQueue(_Handover[T]):
    """A first-in first-out queue that refuses new items when full.

    Thread: any number of writers and readers.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        super().__init__()
        self._capacity = capacity

    def put(self, item: T) -> bool:
        """Append the item; return False, and count, where the queue is full.

        Raises:
            Closed: the queue was closed.
        """
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._items) >= self._capacity:
                self._dropped += 1
                return False
            self._append(item)
            return True
