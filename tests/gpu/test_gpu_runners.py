# SPDX-License-Identifier: Apache-2.0
"""On a real NVIDIA GPU: pictures, graphs, memory, and what `auto` says. `pytest tests/gpu --require-gpu`.

The same checks run on CUDA in host memory in `tests/unit/test_runtime_tensorrt.py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from engine.build import flavour as flavours
from engine.build.engines import build_engine
from engine.build.profiles import PROFILES
from engine.errors import BackendUnavailable
from engine.runtime import select
from engine.runtime.cuda import CudaDevice, load_cuda
from engine.runtime.engine_file import ENGINE_FOLDER_VARIABLE
from engine.runtime.manifest import load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.tensorrt_library import RTX_KNOWN
from engine.runtime.tensorrt_runner import TensorRtRunner
from tests.helpers.gpu_checks import CountedApi, check_parity, check_recorded_is_queued, check_soak

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]

SOAK_FRAMES = 10_000
LEAST_DB = {"lite": 50.0, "lite-trained": 38.0}  # float32 throughout; convolutions in half precision


@pytest.fixture(params=["tensorrt_rtx", "tensorrt"])
def flavour(request: pytest.FixtureRequest) -> str:
    """A library that is installed and knows this GPU."""
    name = str(request.param)
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    if name == "tensorrt_rtx" and CudaDevice().architecture not in RTX_KNOWN:
        pytest.skip(f"TensorRT for RTX does not know {CudaDevice().architecture}")
    return name


class TestTensorRt:
    """Engines built here, for this GPU."""

    pytestmark = pytest.mark.trt

    @staticmethod
    def open(
        flavour: str, folder: Path, *, model: str = "lite", profile: str = "range", recorded: bool = True
    ) -> tuple[TensorRtRunner, CountedApi]:
        library, manifest = flavours.load_flavour(flavour), load_manifest(model)
        api = CountedApi(load_cuda())
        cuda = CudaDevice(api=api)
        engine = build_engine(
            manifest,
            "animate",
            folder,
            flavour=library,
            architectures=library.architectures([cuda.architecture]),
            plan=PROFILES[profile],
        )
        data = engine.path.read_bytes()
        return TensorRtRunner(manifest, engine=data, library=library.trt, cuda=cuda, recorded=recorded), api

    @pytest.mark.parametrize("model", LEAST_DB)
    @pytest.mark.parametrize("profile", PROFILES)
    def test_pictures_are_those_of_openvino(self, model: str, profile: str, flavour: str, tmp_path: Path) -> None:
        runner, _ = self.open(flavour, tmp_path, model=model, profile=profile)
        reference = OpenVinoRunner(load_manifest(model), precision="fp32")
        check_parity(runner, reference, least_db=LEAST_DB[model], counts=(1, 2, 4, 8))

    def test_a_graph_is_the_eager_frame(self, flavour: str, tmp_path: Path) -> None:
        check_recorded_is_queued(self.open(flavour, tmp_path)[0], self.open(flavour, tmp_path, recorded=False)[0])

    def test_ten_thousand_frames_allocate_nothing(self, flavour: str, tmp_path: Path) -> None:
        runner, api = self.open(flavour, tmp_path)
        per_frame = {"cudaGraphLaunch", "cudaStreamSynchronize"}
        check_soak(runner, frames=SOAK_FRAMES, held=lambda: {k: v for k, v in api.calls.items() if k not in per_frame})

    def test_auto_takes_it_and_says_the_command_before(
        self, flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ENGINE_FOLDER_VARIABLE, str(tmp_path))
        assert "run: python build_engines.py" in select.open_runner("auto")[1]
        self.open(flavour, tmp_path)
        runner, reason = select.open_runner("auto")
        assert runner.description.startswith(flavour)
        assert reason == "auto: an NVIDIA GPU and an engine for it are here"


class TestTorch:
    """torch on the GPU: the oracle, and the way where TensorRT does not know the GPU."""

    @pytest.fixture(autouse=True)
    def _torch_with_cuda(self, request: pytest.FixtureRequest) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed (pip install '.[train]')")
        if not torch.cuda.is_available():
            message = f"torch {torch.__version__} was built without CUDA or finds no GPU"
            if request.config.getoption("--require-gpu"):
                pytest.fail(message)
            pytest.skip(message)

    @pytest.mark.parametrize(("model", "precision"), [("lite", "fp32"), ("lite-trained", "bf16")])
    def test_pictures_are_those_of_openvino(self, model: str, precision: str) -> None:
        from engine.runtime.torch_runner import TorchRunner

        runner = TorchRunner(load_manifest(model), device="cuda", precision=precision)
        reference = OpenVinoRunner(load_manifest(model), precision="fp32")
        check_parity(runner, reference, least_db=LEAST_DB[model], counts=(1, 2, 4, 8))

    def test_a_graph_is_the_eager_frame(self) -> None:
        from engine.runtime.torch_runner import TorchRunner

        recorded, queued = (TorchRunner(load_manifest("lite"), device="cuda", recorded=x) for x in (True, False))
        check_recorded_is_queued(recorded, queued)

    def test_ten_thousand_frames_allocate_nothing(self) -> None:
        import torch

        from engine.runtime.torch_runner import TorchRunner

        runner = TorchRunner(load_manifest("lite"), device="cuda")
        check_soak(runner, frames=SOAK_FRAMES, held=lambda: torch.cuda.memory_stats()["allocation.all.allocated"])


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(BackendUnavailable, match="no NVIDIA GPU number 99: the driver sees"):
        CudaDevice(99)
