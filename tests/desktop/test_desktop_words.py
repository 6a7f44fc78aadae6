# SPDX-License-Identifier: Apache-2.0
"""Sentences: state, bottleneck, delay, errors."""

from __future__ import annotations

import inspect

import pytest

from desktop.bridge.vcam import setup_help
from desktop.figures import FigureMeter
from desktop.words import (
    Tone,
    advice_for,
    bottleneck,
    chip_for,
    delay_ms,
    delay_words,
    error_words,
)
from engine import errors
from engine.errors import CameraMissing, ConsentMissing, PuppeteerError
from engine.state import BLANKED, CAMERA_LOST, CAMERA_STALLED, TRACKING_LOST, Phase, PipelineState
from engine.stats import PipelineStats, Spread


def stats_of(*, sink_ms: float = 1.0, **stages: float) -> PipelineStats:
    spreads = {name: Spread(ms, ms, ms, 10) for name, ms in stages.items()}
    spreads["sink preview"] = Spread(sink_ms, sink_ms, sink_ms, 10)
    return PipelineStats(stages=spreads, frame_age={"preview": Spread(41.4, 60, 70, 10)}, delivered={"render": 10})


@pytest.mark.parametrize(
    ("state", "word", "tone"),
    [
        (PipelineState(), "OFF", Tone.QUIET),
        (PipelineState(Phase.LOADING), "OPENING", Tone.BUSY),
        (PipelineState(Phase.RUNNING), "LIVE", Tone.GOOD),
        (PipelineState(Phase.DEGRADED, (CAMERA_STALLED,)), "STALLED", Tone.WARN),
        (PipelineState(Phase.DEGRADED, (TRACKING_LOST,)), "LOST", Tone.WARN),
        (PipelineState(Phase.DEGRADED, (CAMERA_LOST,)), "RECOVERING", Tone.WARN),
        (PipelineState(Phase.DEGRADED, ("virtual camera lost",)), "RECOVERING", Tone.WARN),
        (PipelineState(Phase.DEGRADED, (CAMERA_LOST, TRACKING_LOST)), "RECOVERING", Tone.WARN),
        (PipelineState(Phase.DEGRADED, (TRACKING_LOST, BLANKED)), "HIDDEN", Tone.WARN),
        (PipelineState(Phase.DEGRADED, ("mp4 stopped",)), "LIVE", Tone.WARN),
        (PipelineState(Phase.STOPPING), "STOPPING", Tone.BUSY),
        (PipelineState(Phase.FAILED, error=CameraMissing("No camera.", hint="Plug one in.")), "FAILED", Tone.BAD),
    ],
)
def test_every_state_has_a_word_and_a_reason(state: PipelineState, word: str, tone: Tone) -> None:
    chip = chip_for(state)
    assert (chip.word, chip.tone) == (word, tone)
    assert len(chip.reason) > 8


@pytest.mark.parametrize(
    ("stats", "fps", "limit"),
    [
        (stats_of(track=8, retarget=2, warp=12, composite=2, watermark=1), 29.5, ""),
        (stats_of(track=8, retarget=2, warp=60, composite=2, watermark=1), 13.5, "Warp"),
        (stats_of(track=50, retarget=20, warp=12, composite=2, watermark=1), 11.5, "Track"),
        (stats_of(track=8, retarget=2, warp=12, composite=50, watermark=10), 12.0, "Compose"),
        (stats_of(track=8, warp=12, sink_ms=90), 11.0, "Output"),
        (stats_of(track=8, retarget=2, warp=12, composite=2, watermark=1), 15.0, "Camera"),
        (PipelineStats(), 0.0, ""),
    ],
)
def test_the_bottleneck_is_named_with_one_suggestion(stats: PipelineStats, fps: float, limit: str) -> None:
    assert bottleneck(stats, fps=fps, wanted_fps=30) == limit
    advice = advice_for(limit, stats, fps=fps, wanted_fps=30)
    if limit:
        assert limit.lower() in advice.lower()
        assert advice.count(".") == 1
    assert bool(advice) == (fps > 0)


def test_without_a_camera_nothing_is_said_of_the_face() -> None:
    chip = chip_for(PipelineState(Phase.DEGRADED, (TRACKING_LOST, CAMERA_STALLED)))
    assert "no face" not in chip.reason
    assert "sends no pictures" in chip.reason


def test_a_busy_processor_is_not_blamed_on_the_camera() -> None:
    fast = stats_of(track=8, retarget=2, warp=12, composite=2, watermark=1)
    assert bottleneck(fast, fps=15, wanted_fps=30, late=0.4) == "Processor"
    assert "close other programs" in advice_for("Processor", fast, fps=15, wanted_fps=30)
    slow = stats_of(track=15, retarget=2, warp=38, composite=2, watermark=1)
    assert bottleneck(slow, fps=14, wanted_fps=30, late=0.4) == "Warp", "too slow even alone"


def test_the_delay_comes_with_where_to_type_it() -> None:
    assert delay_ms(PipelineStats()) is None
    delay = delay_ms(stats_of())
    assert delay == pytest.approx(41.4)
    words = delay_words(delay)
    assert "Sync Offset" in words
    assert "Zoom" in words
    assert words.count("41 ms") == 2
    both = PipelineStats(frame_age={"preview": Spread(10, 0, 0, 5), "virtual camera": Spread(80, 0, 0, 5)})
    assert delay_ms(both) == 80


ERRORS = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, PuppeteerError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_class_reaches_the_user_as_sentence_and_hint(kind: type[PuppeteerError]) -> None:
    hint = (
        "Click it in the gallery, press Edit…, and fill in whose face it is." if kind is ConsentMissing else "Mend it."
    )
    assert error_words(kind("It broke.", hint="Mend it.")) == f"It broke. {hint}"


def test_an_error_of_ours_says_what_it_is_and_what_to_do() -> None:
    assert "ZeroDivisionError" in error_words(ZeroDivisionError())
    assert "Copy diagnostics" in error_words(KeyError("x"))


@pytest.mark.parametrize(
    ("system", "command"),
    [("linux", "modprobe v4l2loopback exclusive_caps=1"), ("win32", "winget install"), ("darwin", "brew install")],
)
def test_the_set_up_help_has_the_commands_of_the_system(system: str, command: str) -> None:
    assert any(command in line for _, line in setup_help(system))


def test_the_meter_measures_the_last_moments() -> None:
    now = iter([0.0, 1.0, 2.0])
    meter = FigureMeter(lambda: next(now))
    counts = (100, 130, 150)
    rates = [
        meter.measure(PipelineStats(delivered={"render": count}, dropped={"capture": 3}), wanted_fps=30).fps
        for count in counts
    ]
    assert rates == [0.0, 30.0, 25.0]
    meter.reset()
