# SPDX-License-Identifier: Apache-2.0
"""How the benchmark counts: turns, stages, ratios, frame age, drops, reports. Nothing here measures time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.app.demo import builtin_clip
from engine.capture.base import CameraInfo
from engine.capture.replay import ReplayCamera
from engine.clock import FakeClock
from engine.errors import DriverUnreadable, EngineError, InvalidSetting
from engine.evaluation import bench_tables, run_bench
from engine.evaluation.bench import choose_counts
from engine.evaluation.bench_live import RetimedClip, run_live
from engine.evaluation.bench_report import WHOLE, BenchReport, BenchRun, FirstFrame
from engine.evaluation.bench_sync import ratios, run_sync, spreads, turns
from engine.evaluation.first_frame import measure_first_frame
from engine.evaluation.machine import describe_machine, peak_rss_mb, write_json
from engine.sinks.memory import MemorySink
from engine.stats import Spread
from tests.helpers.bench_stages import SMALL, CountingRenderer, EndlessCamera, make_source_set


def run_fake_sync(*, rounds: int = 2, block_s: float = 0.5, lost_every: int = 0, counts=(1, 4)):
    clock = FakeClock()
    renderer = CountingRenderer(clock, lost_every=lost_every)
    source_set = make_source_set(max(counts))
    prepared = {count: renderer.prepare(source_set.take(count)) for count in counts}
    steps: list[int] = []
    with MemorySink(capacity=1) as sink:
        samples = run_sync(
            renderer, prepared, EndlessCamera(clock), sink,
            rounds=rounds, block_s=block_s, clock=clock, step=lambda: steps.append(1),
        )  # fmt: skip
    return samples, renderer, steps


def test_turns_go_forwards_and_backwards():
    assert list(turns([1, 2, 4], 3)) == [1, 2, 4, 4, 2, 1, 1, 2, 4]
    assert list(turns([1], 0)) == []


def test_stages_of_each_count_are_kept_apart():
    samples, renderer, steps = run_fake_sync()
    assert renderer.used == [1, 4, 4, 1]
    assert len(steps) == 4
    for count in (1, 4):
        figures = spreads(samples[count].stages_ns)
        assert figures["warp"].p50_ms == figures["warp"].p99_ms == 10 * count
        assert figures["capture"].p50_ms == 2
        assert figures["track"].p50_ms == 5
        assert figures["sink"].p50_ms == 0
        assert figures[WHOLE].p50_ms == 10 * count + 5
        assert figures["warp"].count == samples[count].frames
        assert samples[count].ahead_frames > 0
        assert samples[count].ahead_fps == pytest.approx(1e3 / (2 + 10 * count + 5))  # by hand nothing is beside
        frame_ms = 2 + 5 + 10 * count
        assert samples[count].frames == 2 * -(-500 // frame_ms)  # two blocks of half a second, warm-up apart
        assert samples[count].fps == pytest.approx(1000 / frame_ms)


def test_frames_without_a_face_are_counted_apart():
    samples, _, _ = run_fake_sync(lost_every=2, counts=(1,))
    lost, frames = samples[1].lost, samples[1].frames
    assert abs(lost - frames / 2) <= 1
    assert len(samples[1].stages_ns["warp"]) == frames - lost
    assert len(samples[1].stages_ns["capture"]) == frames


def test_a_video_that_ends_is_an_error():
    clock = FakeClock()
    renderer = CountingRenderer(clock)
    prepared = {1: renderer.prepare(make_source_set(1))}
    with pytest.raises(DriverUnreadable, match="ended while measuring"), MemorySink() as sink:
        run_sync(renderer, prepared, EndlessCamera(clock, limit=7), sink, rounds=1, block_s=9, clock=clock)


class Ticks:
    """An endless clip of tiny frames."""

    info = CameraInfo("ticks", "ticks", 64, 64, 25.0)

    def frames(self):
        for index in range(1000):
            yield index * 40_000_000, np.zeros((64, 64, 3), np.uint8)


def open_ticks() -> ReplayCamera:
    return ReplayCamera(RetimedClip(Ticks(), fps=200.0), loop=True)


def test_a_clip_is_retimed_to_a_webcams_rate():
    clip = RetimedClip(Ticks(), fps=30.0)
    times = [time_ns for (time_ns, _), _ in zip(clip.frames(), range(4), strict=False)]
    assert times == [0, 33333333, 66666667, 100000000]
    assert clip.info.fps == 30.0


def test_live_runs_one_pipeline_and_switches_sources():
    made: list[CountingRenderer] = []

    def make():
        made.append(CountingRenderer())
        return made[-1]

    steps: list[int] = []
    samples = run_live(
        open_ticks, make, make_source_set(4), counts=(1, 4), rounds=2, block_s=0.1, settings=SMALL,
        step=lambda: steps.append(1),
    )  # fmt: skip
    (renderer,) = made
    assert renderer.used == [1, 4, 4, 1]
    assert renderer.closed == 1
    assert len(steps) == 4
    for count in (1, 4):
        assert samples[count].ages_ns
        assert min(samples[count].ages_ns) >= 0
        assert samples[count].fps > 0
        assert set(samples[count].dropped) == {"capture", "sink"}
        # A frame in flight while sources switch is not measured: every time belongs to its own count.
        assert set(samples[count].stages_ns["warp"]) == {10_000_000 * count}


def test_live_failures_surface_as_their_own_error():
    with pytest.raises(RuntimeError, match="out of ink"):
        run_live(
            open_ticks, lambda: CountingRenderer(fails_at=30), make_source_set(1),
            counts=(1,), rounds=1, block_s=5.0, settings=SMALL,
        )  # fmt: skip

    def refuse():
        raise EngineError("no such engine")

    with pytest.raises(EngineError, match="no such engine"):
        run_live(open_ticks, refuse, make_source_set(1), counts=(1,), rounds=1, block_s=0.1, settings=SMALL)


def test_counts_a_set_cannot_serve_are_left_out(caplog):
    assert choose_counts((1, 2, 4, 8, 2), available=4, name="mara") == (1, 2, 4)
    assert "left out: N=8" in caplog.text
    with pytest.raises(InvalidSetting, match="from 1 to 4, the pictures of mara; got 8, 9"):
        choose_counts((8, 9), available=4, name="mara")


def test_seconds_must_be_positive():
    with pytest.raises(InvalidSetting, match="--seconds must be more than 0, got 0"):
        run_bench(seconds=0)


def make_report(**changes) -> BenchReport:
    def run(sources: int, warp_ms: float) -> BenchRun:
        stages = {"warp": Spread(warp_ms, warp_ms + 1, warp_ms + 2, 50), WHOLE: Spread(2 * warp_ms, 9, 9, 50)}
        return BenchRun(
            sources,
            stages,
            {"warp": warp_ms / 40},
            20.5,
            0,
            stages,
            19.5,
            Spread(50.0, 60.0, 170.0, 40),
            40,
            {"capture": 3},
        )

    facts = {"engine": "by hand", "source_set": "plain", "driving": "d.mp4", "size_wh": (640, 360), "seconds": 6.0}
    facts |= {"camera_fps": 30.0, "peak_rss_mb": 812.3, "first_frame": FirstFrame(4.0, 1.0, 2.5, 0.25)} | changes
    return BenchReport(runs=(run(1, 40.0), run(8, 50.0)), machine=describe_machine(), **facts)


def test_ratios_compare_neighbouring_blocks():
    samples, _, _ = run_fake_sync(rounds=3)
    assert [block["warp"] for block in samples[4].block_medians_ns] == [40_000_000] * 3
    found = ratios(samples[4], samples[1])
    assert found["warp"] == 4
    assert found[WHOLE] == 3
    assert found["track"] == 1
    assert "sink" not in found  # it took no time: there is no ratio to nothing
    # One round in which the machine was busy elsewhere does not count.
    samples[4].block_medians_ns[1]["warp"] *= 10
    assert ratios(samples[4], samples[1])["warp"] == 4
    assert ratios(samples[1], samples[1])["warp"] == 1


def render(report: BenchReport) -> str:
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as captured:
        for table in bench_tables(report):
            console.print(table)
    return captured.get()


def test_report_as_tables_and_json(tmp_path: Path):
    text = render(make_report())
    for expected in ("N=8", "50.0 / 51.0 / 52.0", "1.25x", "50.0 / 60.0 / 170", "19.5", "812 MiB", "4.0 s after start"):
        assert expected in text, expected
    write_json(make_report().as_dict(), tmp_path / "bench.json")
    plain = json.loads((tmp_path / "bench.json").read_text())
    assert plain["runs"][1]["ratios"]["warp"] == 1.25
    assert plain["runs"][0]["stages"]["warp"] == {"p50_ms": 40.0, "p95_ms": 41.0, "p99_ms": 42.0, "count": 50}
    assert plain["first_frame_s"]["total_s"] == 4.0
    assert plain["machine"]["libraries"]["numpy"]
    assert make_report(first_frame=None).as_dict()["first_frame_s"] is None
    assert "after start" not in render(make_report(first_frame=None))


def test_machine_facts():
    facts = describe_machine()
    assert facts["cores"] >= 1
    assert facts["python"].count(".") == 2
    if sys.platform != "win32":
        assert 10 < peak_rss_mb() < 1_000_000


def test_a_fresh_process_that_fails_says_why(tmp_path: Path):
    with pytest.raises(DriverUnreadable, match="does not exist"):  # as if it had been said in this process
        measure_first_frame(source_set="plain", driving=tmp_path / "no.mp4", model="lite", backend="auto", sources=1)
    with pytest.raises(EngineError, match="fresh process failed: ValueError"):
        measure_first_frame(source_set="plain", driving=builtin_clip(), model="lite", backend="auto", sources="all")
