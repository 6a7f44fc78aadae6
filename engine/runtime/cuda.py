# SPDX-License-Identifier: Apache-2.0
"""The CUDA runtime on one GPU, through `cuda-python`: memory, one stream, copies and graphs. No torch.

Everything a frame needs is allocated when a source set is loaded; a frame itself is one graph launch. Every failure
becomes one of ours: nothing here returns an error code.

Thread: a device belongs to the thread that uses it for frames, `allocate` and `copy_in` may be called by others.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, CudaError, OutOfDeviceMemory

__all__ = ["CudaDevice", "DeviceBuffer", "Graph", "load_cuda"]

_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
_NO_DRIVER, _NO_DEVICE = 35, 100  # cudaErrorInsufficientDriver, cudaErrorNoDevice


def load_cuda() -> Any:
    """Import the CUDA runtime's bindings.

    Raises:
        BackendUnavailable: cuda-python is not installed.
    """
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise BackendUnavailable(
            f"The NVIDIA back-ends need the package cuda-python, which cannot be imported ({error}).",
            hint="Run: pip install '.[rtx]'",
        ) from error


class DeviceBuffer:
    """Memory on the GPU, freed with this object. address: of its first byte."""

    def __init__(self, device: CudaDevice, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.address = int(device.call("cudaMalloc", max(size_bytes, 1)))
        self._free = weakref.finalize(self, device.release, "cudaFree", self.address)

    def free(self) -> None:
        """Give the memory back now."""
        self._free()


class Graph:
    """Recorded work of a stream; launched as one call. Keeps alive what it reads and writes."""

    def __init__(self, device: CudaDevice, handle: Any, *needs: object) -> None:
        self.handle, self.needs = handle, needs
        self._free = weakref.finalize(self, device.release, "cudaGraphExecDestroy", handle)


class CudaDevice:
    """One GPU and one stream on it.

    name: of the GPU. architecture: e.g. `sm89`. total_bytes: its memory.

    Args:
        index: of the GPU, as the driver counts them. api: `cuda.bindings.runtime`, or what stands in for it in a test.

    Raises:
        BackendUnavailable: no cuda-python, no driver, a driver that is too old, or no such GPU.
        CudaError: the GPU does not answer.
    """

    def __init__(self, index: int = 0, *, api: Any = None) -> None:
        self._api = api or load_cuda()
        self._lost = False
        count = self._count()
        if not 0 <= index < count:
            raise BackendUnavailable(
                f"There is no NVIDIA GPU number {index}: the driver sees {count}.", hint="Use a number below that."
            )
        self.call("cudaSetDevice", index)
        self.index = index
        facts = self.call("cudaGetDeviceProperties", index)
        name = facts.name
        self.name = (name.decode() if isinstance(name, bytes) else str(name)).rstrip("\0")
        self.architecture = f"sm{facts.major}{facts.minor}"
        self.total_bytes = int(facts.totalGlobalMem)
        self.stream = int(self.call("cudaStreamCreate"))

    def _count(self) -> int:
        status, count = self._api.cudaGetDeviceCount()
        code = int(status)
        if code in (_NO_DRIVER, _NO_DEVICE):
            reason = "no NVIDIA driver, or one too old for CUDA 12" if code == _NO_DRIVER else "no NVIDIA GPU"
            raise BackendUnavailable(
                f"The NVIDIA back-ends cannot run here: {reason}.",
                hint="Install a driver of version 570 or newer, or use --backend openvino.",
            )
        self._check(status, "cudaGetDeviceCount")
        return int(count)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the runtime and return what it gives besides its status.

        Raises:
            OutOfDeviceMemory, CudaError: by the status.
        """
        status, *results = getattr(self._api, function)(*arguments)
        self._check(status, function)
        return results[0] if len(results) == 1 else tuple(results) or None

    def _check(self, status: Any, function: str) -> None:
        code = int(status)
        if code == 0:
            return
        _, text = self._api.cudaGetErrorString(status)
        reason = text.decode() if isinstance(text, bytes) else str(text)
        if code == _OUT_OF_MEMORY:
            raise OutOfDeviceMemory(
                f"The GPU has no memory left ({function}: {reason}).",
                hint="Close other programs that use it, or use fewer pictures (--sources) or a smaller model.",
            )
        raise CudaError(f"The GPU failed in {function}: {reason} ({code}).", hint="Start again; if it stays, restart.")

    def release(self, function: str, handle: Any) -> None:
        """Free something without complaint: the GPU may be gone, and the interpreter about to be."""
        with contextlib.suppress(Exception):
            getattr(self._api, function)(handle)

    def allocate(self, array: NDArray[Any]) -> DeviceBuffer:
        """Return memory for an array, with its values in it when this returns.

        Raises:
            OutOfDeviceMemory, CudaError.
        """
        buffer = DeviceBuffer(self, array.nbytes)
        flat = np.ascontiguousarray(array)
        self.call("cudaMemcpy", buffer.address, flat.ctypes.data, flat.nbytes, self._kind("HostToDevice"))
        return buffer

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array in memory that the GPU reads and writes by itself; freed with the array.

        Raises:
            OutOfDeviceMemory, CudaError.
        """
        kind = np.dtype(dtype)
        size = max(int(np.prod(shape)) * kind.itemsize, 1)
        address = int(self.call("cudaMallocHost", size))
        memory = (ctypes.c_uint8 * size).from_address(address)
        weakref.finalize(memory, self.release, "cudaFreeHost", address)
        return np.ctypeslib.as_array(memory)[: int(np.prod(shape)) * kind.itemsize].view(kind).reshape(shape)

    def copy_in(self, buffer: DeviceBuffer, array: NDArray[Any]) -> None:
        """Queue a copy of a pinned array to the GPU."""
        source = array.ctypes.data
        self.call("cudaMemcpyAsync", buffer.address, source, array.nbytes, self._kind("HostToDevice"), self.stream)

    def copy_out(self, array: NDArray[Any], buffer: DeviceBuffer) -> None:
        """Queue a copy from the GPU into a pinned array; it is there after `synchronize`."""
        target = array.ctypes.data
        self.call("cudaMemcpyAsync", target, buffer.address, array.nbytes, self._kind("DeviceToHost"), self.stream)

    def record(self, work: Callable[[], None], *needs: object) -> Graph:
        """Record the work queued by a function into a graph, without doing it.

        Args:
            needs: objects that must live as long as the graph.
        Raises:
            CudaError: something in it cannot be recorded.
        """
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", self.stream, mode)
        try:
            work()
        except BaseException:
            with contextlib.suppress(CudaError):
                self.call("cudaStreamEndCapture", self.stream)
            raise
        recorded = self.call("cudaStreamEndCapture", self.stream)
        try:
            return Graph(self, self.call("cudaGraphInstantiate", recorded, 0), *needs)
        finally:
            self.release("cudaGraphDestroy", recorded)

    def launch(self, graph: Graph) -> None:
        """Queue a recorded graph."""
        self.call("cudaGraphLaunch", graph.handle, self.stream)

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        self.call("cudaStreamSynchronize", self.stream)

    def close(self) -> None:
        """Give the stream back; buffers and graphs go with their objects."""
        self.release("cudaStreamDestroy", self.stream)

    def _kind(self, direction: str) -> Any:
        return getattr(self._api.cudaMemcpyKind, f"cudaMemcpy{direction}")
