# SPDX-License-Identifier: Apache-2.0
"""Faults of tracker, model and scene in the real pipeline, one after another: state, sentence, recovery, no leak."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from engine.app.assembly import build_renderer
from engine.app.demo import builtin_clip
from engine.app.offline import neutral_of
from engine.capture import open_camera
from engine.config import LiveSettings, OutputSettings
from engine.evaluation.bench_live import open_stand_in
from engine.evaluation.soak.camera import FaultyCamera
from engine.evaluation.soak.faults import Switchboard
from engine.evaluation.soak.sinks import shows_driver
from engine.evaluation.soak.stages import FaultyTracker
from engine.renderer import Renderer
from engine.state import ENGINE_RECOVERING, TRACKING_LOST, Phase
from engine.types import Frame, TrackedMotion
from tests.helpers.fault_rig import LONG_S, FaultRig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rig() -> Iterator[FaultRig]:
    rig = FaultRig()
    yield rig
    rig.close()
    assert rig.pipeline.state.phase is Phase.IDLE
    assert [t.name for t in threading.enumerate() if t.name.startswith("bunraku-")] == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("tracker-error", "Graph has errors"),
        ("tracker-nan", "returned undefined landmarks"),
        ("model-error", "OpenVINO failed on CPU"),
        ("model-nan", "returned undefined pixels"),
        ("gpu-lost", "no CUDA-capable device"),
        ("out-of-memory", "no memory left"),
    ],
)
def test_a_failing_stage_is_mended_while_frames_go_on(rig: FaultRig, fault: str, words: str) -> None:
    rig.board.set(fault, True)
    rig.until(lambda state: ENGINE_RECOVERING in state.reasons)
    rig.wait_for_frames(10)  # the held picture, then the card
    assert rig.pipeline.state.phase is Phase.DEGRADED
    assert any(words in sentence for sentence in rig.sentences("engine"))
    rig.board.set(fault, False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.assert_clean()


def test_an_empty_chair_is_waited_for(rig: FaultRig) -> None:
    rig.board.set("no-face", True)
    rig.until(lambda state: TRACKING_LOST in state.reasons)
    rig.wait_for_frames(5)
    rig.board.set("no-face", False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.assert_clean()


def test_a_second_face_does_not_take_over(rig: FaultRig) -> None:
    centres: list[tuple[float, int]] = []
    enough = threading.Event()

    def look(frame: Frame, motion: TrackedMotion | None, _neutral: object) -> None:
        if motion is not None:
            centres.append((float(motion.landmarks_px[:, 0].mean()), frame.rgb.shape[1]))
            if len(centres) > 40:
                enough.set()

    def watch(renderer: Renderer) -> None:
        renderer.monitor = look

    rig.board.set("two-faces", True)
    rig.wait_for_frames(2)
    rig.pipeline.command(watch)
    assert enough.wait(LONG_S)
    rig.pipeline.command(lambda renderer: setattr(renderer, "monitor", None))
    # The picture got twice as wide, the performer is in its left half.
    assert all(centre < width / 2 for centre, width in centres if width > 600)
    rig.board.set("two-faces", False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.assert_clean()


@pytest.mark.parametrize("fault", ["poster", "hand"])
def test_a_poster_and_a_hand_are_no_reason_to_stop(rig: FaultRig, fault: str) -> None:
    rig.board.set(fault, True)
    rig.wait_for_frames(20)
    assert rig.pipeline.state.live
    rig.board.set(fault, False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.assert_clean()


def test_a_poster_makes_a_character_that_sits_still() -> None:
    board = Switchboard()
    board.set("poster", True)
    with (
        FaultyCamera(open_stand_in(builtin_clip(), fps=30), board) as camera,
        build_renderer("otto", sources=1, settings=LiveSettings(output=OutputSettings(size_wh=(320, 180)))) as renderer,
    ):
        frames = [frame for frame in (camera.read() for _ in range(30)) if frame is not None]
        pictures = [renderer.render(frame).rgb.astype(np.int16) for frame in frames]
    assert len(pictures) == 30
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(pictures[10:])]
    assert max(steps) < 1.0, "levels of 255 a frame; sensor noise alone must not shake the head"


@pytest.mark.parametrize("fault", ["sink-lost", "sink-slow"])
def test_an_output_that_fails_comes_back(rig: FaultRig, fault: str) -> None:
    rig.board.set(fault, True)
    if fault == "sink-lost":
        rig.until(lambda state: "virtual camera lost" in state.reasons)
        assert any("host ended" in sentence for sentence in rig.sentences("virtual camera"))
    else:
        rig.wait_for_frames(3)
        assert rig.pipeline.state.live
    rig.board.set(fault, False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.wait_for_frames(3)
    rig.assert_clean()


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("unplugged", "camera lost", "is gone"),
        ("driver-error", "camera lost", "driver failed: OSError"),
        ("black", "camera black", "only black pictures"),
        ("frozen", "camera frozen", "repeats the same picture"),
        ("stalled", "camera stalled", "sent no frame for 2 s"),
        ("slow-camera", "camera slow", "fewer than 10 pictures a second"),
    ],
)
def test_a_failing_camera_comes_back(rig: FaultRig, fault: str, reason: str, words: str) -> None:
    rig.board.set(fault, True)
    rig.until(lambda state: reason in state.reasons)
    said = rig.sentences("camera") + rig.sentences(reason)
    assert any(words in sentence for sentence in said), said
    rig.board.set(fault, False)
    rig.until(lambda state: state.phase is Phase.RUNNING)
    rig.wait_for_frames(3)
    rig.assert_clean()


def test_a_camera_that_comes_back_in_another_size_leaves_the_character_its_own() -> None:
    board = Switchboard()
    clip = str(builtin_clip())
    settings = LiveSettings(output=OutputSettings(size_wh=(256, 256)))
    with (
        FaultyCamera(open_camera(clip, paced=False), board) as camera,
        build_renderer("otto", sources=1, settings=settings) as renderer,
    ):
        renderer.set_neutral(neutral_of(clip))
        for _ in range(20):
            before = renderer.render(camera.read()).rgb
        board.set("other-size", True)
        for _ in range(4):
            frame = camera.read()
            after = renderer.render(frame).rgb
    assert frame.rgb.shape[0] == 256, "half the clip's size"
    difference = np.abs(after.astype(int) - before.astype(int)).mean()
    assert difference < 4, "a head at half its size would differ by far more"


def test_the_beacon_is_seen_where_it_is() -> None:
    """The leak test above would be blind to a border that nobody draws."""
    with FaultyCamera(open_camera(str(builtin_clip()), paced=False), Switchboard()) as camera:
        assert shows_driver(camera.read().rgb)


def test_the_faulty_tracker_is_the_real_one_otherwise() -> None:
    tracker = FaultyTracker(Switchboard())
    with open_camera(str(builtin_clip()), paced=False) as camera:
        assert tracker.track(camera.read()) is not None
    tracker.close()
