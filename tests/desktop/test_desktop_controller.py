# SPDX-License-Identifier: Apache-2.0
"""The controller on the real pipeline with scripted stages: every command, and no raw pixel ever given out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
from pytestqt.qtbot import QtBot

from desktop import outputs_owner
from desktop import session as sessions
from desktop.controller import Controller, Notice
from desktop.outputs import Vcam
from desktop.session import SessionRequest
from desktop.settings import AppSettings, load_app_settings
from desktop.words import Tone
from engine.clock import SystemClock
from engine.config import OutputSettings
from engine.errors import CalibrationRejected, CameraMissing, ModelFileMissing, SourceSetMissing, VirtualCameraMissing
from engine.events import Calibrated, CalibrationFailed, Drifted
from engine.pipeline import Pipeline
from engine.sinks.base import BaseSink, require_output_frame
from engine.sinks.preview import PreviewSink
from engine.state import Phase
from engine.track.calibration import make_neutral
from engine.track.monitor import TrackingMonitor
from engine.types import OutputFrame
from engine.watermark.gate import has_mark
from tests.helpers.scripted import (
    SIZE_WH,
    ScriptedCamera,
    ScriptedTracker,
    driving_frame,
    make_renderer,
    make_source_set,
    shows_person,
    shows_raw,
)

WAIT_MS = 60_000


class Stand:
    """A session of scripted stages. open_camera: called again after a loss."""

    def __init__(
        self, request: SessionRequest, open_camera: Callable[[], ScriptedCamera], rings: dict[str, Callable[[], None]]
    ) -> None:
        self.request = request
        self.preview = PreviewSink(rings["on_frame"])
        self.monitor = TrackingMonitor(rings["on_monitor"])
        self.pipeline = Pipeline(
            open_camera,
            lambda: make_renderer(tracker=ScriptedTracker(), settings=request.live),
            [self.preview, *request.sinks],
            settings=request.live,
            doorbell=rings["on_event"],
        )
        self.show_monitor(request.monitored)
        self.pipeline.start()

    def show_monitor(self, wanted: bool) -> None:
        monitor = self.monitor if wanted else None
        self.pipeline.command(lambda renderer: setattr(renderer, "monitor", monitor))

    def stop(self) -> None:
        self.pipeline.stop()


class Scene:
    """A controller, what it says, and the camera of the latest session."""

    def __init__(self, controller: Controller, qtbot: QtBot) -> None:
        self.controller, self.qtbot = controller, qtbot
        self.camera = ScriptedCamera()
        self.requests: list[SessionRequest] = []
        self.frames: list[OutputFrame] = []
        self.notices: list[Notice] = []
        self.views: list[object] = []
        self.index = 0
        controller.frame.connect(self.frames.append)
        controller.notice.connect(self.notices.append)
        controller.monitor.connect(self.views.append)

    def open(self, request: SessionRequest, **rings: Callable[[], None]) -> Stand:
        self.camera = ScriptedCamera()
        self.requests.append(request)
        return Stand(request, self.plug_in, rings)

    def plug_in(self) -> ScriptedCamera:
        """Open the camera anew, on the capture thread."""
        if self.camera.closed.is_set():
            self.camera = ScriptedCamera()
        return self.camera

    def go_live(self) -> None:
        self.controller.start()
        self.until(lambda: self.controller.current.phase is Phase.RUNNING)

    def feed(self) -> OutputFrame:
        """Send one camera frame and return what came out."""
        before = len(self.frames)
        self.index += 1
        self.camera.put(driving_frame(self.index, at_ns=SystemClock().now_ns()))
        self.until(lambda: len(self.frames) > before)
        return self.frames[-1]

    def until(self, done: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(done, timeout=WAIT_MS)

    def stop(self) -> None:
        self.controller.stop()
        self.until(lambda: self.controller.current.phase is Phase.IDLE)

    @property
    def told(self) -> str:
        return self.notices[-1].text if self.notices else ""


@pytest.fixture
def scene(controller: Controller, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(controller, qtbot)
    monkeypatch.setattr(sessions, "open_session", made.open)
    live = controller.settings.live
    # Long silence counts as none: these tests feed the camera frame by frame.
    waits = replace(live.pipeline, stall_s=60)
    controller.change(live=replace(live, output=OutputSettings(size_wh=SIZE_WH), pipeline=waits))
    return made


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
    session = scene.controller._session
    assert session is not None
    neutral = make_neutral(ScriptedTracker().track(driving_frame(0)).landmarks_px, quality=0.8)  # type: ignore[union-attr]
    session.pipeline.command(lambda renderer: renderer.set_neutral(neutral))
    scene.feed()
    with qtbot.waitSignal(calibration.accepted) as accepted:
        scene.controller._hear(Calibrated(0))
    assert accepted.args == [0.8]
    scene.until(lambda: not scene.controller.tasks.busy)
    from engine.track.neutral_file import load_neutral, neutral_path

    assert load_neutral(neutral_path("me", "demo")) is not None
    scene.stop()


def test_a_refused_calibration_says_why_once(scene: Scene, qtbot: QtBot) -> None:
    calibration = scene.controller.calibration
    refusal = CalibrationFailed(0, CalibrationRejected("You blinked.", hint="Again."))
    scene.controller._hear(refusal)  # the one that runs by itself
    assert scene.notices == []
    scene.go_live()
    calibration.step_ms = 1
    with qtbot.waitSignal(calibration.begun, timeout=WAIT_MS):
        scene.controller.calibrate()
    with qtbot.waitSignal(calibration.rejected) as rejected:
        scene.controller._hear(refusal)
    assert rejected.args == ["You blinked. Again."]
    assert not calibration.waiting
    scene.stop()


def test_drift_is_a_suggestion(scene: Scene) -> None:
    scene.controller._hear(Drifted(0))
    assert "Calibrate again" in scene.told


def test_another_size_or_camera_means_another_run(scene: Scene) -> None:
    scene.go_live()
    scene.controller.change_output(size_wh=(256, 144))
    scene.until(lambda: len(scene.requests) == 2 and scene.controller.current.phase is Phase.RUNNING)
    assert scene.feed().rgb.shape == (144, 256, 3)
    scene.controller.change(camera="synthetic")
    scene.until(lambda: len(scene.requests) == 3 and scene.controller.current.phase is Phase.RUNNING)
    assert scene.requests[-1].camera == "synthetic"
    scene.stop()


def test_motion_changes_reach_the_next_frame_without_another_run(scene: Scene) -> None:
    scene.go_live()
    scene.controller.change_motion(head=0.5)
    scene.feed()
    session = scene.controller._session
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


def test_stop_during_opening_opens_nothing(scene: Scene) -> None:
    scene.controller.start()
    scene.controller.stop()
    scene.until(lambda: scene.controller.current.phase is Phase.IDLE and not scene.controller.tasks.busy)
    assert scene.controller._session is None


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


class FakeVcam(BaseSink):
    """Stands for a driver."""

    name = "virtual camera"
    device = "/dev/video9"

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self.size_wh, self.count, self.closed = size_wh, 0, 0

    def send(self, frame: OutputFrame) -> None:
        require_output_frame(frame)
        self.count += 1

    def close(self) -> None:
        self.closed += 1


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
    assert scene.controller._session is not None
    pipeline = scene.controller._session.pipeline
    pipeline.command(lambda renderer: renderer.set_source_set(make_source_set("bare")))
    scene.feed()
    outputs = scene.controller.outputs
    outputs.set_vcam(True, scene.controller.settings)
    scene.until(lambda: "by whose leave" in scene.told)
    scene.until(lambda: outputs.vcam_state is Vcam.OFF)
    assert (made[0].count, made[0].closed) == (0, 1)
    assert shows_person(scene.feed()) >= 0, "the run goes on"
    scene.stop()


def test_closing_in_the_middle_of_opening_leaves_nothing(scene: Scene, settings_file: Path) -> None:
    scene.controller.change(theme="light")
    scene.controller.start()
    scene.controller.close()
    assert scene.controller._session is None
    assert load_app_settings(settings_file).settings.theme == "light"
    assert isinstance(scene.controller.settings, AppSettings)
