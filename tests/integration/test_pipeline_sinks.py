# SPDX-License-Identifier: Apache-2.0
"""Sinks that come and go while the pipeline runs, and a look through a camera beside it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.capture.peek import CameraPeek
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.errors import CameraBusy, Closed, SigningFailed
from engine.events import Warned
from engine.pipeline import Pipeline
from engine.provenance.identity import own_folder
from engine.sinks.memory import MemorySink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.preview import PreviewSink
from engine.state import Phase
from tests.helpers.scripted import SIZE_WH, ScriptedCamera, driving_frame, make_renderer

_LONG_S = 60.0
_PATIENT = LiveSettings(output=OutputSettings(size_wh=SIZE_WH), pipeline=PipelineSettings(stall_s=60, join_s=30))


def make_pipeline(camera: ScriptedCamera, sink: MemorySink) -> Pipeline:
    return Pipeline(lambda: camera, lambda: make_renderer(settings=_PATIENT), [sink], settings=_PATIENT)


def test_a_sink_joins_and_leaves_without_the_others_missing_a_frame() -> None:
    camera, first, second = ScriptedCamera(), MemorySink(), PreviewSink()
    with make_pipeline(camera, first) as pipeline:
        pipeline.start()
        assert pipeline.wait_until_live(_LONG_S)
        camera.put(driving_frame(0))
        assert first.wait_for(1, _LONG_S)
        rang = threading.Event()
        second = PreviewSink(rang.set)
        pipeline.add_sink(second)
        camera.put(driving_frame(1))
        assert rang.wait(_LONG_S)
        pipeline.remove_sink("preview")
        assert "preview" not in pipeline.stats().frame_age
        camera.put(driving_frame(2))
        assert first.wait_for(3, _LONG_S)
        assert pipeline.state.phase is Phase.RUNNING
        with pytest.raises(Closed):
            second.send(first.frames[-1])
    assert first.count == 3


def test_names_stay_different_and_one_sink_stays() -> None:
    camera, first = ScriptedCamera(), MemorySink()
    with make_pipeline(camera, first) as pipeline:
        with pytest.raises(ValueError, match="already"):
            pipeline.add_sink(MemorySink())
        with pytest.raises(ValueError, match="only sink"):
            pipeline.remove_sink("memory")
        pipeline.remove_sink("nobody")


def test_before_the_start_too() -> None:
    camera, first, second = ScriptedCamera(driving_frame(0), None), MemorySink(), PreviewSink()
    pipeline = make_pipeline(camera, first)
    pipeline.add_sink(second)
    pipeline.remove_sink("preview")
    pipeline.start()
    assert pipeline.wait(_LONG_S), "a finite source still comes to its end"
    pipeline.stop()
    assert first.count == 1


def test_an_ended_pipeline_takes_no_sink() -> None:
    pipeline = make_pipeline(ScriptedCamera(None), MemorySink())
    pipeline.start()
    pipeline.wait(_LONG_S)
    pipeline.stop()
    with pytest.raises(Closed):
        pipeline.add_sink(PreviewSink())


def test_a_peek_keeps_the_newest_small_picture_and_lets_go() -> None:
    camera, rang = ScriptedCamera(driving_frame(0)), threading.Event()
    peek = CameraPeek(lambda: camera, doorbell=rang.set, on_error=lambda error: pytest.fail(str(error)), width_px=32)
    assert rang.wait(_LONG_S)
    picture = peek.take()
    assert picture is not None
    assert picture.shape == (24, 32, 3)
    assert peek.take() is None
    peek.close()
    assert camera.closed.is_set()


def test_a_peek_tells_what_is_wrong() -> None:
    told: list[BaseException] = []
    done = threading.Event()

    def fail() -> ScriptedCamera:
        raise CameraBusy("In use.")

    peek = CameraPeek(fail, doorbell=lambda: None, on_error=lambda error: (told.append(error), done.set())[0])
    assert done.wait(_LONG_S)
    peek.close()
    assert isinstance(told[0], CameraBusy)


def test_a_recording_that_could_not_be_signed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own_folder().mkdir(parents=True)
    key = own_folder() / "key.pem"
    key.write_text("nonsense")
    camera, first = ScriptedCamera(), MemorySink()
    try:
        with make_pipeline(camera, first) as pipeline:
            pipeline.start()
            assert pipeline.wait_until_live(_LONG_S)
            pipeline.add_sink(Mp4Sink(tmp_path / "take.mp4"))
            camera.put(driving_frame(0))
            assert first.wait_for(1, _LONG_S)
            pipeline.remove_sink("mp4")
            told = []
            while (event := pipeline.next_event(0.0)) is not None:
                told.append(event)
    finally:
        key.unlink()
    (warned,) = (event for event in told if isinstance(event, Warned))
    assert isinstance(warned.error, SigningFailed)
    assert "not signed" in str(warned.error)
    assert "not signed" in caplog.text
    assert (tmp_path / "take.mp4").stat().st_size > 1000
