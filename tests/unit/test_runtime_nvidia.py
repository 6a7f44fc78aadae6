# SPDX-License-Identifier: Apache-2.0
"""From a machine to its GPU's engine: every obstacle is one sentence with a command, and `auto` says which it met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.build.profiles import BUCKETS, RANGE
from engine.errors import BackendUnavailable, EngineMismatch, EngineMissing, OutOfDeviceMemory
from engine.runtime import cuda as cuda_module
from engine.runtime import nvidia, select
from engine.runtime.base import FrameInputs
from engine.runtime.cuda import CudaDevice
from engine.runtime.engine_file import EngineKey, default_folder
from engine.runtime.manifest import load_manifest
from tests.helpers.host_cuda import HostCuda
from tests.helpers.nvidia_machine import NvidiaMachine
from tests.helpers.source_faces import make_keypoints, portrait_rgb

MANIFEST = load_manifest("lite")
BUILD = "python build_engines.py --flavour tensorrt_rtx --only lite"


@pytest.mark.parametrize(
    ("options", "index", "says", "hint"),
    [
        ({"status": 35, "driver": 0}, 0, "here: no NVIDIA driver was found.", "driver of version 580 or newer"),
        ({"status": 35, "driver": 12040}, 0, "too old: it knows CUDA 12.4, expected 13.0.", "version 580 or newer"),
        ({"status": 100}, 0, "the driver sees no NVIDIA GPU.", "seated, powered"),
        ({"status": 803}, 0, "the NVIDIA driver does not start (status 803).", "Restart the computer"),
        ({"count": 2}, 2, "no NVIDIA GPU number 2: the driver sees 2.", "a number below"),
    ],
    ids=["no driver", "old driver", "no GPU", "driver half updated", "no such GPU"],
)
def test_no_gpu_is_one_sentence(options: dict[str, Any], index: int, says: str, hint: str) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        CudaDevice(index, api=HostCuda(**options))
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NvidiaMachine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return NvidiaMachine(monkeypatch)


class TestByName:
    """`--backend tensorrt_rtx`."""

    def test_an_engine_for_several_gpus_serves_this_one(self, machine: NvidiaMachine) -> None:
        machine.build("sm86", "sm89")
        runner, reason = select.open_runner("tensorrt_rtx")
        assert reason == "asked for"
        assert runner.description == "tensorrt_host 1.0 on Host GPU, fp32"

    def test_buckets_will_do_and_a_range_is_preferred(self, machine: NvidiaMachine) -> None:
        wanted = EngineKey(
            "lite", "animate", MANIFEST.files["animate.onnx"], "tensorrt_rtx", "1.0", ("sm89",), "fp32", RANGE.name
        )
        buckets = machine.build("sm89", profile=BUCKETS.name)
        assert nvidia.find_for_gpu(default_folder(), wanted) == buckets
        plain = machine.build("sm89")
        assert nvidia.find_for_gpu(default_folder(), wanted) == plain

    @pytest.mark.parametrize("name", ["BUNRAKU_ENGINES", "XDG_CACHE_HOME"])
    def test_the_folder_can_be_chosen(
        self, name: str, machine: NvidiaMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
        assert tmp_path / "elsewhere" in machine.build("sm89").parents
        assert select.open_runner("tensorrt_rtx")[0]

    def test_none_built_says_the_command(self, machine: NvidiaMachine) -> None:
        with pytest.raises(EngineMissing) as caught:
            select.open_runner("tensorrt_rtx")
        assert caught.value.message == "No engine of 'lite' was built for sm89 with tensorrt_rtx 1.0."
        assert caught.value.hint == f"Run: {BUILD}"

    @pytest.mark.parametrize(
        ("architecture", "changes", "there"),
        [
            ("sm120", {}, "sm120 with tensorrt_rtx 1.0"),
            ("sm89", {"version": "0.9"}, "sm89 with tensorrt_rtx 0.9"),
            ("sm89", {"flavour": "tensorrt", "version": "11.1"}, "sm89 with tensorrt 11.1"),
        ],
        ids=["another GPU", "another version", "another flavour"],
    )
    def test_one_for_something_else_is_named(
        self, architecture: str, changes: dict[str, str], there: str, machine: NvidiaMachine
    ) -> None:
        machine.build(architecture, **changes)
        with pytest.raises(EngineMissing, match=f"there are some for {there}") as caught:
            select.open_runner("tensorrt_rtx")
        assert caught.value.hint == f"Run: {BUILD}"

    def test_a_gpu_that_is_not_built_for_by_itself_is_in_the_command(self, machine: NvidiaMachine) -> None:
        machine.cuda.architecture = (12, 1)
        with pytest.raises(EngineMissing) as caught:
            select.open_runner("tensorrt_rtx")
        assert caught.value.hint == f"Run: {BUILD} --target sm121"

    @pytest.mark.parametrize("architecture", [(7, 5), (9, 0)])
    def test_a_gpu_that_rtx_does_not_know_is_told_the_other_library(
        self, architecture: tuple[int, int], machine: NvidiaMachine
    ) -> None:
        machine.cuda.architecture = architecture
        with pytest.raises(BackendUnavailable, match=r"Host GPU is sm(75|90), and TensorRT for RTX runs our") as caught:
            select.open_runner("tensorrt_rtx")
        assert "--flavour tensorrt" in caught.value.hint

    def test_a_truncated_one_is_not_used(self, machine: NvidiaMachine) -> None:
        machine.build("sm89", data=b"half")
        with pytest.raises(EngineMismatch, match="truncated: expected 9 bytes, got 4") as caught:
            select.open_runner("tensorrt_rtx")
        assert caught.value.hint == f"Run: {BUILD}"

    def test_one_of_an_older_model_is_not_used(self, machine: NvidiaMachine) -> None:
        machine.build("sm89", graph_sha256="0" * 64)
        with pytest.raises(EngineMismatch, match="stale: it was built for graph sha256 000000000000…"):
            select.open_runner("tensorrt_rtx")

    def test_one_that_the_library_does_not_read_is_named(self, machine: NvidiaMachine) -> None:
        machine.build("sm89")
        machine.library_options["readable"] = False
        with pytest.raises(EngineMismatch, match="cannot be used on Host GPU: 9 bytes are not an engine") as caught:
            select.open_runner("tensorrt_rtx")
        assert "build_engines.py" in caught.value.hint

    def test_too_little_memory_is_said_in_figures(self, machine: NvidiaMachine) -> None:
        machine.build("sm89")
        machine.library_options["context_bytes"] = 2 << 40
        with pytest.raises(OutOfDeviceMemory, match="needs 2199023 MB on Host GPU, where"):
            select.open_runner("tensorrt_rtx")

    def test_a_gpu_is_a_number(self, machine: NvidiaMachine) -> None:
        with pytest.raises(BackendUnavailable, match="'fast' is no number of a GPU"):
            select.open_runner("tensorrt_rtx:fast")

    def test_a_library_that_is_not_there_says_how_to_get_it(self, machine: NvidiaMachine) -> None:
        with pytest.raises(BackendUnavailable, match="needs the package tensorrt, which is not installed") as caught:
            select.open_runner("tensorrt")
        assert caught.value.hint == "Run: pip install '.[tensorrt]'"


class TestAuto:
    """What `auto` chooses, and the reason in the run's first line."""

    def test_the_gpu_where_everything_is_there(self, machine: NvidiaMachine) -> None:
        machine.build("sm89")
        runner, reason = select.open_runner("auto")
        assert runner.description.startswith("tensorrt_host 1.0 on Host GPU")
        assert reason == "auto: an NVIDIA GPU and an engine for it are here"
        rgba = np.ones((1, 4, 256, 256), np.float32)
        rgba[0, :3] = portrait_rgb((256, 256)).transpose(2, 0, 1) / 127.5 - 1
        keypoints = make_keypoints()[None].astype(np.float32)
        zero = np.zeros(1, np.float32)
        inputs = FrameInputs(keypoints[0], np.zeros(1, np.int64), zero, zero)
        assert np.abs(runner.animate(runner.encode(rgba, keypoints), inputs) - rgba[0])[:, 60:196, 60:196].mean() < 0.02

    @pytest.mark.parametrize(
        ("change", "because"),
        [
            (lambda m: setattr(m, "driver", False), "no NVIDIA driver was found"),
            (
                lambda m: m.installed.clear(),
                "neither tensorrt_rtx nor tensorrt is installed beside the NVIDIA driver; run: pip install '.[rtx]' or "
                "pip install '.[tensorrt]'",
            ),
            (
                lambda m: setattr(m, "cuda", HostCuda(status=35, driver=12040)),
                "the NVIDIA back-ends cannot run here: the NVIDIA driver is too old: it knows CUDA 12.4, expected 13.0",
            ),
            (
                lambda m: setattr(m, "cuda", HostCuda(status=100)),
                "the NVIDIA back-ends cannot run here: the driver sees no NVIDIA GPU",
            ),
            (lambda m: None, f"no engine of 'lite' was built for sm89 with tensorrt_rtx 1.0; run: {BUILD}"),
            (lambda m: m.build("sm89", data=b"half"), "the engine of 'lite' is truncated: expected 9 bytes, got 4"),
            (
                lambda m: (m.build("sm89"), m.library_options.update(context_bytes=2 << 40)),
                "the engine of 'lite' needs 2199023 MB on Host GPU",
            ),
        ],
        ids=["no driver", "no package", "old driver", "no GPU", "no engine", "truncated", "no memory"],
    )
    def test_the_cpu_else_and_why(
        self, change: Callable[[NvidiaMachine], object], because: str, machine: NvidiaMachine
    ) -> None:
        change(machine)
        runner, reason = select.open_runner("auto")
        assert runner.description.startswith("openvino")
        assert reason.startswith(f"auto: openvino on CPU, because {because}")

    def test_without_cuda_python_it_says_so(self, machine: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> None:
            raise BackendUnavailable(
                "The NVIDIA back-ends need the package cuda-python.", hint="Run: pip install '.[rtx]'"
            )

        monkeypatch.setattr(cuda_module, "load_cuda", missing)
        reason = select.open_runner("auto")[1]
        assert reason.endswith("because the NVIDIA back-ends need the package cuda-python; run: pip install '.[rtx]'")

    def test_a_library_that_breaks_is_named_and_logged(
        self, machine: NvidiaMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: str) -> None:
            raise TypeError("no such overload")

        machine.build("sm89")
        monkeypatch.setattr(nvidia, "load_library", broken)
        runner, reason = select.open_runner("auto")
        assert runner.description.startswith("openvino")
        assert "because tensorrt_rtx failed (TypeError: no such overload); --backend tensorrt_rtx shows" in reason
        assert "failed while it was opened" in caplog.text

    def test_both_libraries_are_tried_and_both_reasons_given(self, machine: NvidiaMachine) -> None:
        machine.installed.add("tensorrt")
        reason = select.open_runner("auto")[1]
        assert "with tensorrt 1.0; run: python build_engines.py --flavour tensorrt --only lite; and no" in reason
        machine.build("sm89")
        assert select.open_runner("auto")[1] == "auto: an NVIDIA GPU and an engine for it are here"

    @pytest.mark.parametrize(
        ("driver", "because"),
        [(True, "run implicit-warping models only, and 'fomm' is fomm"), (False, "no NVIDIA driver")],
    )
    def test_models_with_learned_keypoints_stay_on_the_cpu(
        self, driver: bool, because: str, machine: NvidiaMachine
    ) -> None:
        machine.driver = driver
        assert because in select.open_learned_runner(load_manifest("fomm"))[1]
