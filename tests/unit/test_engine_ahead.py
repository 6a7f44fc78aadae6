# SPDX-License-Identifier: Apache-2.0
"""Working one item ahead: the same order, the same errors at the same place, nothing left running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from engine.ahead import one_ahead


class Device:
    """Notes what happens when; refuses a second item while it has one."""

    def __init__(self, *, fails_to_start: int = -1, fails_to_finish: int = -1) -> None:
        self.notes: list[str] = []
        self.busy: int | None = None
        self._start_fault, self._finish_fault = fails_to_start, fails_to_finish

    def items(self, count: int, *, fault: BaseException | None = None) -> Iterator[int]:
        for item in range(count):
            self.notes.append(f"make {item}")
            yield item
        if fault is not None:
            raise fault

    def start(self, item: int) -> None:
        assert self.busy is None
        if item == self._start_fault:
            raise ValueError("start")
        self.notes.append(f"start {item}")
        self.busy = item

    def finish(self, item: int) -> str:
        assert self.busy == item
        self.busy = None
        if item == self._finish_fault:
            raise ValueError("finish")
        return f"made {item}"

    def run(self, items: Iterator[int]) -> list[str]:
        """Hand everything out, until it ends or fails."""
        handed: list[str] = []
        with closing(one_ahead(items, start=self.start, finish=self.finish)) as made:
            try:
                for item, what in made:
                    self.notes.append(f"use {item}")
                    handed.append(what)
            except (ValueError, KeyboardInterrupt) as error:
                handed.append(type(error).__name__)
        assert self.busy is None
        return handed


def test_the_next_is_made_and_the_last_used_while_one_is_with_the_device() -> None:
    device = Device()
    assert device.run(device.items(3)) == ["made 0", "made 1", "made 2"]
    assert device.notes == [
        *("make 0", "start 0", "make 1", "start 1", "use 0", "make 2", "start 2", "use 1", "use 2"),
    ]


def test_nothing_gives_nothing() -> None:
    assert Device().run(iter(())) == []


@pytest.mark.parametrize("fault", [ValueError(), KeyboardInterrupt()])
def test_what_came_before_a_fault_is_handed_out_first(fault: BaseException) -> None:
    device = Device()
    assert device.run(device.items(2, fault=fault)) == ["made 0", "made 1", type(fault).__name__]


def test_an_item_that_cannot_be_started_ends_it_after_the_one_before() -> None:
    device = Device(fails_to_start=2)
    assert device.run(device.items(5)) == ["made 0", "made 1", "ValueError"]


def test_an_item_that_cannot_be_finished_ends_it_before_the_next_is_started() -> None:
    device = Device(fails_to_finish=1)
    assert device.run(device.items(5)) == ["made 0", "ValueError"]
    assert "start 2" not in device.notes


def test_who_stops_early_leaves_nothing_running() -> None:
    device = Device()
    with closing(one_ahead(device.items(9), start=device.start, finish=device.finish)) as made:
        assert next(made) == (0, "made 0")
        assert device.busy == 1
    assert device.busy is None
