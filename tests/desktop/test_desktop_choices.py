# SPDX-License-Identifier: Apache-2.0
"""The controller on the real pipeline with scripted stages: characters, quick keys, motion, background, calibration."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop.bridge import session as sessions
from engine.errors import CalibrationRejected, SourceSetMissing
from engine.events import Calibrated, CalibrationFailed, Drifted
from engine.track.calibration import make_neutral
from tests.helpers.desktop_scene import WAIT_MS, Scene
from tests.helpers.scripted import (
    ScriptedTracker,
    driving_frame,
    make_source_set,
    shows_person,
)


def test_switching_the_set_prepares_and_swaps(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, *, model: str) -> object:
        loaded.append(f"{name} {model} {threading.current_thread().name}")
        return make_source_set(name)

    monkeypatch.setattr(sessions, "load_set", load)
    shown: list[str] = []
    scene.controller.set_shown.connect(shown.append)
    scene.go_live()
    scene.feed()
    scene.controller.select_set("otto")
    scene.until(lambda: loaded == ["otto lite bunraku-task source set"])
    scene.until(lambda: (scene.feed(), shown[-1:] == ["otto"])[1])
    assert scene.controller.settings.source_set == "otto"
    assert len(scene.requests) == 1, "without another run"
    scene.stop()


def test_a_set_that_cannot_be_loaded_leaves_the_old_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, *, model: str) -> object:
        raise SourceSetMissing(f"There is no source set called {name}.", hint="Choose another.")

    monkeypatch.setattr(sessions, "load_set", load)
    scene.go_live()
    scene.controller.select_set("nobody")
    scene.until(lambda: "nobody" in scene.told)
    assert scene.controller.settings.source_set == "amara"
    assert shows_person(scene.feed()) > 0.9
    scene.stop()


def test_profiles_keep_and_bring_back(scene: Scene) -> None:
    names = ["amara", "otto"]
    controller = scene.controller
    controller.use_profile(2, names=names)
    assert controller.settings.source_set == "otto", "an empty key is a place in the gallery"
    controller.change_motion(mouth=1.5)
    controller.change_output(background="green")
    controller.keep_profile(7)
    controller.change_motion(mouth=0.5)
    controller.change_output(background="source")
    controller.select_set("amara")
    controller.use_profile(7, names=names)
    now = controller.settings
    assert (now.source_set, now.live.motion.mouth, now.live.output.background) == ("otto", 1.5, "green")
    controller.use_profile(5, names=names)
    assert "Key 5 holds no source set" in scene.told


def test_calibration_counts_down_and_keeps_the_pose(scene: Scene, qtbot: QtBot) -> None:
    calibration = scene.controller.calibration
    scene.controller.calibrate()
    assert "Press Start first" in scene.told
    scene.go_live()
    scene.feed()
    calibration.step_ms = 1
    counted: list[int] = []
    calibration.counting.connect(counted.append)
    with qtbot.waitSignal(calibration.begun, timeout=WAIT_MS):
        scene.controller.calibrate()
    assert counted == [3, 2, 1, 0]
    assert calibration.waiting
    session = scene.controller.run.session
    assert session is not None
    neutral = make_neutral(ScriptedTracker().track(driving_frame(0)).landmarks_px, quality=0.8)  # type: ignore[union-attr]
    session.pipeline.command(lambda renderer: renderer.set_neutral(neutral))
    scene.feed()
    with qtbot.waitSignal(calibration.accepted) as accepted:
        scene.controller.run.happened.emit(Calibrated(0))
    assert accepted.args == [0.8]
    scene.until(lambda: not scene.controller.tasks.busy)
    from engine.track.neutral_file import load_neutral, neutral_path

    assert load_neutral(neutral_path("me", "demo")) is not None
    scene.stop()


def test_a_refused_calibration_says_why_once(scene: Scene, qtbot: QtBot) -> None:
    calibration = scene.controller.calibration
    refusal = CalibrationFailed(0, CalibrationRejected("You blinked.", hint="Again."))
    scene.controller.run.happened.emit(refusal)  # the one that runs by itself
    assert scene.notices == []
    scene.go_live()
    calibration.step_ms = 1
    with qtbot.waitSignal(calibration.begun, timeout=WAIT_MS):
        scene.controller.calibrate()
    with qtbot.waitSignal(calibration.rejected) as rejected:
        scene.controller.run.happened.emit(refusal)
    assert rejected.args == ["You blinked. Again."]
    assert not calibration.waiting
    scene.stop()


def test_drift_is_a_suggestion(scene: Scene) -> None:
    scene.controller.run.happened.emit(Drifted(0))
    assert "Calibrate again" in scene.told


def test_motion_changes_reach_the_next_frame_without_another_run(scene: Scene) -> None:
    scene.go_live()
    scene.controller.change_motion(head=0.5)
    scene.feed()
    session = scene.controller.run.session
    assert session is not None
    seen: list[float] = []
    session.pipeline.command(lambda renderer: seen.append(renderer.settings.motion.head))
    scene.feed()
    assert seen == [0.5]
    assert len(scene.requests) == 1
    scene.stop()


def test_a_bad_background_is_refused_and_the_old_one_stays(scene: Scene, tmp_path: Path) -> None:
    scene.controller.choose_background(tmp_path / "none.png")
    scene.until(lambda: "background picture cannot be read" in scene.told)
    scene.controller.change_output(background="#zzz")
    assert "six hex digits" in scene.told
    assert scene.controller.settings.live.output.background == "source"
