# SPDX-License-Identifier: Apache-2.0
"""The CUDA runtime on one GPU, through `cuda-python`: memory, two streams, copies and graphs. No torch.

Everything a frame needs is allocated when a source set is loaded; a frame itself is one graph launch. Sets are loaded
through a stream of their own. Neither stream waits for the legacy default stream: a set that is uploaded by another
thread neither holds up the frames drawn meanwhile nor breaks the recording of a graph. Every failure becomes one of
ours: nothing here returns an error code.

Thread: a device belongs to the thread that uses it for frames; `allocate` may be called by others.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, CudaError, DeviceLost, OutOfDeviceMemory

__all__ = ["DEVICE_LOST", "CudaDevice", "DeviceBuffer", "Graph", "load_cuda"]

_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
_NO_DRIVER, _NO_DEVICE = 35, 100  # cudaErrorInsufficientDriver, cudaErrorNoDevice
_BROKEN_DRIVER = frozenset({802, 803, 804})  # not ready, kernel module and library differ, no compatibility mode
_OLDEST_DRIVER = {12: "525", 13: "580"}  # CUDA's major version -> driver branch
# After these nothing works on this context any more: it was torn down or a kernel broke it, the memory is faulty, or
# the GPU has fallen off the bus (100, 101 and 999 in the middle of a run).
DEVICE_LOST = frozenset({46, 100, 101, 201, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})


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
    """One GPU and two streams on it: for frames, and for loading sets.

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
        self._upload_lock = threading.Lock()
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
        apart = self._api.cudaStreamNonBlocking
        self.stream = int(self.call("cudaStreamCreateWithFlags", apart))
        self._upload = int(self.call("cudaStreamCreateWithFlags", apart))

    def _count(self) -> int:
        status, count = self._api.cudaGetDeviceCount()
        code = int(status)
        if code in (_NO_DRIVER, _NO_DEVICE) or code in _BROKEN_DRIVER:
            reason, hint = self._obstacle(status)
            raise BackendUnavailable(
                f"The NVIDIA back-ends cannot run here: {reason}.", hint=f"{hint}, or use --backend openvino."
            )
        self._check(status, "cudaGetDeviceCount")
        return int(count)

    def _obstacle(self, status: Any) -> tuple[str, str]:
        """Return why the driver gives no GPU, and what to do; one status stands for no driver and for an old one."""
        code = int(status)
        if code == _NO_DEVICE:
            return "the driver sees no NVIDIA GPU", "Check that the GPU is seated, powered and not disabled"
        if code in _BROKEN_DRIVER:
            return f"the NVIDIA driver does not start ({self._words(status)})", "Restart the computer after its update"
        needed = int(self.call("cudaRuntimeGetVersion"))
        install = f"Install an NVIDIA driver of version {_OLDEST_DRIVER.get(needed // 1000, '580')} or newer"
        has = int(self.call("cudaDriverGetVersion"))
        if not has:
            return "no NVIDIA driver was found", install
        return f"the NVIDIA driver is too old: it knows CUDA {_dotted(has)}, expected {needed // 1000}.0", install

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
        reason = self._words(status)
        if code == _OUT_OF_MEMORY:
            raise OutOfDeviceMemory(
                f"The GPU has no memory left ({function}: {reason}).",
                hint="Close other programs that use it, or use fewer pictures (--sources) or a smaller model.",
            )
        if code in DEVICE_LOST:
            self._lost = True
            raise DeviceLost(
                f"The GPU was lost in {function}: {reason} ({code}).",
                hint="Start again; if it stays, restart the computer, and check the GPU's driver, heat and power.",
            )
        raise CudaError(f"The GPU failed in {function}: {reason} ({code}).", hint="Start again; if it stays, restart.")

    def _words(self, status: Any) -> str:
        _, text = self._api.cudaGetErrorString(status)
        return text.decode() if isinstance(text, bytes) else str(text)

    def release(self, function: str, handle: Any) -> None:
        """Free something without complaint: the GPU may be gone, and the interpreter about to be.

        What belonged to a lost context went with it; its addresses may already be somebody else's.
        """
        if self._lost:
            return
        with contextlib.suppress(Exception):
            getattr(self._api, function)(handle)

    @property
    def free_bytes(self) -> int:
        """Memory that nobody uses now, other programs included.

        Raises:
            CudaError.
        """
        free, _total = self.call("cudaMemGetInfo")
        return int(free)

    def allocate(self, array: NDArray[Any]) -> DeviceBuffer:
        """Return memory for an array, with its values in it when this returns.

        Raises:
            OutOfDeviceMemory, CudaError.
        """
        self.call("cudaSetDevice", self.index)  # every thread has a current GPU of its own, at first number 0
        buffer = DeviceBuffer(self, array.nbytes)
        flat, kind = np.ascontiguousarray(array), self._kind("HostToDevice")
        with self._upload_lock:
            self.call("cudaMemcpyAsync", buffer.address, flat.ctypes.data, flat.nbytes, kind, self._upload)
            self.call("cudaStreamSynchronize", self._upload)
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
        """Give the streams back; buffers and graphs go with their objects. After a loss, drop the broken context."""
        if self._lost:
            with contextlib.suppress(Exception):
                self._api.cudaDeviceReset()
        for stream in (self.stream, self._upload):
            self.release("cudaStreamDestroy", stream)

    def _kind(self, direction: str) -> Any:
        return getattr(self._api.cudaMemcpyKind, f"cudaMemcpy{direction}")


def _dotted(version: int) -> str:
    """13040 -> 13.4, as CUDA counts."""
    return f"{version // 1000}.{version % 1000 // 10}"
