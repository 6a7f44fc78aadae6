# SPDX-License-Identifier: Apache-2.0
"""The CUDA runtime in host memory, and a TensorRT that runs the ONNX graph with onnxruntime on those addresses.

Addresses are real ones, copies are real copies, and a captured graph does later what was queued, so that a runner
that binds a wrong buffer, forgets a copy or records too little draws a wrong picture here as on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

__all__ = ["HostCuda", "make_library"]

OK, OUT_OF_MEMORY = 0, 2


class HostCuda:
    """Stands in for `cuda.bindings.runtime`. live: bytes by address. calls: names in order."""

    class cudaMemcpyKind(enum.IntEnum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2

    class cudaStreamCaptureMode(enum.IntEnum):
        cudaStreamCaptureModeThreadLocal = 1

    def __init__(self, *, count: int = 1, status: int = OK, memory_bytes: int = 1 << 40) -> None:
        self.count, self.status, self.memory_bytes = count, status, memory_bytes
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

    def do_cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return OK, f"status {status}".encode()

    def do_cudaGetDeviceProperties(self, _index: int) -> Any:
        class Facts:
            name = b"Host GPU\0"
            major, minor, totalGlobalMem = 8, 9, 1 << 33

        return Facts

    def do_cudaStreamCreate(self) -> int:
        return 77

    def do_cudaMalloc(self, size: int) -> tuple[int, int]:
        if sum(len(memory) for memory in self.live.values()) + size > self.memory_bytes:
            return OUT_OF_MEMORY, 0
        memory = (ctypes.c_uint8 * size)()
        self.live[ctypes.addressof(memory)] = memory
        return OK, ctypes.addressof(memory)

    do_cudaMallocHost = do_cudaMalloc

    def do_cudaFree(self, address: int) -> tuple[int]:
        del self.live[address]
        return (OK,)

    do_cudaFreeHost = do_cudaFree

    def do_cudaMemcpy(self, target: int, source: int, size: int, _kind: int) -> tuple[int]:
        ctypes.memmove(target, source, size)
        return (OK,)

    def do_cudaMemcpyAsync(self, target: int, source: int, size: int, _kind: int, stream: int) -> tuple[int]:
        assert stream == 77
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

    do_cudaGraphExecDestroy = do_cudaStreamSynchronize = do_cudaStreamDestroy = do_cudaGraphDestroy

    def do_cudaGraphLaunch(self, graph: Any, _stream: int) -> tuple[int]:
        for work in graph:
            work()
        return (OK,)


def make_library(cuda: HostCuda, graph: Path, *, most_sources: int = 16, readable: bool = True) -> Any:
    """Return what stands in for the module `tensorrt`: any engine is the ONNX file `graph`."""

    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    class ILogger:
        pass

    ILogger.Severity = Severity  # type: ignore[attr-defined]

    def report(logger: Any, message: str) -> None:
        logger.log(Severity.ERROR, message)

    class Context:
        def __init__(self, logger: Any) -> None:
            self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            self.kinds = {x.name: onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type) for x in inputs}
            self.shapes: dict[str, tuple[int, ...]] = {}
            self.addresses: dict[str, int] = {}
            self.logger = logger

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            if name == "rgba" and shape[1] > most_sources:
                report(self.logger, f"{shape[1]} is above {most_sources}")
                return False
            self.shapes[name] = tuple(shape)
            return True

        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            assert stream == 77
            shapes, addresses = dict(self.shapes), dict(self.addresses)  # as bound now, whenever it runs
            return cuda.queue(lambda: self.compute(shapes, addresses)) == (OK,)

        def compute(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
            feeds = {name: at(addresses[name], shape, self.kinds[name]).copy() for name, shape in shapes.items()}
            (portrait,) = self.session.run(["portrait"], feeds)
            ctypes.memmove(addresses["portrait"], np.ascontiguousarray(portrait).ctypes.data, portrait.nbytes)

    model = onnx.load(graph)
    inputs = list(model.graph.input)
    names = [x.name for x in (*inputs, *model.graph.output)]

    class Engine:
        num_io_tensors = len(names)

        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def get_tensor_name(self, index: int) -> str:
            return names[index]

        def create_execution_context(self) -> Context:
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

    Library.ILogger, Library.Runtime = ILogger, Runtime  # type: ignore[attr-defined]
    library = Library()
    library.__name__ = "tensorrt_host"  # type: ignore[attr-defined]
    return library


def at(address: int, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Return the array at an address."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memory, kind).reshape(shape)
