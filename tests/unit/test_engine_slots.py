# SPDX-License-Identifier: Apache-2.0
"""Slots and queues: the latest wins, losses are counted, closing wakes everyone."""

from __future__ import annotations

import threading

import pytest

from engine.errors import Closed
from engine.slots import BoundedQueue, LatestSlot


def test_slot_keeps_only_the_latest() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for item in range(5):
        slot.put(item)
    assert slot.get() == 4
    assert slot.dropped == 4
    assert slot.get(timeout_s=0) is None


def test_slot_hands_over_none_like_any_item() -> None:
    slot: LatestSlot[int | None] = LatestSlot()
    slot.put(None)
    slot.close()
    assert slot.get() is None
    with pytest.raises(Closed):
        slot.get()


def test_slot_gives_what_is_left_before_closed() -> None:
    slot: LatestSlot[str] = LatestSlot()
    slot.put("last")
    slot.close()
    assert slot.get() == "last"
    with pytest.raises(Closed):
        slot.get()
    with pytest.raises(Closed):
        slot.put("late")


def test_slot_close_can_discard() -> None:
    slot: LatestSlot[str] = LatestSlot()
    slot.put("unread")
    slot.close(discard=True)
    with pytest.raises(Closed):
        slot.get()


@pytest.mark.parametrize("make", [LatestSlot, lambda: BoundedQueue(2)])
def test_close_wakes_every_waiter(make: type[LatestSlot[int]]) -> None:
    slot = make()
    ended: list[str] = []
    waiting = threading.Barrier(4)

    def wait() -> None:
        waiting.wait()
        try:
            slot.get()
        except Closed:
            ended.append("closed")

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait()
    slot.close()
    for thread in threads:
        thread.join(10)
    assert ended == ["closed"] * 3


def test_put_wakes_a_waiting_reader() -> None:
    slot: LatestSlot[int] = LatestSlot()
    got: list[int | None] = []
    thread = threading.Thread(target=lambda: got.append(slot.get(timeout_s=10)))
    thread.start()
    slot.put(7)
    thread.join(10)
    assert got == [7]


def test_queue_refuses_the_newest_and_counts() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    assert [queue.put(item) for item in range(4)] == [True, True, False, False]
    assert queue.dropped == 2
    assert [queue.get(), queue.get()] == [0, 1]
    assert queue.get(timeout_s=0) is None


def test_queue_drains_before_closed() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    queue.put(1)
    queue.close()
    assert queue.get() == 1
    with pytest.raises(Closed):
        queue.get()
    with pytest.raises(Closed):
        queue.put(2)


def test_queue_close_can_discard() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    queue.put(1)
    queue.close(discard=True)
    with pytest.raises(Closed):
        queue.get()


def test_queue_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BoundedQueue(0)
