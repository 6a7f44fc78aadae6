# SPDX-License-Identifier: Apache-2.0
"""Faults of outputs and of time, with real sinks behind a scripted character: what leaves is whole, marked, allowed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from engine.clock import NS_PER_S, FakeClock
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.consent import Consent
from engine.errors import ConsentMissing, FormatRejected, OutputUnwritable, SinkError, VirtualCameraMissing
from engine.events import PipelineEvent, Warned
from engine.pipeline import Pipeline
from engine.sinks import vcam_device
from engine.sinks.base import BaseSink
from engine.sinks.lent import LentSink
from engine.sinks.memory import MemorySink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.virtual_camera import VirtualCameraSink
from engine.state import PipelineState
from engine.types import OutputFrame, SourceSet
from engine.watermark.gate import has_mark, holding_card
from tests.helpers.marked_frames import marked_frame
from tests.helpers.scripted import (
    SIZE_WH,
    ScriptedCamera,
    ScriptedRetargeter,
    driving_frame,
    make_renderer,
    make_source_set,
    shows_raw,
)
from tests.helpers.vcam_viewer import BACKEND_MODULE, CallApp

_LONG_S = 60.0
_PATIENT = LiveSettings(output=OutputSettings(size_wh=SIZE_WH), pipeline=PipelineSettings(stall_s=60, join_s=30))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vcam_device.platformdirs, "user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("bunraku-")] == []


@pytest.fixture
def call() -> Iterator[CallApp]:
    app = CallApp(SIZE_WH)
    yield app
    app.close()


def _open(call: CallApp, **options: object) -> VirtualCameraSink:
    card = holding_card(SIZE_WH, "Starting")
    sink = VirtualCameraSink(
        *SIZE_WH, 30.0, "socket", call.device, card=card, backend_module=BACKEND_MODULE, hold_s=3600, **options
    )
    call.accept()
    return sink


class _Scene:
    """A pipeline, its camera, and what it said."""

    def __init__(self, *sinks: BaseSink, source_set: SourceSet | None = None, clock: FakeClock | None = None) -> None:
        self.camera, self.index = ScriptedCamera(), 0
        self.renderer = make_renderer(settings=_PATIENT, clock=clock)
        if source_set is not None:
            self.renderer.set_source_set(source_set)
        self.pipeline = Pipeline(lambda: self.camera, lambda: self.renderer, sinks, settings=_PATIENT, clock=clock)
        self.seen: list[PipelineEvent] = []
        self.pipeline.start()
        assert self.pipeline.wait_until_live(_LONG_S)

    def frame(self, *, at_ns: int | None = None) -> None:
        self.camera.put(driving_frame(self.index, at_ns=at_ns))
        self.index += 1

    def until(self, holds: Callable[[PipelineState], bool], *, feeding: bool = False) -> None:
        while not holds(self.pipeline.state):
            if feeding:
                self.frame()
            event = self.pipeline.next_event(0.1 if feeding else _LONG_S)
            assert event is not None or feeding, f"stays {self.pipeline.state}; seen: {self.seen}"
            if event is not None:
                self.seen.append(event)

    def errors(self) -> list[BaseException]:
        self.seen += self.pipeline.events()
        return [event.error for event in self.seen if isinstance(event, Warned)]


def _consented(name: str = "mara") -> SourceSet:
    return replace(make_source_set(name), consent=Consent("mine"))


def test_a_virtual_camera_that_is_missing_is_one_sentence_before_anything_runs() -> None:
    with pytest.raises(VirtualCameraMissing, match="No virtual camera can be opened") as caught:
        VirtualCameraSink(
            *SIZE_WH, 30.0, "socket", "127.0.0.1:1", card=holding_card(SIZE_WH, ""), backend_module=BACKEND_MODULE
        )
    assert "v4l2loopback" in str(caught.value) or "OBS" in str(caught.value)


def test_a_virtual_camera_that_vanishes_comes_back_with_the_character(call: CallApp) -> None:
    other = MemorySink()
    scene = _Scene(_open(call), other, source_set=_consented())
    with scene.pipeline:
        scene.frame()
        assert other.wait_for(1, _LONG_S)
        call.read_until(other.frames[0].rgb)
        call.unplug()
        scene.until(lambda state: "virtual camera lost" in state.reasons, feeding=True)
        assert any("Virtual" in type(error).__name__ for error in scene.errors())
        before = other.count
        call.plug_in()
        scene.until(lambda state: not state.reasons, feeding=True)
        call.accept()
        call.read_until(other.frames[0].rgb)
        assert other.count > before, "the others went on"


def test_an_output_that_refuses_the_format_stops_alone() -> None:
    class Refusing(BaseSink):
        name = "refusing"

        def send(self, frame: OutputFrame) -> None:
            raise FormatRejected("It takes 640x480.", hint="Choose 640x480.")

    other = MemorySink()
    scene = _Scene(Refusing(), other)
    with scene.pipeline:
        scene.frame()
        scene.until(lambda state: state.reasons == ("refusing stopped",))
        scene.frame()
        assert other.wait_for(2, _LONG_S)
    assert [str(error) for error in scene.errors()] == ["It takes 640x480. Choose 640x480."]


def test_an_output_with_a_bug_stops_alone_too() -> None:
    class Buggy(BaseSink):
        name = "buggy"

        def send(self, frame: OutputFrame) -> None:
            raise ZeroDivisionError("division by zero")

        def close(self) -> None:
            raise AttributeError("no handle")

    other = MemorySink()
    scene = _Scene(Buggy(), other)
    with scene.pipeline:
        scene.frame()
        scene.until(lambda state: state.reasons == ("buggy stopped",))
        scene.frame()
        assert other.wait_for(2, _LONG_S)
    (error,) = scene.errors()
    assert isinstance(error, SinkError)
    assert "buggy failed: ZeroDivisionError" in str(error)


def test_a_character_without_consent_cannot_be_joined_by_a_virtual_camera(call: CallApp) -> None:
    camera, local = _open(call), MemorySink()
    scene = _Scene(local, source_set=make_source_set("stranger"))
    with camera, scene.pipeline:
        scene.frame()
        assert local.wait_for(1, _LONG_S), "what stays on this computer is shown"
        with pytest.raises(ConsentMissing, match="stranger does not say by whose leave"):
            scene.pipeline.add_sink(LentSink(camera))
        with pytest.raises(ConsentMissing, match="holding card"):
            camera.send(scene.renderer.render(driving_frame(10_000)))  # past the pipeline
        for _ in range(5):
            assert np.array_equal(call.read(), holding_card(SIZE_WH, "Starting").rgb)


def test_a_change_to_a_character_without_consent_is_refused_and_the_old_one_stays(call: CallApp) -> None:
    local = MemorySink()
    scene = _Scene(_open(call), local, source_set=_consented())
    with scene.pipeline:
        scene.frame()
        assert local.wait_for(1, _LONG_S)
        scene.pipeline.set_source_set(make_source_set("stranger"))
        for worker in scene.pipeline._sets.workers:
            assert worker.join(_LONG_S)
        scene.frame()
        assert local.wait_for(2, _LONG_S)
        assert [type(error) for error in scene.errors()] == [ConsentMissing]
        assert scene.pipeline.source_set is not None
        assert scene.pipeline.source_set.name == "mara"
        assert scene.pipeline.state.live


@pytest.mark.parametrize("way", ["from the start", "by a command"])
def test_a_character_without_consent_ends_a_run_into_a_virtual_camera_with_the_card(call: CallApp, way: str) -> None:
    at_start = way == "from the start"
    scene = _Scene(_open(call), source_set=make_source_set("stranger") if at_start else _consented())
    with scene.pipeline:
        if not at_start:
            scene.pipeline.command(lambda renderer: renderer.set_source_set(make_source_set("stranger")))
        scene.frame()
        assert scene.pipeline.wait(_LONG_S)
        assert isinstance(scene.pipeline.state.error, ConsentMissing)
        call.read_until(holding_card(SIZE_WH, "Back in a moment").rgb)


def test_a_held_picture_keeps_the_consent_it_was_made_with() -> None:
    renderer = make_renderer()
    renderer.set_source_set(make_source_set("stranger"))
    assert not renderer.render(driving_frame(0)).consented
    renderer.set_source_set(_consented())
    assert not renderer.render_absent(1, "Waiting").consented, "still the stranger's picture"
    assert renderer.render(driving_frame(1)).consented
    assert renderer.card("Back", at_ns=0).consented


def test_an_hour_forth_and_back_is_survived_and_the_recording_stays_short(tmp_path: Path) -> None:
    """Clock jump and sleeping computer: stamps an hour apart, then back, in a recording that goes on."""
    path, counter = tmp_path / "clip.mp4", MemorySink()
    scene = _Scene(Mp4Sink(path, fps=30, live=True), counter)
    hour_ns = 3600 * NS_PER_S
    with scene.pipeline:
        for at_ns in (0, 33_000_000, hour_ns, hour_ns + 33_000_000, 66_000_000, 99_000_000, 8 * hour_ns):
            before = counter.count
            scene.frame(at_ns=at_ns)
            assert counter.wait_for(before + 1, _LONG_S)
        assert scene.pipeline.state.live
        assert not any(shows_raw(frame) for frame in counter.frames)
        assert all(has_mark(frame.rgb) for frame in counter.frames)
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert len(times) == 7
    assert (np.diff(times) > 0).all()
    assert times[-1] < 1.0, "seven pictures, not eight hours"


def test_a_rendered_video_keeps_its_long_pauses(tmp_path: Path) -> None:
    with Mp4Sink(tmp_path / "a.mp4", fps=30) as sink:
        for at_s in (0, 1, 20):
            sink.send(marked_frame(at_ns=at_s * NS_PER_S))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [round(float(frame.time)) for frame in container.decode(video=0)] == [0, 1, 20]


def test_after_a_sleep_old_motion_is_not_continued() -> None:
    renderer = make_renderer()
    retargeter = renderer._performer.retargeter
    assert isinstance(retargeter, ScriptedRetargeter)
    renderer.render(driving_frame(0, at_ns=0))
    renderer.render(driving_frame(1, at_ns=33_000_000))
    assert retargeter.resets == 0
    renderer.render(driving_frame(2, at_ns=8 * 3600 * NS_PER_S))
    assert retargeter.resets == 1


def test_two_recorders_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with Mp4Sink(path) as first:
        first.send(marked_frame())
        with pytest.raises(OutputUnwritable, match="another Bunraku is recording into it"):
            Mp4Sink(path)
        first.send(marked_frame(at_ns=NS_PER_S))
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 2
    Mp4Sink(path).close()
