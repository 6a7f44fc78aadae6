# SPDX-License-Identifier: Apache-2.0
"""The controller on the real pipeline with scripted stages: recording, snapshot, virtual camera."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from desktop.bridge import outputs_owner
from desktop.bridge.outputs import Vcam
from desktop.words import Tone
from engine.clock import SystemClock
from engine.config import OutputSettings
from engine.errors import MicrophoneMissing, VirtualCameraMissing
from engine.state import Phase
from engine.types import SoundBlock
from tests.helpers.desktop_scene import WAIT_MS, FakeVcam, Scene
from tests.helpers.scripted import (
    make_source_set,
    shows_person,
)


def test_recording_starts_and_ends_while_running(scene: Scene, qtbot: QtBot) -> None:
    scene.go_live()
    with qtbot.waitSignal(scene.controller.outputs.recording, timeout=WAIT_MS):
        scene.controller.record(True)
    for _ in range(4):
        scene.feed()
    with qtbot.waitSignal(scene.controller.outputs.saved, timeout=WAIT_MS) as saved:
        scene.controller.record(False)
    assert shows_person(scene.feed()) > 0.9, "the run goes on"
    scene.stop()
    (path,) = saved.args
    with av.open(str(path)) as recording:
        count = sum(1 for _ in recording.decode(video=0))
    assert count >= 3


def test_a_recording_is_finished_by_stop(scene: Scene, qtbot: QtBot) -> None:
    scene.go_live()
    scene.controller.record(True)
    scene.until(lambda: scene.controller.outputs.recording_path is not None)
    scene.feed()
    with qtbot.waitSignal(scene.controller.outputs.saved, timeout=WAIT_MS) as saved:
        scene.stop()
    assert saved.args[0].stat().st_size > 0
    assert scene.controller.outputs.recording_path is None


def test_a_folder_that_cannot_be_written_is_told(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    scene.controller.change(recordings=str(tmp_path / "file"))
    scene.go_live()
    scene.feed()
    scene.controller.record(True)
    scene.until(lambda: "cannot be created" in scene.told)
    scene.controller.snapshot()
    scene.until(lambda: not scene.controller.tasks.busy)
    assert [notice.tone for notice in scene.notices].count(Tone.BAD) == 2
    scene.stop()


def test_a_snapshot_is_the_sealed_picture(scene: Scene, tmp_path: Path) -> None:
    scene.controller.snapshot()
    assert "no picture yet" in scene.told
    scene.go_live()
    frame = scene.feed()
    scene.controller.snapshot()
    scene.until(lambda: "Snapshot saved" in scene.told)
    (path,) = tmp_path.glob("*.png")
    with av.open(str(path)) as picture:
        pixels = next(picture.decode(video=0)).to_ndarray(format="rgb24")
    assert (pixels == frame.rgb).all()
    scene.stop()


def test_the_virtual_camera_outlives_runs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeVcam] = []
    monkeypatch.setattr(
        outputs_owner,
        "open_virtual_camera",
        lambda output, _device: made.append(FakeVcam(output.size_wh)) or made[-1],  # type: ignore[func-returns-value]
    )
    outputs, settings = scene.controller.outputs, scene.controller.settings
    outputs.set_vcam(True, settings)
    scene.until(lambda: outputs.vcam_state is Vcam.ON)
    scene.go_live()
    scene.feed()
    scene.until(lambda: made[0].count > 0)
    scene.controller.change(model="lite-512")
    scene.until(lambda: len(scene.requests) == 2 and scene.controller.current.phase is Phase.RUNNING)
    before = made[0].count
    scene.feed()
    scene.until(lambda: made[0].count > before)
    assert made[0].closed == 0
    scene.controller.change_output(size_wh=(256, 144))
    scene.until(lambda: len(made) == 2 and outputs.vcam_state is Vcam.ON)
    assert (made[0].closed, made[1].size_wh) == (1, (256, 144))
    scene.until(lambda: scene.controller.current.phase is Phase.RUNNING)
    outputs.set_vcam(False, settings)
    scene.until(lambda: outputs.vcam_state is Vcam.OFF)
    assert made[1].closed == 1
    assert shows_person(scene.feed()) >= 0, "the run goes on"
    scene.stop()


def test_a_missing_virtual_camera_is_a_notice(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise VirtualCameraMissing("No virtual camera can be opened.", hint="Install v4l2loopback.")

    monkeypatch.setattr(outputs_owner, "open_virtual_camera", fail)
    states: list[Vcam] = []
    scene.controller.outputs.vcam.connect(lambda state, _device: states.append(state))
    scene.controller.outputs.set_vcam(True, scene.controller.settings)
    scene.until(lambda: "Install v4l2loopback" in scene.told)
    assert states == [Vcam.OPENING, Vcam.OFF]


class FakeMicrophone:
    """Hears one tone all the time, on the pictures' clock."""

    rate, channels, fault = 48_000, 1, ""

    def __init__(self) -> None:
        self.closed = 0
        self._from_ns = SystemClock().now_ns()

    def take(self) -> list[SoundBlock]:
        now_ns = SystemClock().now_ns()
        count = (now_ns - self._from_ns) * self.rate // 1_000_000_000
        block = SoundBlock(self._from_ns, np.full((count, 1), 0.5, np.float32))
        self._from_ns += count * 1_000_000_000 // self.rate
        return [block]

    def close(self) -> None:
        self.closed += 1


def test_a_recording_has_the_chosen_microphones_sound(
    scene: Scene, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[FakeMicrophone] = []
    wanted: list[str] = []

    def open_it(microphone_id: str) -> FakeMicrophone:
        wanted.append(microphone_id)
        opened.append(FakeMicrophone())
        return opened[-1]

    monkeypatch.setattr("engine.capture.microphone.open_microphone", open_it)
    scene.controller.change(microphone="ALSA:Headset")
    scene.go_live()
    scene.controller.record(True)
    scene.until(lambda: scene.controller.outputs.recording_path is not None)
    for _ in range(4):
        scene.feed()
    with qtbot.waitSignal(scene.controller.outputs.saved, timeout=WAIT_MS) as saved:
        scene.controller.record(False)
    scene.stop()
    assert wanted == ["ALSA:Headset"]
    assert opened[0].closed
    with av.open(str(saved.args[0])) as recording:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in recording.decode(audio=0)])
        pictures_s, sound_s = (float(s.duration * s.time_base) for s in recording.streams)
    assert np.abs(heard).max() > 0.3
    assert sound_s == pytest.approx(pictures_s, abs=0.06)


def test_without_the_microphone_the_pictures_are_kept_and_it_is_said(
    scene: Scene, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_microphone_id: str) -> None:
        raise MicrophoneMissing("The microphone is not connected: Headset.", hint="Plug it in.")

    monkeypatch.setattr("engine.capture.microphone.open_microphone", fail)
    scene.controller.change(microphone="ALSA:Headset")
    scene.go_live()
    scene.controller.record(True)
    scene.until(lambda: scene.controller.outputs.recording_path is not None)
    assert "This recording has no sound. The microphone is not connected" in scene.told
    scene.feed()
    with qtbot.waitSignal(scene.controller.outputs.saved, timeout=WAIT_MS) as saved:
        scene.stop()
    with av.open(str(saved.args[0])) as recording:
        assert [stream.type for stream in recording.streams] == ["video"]
    assert scene.controller.settings.microphone == "ALSA:Headset", "for the next time"


def test_a_character_without_a_consent_note_does_not_reach_the_virtual_camera(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FakeVcam] = []

    def open_one(output: OutputSettings, _device: str) -> FakeVcam:
        made.append(FakeVcam(output.size_wh))
        return made[-1]

    monkeypatch.setattr(outputs_owner, "open_virtual_camera", open_one)
    monkeypatch.setattr(FakeVcam, "needs_consent", True, raising=False)
    scene.go_live()
    assert scene.controller.outputs._pipeline is not None
    pipeline = scene.controller.outputs._pipeline
    pipeline.command(lambda renderer: renderer.set_source_set(make_source_set("bare")))
    scene.feed()
    outputs = scene.controller.outputs
    outputs.set_vcam(True, scene.controller.settings)
    scene.until(lambda: "by whose leave" in scene.told)
    scene.until(lambda: outputs.vcam_state is Vcam.OFF)
    assert (made[0].count, made[0].closed) == (0, 1)
    assert shows_person(scene.feed()) >= 0, "the run goes on"
    scene.stop()
