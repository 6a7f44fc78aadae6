# SPDX-License-Identifier: Apache-2.0
"""What is done about frames that fail, in exact frames and seconds of a clock that stands still."""

from __future__ import annotations

import pytest

from engine import state as states
from engine.clock import NS_PER_S, FakeClock
from engine.errors import (
    BackendUnavailable,
    CudaError,
    EngineError,
    EngineMismatch,
    InferenceFailed,
    ModelMismatch,
    SourceSetEmpty,
    WatermarkError,
)
from engine.events import Warned
from engine.pipeline.recovery import Recovery
from engine.stages import Spares
from engine.status import Status
from tests.helpers.scripted import ScriptedTracker, ScriptedWarper, driving_frame, make_renderer, make_source_set

_FRAME_S = 1 / 30


class _Scene:
    """A recovery with a renderer whose repairs are counted, and may fail."""

    def __init__(self, *, give_up_s: float = 60.0) -> None:
        self.clock = FakeClock()
        self.status = Status(self.clock)
        self.status.move(states.begin(self.status.state))
        self.status.move(states.finish_loading(self.status.state))
        self.recovery = Recovery(self.status, self.clock, give_up_s=give_up_s)
        self.repairs: list[float] = []
        self.repair_error: Exception | None = None
        self.renderer = make_renderer()
        self.renderer.repair = self._repair  # type: ignore[method-assign]

    def _repair(self, stage: str, *, lost: bool = False) -> None:
        self.repairs.append(self.clock.now_ns() / NS_PER_S)
        if self.repair_error is not None:
            raise self.repair_error

    def frame(self, error: Exception | None) -> bool:
        """Let one frame pass; return whether it was tried."""
        tried = self.recovery.ready(self.renderer)
        if tried and error is not None:
            self.recovery.failed(error, "warp")
        elif tried:
            self.recovery.succeeded()
        self.clock.advance(s=_FRAME_S)
        return tried


def test_one_bad_frame_costs_one_frame_and_mends_nothing() -> None:
    scene = _Scene()
    scene.frame(InferenceFailed("hiccup"))
    assert scene.status.state.reasons == (states.ENGINE_RECOVERING,)
    assert [str(e.error) for e in scene.status.events.drain() if isinstance(e, Warned)] == ["hiccup"]
    scene.frame(None)
    scene.frame(None)
    assert scene.status.state.reasons == ()
    assert scene.repairs == []


def test_the_third_bad_frame_in_a_row_has_the_stage_made_anew() -> None:
    scene = _Scene()
    for _ in range(3):
        assert scene.frame(RuntimeError("broken"))
    assert scene.repairs == []
    assert scene.frame(None), "tried again in the very frame after the repair"
    assert len(scene.repairs) == 1


def test_frames_are_tried_between_repairs_whose_pauses_grow() -> None:
    scene = _Scene()
    assert all(scene.frame(InferenceFailed("still")) for _ in range(30 * 20)), "every frame: it may work any moment"
    pauses = [b - a for a, b in zip(scene.repairs, scene.repairs[1:], strict=False)]
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0], abs=2 * _FRAME_S)


def test_after_a_lost_gpu_nothing_is_tried_before_it_is_back() -> None:
    scene = _Scene()
    scene.frame(CudaError("gone"))
    scene.repair_error = CudaError("no device")
    for _ in range(60):
        assert not scene.frame(None)
    pauses = [b - a for a, b in zip(scene.repairs, scene.repairs[1:], strict=False)]
    assert max(pauses) <= 0.1 + 2 * _FRAME_S
    cleared_s = scene.clock.now_ns() / NS_PER_S
    scene.repair_error = None
    while scene.status.state.reasons:
        scene.frame(None)
    assert scene.clock.now_ns() / NS_PER_S - cleared_s <= 0.3, "of the one second allowed, the rest is for loading"


def test_a_driver_that_starts_again_after_a_loss_is_waited_for() -> None:
    scene = _Scene()
    scene.frame(CudaError("gone"))
    scene.repair_error = BackendUnavailable("the driver sees no NVIDIA GPU")
    for _ in range(30):
        assert not scene.frame(None)
    assert scene.status.state.reasons == (states.ENGINE_RECOVERING,)
    scene.repair_error = None
    while scene.status.state.reasons:
        scene.frame(None)
    with pytest.raises(BackendUnavailable):
        _Scene().frame(BackendUnavailable("from the start"))


@pytest.mark.parametrize(
    "error", [WatermarkError("x"), ModelMismatch("x"), EngineMismatch("x"), SourceSetEmpty("x")], ids=repr
)
def test_what_no_repetition_changes_ends_the_run_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        _Scene().frame(error)


def test_a_damaged_model_met_while_mending_ends_the_run_too() -> None:
    scene = _Scene()
    for _ in range(3):
        scene.frame(InferenceFailed("x"))
    scene.repair_error = ModelMismatch("the file has changed")
    with pytest.raises(ModelMismatch, match="has changed"):
        scene.frame(None)


def test_a_trouble_that_lasts_is_given_up_with_its_own_error() -> None:
    scene = _Scene(give_up_s=2.0)

    def fail_for_ever() -> None:
        for _ in range(30 * 4):
            scene.frame(InferenceFailed("for ever"))

    with pytest.raises(InferenceFailed, match="for ever"):
        fail_for_ever()
    assert scene.clock.now_ns() / NS_PER_S == pytest.approx(3.0, abs=0.1)


def test_a_trouble_that_flickers_is_one_trouble() -> None:
    scene = _Scene()
    for _ in range(10):
        scene.frame(InferenceFailed("now and then"))
        scene.frame(None)
        assert scene.status.state.reasons == (states.ENGINE_RECOVERING,)


def test_a_new_warper_shows_the_old_character_and_the_old_one_is_closed() -> None:
    made: list[ScriptedWarper] = []

    def make_warper() -> ScriptedWarper:
        made.append(ScriptedWarper())
        return made[-1]

    first, tracker = ScriptedWarper(), ScriptedTracker()
    renderer = make_renderer(warper=first, tracker=tracker, spares=Spares(ScriptedTracker, make_warper))
    prepared = renderer.prepare(make_source_set("mara"))
    renderer.use(prepared)
    renderer.repair("warp")
    assert made[0].used == ["mara"]
    assert first.closed_on
    renderer.use(prepared)  # what the old one had encoded is of no use to the new one
    assert made[0].used == ["mara", "mara"]
    renderer.repair("track")
    assert tracker.closed
    assert renderer.render(driving_frame(0)).rgb.any()


def test_a_warper_that_cannot_be_made_leaves_the_old_one_in_place() -> None:
    def refuse() -> ScriptedWarper:
        raise EngineError("no memory")

    first = ScriptedWarper()
    renderer = make_renderer(warper=first, spares=Spares(None, refuse))
    with pytest.raises(EngineError):
        renderer.repair("warp")
    assert not first.closed_on
    with pytest.raises(EngineError):
        renderer.repair("warp", lost=True)
    assert first.closed_on, "a lost one goes first: it may hold what the new one needs"


def test_undefined_landmarks_are_refused_before_they_reach_the_model() -> None:
    class Undefined(ScriptedTracker):
        def track(self, frame: object) -> object:
            motion = super().track(frame)
            motion.landmarks_px.setflags(write=True)
            motion.landmarks_px[7] = float("nan")
            return motion

    renderer = make_renderer(tracker=Undefined())
    with pytest.raises(InferenceFailed, match="undefined landmarks"):
        renderer.render(driving_frame(0))
    assert renderer.stage == "track"
