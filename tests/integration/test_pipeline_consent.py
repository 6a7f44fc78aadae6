# SPDX-License-Identifier: Apache-2.0
"""No character goes to the virtual camera without a consent note, whichever way set and sink come together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from engine.app.live import LiveJob, open_live
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.consent import Consent, recording_notes
from engine.errors import ConsentMissing
from engine.events import Failed, PipelineEvent, Warned
from engine.pipeline import Pipeline
from engine.provenance.reading import read_signature
from engine.renderer import Renderer
from engine.sets.save import save_draft
from engine.sinks.base import BaseSink
from engine.sinks.file import open_file_sink
from engine.sinks.lent import LentSink
from engine.sinks.memory import MemorySink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.mp4_notes import rewrite_notes
from engine.sinks.virtual_camera import VirtualCameraSink
from engine.state import Phase
from engine.types import Composite, Origin, SourceSet
from engine.watermark.gate import holding_card, seal
from tests.helpers.scripted import SIZE_WH, ScriptedCamera, driving_frame, make_renderer, make_source_set, shows_person
from tests.unit.test_sets_draft import make_draft

_LONG_S = 30.0
_SETTINGS = LiveSettings(output=OutputSettings(size_wh=SIZE_WH), pipeline=PipelineSettings(stall_s=60, join_s=10))


class Outward(MemorySink):
    """A sink that others look at, like a virtual camera."""

    name = "outward"
    needs_consent = True


def character(name: str, kind: str = "") -> SourceSet:
    return replace(make_source_set(name), consent=Consent(kind))


def pipeline_with(shown: SourceSet, camera: ScriptedCamera, *sinks: BaseSink) -> Pipeline:
    def make() -> Renderer:
        renderer = make_renderer(settings=_SETTINGS)
        renderer.set_source_set(shown)
        return renderer

    return Pipeline(lambda: camera, make, sinks, settings=_SETTINGS)


def until(pipeline: Pipeline, kind: type) -> PipelineEvent:
    while True:
        event = pipeline.next_event(_LONG_S)
        assert event is not None
        if isinstance(event, kind):
            return event


def test_the_virtual_camera_asks_and_a_file_does_not() -> None:
    assert VirtualCameraSink.needs_consent
    assert not Mp4Sink.needs_consent
    assert not MemorySink.needs_consent
    assert LentSink(Outward()).needs_consent


def test_a_set_without_a_note_ends_the_run_with_the_card() -> None:
    sink, camera = Outward(), ScriptedCamera(driving_frame(0))
    pipeline = pipeline_with(character("bare"), camera, sink)
    pipeline.start()
    failed = until(pipeline, Failed)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ConsentMissing)
    assert "bare" in str(failed.error)
    pipeline.stop()
    assert all(shows_person(frame) < 0.5 for frame in sink.frames), "the character was shown"


def test_a_set_with_a_note_passes() -> None:
    sink, camera = Outward(), ScriptedCamera(driving_frame(0))
    pipeline = pipeline_with(character("mara", "mine"), camera, sink)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    pipeline.stop()
    assert pipeline.state.phase is Phase.IDLE
    assert shows_person(sink.frames[0]) > 0.5


def test_a_change_to_one_without_is_refused_and_the_old_one_stays() -> None:
    sink, camera = Outward(), ScriptedCamera(driving_frame(0))
    pipeline = pipeline_with(character("mara", "mine"), camera, sink)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    pipeline.set_source_set(character("bare"))
    warned = until(pipeline, Warned)
    assert isinstance(warned, Warned)
    assert isinstance(warned.error, ConsentMissing)
    camera.put(driving_frame(1))
    assert sink.wait_for(2, _LONG_S)
    assert pipeline.source_set is not None
    assert pipeline.source_set.name == "mara"
    assert pipeline.state.live
    pipeline.stop()


def test_even_a_command_cannot_slip_one_in() -> None:
    sink, camera = Outward(), ScriptedCamera(driving_frame(0))
    pipeline = pipeline_with(character("mara", "mine"), camera, sink)
    pipeline.start()
    assert sink.wait_for(1, _LONG_S)
    pipeline.command(lambda renderer: renderer.set_source_set(character("bare")))
    camera.put(driving_frame(1))
    failed = until(pipeline, Failed)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ConsentMissing)
    pipeline.stop()


def test_a_sink_that_asks_cannot_join_a_set_without() -> None:
    inner, camera = MemorySink(), ScriptedCamera(driving_frame(0))
    pipeline = pipeline_with(character("bare"), camera, inner)
    pipeline.start()
    assert inner.wait_for(1, _LONG_S)
    outward = Outward()
    with pytest.raises(ConsentMissing, match="bare"):
        pipeline.add_sink(outward)
    camera.put(driving_frame(1))
    assert inner.wait_for(2, _LONG_S), "the others go on"
    pipeline.stop()
    assert not outward.frames


def test_a_live_run_says_so_before_anything_is_opened(tmp_path: Path) -> None:
    folder = save_draft(make_draft().with_consent(Consent()), tmp_path / "mara.bunraku")
    job = LiveJob(source_set=str(folder), camera="camera:does not exist")
    with pytest.raises(ConsentMissing, match="does not say by whose leave"):
        open_live(job)


def test_a_recording_carries_the_note(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    note = Consent("consented", who="B. Person", how="a form", until="2027-01-31")
    with Mp4Sink(path, notes=recording_notes(replace(make_source_set("mara"), consent=note))) as sink:
        sink.send(holding_card((160, 90), "x"))
    with av.open(str(path)) as file:
        said = dict(file.metadata)
    assert said["description"] == "Character: mara"
    assert "B. Person" in said["copyright"]
    assert "AI-generated" in said["comment"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_recording_names_everybody_it_shows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    people = {"mara": Consent("consented", who="B. Person", how="a form", until="2027-01-31"), "otto": Consent("mine")}
    first = replace(make_source_set("mara"), consent=people["mara"])
    with open_file_sink(path, fps=30, transparent=suffix == ".mov", live=True, notes=recording_notes(first)) as sink:
        for number in range(90):
            name = "mara" if number < 50 else "otto"
            origin = Origin("lite", "ab" * 32, people[name].kind, name, people[name].describe())
            canvas = Composite(number * 33_333_333, np.full((90, 160, 3), 90, np.uint8))
            sink.send(seal(canvas, rendered_ns=0, origin=origin))
    with av.open(str(path)) as file:
        said = dict(file.metadata)
        assert sum(1 for _ in file.decode(video=0)) == 90, "it still plays"
    assert said.get("description", "Characters: mara, otto") == "Characters: mara, otto"
    assert ("description" in said) == (suffix == ".mp4"), "a MOV has none"
    assert "mara – consented: B. Person" in said["copyright"]
    assert "otto – mine" in said["copyright"]
    assert "AI-generated" in said["comment"]
    signature = read_signature(path)
    assert signature is not None
    assert signature.intact
    assert [character["name"] for character in signature.characters] == ["mara", "otto"]
    assert b"B. Person" not in path.with_suffix(".c2pa").read_bytes()


def test_a_recording_whose_index_is_not_at_its_end_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(b"\0\0\0\x08moov\0\0\0\x08mdat")
    assert not rewrite_notes(path, {"description": "Characters: a, b"})
    assert path.read_bytes() == b"\0\0\0\x08moov\0\0\0\x08mdat"
