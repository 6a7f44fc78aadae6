# SPDX-License-Identifier: Apache-2.0
"""Heaps are limited and measured where the C library can do it, and nowhere else is anything tried."""

from __future__ import annotations

import ctypes
import platform
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.memory import heap_in_use, limit_arenas, trim_heap


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_takes_it() -> None:
    assert limit_arenas()


@pytest.mark.skipif(heap_in_use() is None, reason="needs glibc 2.33")
def test_what_is_asked_for_counts_until_it_is_given_back() -> None:
    before = heap_in_use() or 0
    kept = np.ones(40 * 2**20, np.uint8)
    during = heap_in_use() or 0
    assert during - before == pytest.approx(kept.nbytes, rel=0.1)
    del kept
    assert (heap_in_use() or 0) - before < 4 * 2**20


def test_another_library_or_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not limit_arenas()
    assert heap_in_use() is None
    trim_heap()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: pytest.fail("no C library of this name"))
    assert not limit_arenas()
    assert heap_in_use() is None
    trim_heap()
