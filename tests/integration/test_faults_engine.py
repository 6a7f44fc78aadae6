# SPDX-License-Identifier: Apache-2.0
"""Damaged engine files of TensorRT for RTX in the real pipeline: one sentence with the command, and no other engine.

The GPU is the stand-in of `tests.helpers.host_cuda`; engine files, their records and all that reads them are real.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.app.assembly import build_pipeline, load_sources
from engine.app.demo import builtin_clip
from engine.cli.commands import app
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.errors import EngineMismatch
from engine.evaluation.bench_live import open_stand_in
from engine.evaluation.soak.sinks import AuditSink
from engine.pipeline import Pipeline
from engine.runtime.engine_file import record_path
from engine.sinks.memory import MemorySink
from engine.state import Phase
from engine.types import OutputFrame, SourceSet
from engine.watermark.gate import holding_card
from tests.helpers.nvidia_machine import NvidiaMachine

_LONG_S = 60.0
_SIZE_WH = (320, 180)
_BUILD = "python build_engines.py --flavour tensorrt_rtx --only lite"
_LOST = 719  # cudaErrorLaunchFailure


@pytest.fixture(scope="module")
def otto() -> SourceSet:
    return load_sources("otto", count=1)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NvidiaMachine:
    monkeypatch.setenv("BUNRAKU_ENGINES", str(tmp_path / "engines"))
    return NvidiaMachine(monkeypatch)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(bytes(data))


def _lose_record(path: Path) -> None:
    record_path(path).unlink()


_DAMAGES = [
    pytest.param(_truncate, "is truncated: expected 9 bytes, got 6", id="truncated"),
    pytest.param(_change, "is damaged: its sha256 is not the one in its record", id="changed"),
    pytest.param(_lose_record, "has no readable record beside it", id="no record"),
]


def _pipeline(sink: MemorySink | AuditSink, source_set: SourceSet, backend: str) -> Pipeline:
    return build_pipeline(
        lambda: open_stand_in(builtin_clip(), fps=30),
        [sink],
        source_set,
        backend=backend,
        settings=LiveSettings(
            output=OutputSettings(size_wh=_SIZE_WH), pipeline=PipelineSettings(stall_s=30, join_s=_LONG_S)
        ),
    )


@pytest.mark.parametrize(("damage", "words"), _DAMAGES)
def test_a_damaged_engine_is_refused_at_the_start_with_the_command(
    machine: NvidiaMachine, otto: SourceSet, damage: Callable[[Path], None], words: str
) -> None:
    damage(machine.build("sm89"))
    sink = MemorySink()
    with _pipeline(sink, otto, "tensorrt_rtx") as pipeline:
        pipeline.start()
        assert not pipeline.wait_until_live(_LONG_S)
        error = pipeline.state.error
    assert isinstance(error, EngineMismatch)
    assert words in error.message
    assert error.hint == f"Run: {_BUILD}"
    assert sink.count == 0, "nothing was drawn by another engine"


def test_the_command_line_ends_with_that_sentence_and_7(machine: NvidiaMachine, tmp_path: Path) -> None:
    _truncate(machine.build("sm89"))
    out = tmp_path / "out.mp4"
    arguments = ["animate", "--driving", str(builtin_clip()), "--set", "otto", "--backend", "tensorrt_rtx"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == EngineMismatch.exit_code == 7
    assert "The engine of 'lite' is truncated: expected 9 bytes, got 6" in result.stderr
    assert _BUILD in result.stderr
    assert not out.exists()


@pytest.mark.parametrize("backend", ["tensorrt_rtx", "auto"])
def test_an_engine_damaged_under_a_run_ends_it_with_the_card_and_not_on_the_cpu(
    machine: NvidiaMachine, otto: SourceSet, backend: str
) -> None:
    engine = machine.build("sm89")
    sink = AuditSink()
    kept: list[OutputFrame] = []
    send = sink.send

    def keep(frame: OutputFrame) -> None:
        kept[:] = [frame]
        send(frame)

    sink.send = keep  # type: ignore[method-assign]
    pipeline = _pipeline(sink, otto, backend)
    pipeline.start()
    assert pipeline.wait_until_live(_LONG_S), pipeline.state
    assert "tensorrt_host" in pipeline.description
    assert sink.wait_for(3, _LONG_S)
    _change(engine)
    machine.cuda.failing["cudaGraphLaunch"] = _LOST  # the runner must be opened anew, and reads the file again
    assert pipeline.wait(_LONG_S)
    error = pipeline.state.error
    pipeline.stop()
    assert isinstance(error, EngineMismatch)
    assert "is damaged" in error.message
    assert error.hint == f"Run: {_BUILD}"
    assert pipeline.state.phase is Phase.FAILED
    assert np.array_equal(kept[0].rgb, holding_card(_SIZE_WH, "Back in a moment").rgb), "the last picture is the card"
    assert (sink.found.unmarked, sink.found.raw) == (0, 0)


def test_a_gpu_that_was_lost_comes_back_with_its_own_engine(machine: NvidiaMachine, otto: SourceSet) -> None:
    machine.build("sm89")
    sink = AuditSink()
    with _pipeline(sink, otto, "auto") as pipeline:
        pipeline.start()
        assert pipeline.wait_until_live(_LONG_S), pipeline.state
        machine.cuda.failing["cudaGraphLaunch"] = _LOST
        while pipeline.state.phase is not Phase.DEGRADED:
            assert pipeline.next_event(_LONG_S) is not None, pipeline.state
        while pipeline.state.phase is not Phase.RUNNING:
            assert pipeline.next_event(_LONG_S) is not None, pipeline.state
        assert "cudaDeviceReset" in machine.cuda.calls
        assert "tensorrt_host" in pipeline.description
