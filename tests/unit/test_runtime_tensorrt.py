# SPDX-License-Identifier: Apache-2.0
"""The TensorRT runner on a CUDA runtime in host memory: right pictures, nothing allocated a frame, clear refusals."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CudaError, DeviceLost, EngineMismatch, OutOfDeviceMemory, ShapeOutsideProfile
from engine.runtime.cuda import CudaDevice, DeviceBuffer
from engine.runtime.manifest import load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.tensorrt_runner import TensorRtRunner
from tests.helpers.gpu_checks import (
    CountedApi,
    check_parity,
    check_recorded_is_queued,
    check_soak,
    frame,
    source_set,
)
from tests.helpers.host_cuda import HostCuda, make_library

MANIFEST = load_manifest("lite")


def runner_on(cuda: HostCuda, *, recorded: bool = True, **options: Any) -> TensorRtRunner:
    library = make_library(cuda, MANIFEST.folder / "animate.onnx", **options)
    return TensorRtRunner(MANIFEST, engine=b"engine", library=library, cuda=CudaDevice(api=cuda), recorded=recorded)


def test_pictures_are_those_of_the_cpu_back_end() -> None:
    check_parity(runner_on(HostCuda()), OpenVinoRunner(MANIFEST), least_db=60.0)


def test_every_bucket_draws_the_same_pictures() -> None:
    runner = runner_on(HostCuda(), ranges=[(1, 1), (2, 2), (3, 4)])
    check_parity(runner, OpenVinoRunner(MANIFEST), least_db=60.0, counts=(4, 1, 2))


def test_a_recorded_frame_is_the_queued_one() -> None:
    check_recorded_is_queued(runner_on(HostCuda()), runner_on(HostCuda(), recorded=False))


def test_a_frame_is_one_launch_and_many_allocate_nothing() -> None:
    cuda = HostCuda()
    api = CountedApi(cuda)
    library = make_library(cuda, MANIFEST.folder / "animate.onnx")
    runner = TensorRtRunner(MANIFEST, engine=b"engine", library=library, cuda=CudaDevice(api=api))

    def held() -> tuple[int, int, dict[str, int]]:
        per_frame = ("cudaGraphLaunch", "cudaStreamSynchronize")
        return cuda.held, len(cuda.live), {name: n for name, n in api.calls.items() if name not in per_frame}

    check_soak(runner, frames=100, held=held, warm_up=3)
    assert api.calls["cudaGraphLaunch"] == 2 * 3 + 100


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
    runner = runner_on(HostCuda(), ranges=[(1, 1), (2, 4)])
    with pytest.raises(ShapeOutsideProfile, match=r"5 pictures, and the engine of 'lite' takes 1, 2 to 4\."):
        runner.encode(*source_set(5))


def test_a_full_gpu_is_said_and_the_set_before_goes_on() -> None:
    cuda = HostCuda(memory_bytes=12_000_000)
    runner = runner_on(cuda)
    small = runner.encode(*source_set(1))
    with pytest.raises(OutOfDeviceMemory, match="no memory left") as caught:
        runner.encode(*source_set(16))
    assert "--sources" in str(caught.value)
    del caught
    assert np.isfinite(runner.animate(small, frame(0.0, 1))).all()


def test_an_engine_that_does_not_fit_says_how_much_it_needs() -> None:
    with pytest.raises(OutOfDeviceMemory, match=r"'lite' needs 900 MB on Host GPU, where 500 MB are free") as caught:
        runner_on(HostCuda(memory_bytes=500_000_000), context_bytes=900_000_000)
    assert "--backend openvino" in caught.value.hint
    with pytest.raises(OutOfDeviceMemory, match="does not fit on Host GPU: Out of memory while allocating"):
        runner_on(HostCuda(), says="Out of memory while allocating 5 bytes")
    with pytest.raises(EngineMismatch, match="cannot be used on Host GPU: no kernel"):
        runner_on(HostCuda(), says="no kernel")


def test_a_set_that_is_loaded_does_not_break_the_recording_of_a_frame() -> None:
    cuda = HostCuda()
    device = CudaDevice(api=cuda)
    loaded: list[DeviceBuffer] = []
    device.record(lambda: loaded.append(device.allocate(np.arange(4, dtype=np.float32))))
    assert bytes(cuda.live[loaded[0].address]) == np.arange(4, dtype=np.float32).tobytes()  # there, not recorded
    assert "cudaMemcpy" not in cuda.calls  # it would make both streams wait for each other


@pytest.mark.parametrize("code", [700, 719, 999])
def test_a_lost_gpu_is_an_error_of_its_own(code: int) -> None:
    cuda = HostCuda()
    runner = runner_on(cuda)
    sources = runner.encode(*source_set(1))
    before = runner.animate(sources, frame(0.0, 1)).copy()
    cuda.failing["cudaGraphLaunch"] = code
    with pytest.raises(DeviceLost, match=rf"The GPU was lost in cudaGraphLaunch: status {code} \({code}\)"):
        runner.animate(sources, frame(0.0, 1))
    cuda.calls.clear()
    runner.close()
    del sources
    gc.collect()
    assert "cudaDeviceReset" in cuda.calls
    assert "cudaFree" not in cuda.calls  # what lay there went with the context
    again = runner_on(cuda)
    np.testing.assert_array_equal(again.animate(again.encode(*source_set(1)), frame(0.0, 1)), before)


def test_a_failure_that_is_no_loss_is_told_apart() -> None:
    cuda = HostCuda()
    runner = runner_on(cuda)
    sources = runner.encode(*source_set(1))
    cuda.failing["cudaGraphLaunch"] = 1
    with pytest.raises(CudaError, match=r"The GPU failed in cudaGraphLaunch") as caught:
        runner.animate(sources, frame(0.0, 1))
    assert not isinstance(caught.value, DeviceLost)


def test_layers_are_measured_and_frames_go_on() -> None:
    runner = runner_on(HostCuda())
    sources = runner.encode(*source_set(2))
    before = runner.animate(sources, frame(0.1, 2)).copy()
    layers = runner.measure_layers(sources, frame(0.1, 2), frames=4)
    assert [(layer.name, layer.ms) for layer in layers] == [("warp", 0.25), ("blend", 0.25)]
    np.testing.assert_array_equal(runner.animate(sources, frame(0.1, 2)), before)


class TestCompiledKernels:
    """What TensorRT for RTX compiles on the GPU is kept beside the engine."""

    @staticmethod
    def open(path: Path, **options: Any) -> None:
        cuda = HostCuda()
        library = make_library(cuda, MANIFEST.folder / "animate.onnx", **options)
        runner = TensorRtRunner(MANIFEST, engine=b"e", library=library, cuda=CudaDevice(api=cuda), cache=path)
        runner.animate(runner.encode(*source_set(1)), frame(0.0, 1))
        runner.close()

    def test_the_next_start_begins_with_them(self, tmp_path: Path) -> None:
        path = tmp_path / "lite.kernels"
        self.open(path)
        assert path.read_bytes() == b"compiled+"
        self.open(path)
        assert path.read_bytes() == b"compiled++"
        assert list(tmp_path.iterdir()) == [path]

    def test_those_of_another_gpu_are_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "lite.kernels"
        path.write_bytes(b"of another driver")
        self.open(path)
        assert path.read_bytes() == b"compiled+"

    def test_where_nothing_can_be_written_it_runs_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        self.open(tmp_path / "file" / "lite.kernels")

    def test_a_library_that_compiles_nothing_leaves_no_file(self, tmp_path: Path) -> None:
        self.open(tmp_path / "lite.kernels", compiles=False)
        assert not list(tmp_path.iterdir())
