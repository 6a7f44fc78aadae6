# SPDX-License-Identifier: Apache-2.0
"""Clocks: the system's and the one for tests."""

from __future__ import annotations

import threading

from engine.clock import NS_PER_S, FakeClock, SystemClock


def test_system_clock_moves_forward_and_reaches_the_moment() -> None:
    clock = SystemClock()
    target_ns = clock.now_ns() + 2_000_000
    clock.wait_until(target_ns)
    assert clock.now_ns() >= target_ns
    clock.wait_until(target_ns)  # a moment in the past is no wait


def test_system_clock_is_woken() -> None:
    wake = threading.Event()
    wake.set()
    clock = SystemClock()
    before_ns = clock.now_ns()
    clock.wait_until(before_ns + 3600 * NS_PER_S, wake)
    assert clock.now_ns() < before_ns + 3600 * NS_PER_S


def test_fake_clock_jumps_to_the_moment() -> None:
    clock = FakeClock(start_ns=0)
    clock.wait_until(5 * NS_PER_S)
    assert clock.now_ns() == 5 * NS_PER_S
    clock.wait_until(1)
    assert clock.now_ns() == 5 * NS_PER_S, "time never runs backwards"
    clock.advance(s=0.5, ns=3)
    assert clock.now_ns() == 5_500_000_003


def test_fake_clock_does_not_jump_when_woken() -> None:
    clock = FakeClock(start_ns=0)
    wake = threading.Event()
    wake.set()
    clock.wait_until(5 * NS_PER_S, wake)
    assert clock.now_ns() == 0


def test_manual_fake_clock_blocks_until_advanced() -> None:
    clock = FakeClock(start_ns=0, automatic=False)
    passed = threading.Event()

    def wait() -> None:
        clock.wait_until(NS_PER_S)
        passed.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not passed.is_set()
    clock.advance(s=1)
    assert passed.wait(10)
    thread.join(10)


def test_manual_fake_clock_is_woken() -> None:
    clock = FakeClock(start_ns=0, automatic=False)
    wake = threading.Event()
    thread = threading.Thread(target=lambda: clock.wait_until(NS_PER_S, wake))
    thread.start()
    wake.set()
    thread.join(10)
    assert not thread.is_alive()
