# SPDX-License-Identifier: Apache-2.0
"""The CUDA runtime in host memory, and a TensorRT that runs the ONNX graph with onnxruntime on those addresses.

Addresses are real ones, copies are real copies, and a captured graph does later what was queued, so that a runner
that binds a wrong buffer, forgets a copy or records too little draws a wrong picture here as on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

__all__ = ["HostCuda", "make_library"]

OK, OUT_OF_MEMORY = 0, 2
FRAMES, UPLOADS = 77, 78  # streams, in the order in which a device makes them


class HostCuda:
    """Stands in for `cuda.bindings.runtime`. live: bytes by address. calls: names in order.

    Args:
        status: of the first question, how many GPUs there are. driver: the CUDA version it knows, 0 for none.
        memory_bytes: what the GPU has. failing: function -> status that it answers from now on.
    """

    cudaStreamNonBlocking = 1

    class cudaMemcpyKind(enum.IntEnum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2

    class cudaStreamCaptureMode(enum.IntEnum):
        cudaStreamCaptureModeThreadLocal = 1

    def __init__(self, *, count: int = 1, status: int = OK, memory_bytes: int = 1 << 40, driver: int = 13040) -> None:
        self.count, self.status, self.memory_bytes, self.driver = count, status, memory_bytes, driver
        self.streams = [UPLOADS, FRAMES]
        self.architecture = (8, 9)
        self.live: dict[int, Any] = {}
        self.calls: list[str] = []
        self.capture: list[Callable[[], None]] | None = None
        self.failing: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        work = getattr(type(self), f"do_{name}")

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append(name)
            if name in self.failing:
                return (self.failing[name], None)
            result = work(self, *arguments)
            return result if isinstance(result, tuple) else (OK, result)

        return call

    def queue(self, work: Callable[[], None]) -> tuple[int]:
        """Do something now, or later where a graph is recorded."""
        if self.capture is None:
            work()
        else:
            self.capture.append(work)
        return (OK,)

    def do_cudaGetDeviceCount(self) -> tuple[int, int]:
        return self.status, self.count

    def do_cudaSetDevice(self, _index: int) -> tuple[int]:
        return (OK,)

    def do_cudaDriverGetVersion(self) -> int:
        return self.driver

    def do_cudaRuntimeGetVersion(self) -> int:
        return 13040

    def do_cudaMemGetInfo(self) -> tuple[int, int, int]:
        return OK, self.memory_bytes - self.held, self.memory_bytes

    @property
    def held(self) -> int:
        """Bytes in use."""
        return sum(len(memory) for memory in self.live.values())

    def do_cudaDeviceReset(self) -> tuple[int]:
        self.live.clear()
        self.failing.clear()
        self.streams = [UPLOADS, FRAMES]
        return (OK,)

    def do_cudaStreamDestroy(self, stream: int) -> tuple[int]:
        self.streams = sorted([*self.streams, stream], reverse=True)
        return (OK,)

    def do_cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return OK, f"status {status}".encode()

    def do_cudaGetDeviceProperties(self, _index: int) -> Any:
        class Facts:
            name = b"Host GPU\0"
            major, minor = self.architecture
            totalGlobalMem = 1 << 33

        return Facts

    def do_cudaStreamCreateWithFlags(self, flags: int) -> int:
        assert flags == self.cudaStreamNonBlocking
        return self.streams.pop()

    def do_cudaMalloc(self, size: int) -> tuple[int, int]:
        if self.held + size > self.memory_bytes:
            return OUT_OF_MEMORY, 0
        memory = (ctypes.c_uint8 * size)()
        self.live[ctypes.addressof(memory)] = memory
        return OK, ctypes.addressof(memory)

    do_cudaMallocHost = do_cudaMalloc

    def do_cudaFree(self, address: int) -> tuple[int]:
        del self.live[address]
        return (OK,)

    do_cudaFreeHost = do_cudaFree

    def do_cudaMemcpyAsync(self, target: int, source: int, size: int, _kind: int, stream: int) -> tuple[int]:
        if stream == UPLOADS:  # not recorded, whatever the other stream does
            ctypes.memmove(target, source, size)
            return (OK,)
        assert stream == FRAMES
        return self.queue(lambda: ctypes.memmove(target, source, size) and None)

    def do_cudaStreamBeginCapture(self, _stream: int, _mode: int) -> tuple[int]:
        self.capture = []
        return (OK,)

    def do_cudaStreamEndCapture(self, _stream: int) -> Any:
        work, self.capture = self.capture, None
        return work

    def do_cudaGraphInstantiate(self, graph: Any, _flags: int) -> Any:
        return graph

    def do_cudaGraphDestroy(self, _graph: Any) -> tuple[int]:
        return (OK,)

    do_cudaGraphExecDestroy = do_cudaStreamSynchronize = do_cudaGraphDestroy

    def do_cudaGraphLaunch(self, graph: Any, _stream: int) -> tuple[int]:
        for work in graph:
            work()
        return (OK,)


def make_library(
    cuda: HostCuda,
    graph: Path,
    *,
    ranges: Sequence[tuple[int, int]] = ((1, 16),),
    readable: bool = True,
    context_bytes: int = 0,
    says: str = "",
    compiles: bool = True,
) -> Any:
    """Return what stands in for the module `tensorrt`: any engine is the ONNX file `graph`.

    Args:
        ranges: least and most pictures of each optimisation profile. readable: whether it takes an engine.
        context_bytes: what an execution context needs. says: its words when it makes none, else it makes one.
        compiles: whether it finishes kernels on the GPU and keeps them, as TensorRT for RTX does.
    """

    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    class ILogger:
        pass

    ILogger.Severity = Severity  # type: ignore[attr-defined]

    class IProfiler:
        pass

    def report(logger: Any, message: str) -> None:
        logger.log(Severity.ERROR, message)

    class Context:
        def __init__(self, logger: Any) -> None:
            self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            self.kinds = {x.name: onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type) for x in inputs}
            self.shapes: dict[str, tuple[int, ...]] = {}
            self.addresses: dict[str, int] = {}
            self.logger = logger
            self.profile = 0
            self.profiler: Any = None

        def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
            assert stream == FRAMES
            self.profile = profile
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            least, most = ranges[self.profile]
            if name == "rgba" and not least <= shape[1] <= most:
                report(self.logger, f"{shape[1]} is outside {least} to {most}")
                return False
            self.shapes[name] = tuple(shape)
            return True

        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            assert stream == FRAMES
            if self.profiler is not None:
                for layer in ("warp", "blend"):
                    self.profiler.report_layer_time(layer, 0.25)
            shapes, addresses = dict(self.shapes), dict(self.addresses)  # as bound now, whenever it runs
            return cuda.queue(lambda: self.compute(shapes, addresses)) == (OK,)

        def compute(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
            feeds = {name: at(addresses[name], shape, self.kinds[name]).copy() for name, shape in shapes.items()}
            (portrait,) = self.session.run(["portrait"], feeds)
            ctypes.memmove(addresses["portrait"], np.ascontiguousarray(portrait).ctypes.data, portrait.nbytes)

    model = onnx.load(graph)
    inputs = list(model.graph.input)
    names = [x.name for x in (*inputs, *model.graph.output)]

    class Cache:
        kernels = b"compiled"

        def deserialize(self, data: bytes) -> bool:
            if not data.startswith(b"compiled"):
                return False
            self.kernels = data
            return True

        def serialize(self) -> bytes:
            return self.kernels

    class RuntimeConfig:
        cache: Cache | None = None

        def set_runtime_cache(self, cache: Cache) -> bool:
            self.cache = cache
            return True

    if compiles:
        RuntimeConfig.create_runtime_cache = lambda _: Cache()  # type: ignore[attr-defined]

    class Engine:
        num_io_tensors = len(names)
        num_optimization_profiles = len(ranges)

        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def get_tensor_name(self, index: int) -> str:
            return names[index]

        def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, int]]:
            assert name == "rgba"
            least, most = ranges[profile]
            return [(1, least), (1, most), (1, most)]

        def get_device_memory_size_for_profile_v2(self, _profile: int) -> int:
            return context_bytes

        def create_runtime_config(self) -> Any:
            return RuntimeConfig()

        def create_execution_context(self, config: Any = None) -> Context | None:
            if config is not None and config.cache is not None:
                config.cache.kernels += b"+"
            if says:
                report(self.logger, says)
                return None
            return Context(self.logger)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            if readable:
                return Engine(self.logger)
            report(self.logger, f"{len(data)} bytes are not an engine")
            return None

    class Library:
        __name__, __version__ = "tensorrt_host", "1.0"

    Library.ILogger, Library.IProfiler, Library.Runtime = ILogger, IProfiler, Runtime  # type: ignore[attr-defined]
    library = Library()
    library.__name__ = "tensorrt_host"  # type: ignore[attr-defined]
    return library


def at(address: int, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Return the array at an address."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memory, kind).reshape(shape)
