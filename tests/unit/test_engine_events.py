# SPDX-License-Identifier: Apache-2.0
"""The event box: order, the doorbell's single ring, waiting."""

from __future__ import annotations

import threading

import pytest

from engine.errors import Closed
from engine.events import EventBox, TrackingLost, TrackingRecovered


def test_doorbell_rings_once_per_batch() -> None:
    rings: list[int] = []
    box = EventBox(lambda: rings.append(1))
    for at_ns in range(3):
        box.post(TrackingLost(at_ns))
    assert len(rings) == 1
    assert [event.at_ns for event in box.drain()] == [0, 1, 2]
    box.post(TrackingRecovered(3))
    assert len(rings) == 2


def test_a_flood_keeps_the_newest() -> None:
    box = EventBox()
    for at_ns in range(5000):
        box.post(TrackingLost(at_ns))
    events = box.drain()
    assert len(events) < 5000
    assert events[-1].at_ns == 4999


def test_wait_returns_the_oldest_times_out_and_ends() -> None:
    box = EventBox()
    assert box.wait(timeout_s=0) is None
    box.post(TrackingLost(1))
    box.post(TrackingLost(2))
    box.close()
    assert [box.wait().at_ns, box.wait().at_ns] == [1, 2]
    with pytest.raises(Closed):
        box.wait()


def test_posting_wakes_a_waiter() -> None:
    box, got = EventBox(), []
    thread = threading.Thread(target=lambda: got.append(box.wait(timeout_s=10)))
    thread.start()
    box.post(TrackingLost(9))
    thread.join(10)
    assert got == [TrackingLost(9)]
