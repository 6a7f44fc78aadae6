# SPDX-License-Identifier: Apache-2.0
"""The decoder in 8-bit integers: what is quantised, how it is judged, and when it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.app.demo import builtin_clip
from engine.build import __main__ as command
from engine.build import int8_cli
from engine.build.calibration import RecordedFrame, feeds_of, record_frames
from engine.build.int8 import Judged, judge, open_precisions, quantise, require_worth
from engine.errors import PrecisionLost
from engine.runtime import manifest as manifests
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from tests.helpers.gpu_checks import frame, source_set
from tests.helpers.small_export import load_small

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def decoded(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    """A model with a decoder in a folder of its own, without an int8 graph."""
    folder = tmp_path_factory.mktemp("assets") / "models" / "small"
    shutil.copytree(small_folder, folder)
    return load_small(folder)


@pytest.fixture(scope="module")
def frames(decoded: ModelManifest) -> list[RecordedFrame]:
    runner = OpenVinoRunner(decoded, precision="fp32")
    sources = runner.encode(*source_set(3, side_px=decoded.side_px, seed=5))
    return [RecordedFrame(sources, frame(0.05 * step, 2)) for step in range(3)]


@pytest.fixture(scope="module")
def graph(decoded: ModelManifest, frames: list[RecordedFrame]) -> bytes:
    return quantise(decoded, frames)


def test_convolutions_of_the_islands_are_quantised_and_nothing_else(graph: bytes) -> None:
    proto = onnx.load_from_string(graph).graph
    maker = {name: node for node in proto.node for name in node.output}
    weights = {x.name for x in proto.initializer}
    kinds: dict[str, set[bool]] = {}
    for node in proto.node:
        quantised = any(name in maker and maker[name].op_type == "DequantizeLinear" for name in node.input)
        kinds.setdefault(node.op_type, set()).add(quantised)
    assert kinds["Conv"] == {True, False}  # the decoder's, and those that find learned queries and heads
    for name in ("MatMul", "GridSample", "Softmax", "Gemm"):
        assert True not in kinds.get(name, set()), name
    assert any("model.sketch.mid" in name and "quantized" in name for name in weights)
    assert not any(
        part in name and "quantized" in name for name in weights for part in ("steer", "finish.out", "query")
    )


def test_every_precision_is_judged_against_float32(
    decoded: ModelManifest, graph: bytes, frames: Sequence[RecordedFrame], tmp_path: Path
) -> None:
    runners = open_precisions(decoded, graph, tmp_path)
    assert "int8 decoder" in runners["int8"].description
    rows = {row.precision: row for row in judge(runners, frames, rounds=1)}
    assert set(rows) >= {"fp32", "int8"}
    assert rows["fp32"].psnr_db == float("inf")
    assert rows["fp32"].ratio == 1
    assert 30 < rows["int8"].psnr_db <= rows["int8"].median_psnr_db < 90
    assert all(row.p50_ms > 0 and row.ratio > 0 for row in rows.values())


@pytest.mark.parametrize(
    ("psnr_db", "ratio", "says"),
    [
        (37.9, 0.5, "is 37.9 dB from float32 on its worst frame, expected 38 dB"),
        (float("nan"), 0.5, "is nan dB from float32"),
        (44.0, 0.8, "takes 0.80 of float32's time, bf16 0.70: it is no faster here"),
    ],
)
def test_what_is_not_worth_it_is_not_kept(psnr_db: float, ratio: float, says: str) -> None:
    rows = [
        Judged("fp32", float("inf"), float("inf"), 10.0, 1.0),
        Judged("bf16", 60.0, 60.0, 7.0, 0.7),
        Judged("int8", psnr_db, 45.0, 5.0, ratio),
    ]
    with pytest.raises(PrecisionLost, match=says):
        require_worth(load_manifest("lite"), rows)
    require_worth(load_manifest("lite"), [*rows[:2], Judged("int8", 38.0, 45.0, 5.0, 0.6)])


@pytest.mark.slow
def test_frames_are_recorded_as_they_are_in_use() -> None:
    manifest = load_manifest("lite")
    recorded = record_frames(manifest, ["amara"], builtin_clip(), frames=3)
    assert len(recorded) == 3
    feeds = feeds_of(recorded[1])
    assert feeds["rgba"].shape[:2] == (1, recorded[1].sources.count)
    assert feeds["pick"].shape == (1, 2)
    assert np.abs(feeds["keypoints"] - feeds_of(recorded[2])["keypoints"]).max() > 0.01  # the clip moves


class TestCommand:
    """`python -m engine.build int8 MODEL`."""

    @pytest.mark.parametrize("model", ["lite", "fomm"])
    def test_a_model_without_a_decoder_is_7(self, model: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["int8", model]) == 7
        assert f"'{model}' has no convolutions that may run in 8-bit integers" in capsys.readouterr().err

    def test_looking_is_not_writing(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            command.main(["int8", "lite", "--products", "--write"])
        assert "--products is for looking" in capsys.readouterr().err

    def test_it_judges_writes_and_the_model_uses_it(
        self,
        decoded: ModelManifest,
        graph: bytes,
        frames: list[RecordedFrame],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        worth = [Judged("fp32", 99.0, 99.0, 9.0, 1.0), Judged("int8", 45.0, 46.0, 5.0, 0.6)]
        monkeypatch.setattr(manifests, "asset_root", lambda: decoded.folder.parents[1])
        monkeypatch.setattr(int8_cli, "list_models", lambda: ["small"])
        monkeypatch.setattr(int8_cli, "record_frames", lambda *_, **__: frames)
        monkeypatch.setattr(int8_cli, "judge", lambda *_, **__: worth)
        monkeypatch.setattr(int8_cli, "quantise", lambda *_, **__: graph)
        sheet = tmp_path / "sheet.png"
        assert command.main(["int8", "small", "--write", "--sheet", str(sheet)]) == 0
        assert "int8            45.0      46.0     5.00       0.60×" in capsys.readouterr().out
        assert sheet.stat().st_size > 1000
        manifest = load_manifest("small")
        manifest.verify()
        assert manifest.quantised
        assert "int8 decoder" in OpenVinoRunner(manifest, precision="int8").description
