# SPDX-License-Identifier: Apache-2.0
"""The doorbell: a blocked window loses nothing of the engine and wakes up to one fresh picture."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from desktop.bridge import Doorbell, Tasks
from engine.clock import SystemClock
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.pipeline import Pipeline
from engine.sinks.memory import MemorySink
from engine.sinks.preview import PreviewSink
from engine.types import OutputFrame
from tests.helpers.scripted import SIZE_WH, ScriptedCamera, driving_frame, make_renderer

_FRAMES = 60
_LONG_S = 60.0


def test_many_rings_are_answered_once(qtbot: QtBot) -> None:
    bell, answers = Doorbell(), []
    bell.answered.connect(lambda: answers.append(threading.current_thread().name))
    for _ in range(100):
        bell.ring()
    assert answers == [], "never inside the call that rings"
    with qtbot.waitSignal(bell.answered):
        pass
    QCoreApplication.processEvents()
    assert answers == ["MainThread"]


def test_a_ring_during_the_answer_is_answered_again(qtbot: QtBot) -> None:
    bell, answers = Doorbell(), []

    def answer() -> None:
        answers.append(1)
        if len(answers) < 3:
            bell.ring()

    bell.answered.connect(answer)
    bell.ring()
    qtbot.waitUntil(lambda: len(answers) == 3)


def test_a_closed_bell_is_silent(qtbot: QtBot) -> None:
    bell, answers = Doorbell(), []
    bell.answered.connect(lambda: answers.append(1))
    bell.ring()
    bell.close()
    bell.ring()
    QCoreApplication.processEvents()
    assert answers == []


def _handed_to_preview(pipeline: Pipeline) -> int:
    stats = pipeline.stats()
    return stats.delivered.get("preview", 0) + stats.dropped["preview"]


def test_emitting_keeps_the_reference_counts(qtbot: QtBot) -> None:
    """PySide6 6.12.0 loses a reference to True with every emit, which kills the app within a minute."""
    bell = Doorbell()
    before = sys.getrefcount(True)
    for _ in range(50):
        bell.answered.emit()
    assert abs(sys.getrefcount(True) - before) < 25


def test_a_blocked_window_costs_the_engine_nothing_and_shows_one_fresh_frame(qtbot: QtBot) -> None:
    bell, shown, answered = Doorbell(), [], []
    preview = PreviewSink(bell.ring)

    def take() -> None:
        answered.append(1)
        if (frame := preview.take()) is not None:
            shown.append(frame)

    bell.answered.connect(take)
    every = MemorySink(capacity=_FRAMES)
    camera = ScriptedCamera()
    # Long silence counts as none: no card may come between.
    patient = LiveSettings(output=OutputSettings(size_wh=SIZE_WH), pipeline=PipelineSettings(stall_s=60))
    pipeline = Pipeline(lambda: camera, lambda: make_renderer(settings=patient), [preview, every], settings=patient)
    pipeline.start()
    try:
        assert pipeline.wait_until_live(_LONG_S)
        before = every.count
        # This thread is the GUI thread, and it does not process events from here …
        for index in range(_FRAMES):
            camera.put(driving_frame(index, at_ns=SystemClock().now_ns()))
            assert every.wait_for(before + index + 1, _LONG_S), "the engine waited for the window"
        while _handed_to_preview(pipeline) < every.count:
            time.sleep(0.005)  # the preview's own thread gets there too
        assert shown == []
        # … to here.
        qtbot.waitUntil(lambda: bool(shown), timeout=60_000)
        QCoreApplication.processEvents()
        assert len(shown) == 1
        assert shown[0] is every.frames[-1], "the newest one"
        assert isinstance(shown[0], OutputFrame)
        assert len(answered) == 1
        assert every.count == before + _FRAMES
    finally:
        bell.close()
        pipeline.stop()


def test_tasks_report_on_the_gui_thread(qtbot: QtBot) -> None:
    tasks, reports = Tasks(), []
    place = lambda: threading.current_thread().name  # noqa: E731
    tasks.run("good", place, done=lambda name: reports.append((name, place())), failed=pytest.fail)
    qtbot.waitUntil(lambda: not tasks.busy)
    tasks.run("bad", lambda: 1 / 0, failed=lambda error: reports.append((type(error).__name__, place())))
    qtbot.waitUntil(lambda: not tasks.busy)
    assert reports == [("bunraku-task good", "MainThread"), ("ZeroDivisionError", "MainThread")]
    tasks.close()


def test_closing_waits_for_tasks_and_for_what_they_start(qtbot: QtBot) -> None:
    tasks, reports = Tasks(), []
    release = threading.Event()

    def second(_result: object) -> None:
        reports.append("first")
        tasks.run("second", lambda: None, done=lambda _: reports.append("second"), failed=pytest.fail)

    tasks.run("first", lambda: release.wait(_LONG_S), done=second, failed=pytest.fail)
    release.set()
    tasks.close()
    assert reports == ["first", "second"]
    assert not tasks.busy


def test_closing_waits_for_a_thread_that_has_reported_and_not_ended(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, release = Tasks(), threading.Event()
    ring = tasks._bell.ring

    def ring_and_linger() -> None:
        ring()
        assert release.wait(_LONG_S)

    monkeypatch.setattr(tasks._bell, "ring", ring_and_linger)
    tasks.run("lingering", lambda: None, failed=pytest.fail)
    qtbot.waitUntil(lambda: not tasks.busy)
    threading.Timer(0.05, release.set).start()
    tasks.close()
    assert release.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "bunraku-task lingering"]


def test_the_heartbeat_of_the_gui_thread_is_steady_while_frames_come(qtbot: QtBot) -> None:
    """What the window does per frame is short: the picture is wrapped, not copied, and painted once."""
    from desktop.bridge.outputs import card
    from desktop.widgets.stage import Stage

    stage = Stage()
    qtbot.addWidget(stage)
    stage.resize(760, 428)
    with qtbot.waitExposed(stage):
        stage.show()
    frame = card(OutputSettings(), "Heartbeat")
    costs = []
    for _ in range(20):
        # Processor time, not wall time: what other programs take is not the window's doing.
        started = time.thread_time()
        stage.show_frame(frame)
        stage.repaint()
        costs.append(time.thread_time() - started)
    print(f"one frame costs the GUI thread {sorted(costs)[10] * 1e3:.1f} ms (p50), {max(costs) * 1e3:.1f} ms (most)")
    assert sorted(costs)[-2] < 0.050
