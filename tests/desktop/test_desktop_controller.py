# SPDX-License-Identifier: Apache-2.0
"""The controller on the real pipeline with scripted stages: run, safety, failures; no raw pixel ever given out."""

from __future__ import annotations

from pathlib import Path

import pytest

from desktop.bridge import session as sessions
from desktop.settings import AppSettings, load_app_settings
from engine.clock import SystemClock
from engine.errors import CameraMissing, ModelFileMissing
from engine.state import Phase
from engine.types import OutputFrame
from engine.watermark.gate import has_mark
from tests.helpers.desktop_scene import Scene
from tests.helpers.scripted import (
    driving_frame,
    shows_person,
    shows_raw,
)


def test_start_shows_the_character_and_stop_the_card(scene: Scene) -> None:
    scene.go_live()
    frame = scene.feed()
    assert shows_person(frame) > 0.9
    scene.stop()
    assert shows_person(scene.frames[-1]) < 0.5
    assert not scene.controller.running


def test_nothing_raw_is_ever_given_out(scene: Scene) -> None:
    scene.controller.watch_performer(True)
    scene.go_live()
    for _ in range(3):
        scene.feed()
    scene.until(lambda: any(view is not None for view in scene.views))
    scene.stop()
    assert all(isinstance(frame, OutputFrame) for frame in scene.frames)
    assert not any(shows_raw(frame) for frame in scene.frames)
    assert all(has_mark(frame.rgb) for frame in scene.frames)


def test_without_camera_or_set_it_says_what_to_choose(scene: Scene) -> None:
    scene.controller.change(camera="")
    scene.controller.start()
    assert "No camera" in scene.told
    scene.controller.change(camera="demo", source_set="")
    scene.controller.start()
    assert "No source set" in scene.told
    assert not scene.controller.running


def test_panic_hides_at_once_and_stays_until_asked(scene: Scene) -> None:
    scene.go_live()
    scene.feed()
    before = len(scene.frames)
    scene.controller.panic()
    assert len(scene.frames) == before + 1, "without waiting for the engine"
    assert shows_person(scene.frames[-1]) < 0.5
    scene.controller.panic()
    assert scene.controller.hidden, "pressing again does not show the character"
    assert shows_person(scene.feed()) < 0.5
    scene.until(lambda: scene.controller.current.phase is Phase.DEGRADED)
    scene.controller.show_again()
    assert shows_person(scene.feed()) >= 0
    scene.until(lambda: scene.controller.current.phase is Phase.RUNNING)
    scene.stop()


def test_a_frame_that_was_on_its_way_when_panic_came_is_not_shown(scene: Scene) -> None:
    scene.go_live()
    old_ns = SystemClock().now_ns()
    scene.controller.panic()
    count = len(scene.frames)
    scene.camera.put(driving_frame(1, at_ns=old_ns))
    scene.camera.put(driving_frame(2, at_ns=SystemClock().now_ns()))
    scene.until(lambda: len(scene.frames) > count)
    assert all(shows_person(frame) < 0.5 for frame in scene.frames[count:])
    scene.stop()


def test_hidden_survives_stop_and_start(scene: Scene) -> None:
    scene.controller.panic()
    scene.controller.start()
    scene.until(lambda: scene.controller.current.live)
    assert shows_person(scene.feed()) < 0.5
    scene.stop()


def test_another_size_or_camera_means_another_run(scene: Scene) -> None:
    scene.go_live()
    scene.controller.change_output(size_wh=(256, 144))
    scene.until(lambda: len(scene.requests) == 2 and scene.controller.current.phase is Phase.RUNNING)
    assert scene.feed().rgb.shape == (144, 256, 3)
    scene.controller.change(camera="synthetic")
    scene.until(lambda: len(scene.requests) == 3 and scene.controller.current.phase is Phase.RUNNING)
    assert scene.requests[-1].camera == "synthetic"
    scene.stop()


def test_stop_during_opening_opens_nothing(scene: Scene) -> None:
    scene.controller.start()
    scene.controller.stop()
    scene.until(lambda: scene.controller.current.phase is Phase.IDLE and not scene.controller.tasks.busy)
    assert scene.controller.run.session is None


def test_start_during_stopping_waits_for_the_camera(scene: Scene) -> None:
    scene.go_live()
    scene.controller.stop()
    scene.controller.start()
    scene.until(lambda: len(scene.requests) == 2 and scene.controller.current.phase is Phase.RUNNING)
    scene.stop()


def test_a_failure_is_told_and_start_works_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.go_live()
    scene.feed()
    scene.camera.put(ModelFileMissing("The model is gone.", hint="Install again."))
    scene.until(lambda: scene.controller.current.phase is Phase.FAILED and not scene.controller.tasks.busy)
    assert "The model is gone. Install again." in [notice.text for notice in scene.notices]
    assert shows_person(scene.frames[-1]) < 0.5
    scene.go_live()
    scene.stop()

    def fail(*_args: object, **_rings: object) -> None:
        raise CameraMissing("No camera is connected.", hint="Plug one in.")

    monkeypatch.setattr(sessions, "open_session", fail)
    scene.controller.start()
    scene.until(lambda: scene.controller.current.phase is Phase.FAILED)
    assert not scene.controller.running


def test_a_lost_camera_recovers(scene: Scene) -> None:
    scene.go_live()
    scene.camera.put(CameraMissing("Unplugged.", hint="Plug it in."))
    scene.until(lambda: scene.controller.current.phase is Phase.DEGRADED)
    lost = scene.camera
    scene.until(lambda: scene.camera is not lost)
    assert shows_person(scene.feed()) > 0
    scene.until(lambda: scene.controller.current.phase is Phase.RUNNING)
    scene.stop()


def test_closing_in_the_middle_of_opening_leaves_nothing(scene: Scene, settings_file: Path) -> None:
    scene.controller.change(theme="light")
    scene.controller.start()
    scene.controller.close()
    assert scene.controller.run.session is None
    assert load_app_settings(settings_file).settings.theme == "light"
    assert isinstance(scene.controller.settings, AppSettings)
