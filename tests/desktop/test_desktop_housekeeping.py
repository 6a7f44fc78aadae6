# SPDX-License-Identifier: Apache-2.0
"""Garbage is collected on the GUI thread alone, and what was set aside is left in peace."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from desktop.housekeeping import Housekeeper


class _Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def house(qtbot: QtBot) -> Iterator[Housekeeper]:
    made = Housekeeper()
    made.begin()
    yield made
    made.close()
    assert gc.isenabled()


def test_only_the_gui_thread_collects(house: Housekeeper, qtbot: QtBot) -> None:
    threads: set[int] = set()
    knots = [weakref.ref(_Knot()) for _ in range(2)]

    def note(phase: str, _info: object) -> None:
        threads.add(threading.get_ident())

    gc.callbacks.append(note)
    try:
        maker = threading.Thread(target=lambda: [_Knot() for _ in range(20_000)])
        maker.start()
        maker.join()
        assert not threads, "20 000 knots on another thread, and nobody collected there"
        qtbot.waitUntil(lambda: all(knot() is None for knot in knots), timeout=60_000)
    finally:
        gc.callbacks.remove(note)
    assert threads == {threading.get_ident()}


def test_what_is_set_aside_is_not_looked_at_again(house: Housekeeper) -> None:
    kept = _Knot()
    house.set_aside()
    assert gc.get_freeze_count() > 10_000
    assert all(each is not kept for each in gc.get_objects())
    later = _Knot()
    gone = weakref.ref(later)
    del later
    house.collect()
    assert gone() is None
