# SPDX-License-Identifier: Apache-2.0
"""The TensorRT runner on a CUDA runtime in host memory: right pictures, nothing allocated a frame, clear refusals."""

from __future__ import annotations

import gc
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.build.profiles import RANGE
from engine.errors import (
    BackendUnavailable,
    CudaError,
    EngineMismatch,
    EngineMissing,
    OutOfDeviceMemory,
    ShapeOutsideProfile,
)
from engine.runtime import cuda as cuda_module
from engine.runtime import select, tensorrt_library
from engine.runtime.base import FrameInputs
from engine.runtime.cuda import CudaDevice
from engine.runtime.engine_file import EngineKey, default_folder, describe_record, engine_path, record_path
from engine.runtime.manifest import load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.tensorrt_runner import TensorRtRunner
from tests.helpers.host_cuda import HostCuda, make_library
from tests.helpers.source_faces import make_keypoints

MANIFEST = load_manifest("lite")
SIDE = MANIFEST.side_px


def source_set(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    small = rng.uniform(-1, 1, (count, 4, 8, 8)).astype(np.float32)
    rgba = small.repeat(SIDE // 8, 2).repeat(SIDE // 8, 3)
    return rgba, np.stack([make_keypoints(yaw=0.1 * i) for i in range(count)]).astype(np.float32)


def frame(yaw: float, picks: int) -> FrameInputs:
    shares = np.log(np.array([0.7, 0.3][:picks], np.float32))
    return FrameInputs(make_keypoints(yaw=yaw).astype(np.float32), np.arange(picks)[::-1].copy(), shares, shares)


def runner_on(cuda: HostCuda, **options: Any) -> TensorRtRunner:
    library = make_library(cuda, MANIFEST.folder / "animate.onnx", **options)
    return TensorRtRunner(MANIFEST, engine=b"engine", library=library, cuda=CudaDevice(api=cuda))


def test_pictures_are_those_of_the_cpu_back_end() -> None:
    runner, expected = runner_on(HostCuda()), OpenVinoRunner(MANIFEST)
    sets = [source_set(1, seed=1), source_set(3, seed=2)]
    ours, theirs = ([r.encode(*each) for each in sets] for r in (runner, expected))
    for step, which in enumerate((0, 1, 1, 0, 1)):  # sets take turns: each is drawn from its own graph
        inputs = frame(0.05 * step, min(2, len(sets[which][0])))
        found, wanted = runner.animate(ours[which], inputs), expected.animate(theirs[which], inputs)
        assert np.abs(found - wanted).mean() < 1e-4
        assert np.abs(found - wanted).max() < 0.02


def test_a_frame_is_one_launch() -> None:
    cuda = HostCuda()
    runner = runner_on(cuda)
    sources = runner.encode(*source_set(2))
    runner.animate(sources, frame(0.0, 2))
    held = len(cuda.live)
    cuda.calls.clear()
    for step in range(20):
        runner.animate(sources, frame(0.01 * step, 2))
    assert cuda.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"] * 20
    assert len(cuda.live) == held


def test_memory_goes_with_the_sets_and_the_runner() -> None:
    cuda = HostCuda()
    runner = runner_on(cuda)
    own = len(cuda.live)
    sources = runner.encode(*source_set(2))
    runner.animate(sources, frame(0.0, 2))
    assert len(cuda.live) > own
    del sources
    gc.collect()
    assert len(cuda.live) == own
    runner.close()
    del runner
    gc.collect()
    assert not cuda.live


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(EngineMismatch, match=r"cannot be used on Host GPU: 6 bytes are not an engine"):
        runner_on(HostCuda(), readable=False)
    with pytest.raises(ShapeOutsideProfile, match=r"17 pictures, and the engine takes up to 16"):
        runner_on(HostCuda()).encode(*source_set(17))
    runner = runner_on(HostCuda(), most_sources=2)
    with pytest.raises(ShapeOutsideProfile, match=r"rgba of shape \(1, 3, 4, 256, 256\): 3 is above 2"):
        runner.animate(runner.encode(*source_set(3)), frame(0.0, 2))


def test_a_full_gpu_is_said_and_the_set_before_goes_on() -> None:
    cuda = HostCuda(memory_bytes=12_000_000)
    runner = runner_on(cuda)
    small = runner.encode(*source_set(1))
    with pytest.raises(OutOfDeviceMemory, match="no memory left") as caught:
        runner.encode(*source_set(16))
    assert "--sources" in str(caught.value)
    del caught
    assert np.isfinite(runner.animate(small, frame(0.0, 1))).all()


def test_a_lost_gpu_is_an_error_of_its_own() -> None:
    cuda = HostCuda()
    runner = runner_on(cuda)
    sources = runner.encode(*source_set(1))
    runner.animate(sources, frame(0.0, 1))
    cuda.failing["cudaGraphLaunch"] = 719
    with pytest.raises(CudaError, match=r"cudaGraphLaunch: status 719 \(719\)"):
        runner.animate(sources, frame(0.0, 1))


@pytest.mark.parametrize(
    ("status", "count", "index", "says"),
    [
        (35, 0, 0, "no NVIDIA driver, or one too old"),
        (100, 0, 0, "no NVIDIA GPU"),
        (0, 2, 2, "no NVIDIA GPU number 2: the driver sees 2"),
    ],
)
def test_no_gpu_is_one_sentence(status: int, count: int, index: int, says: str) -> None:
    with pytest.raises(BackendUnavailable, match=says):
        CudaDevice(index, api=HostCuda(status=status, count=count))


class TestByName:
    """`--backend tensorrt_rtx` on a machine that has everything but an engine."""

    @pytest.fixture(autouse=True)
    def _machine(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        cuda = HostCuda()
        library = make_library(cuda, MANIFEST.folder / "animate.onnx")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
        monkeypatch.setattr(cuda_module, "load_cuda", lambda: cuda)
        monkeypatch.setattr(tensorrt_library, "load_library", lambda _flavour: library)

    @staticmethod
    def built(*architectures: str, **changes: str) -> Path:
        facts = {
            "model": "lite",
            "graph": "animate",
            "graph_sha256": MANIFEST.files["animate.onnx"],
            "flavour": "tensorrt_rtx",
            "version": "1.0",
            "precision": "fp32",
            "profile": RANGE.name,
        }
        key = EngineKey(**{**facts, **changes}, architectures=architectures)
        path = engine_path(default_folder(), key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"an engine")
        record_path(path).write_text(describe_record(key, b"an engine"))
        return path

    def test_an_engine_for_several_gpus_serves_this_one(self) -> None:
        self.built("sm86", "sm89")
        runner, reason = select.open_runner("tensorrt_rtx")
        assert reason == "asked for"
        assert runner.description == "tensorrt_host 1.0 on Host GPU"
        picture = runner.animate(runner.encode(*source_set(2)), frame(0.1, 2))
        assert picture.std() > 0.1

    def test_none_built_says_the_command(self) -> None:
        self.built("sm120")
        with pytest.raises(EngineMissing, match=r"No engine of 'lite' was built for sm89") as caught:
            select.open_runner("tensorrt_rtx")
        assert caught.value.hint == "Run: python build_engines.py --flavour tensorrt_rtx --only lite"

    def test_a_damaged_one_is_not_used(self) -> None:
        self.built("sm89").write_bytes(b"half")
        with pytest.raises(EngineMismatch, match="truncated: expected 9 bytes, got 4"):
            select.open_runner("tensorrt_rtx")

    def test_one_of_an_older_model_is_not_used(self) -> None:
        self.built("sm89", graph_sha256="0" * 64)
        with pytest.raises(EngineMismatch, match="stale: it was built for graph sha256 000000000000…"):
            select.open_runner("tensorrt_rtx")

    def test_a_gpu_is_a_number(self) -> None:
        with pytest.raises(BackendUnavailable, match="'fast' is no number of a GPU"):
            select.open_runner("tensorrt_rtx:fast")
