# SPDX-License-Identifier: Apache-2.0
"""The threaded pipeline with scripted stages: every way in and out, and no raw frame ever at a sink."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine import state as states
from engine.clock import NS_PER_S, FakeClock
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.errors import (
    CameraBusy,
    CameraMissing,
    CameraStalled,
    DiskFull,
    DriverUnreadable,
    InferenceFailed,
    InvalidSetting,
    ModelFileMissing,
    SourceSetInvalid,
    VirtualCameraLost,
    WatermarkError,
)
from engine.events import (
    Calibrated,
    CalibrationFailed,
    Failed,
    Finished,
    PipelineEvent,
    SourceSetReady,
    StateChanged,
    ThreadStuck,
    TrackingLost,
    TrackingRecovered,
    Warned,
)
from engine.pipeline import Pipeline, sets
from engine.renderer import WAITING, Renderer
from engine.sinks.base import BaseSink
from engine.sinks.memory import MemorySink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import PngSink
from engine.sinks.preview import PreviewSink
from engine.state import Phase
from engine.types import OutputFrame
from engine.watermark import gate
from engine.watermark.gate import has_mark, holding_card
from tests.helpers.scripted import (
    SIZE_WH,
    ScriptedCamera,
    ScriptedTracker,
    ScriptedWarper,
    driving_frame,
    make_renderer,
    make_source_set,
    shows_person,
    shows_raw,
)

_LONG_S = 30.0
_OUTPUT = OutputSettings(size_wh=SIZE_WH)
# Long silence counts as none: only tests about silence make it short.
_PATIENT = LiveSettings(
    output=_OUTPUT, pipeline=PipelineSettings(stall_s=60, reopen_first_s=0.5, reopen_most_s=5, join_s=10)
)
_IMPATIENT = LiveSettings(
    output=OutputSettings(size_wh=SIZE_WH, fps=60), pipeline=PipelineSettings(stall_s=0.1, hold_s=0, fade_s=0)
)


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("bunraku-")]
    assert left == []


class _LiveSink(MemorySink):
    """Keeps frames like the memory sink, but takes only the newest, as a virtual camera does."""

    name = "live"
    keeps_every_frame = False


class _Watcher:
    """Collects all events and waits for one."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.seen: list[PipelineEvent] = []

    def until(self, matches: Callable[[PipelineEvent], bool]) -> PipelineEvent:
        while True:
            event = self._pipeline.next_event(_LONG_S)
            assert event is not None, f"the awaited event did not come; seen: {self.seen}"
            self.seen.append(event)
            if matches(event):
                return event

    def state(self, text: str) -> None:
        self.until(lambda event: isinstance(event, StateChanged) and event.new == text)

    def drain(self) -> list[PipelineEvent]:
        self.seen += self._pipeline.events()
        return self.seen

    def kinds(self, *kinds: type) -> list[type]:
        return [type(event) for event in self.drain() if type(event) in kinds]


def _pipeline(
    camera: ScriptedCamera | Callable[[], ScriptedCamera],
    *sinks: BaseSink,
    renderer: Callable[[], Renderer] | None = None,
    settings: LiveSettings = _PATIENT,
    clock: FakeClock | None = None,
) -> Pipeline:
    return Pipeline(
        camera if callable(camera) else lambda: camera,
        renderer or (lambda: make_renderer(settings=settings)),
        sinks or [MemorySink()],
        settings=settings,
        clock=clock,
    )


def _assert_clean(frames: list[OutputFrame]) -> None:
    assert frames
    for frame in frames:
        assert not shows_raw(frame), "a raw camera frame reached a sink"
    distinct = {frame.rgb.tobytes(): frame for frame in frames}
    for frame in distinct.values():
        assert has_mark(frame.rgb)


def test_a_finite_source_is_delivered_to_its_end() -> None:
    sink = MemorySink()
    camera = ScriptedCamera()
    pipeline = _pipeline(camera, sink)
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert pipeline.wait_until_live(_LONG_S)
    for n in range(5):
        camera.put(driving_frame(n))
        assert sink.wait_for(n + 1, _LONG_S)
    camera.put(None)
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE
    assert [frame.captured_ns for frame in sink.frames] == [driving_frame(n).captured_ns for n in range(5)]
    _assert_clean(sink.frames)
    assert watcher.kinds(Finished, Failed, Warned) == [Finished]
    states_seen = [event.new for event in watcher.seen if isinstance(event, StateChanged)]
    assert states_seen == ["loading", "running", "stopping", "idle"]
    assert camera.closed.is_set()


def test_the_last_frame_of_a_burst_is_always_rendered() -> None:
    sink = MemorySink()
    camera = ScriptedCamera(*(driving_frame(n) for n in range(50)), None)
    pipeline = _pipeline(camera, sink)
    pipeline.start()
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert sink.frames[-1].captured_ns == driving_frame(49).captured_ns
    stats = pipeline.stats()
    assert stats.delivered["render"] + stats.dropped["capture"] == 50, "what was not shown was counted"
    assert stats.delivered["memory"] + stats.dropped["memory"] == stats.delivered["render"]


def test_figures_name_every_stage() -> None:
    sink = MemorySink()
    with _pipeline(ScriptedCamera(driving_frame(0), driving_frame(1), None), sink) as pipeline:
        pipeline.start()
        assert pipeline.wait(_LONG_S)
    stats = pipeline.stats()
    assert {"track", "retarget", "warp", "composite", "watermark", "capture", "sink memory"} <= set(stats.stages)
    assert set(stats.frame_age) == {"render", "memory"}


def test_start_and_stop_fifty_times() -> None:
    before = threading.active_count()
    for _ in range(50):
        sink, warper = MemorySink(), ScriptedWarper()
        pipeline = _pipeline(
            ScriptedCamera(driving_frame(0)), sink, renderer=lambda warper=warper: make_renderer(warper=warper)
        )
        pipeline.start()
        assert sink.wait_for(1, _LONG_S)
        pipeline.stop()
        assert pipeline.state.phase is Phase.IDLE
        assert warper.closed_on == "bunraku-render", "the thread that rendered frees the model"
        assert not [event for event in pipeline.events() if isinstance(event, ThreadStuck | Failed | Warned)]
    assert threading.active_count() == before


def test_stop_before_start_after_stop_and_while_loading() -> None:
    sink = _ClosingSink()
    pipeline = _pipeline(ScriptedCamera(), sink)
    pipeline.stop()
    pipeline.stop()
    assert sink.closed == 1
    with pytest.raises(ValueError, match="runs once"):
        pipeline.start()
    loading, go = threading.Event(), threading.Event()

    def slow_renderer() -> Renderer:
        loading.set()
        go.wait(_LONG_S)
        return make_renderer()

    pipeline = _pipeline(ScriptedCamera(), renderer=slow_renderer)
    pipeline.start()
    assert pipeline.description == ""
    with pytest.raises(ValueError, match="runs once"):
        pipeline.start()
    loading.wait(_LONG_S)
    threading.Timer(0.05, go.set).start()
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE


class _ClosingSink(BaseSink):
    name = "closing"
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_sinks_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="different names"):
        _pipeline(ScriptedCamera(), MemorySink(), MemorySink())
    with pytest.raises(ValueError, match="at least one"):
        Pipeline(ScriptedCamera, make_renderer, [])


def test_a_lost_face_degrades_and_recovers() -> None:
    sink, camera = MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, sink, renderer=lambda: make_renderer(tracker=ScriptedTracker(lost={1, 2})))
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.state("running")
    camera.put(driving_frame(1))
    watcher.state("degraded (tracking lost)")
    camera.put(driving_frame(2, at_ns=60 * NS_PER_S))
    camera.put(driving_frame(3, at_ns=61 * NS_PER_S))
    watcher.state("running")
    pipeline.stop()
    assert watcher.kinds(TrackingLost, TrackingRecovered) == [TrackingLost, TrackingRecovered]
    _assert_clean(sink.frames)


def test_a_silent_camera_degrades_and_the_card_keeps_coming() -> None:
    sink, camera = _LiveSink(), ScriptedCamera(driving_frame(0))
    camera.info = camera.info.__class__("scripted", "Scripted")  # an unknown rate: the watchdog's own time counts
    pipeline = _pipeline(camera, sink, settings=_IMPATIENT)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.state("degraded (camera stalled)")
    assert sink.wait_for(sink.count + 5, _LONG_S), "frames keep going out"
    assert np.array_equal(sink.frames[-1].rgb, holding_card(SIZE_WH, WAITING).rgb)
    camera.put(driving_frame(1))
    watcher.state("running")
    pipeline.stop()
    _assert_clean(sink.frames)


def test_a_slow_source_is_not_taken_for_a_silent_camera() -> None:
    camera = ScriptedCamera()
    camera.info = camera.info.__class__("slow", "Slow", fps=1.0)
    pipeline = _pipeline(camera, settings=_IMPATIENT)
    pipeline.start()
    assert pipeline.wait_until_live(_LONG_S)
    assert pipeline._feed.silence_s == pytest.approx(2.5)
    pipeline.stop()


@pytest.mark.parametrize(
    ("loss", "state"), [(CameraMissing("gone"), states.CAMERA_LOST), (CameraStalled("silent"), states.CAMERA_STALLED)]
)
def test_a_lost_camera_is_opened_again_with_growing_pauses(loss: Exception, state: str) -> None:
    clock, opened = FakeClock(), []
    cameras: list[object] = [
        ScriptedCamera(driving_frame(0)),
        CameraMissing("still gone"),
        CameraBusy("busy"),
        ScriptedCamera(driving_frame(5), None),
    ]

    def open_camera() -> ScriptedCamera:
        opened.append(clock.now_ns() / NS_PER_S)
        camera = cameras[len(opened) - 1]
        if isinstance(camera, Exception):
            raise camera
        return camera

    sink, tracker = MemorySink(), ScriptedTracker()
    pipeline = _pipeline(open_camera, sink, renderer=lambda: make_renderer(tracker=tracker), clock=clock)
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert pipeline.wait_until_live(_LONG_S)
    cameras[0].put(loss)
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert np.diff(opened) == pytest.approx([0.5, 1.0, 2.0])
    assert cameras[0].closed.is_set()
    assert tracker.resets == 1, "another camera, another start"
    assert sink.frames[-1].captured_ns == driving_frame(5).captured_ns
    assert any(isinstance(event, StateChanged) and state in event.new for event in watcher.drain())
    assert {type(event.error) for event in watcher.seen if isinstance(event, Warned)} >= {type(loss)}


def test_trouble_met_while_loading_is_not_forgotten() -> None:
    cameras, go = [ScriptedCamera(CameraMissing("gone"))], threading.Event()

    def open_camera() -> ScriptedCamera:
        if cameras:
            return cameras.pop()
        raise CameraMissing("gone")

    def slow_renderer() -> Renderer:
        go.wait(_LONG_S)
        return make_renderer()

    settings = LiveSettings(output=_OUTPUT, pipeline=PipelineSettings(stall_s=60, reopen_first_s=60))
    pipeline = _pipeline(open_camera, settings=settings, renderer=slow_renderer)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.until(lambda event: isinstance(event, Warned))
    assert pipeline.state.phase is Phase.LOADING
    pipeline._status.note(states.CAMERA_LOST, True)  # the capture thread does so right after warning
    go.set()
    watcher.state("degraded (camera lost)")
    pipeline.stop()


def test_stopping_while_the_camera_is_away() -> None:
    tries: list[int] = []

    def open_camera() -> ScriptedCamera:
        tries.append(1)
        if len(tries) > 1:
            raise CameraMissing("gone")
        return ScriptedCamera(CameraMissing("gone"))

    settings = LiveSettings(output=_OUTPUT, pipeline=PipelineSettings(reopen_first_s=60, reopen_most_s=60))
    pipeline = _pipeline(open_camera, settings=settings)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.until(lambda event: isinstance(event, Warned))
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE
    assert not watcher.kinds(ThreadStuck)


@pytest.mark.parametrize("error", [CameraBusy("in use"), DriverUnreadable("broken")])
def test_a_camera_that_does_not_open_fails_the_start(error: Exception) -> None:
    def refuse() -> ScriptedCamera:
        raise error

    pipeline = _pipeline(refuse)
    pipeline.start()
    assert not pipeline.wait_until_live(_LONG_S)
    assert pipeline.wait(_LONG_S)
    assert pipeline.state.error is error
    pipeline.stop()
    assert pipeline.state.phase is Phase.FAILED, "the reason can still be read"


def test_a_renderer_that_does_not_load_fails_the_start() -> None:
    error = ModelFileMissing("no model")

    def refuse() -> Renderer:
        raise error

    camera = ScriptedCamera()
    pipeline = _pipeline(camera, renderer=refuse)
    pipeline.start()
    assert pipeline.wait(_LONG_S)
    assert pipeline.state.error is error
    pipeline.stop()
    assert camera.closed.is_set()


@pytest.mark.parametrize("error", [InferenceFailed("out of memory"), RuntimeError("a bug")])
def test_an_engine_that_cannot_be_mended_ends_with_the_holding_card(error: Exception) -> None:
    clock, sink, camera = FakeClock(), _LiveSink(), ScriptedCamera(driving_frame(0))
    broken = ScriptedWarper(error_at=dict.fromkeys(range(2, 100), error))
    pipeline = _pipeline(camera, sink, renderer=lambda: make_renderer(warper=broken), clock=clock)
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    assert shows_person(sink.frames[0]) > 0
    camera.put(driving_frame(1))
    watcher.state("degraded (engine recovering)")
    assert sink.wait_for(2, _LONG_S)
    clock.advance(s=61)
    camera.put(driving_frame(2))
    assert pipeline.wait(_LONG_S)
    assert sink.wait_for(3, _LONG_S)
    assert np.array_equal(sink.frames[-1].rgb, holding_card(SIZE_WH, "Back in a moment").rgb)
    pipeline.stop()
    assert [event.error for event in watcher.drain() if isinstance(event, Failed)] == [error]
    _assert_clean(sink.frames)


def test_a_frame_that_cannot_be_marked_stops_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, camera = MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, sink)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    monkeypatch.setattr(gate, "draw_mark", lambda rgb, mark, *, corner: None)
    camera.put(driving_frame(1))
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert isinstance(pipeline.state.error, WatermarkError)
    monkeypatch.undo()
    _assert_clean(sink.frames)
    assert sink.count == 2, "the first frame and the card that was sealed before"


def test_an_unreadable_driver_midway_ends_with_the_card() -> None:
    sink, camera = _LiveSink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, sink)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    camera.put(DriverUnreadable("torn file"))
    assert sink.wait_for(2, _LONG_S)
    assert np.array_equal(sink.frames[-1].rgb, holding_card(SIZE_WH, "Back in a moment").rgb)
    pipeline.stop()
    assert isinstance(pipeline.state.error, DriverUnreadable)


class _SlowSink(BaseSink):
    """Takes one frame and then hangs, as a blocked device does, until released."""

    name = "slow"

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()
        self.frames: list[OutputFrame] = []

    def send(self, frame: OutputFrame) -> None:
        self.frames.append(frame)
        self.entered.set()
        self.release.wait(_LONG_S)


@pytest.mark.parametrize("keeps_every_frame", [False, True])
def test_a_sink_that_stalls_holds_nobody_up(keeps_every_frame: bool) -> None:
    slow, other, camera = _SlowSink(), MemorySink(), ScriptedCamera(driving_frame(0))
    slow.keeps_every_frame = keeps_every_frame
    pipeline = _pipeline(camera, slow, other)
    pipeline.start()
    assert slow.entered.wait(_LONG_S)
    for n in range(1, 21):
        camera.put(driving_frame(n))
        assert other.wait_for(n + 1, _LONG_S)
    slow.release.set()
    camera.put(None)
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    indices = [round(frame.captured_ns * 30 / NS_PER_S) for frame in slow.frames]
    dropped = pipeline.stats().dropped["slow"]
    if keeps_every_frame:
        assert indices == list(range(9)), "the first one and a queue of eight, in order"
        assert dropped == 12
    else:
        assert indices == [0, 20], "the newest only"
        assert dropped == 19


def test_a_sink_that_never_comes_back_is_left_behind_and_named() -> None:
    slow = _SlowSink()
    settings = LiveSettings(output=_OUTPUT, pipeline=PipelineSettings(stall_s=60, join_s=0.1))
    pipeline = _pipeline(ScriptedCamera(driving_frame(0)), slow, settings=settings)
    pipeline.start()
    assert slow.entered.wait(_LONG_S)
    pipeline.stop()
    stuck = [event.name for event in pipeline.events() if isinstance(event, ThreadStuck)]
    assert stuck == ["sink slow"]
    slow.release.set()
    for outlet in pipeline._outlets:
        assert outlet.worker.join(_LONG_S)


class _FailingSink(MemorySink):
    """Raises what the test says, one per frame."""

    name = "failing"

    def __init__(self, *errors: Exception | None) -> None:
        super().__init__()
        self._errors = list(errors)
        self.tries = threading.Semaphore(0)

    def send(self, frame: OutputFrame) -> None:
        self.tries.release()
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        super().send(frame)


def test_a_lost_virtual_camera_degrades_and_comes_back() -> None:
    lost = VirtualCameraLost("host ended")
    sink, camera = _FailingSink(None, lost, lost, lost), ScriptedCamera()
    pipeline = _pipeline(camera, sink, clock=FakeClock())  # no time passes: all losses within a second
    watcher = _Watcher(pipeline)
    pipeline.start()
    for n in range(4):
        camera.put(driving_frame(n))
        assert sink.tries.acquire(timeout=_LONG_S)
    watcher.state("degraded (failing lost)")
    camera.put(driving_frame(4))
    watcher.state("running")
    pipeline.stop()
    assert sink.count == 2
    assert len(watcher.kinds(Warned)) == 1, "the same trouble is told once a second at most"


def test_a_broken_recorder_does_not_end_the_show() -> None:
    recorder, live, camera = _FailingSink(DiskFull("full")), _LiveSink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, recorder, live)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.until(lambda event: isinstance(event, Warned) and isinstance(event.error, DiskFull))
    assert live.wait_for(1, _LONG_S)
    camera.put(driving_frame(1))
    assert live.wait_for(2, _LONG_S)
    assert pipeline.state.reasons == ("failing stopped",)
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE


def test_without_any_sink_left_the_pipeline_fails_with_the_sinks_error() -> None:
    pipeline = _pipeline(ScriptedCamera(driving_frame(0)), _FailingSink(DiskFull("full")))
    pipeline.start()
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert isinstance(pipeline.state.error, DiskFull)
    assert pipeline.state.error.exit_code == 6


def test_a_sink_that_breaks_while_closing_is_told() -> None:
    class Breaking(MemorySink):
        def close(self) -> None:
            raise DiskFull("no room for the index")

    pipeline = _pipeline(ScriptedCamera(driving_frame(0), None), Breaking(), _LiveSink())
    pipeline.start()
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert [type(event.error) for event in pipeline.events() if isinstance(event, Warned)] == [DiskFull]


def test_settings_change_between_frames() -> None:
    sink, camera = MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, sink)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.state("running")
    assert sink.wait_for(1, _LONG_S)
    pipeline.apply(LiveSettings(output=OutputSettings(size_wh=SIZE_WH, background="green")))
    camera.put(driving_frame(1))
    assert sink.wait_for(2, _LONG_S)
    pipeline.apply(LiveSettings(output=OutputSettings(size_wh=SIZE_WH, background="green"), blanked=True))
    camera.put(driving_frame(2))
    watcher.state("degraded (blanked)")
    assert sink.wait_for(3, _LONG_S)
    pipeline.apply(LiveSettings(output=OutputSettings(size_wh=SIZE_WH, background="/no/picture.png")))
    camera.put(driving_frame(3))
    watcher.until(lambda event: isinstance(event, Warned) and isinstance(event.error, InvalidSetting))
    with pytest.raises(InvalidSetting, match="size and rate cannot change"):
        pipeline.apply(LiveSettings(output=OutputSettings(size_wh=(640, 360))))
    pipeline.stop()
    first, second, third = (frame.rgb for frame in sink.frames[:3])
    np.testing.assert_allclose(first[5, 5], (30, 30, 30), atol=8)  # the invisible mark is in every pixel
    np.testing.assert_allclose(second[5, 5], (0, 177, 64), atol=8)
    assert np.array_equal(third, holding_card(SIZE_WH, "Back in a moment").rgb)


def test_the_panic_key_held_from_the_start() -> None:
    settings = LiveSettings(output=_OUTPUT, pipeline=_PATIENT.pipeline, blanked=True)
    sink = MemorySink()
    pipeline = _pipeline(ScriptedCamera(driving_frame(0), None), sink, settings=settings)
    watcher = _Watcher(pipeline)
    pipeline.start()
    watcher.state("degraded (blanked)")
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    assert all(np.array_equal(f.rgb, holding_card(SIZE_WH, "Back in a moment").rgb) for f in sink.frames)


def test_another_character_is_switched_to_between_two_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    returned = threading.Event()
    monkeypatch.setattr(sets, "trim_heap", returned.set)
    sink, camera, warper = MemorySink(), ScriptedCamera(driving_frame(0)), ScriptedWarper()
    pipeline = _pipeline(camera, sink, renderer=lambda: make_renderer(warper=warper))
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    assert pipeline.description == "engine: scripted"
    pipeline.set_source_set(make_source_set("otto"))
    for worker in pipeline._sets.workers:
        assert worker.join(_LONG_S)
    camera.put(driving_frame(1))
    ready = watcher.until(lambda event: isinstance(event, SourceSetReady))
    assert ready.name == "otto"
    assert returned.wait(_LONG_S), "what was shown before is given back"
    pipeline.stop()
    assert warper.used == ["otto"]


def test_a_character_chosen_while_loading_is_the_first_one_shown() -> None:
    camera, sink, warper, go = ScriptedCamera(driving_frame(0)), MemorySink(), ScriptedWarper(), threading.Event()

    def slow_renderer() -> Renderer:
        go.wait(_LONG_S)
        return make_renderer(warper=warper)

    pipeline = _pipeline(camera, sink, renderer=slow_renderer)
    pipeline.start()
    pipeline.set_source_set(make_source_set("early"))
    assert pipeline._sets.workers[-1].join(_LONG_S)
    go.set()
    assert sink.wait_for(1, _LONG_S)
    pipeline.stop()
    assert warper.used == ["early"]


def test_an_error_while_closing_the_camera_is_told_and_does_not_hang() -> None:
    class Stubborn(ScriptedCamera):
        def close(self) -> None:
            if threading.current_thread().name == "bunraku-capture":
                raise RuntimeError("driver crashed in close")
            super().close()

    pipeline = _pipeline(Stubborn(driving_frame(0)))
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert pipeline.wait_until_live(_LONG_S)
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE
    assert [str(event.error) for event in watcher.drain() if isinstance(event, Warned)] == ["driver crashed in close"]


def test_of_two_characters_chosen_in_a_row_the_later_one_stays() -> None:
    class SlowWarper(ScriptedWarper):
        first = threading.Event()

        def prepare(self, source_set: object) -> str:
            if source_set.name == "slow":
                self.first.wait(_LONG_S)
            return super().prepare(source_set)

    sink, camera, warper = MemorySink(), ScriptedCamera(driving_frame(0)), SlowWarper()
    pipeline = _pipeline(camera, sink, renderer=lambda: make_renderer(warper=warper))
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    pipeline.set_source_set(make_source_set("slow"))
    slow = pipeline._sets.workers[-1]
    pipeline.set_source_set(make_source_set("quick"))
    assert pipeline._sets.workers[-1].join(_LONG_S)
    warper.first.set()
    assert slow.join(_LONG_S)
    camera.put(driving_frame(1))
    assert sink.wait_for(2, _LONG_S)
    pipeline.stop()
    assert warper.used == ["quick"]


def test_a_refused_character_is_told_and_the_old_one_stays() -> None:
    class Picky(ScriptedWarper):
        def prepare(self, source_set: object) -> str:
            raise SourceSetInvalid("broken set")

    sink, camera = MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, sink, renderer=lambda: make_renderer(warper=Picky()))
    watcher = _Watcher(pipeline)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    pipeline.set_source_set(make_source_set())
    watcher.until(lambda event: isinstance(event, Warned) and isinstance(event.error, SourceSetInvalid))
    assert pipeline.state.live
    pipeline.stop()


def test_calibration_is_a_command() -> None:
    sink, camera = MemorySink(), ScriptedCamera()
    pipeline = _pipeline(camera, sink)
    watcher = _Watcher(pipeline)
    pipeline.calibrate(keep_trying=True)
    pipeline.start()
    for n in range(40):
        camera.put(driving_frame(n))
        assert sink.wait_for(n + 1, _LONG_S)
    pipeline.stop()
    assert watcher.kinds(Calibrated, CalibrationFailed), "the outcome is told either way"
    assert not watcher.kinds(Failed)


def test_preview_and_recorder_side_by_side() -> None:
    rings = threading.Event()
    preview, recorder, camera = PreviewSink(rings.set), MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = _pipeline(camera, preview, recorder)
    pipeline.start()
    assert rings.wait(_LONG_S)
    shown = preview.take()
    assert shown is not None
    assert recorder.wait_for(1, _LONG_S)
    assert shown is recorder.frames[0], "sinks share one read-only frame"
    assert not shown.rgb.flags.writeable
    pipeline.stop()
    assert pipeline.description == ""


def test_what_is_recorded_is_marked_and_holds_no_camera_pixel(tmp_path: Path) -> None:
    """The whole way with real sinks: face found, lost past hold and fade, found again; read back from the files."""
    video, stills, camera = Mp4Sink(tmp_path / "clip.mp4"), PngSink(tmp_path / "stills"), ScriptedCamera()
    counter = MemorySink()
    lost = set(range(10, 60))
    pipeline = _pipeline(
        camera, video, stills, counter, renderer=lambda: make_renderer(tracker=ScriptedTracker(lost=lost))
    )
    pipeline.start()
    for n in (*range(8), *range(10, 60, 6), *range(60, 66)):
        before = counter.count
        camera.put(driving_frame(n))
        assert counter.wait_for(before + 1, _LONG_S)
    camera.put(None)
    assert pipeline.wait(_LONG_S)
    pipeline.stop()
    with av.open(str(tmp_path / "clip.mp4")) as container:
        recorded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    recorded += [cv2.imread(str(path))[..., ::-1] for path in (tmp_path / "stills").iterdir()]
    assert len(recorded) >= 20, "both recorders kept nearly all of the 23 frames"
    for rgb in recorded:
        assert not (np.abs(rgb.astype(int) - (255, 0, 255)).max(axis=2) < 60).any()
    assert all(has_mark(np.ascontiguousarray(rgb)) for rgb in recorded[::5])
