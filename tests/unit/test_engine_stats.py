# SPDX-License-Identifier: Apache-2.0
"""Figures: percentiles, rates, ages; bounded memory."""

from __future__ import annotations

import pytest

from engine.clock import NS_PER_S
from engine.stats import Spread, StageTimes, StatsCollector, spread_of

_MS = 1_000_000


def test_spread_of_known_values() -> None:
    spread = spread_of(n * _MS for n in range(101))
    assert (spread.p50_ms, spread.p95_ms, spread.p99_ms) == pytest.approx((50, 95, 99))
    assert spread.count == 101
    assert spread_of([]) == Spread()


def test_total_is_the_sum_of_stages() -> None:
    assert StageTimes(track_ns=1, retarget_ns=2, warp_ns=3, composite_ns=4, watermark_ns=5).total_ns == 15


def test_stages_that_did_not_run_are_left_out() -> None:
    stats = StatsCollector()
    stats.add_times(StageTimes(track_ns=3 * _MS))
    stats.add_stage("sink", 4 * _MS)
    snapshot = stats.snapshot(dropped={"capture": 2})
    assert set(snapshot.stages) == {"track", "sink"}
    assert snapshot.stages["track"].p50_ms == pytest.approx(3)
    assert snapshot.dropped == {"capture": 2}


def test_rate_and_age_per_sink() -> None:
    stats = StatsCollector()
    for n in range(31):
        now_ns = n * NS_PER_S // 30
        stats.add_delivery("preview", captured_ns=now_ns - 50 * _MS, now_ns=now_ns)
    snapshot = stats.snapshot()
    assert snapshot.fps["preview"] == pytest.approx(30, rel=1e-3)
    assert snapshot.frame_age["preview"].p99_ms == pytest.approx(50)
    assert snapshot.delivered == {"preview": 31}


def test_one_frame_has_no_rate_yet() -> None:
    stats = StatsCollector()
    stats.add_delivery("file", captured_ns=0, now_ns=1)
    assert stats.snapshot().fps == {"file": 0.0}


def test_window_bounds_memory_but_not_the_count() -> None:
    stats = StatsCollector(window=4)
    for n in range(100):
        stats.add_delivery("file", captured_ns=0, now_ns=n)
        stats.add_stage("track", n)
    snapshot = stats.snapshot()
    assert snapshot.delivered["file"] == 100
    assert snapshot.stages["track"].count == 4
    assert snapshot.frame_age["file"].count == 4
