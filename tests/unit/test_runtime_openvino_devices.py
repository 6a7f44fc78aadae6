# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's other devices and precisions: what runs where, and what is refused. The CPU stands in for the devices."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import weakref
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.build.parity import psnr_of
from engine.errors import BackendUnavailable
from engine.runtime import openvino_device
from engine.runtime.manifest import INT8_GRAPH, ModelManifest, load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.select import open_learned_runner, open_runner
from tests.helpers.gpu_checks import frame, source_set


class PretendCore:
    """OpenVINO's core with more devices, which are the CPU. compiled: (device, whether all shapes were fixed)."""

    def __init__(self, *devices: str) -> None:
        self.real = openvino_device._core()
        self.available_devices = ["CPU", *devices]
        self.compiled: list[tuple[str, bool]] = []

    def read_model(self, path: Path) -> Any:
        return self.real.read_model(path)

    def get_property(self, device: str, name: str) -> Any:
        return self.real.get_property("CPU", name) if device == "CPU" else ["FP16"]

    def import_model(self, data: Any, device: str, settings: dict[str, Any]) -> Any:
        self.compiled.append((device, False))  # compiled earlier in this process
        return self.real.import_model(data, "CPU", settings)

    def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> Any:
        self.compiled.append((device, not model.is_dynamic()))
        known = {"PERFORMANCE_HINT", "INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "PERF_COUNT"}
        assert set(settings) <= known
        assert device != "NPU" or "INFERENCE_PRECISION_HINT" not in settings
        return self.real.compile_model(model, "CPU", settings)


@pytest.fixture(autouse=True)
def _nothing_compiled_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of other tests, and of other cores, are not these tests'."""
    monkeypatch.setattr(openvino_device, "_compiled", {})
    monkeypatch.setattr(openvino_device, "_in_use", weakref.WeakValueDictionary())
    monkeypatch.setattr(openvino_device, "_recent", deque(maxlen=3))


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> PretendCore:
    core = PretendCore("GPU.0", "NPU")
    monkeypatch.setattr(openvino_device, "_core", lambda: core)
    return core


def draw(runner: OpenVinoRunner, count: int = 3) -> np.ndarray:
    return runner.animate(runner.encode(*source_set(count)), frame(0.1, min(2, count))).copy()


@pytest.mark.parametrize(
    ("backend", "hint"), [("openvino:NPU", "Intel Core Ultra"), ("openvino:gpu", "intel-opencl-icd")]
)
def test_a_device_that_is_not_there_names_those_that_are(backend: str, hint: str) -> None:
    device = backend.partition(":")[2].upper()
    with pytest.raises(BackendUnavailable, match=f"OpenVINO has no device '{device}' here; it sees: CPU") as caught:
        open_runner(backend)
    assert hint in caught.value.hint
    assert "--backend openvino (CPU)" in caught.value.hint


def test_a_gpu_gets_fixed_shapes_and_draws_the_same(core: PretendCore) -> None:
    runner = open_runner("openvino:GPU")[0]
    assert "on GPU, fp32" in runner.description
    expected = draw(OpenVinoRunner(load_manifest("lite")))
    core.compiled.clear()
    assert psnr_of(draw(runner), expected) > 90  # type: ignore[arg-type]
    assert core.compiled[-1] == ("GPU", True)
    draw(runner, 2)  # type: ignore[arg-type]
    assert core.compiled[-1] == ("GPU", True)  # compiled again: the set has another size


def test_an_npu_gets_the_decoder_alone(core: PretendCore) -> None:
    manifest = load_manifest("lite-trained")
    runner = OpenVinoRunner(manifest, device="NPU")
    assert runner.description.endswith("fp32 + fp16 decoder on NPU")
    assert "on CPU" in runner.description
    found = draw(runner)
    assert [device for device, _ in core.compiled] == ["CPU", "CPU", "NPU", "CPU", "NPU"]  # the encoder, then the parts
    assert all(fixed for device, fixed in core.compiled if device == "NPU")
    assert psnr_of(found, draw(OpenVinoRunner(manifest, precision="fp32"))) > 60
    runner.start(runner.encode(*source_set(3)), frame(0.1, 2))
    np.testing.assert_array_equal(runner.wait(), found)  # of a graph in parts, too


def test_geometry_alone_is_nothing_for_an_npu(core: PretendCore) -> None:
    with pytest.raises(BackendUnavailable, match="'lite' is all geometry, which an NPU computes too coarsely"):
        open_runner("openvino:NPU")
    with pytest.raises(BackendUnavailable, match="'fomm' needs float32, and an NPU computes in half precision alone"):
        open_learned_runner(load_manifest("fomm"), backend="openvino:NPU")


def test_a_runner_in_the_place_of_a_broken_one_compiles_nothing(core: PretendCore) -> None:
    first = open_runner("openvino")[0]
    drawn, compiled = draw(first), len(core.compiled)
    assert compiled
    second = open_runner("openvino")[0]
    second_drawn = draw(second)
    first.close()
    np.testing.assert_array_equal(second_drawn, drawn)
    np.testing.assert_array_equal(draw(second), drawn)
    second.close()  # as after a loss, where the broken one goes first
    np.testing.assert_array_equal(draw(open_runner("openvino")[0]), drawn)
    assert len(core.compiled) == compiled


class TestInt8:
    """A graph of its own beside the exact one."""

    @pytest.fixture
    def quantised(self, tmp_path: Path) -> ModelManifest:
        """`lite-trained` with an int8 graph that is, to be told apart, `lite`-like in nothing but its name."""
        manifest = load_manifest("lite-trained")
        for name in manifest.files:
            shutil.copy(manifest.folder / name, tmp_path)
        data = (manifest.folder / "animate.onnx").read_bytes()
        (tmp_path / INT8_GRAPH).write_bytes(data)
        files = {**manifest.files, INT8_GRAPH: hashlib.sha256(data).hexdigest()}
        return dataclasses.replace(manifest, folder=tmp_path, files=files)

    @pytest.mark.parametrize(("bf16", "precision"), [(True, "int8"), (False, "fp32")])
    def test_auto_takes_it_where_the_processor_is_new_enough(
        self, bf16: bool, precision: str, quantised: ModelManifest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class OldCore(PretendCore):
            def get_property(self, device: str, name: str) -> Any:
                return ["FP32", "INT8", *(["BF16"] if bf16 else [])]

        core = OldCore()
        monkeypatch.setattr(openvino_device, "_core", lambda: core)
        description = OpenVinoRunner(quantised).description
        assert description.endswith("fp32 + int8 decoder" if precision == "int8" else "fp32")

    def test_it_is_one_graph_and_it_is_the_one_that_runs(self, quantised: ModelManifest, core: PretendCore) -> None:
        runner = OpenVinoRunner(quantised, precision="int8")
        draw(runner)
        assert len(core.compiled) == 2  # encoder and frame
        (quantised.folder / INT8_GRAPH).write_bytes(b"")
        with pytest.raises(Exception, match=INT8_GRAPH):
            OpenVinoRunner(quantised, precision="int8")

    def test_a_model_without_one_says_how_to_make_it(self) -> None:
        with pytest.raises(BackendUnavailable, match="'lite' has no int8 graph") as caught:
            OpenVinoRunner(load_manifest("lite"), precision="int8")
        assert caught.value.hint == "Make one: python -m engine.build int8 lite"
