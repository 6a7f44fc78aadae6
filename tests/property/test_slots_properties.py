# SPDX-License-Identifier: Apache-2.0
"""Whatever the order of calls: a slot never holds two items, a queue never reorders, nothing is lost uncounted."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Closed
from engine.slots import BoundedQueue, LatestSlot

_OPERATIONS = st.lists(st.sampled_from(["put", "get"]), max_size=60)


@given(_OPERATIONS)
def test_slot_accounts_for_every_item(operations: list[str]) -> None:
    slot: LatestSlot[int] = LatestSlot()
    put, got = 0, []
    for operation in operations:
        if operation == "put":
            slot.put(put)
            put += 1
        else:
            item = slot.get(timeout_s=0)
            if item is not None:
                assert item == put - 1, "only the newest may come out"
                got.append(item)
    left = slot.get(timeout_s=0) is not None
    assert got == sorted(set(got))
    assert len(got) + slot.dropped + left == put


@given(_OPERATIONS, st.integers(1, 8))
def test_queue_behaves_like_a_bounded_list(operations: list[str], capacity: int) -> None:
    queue: BoundedQueue[int] = BoundedQueue(capacity)
    model: list[int] = []
    dropped = 0
    for number, operation in enumerate(operations):
        if operation == "put":
            accepted = queue.put(number)
            assert accepted == (len(model) < capacity)
            dropped += not accepted
            if accepted:
                model.append(number)
        else:
            assert queue.get(timeout_s=0) == (model.pop(0) if model else None)
    assert queue.dropped == dropped


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200))
def test_slot_between_threads_delivers_in_order_and_ends(count: int) -> None:
    slot: LatestSlot[int] = LatestSlot()
    got: list[int] = []

    def read() -> None:
        while True:
            try:
                item = slot.get(timeout_s=10)
            except Closed:
                return
            assert item is not None
            got.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    for item in range(count):
        slot.put(item)
    slot.close()
    reader.join(10)
    assert got == sorted(got)
    assert got[-1] == count - 1, "the last item always arrives"
    assert len(got) + slot.dropped == count
