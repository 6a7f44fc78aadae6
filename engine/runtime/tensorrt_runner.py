# SPDX-License-Identifier: Apache-2.0
"""TensorRT back-end: a built engine on an NVIDIA GPU, with `tensorrt` or `tensorrt_rtx`. No torch, no plugin.

A source set is encoded once on the CPU (OpenVINO) and kept on the GPU. A frame is one launch of a recorded graph:
four small inputs up, the engine, one picture down; nothing is allocated and nothing is decided in between. Each set
has a graph of its own, recorded when its first frame is drawn, so that switching back and forth records nothing.

Every engine is built for two picked pictures; a frame that wants one gets it twice, the second without weight. Of an
engine with several optimisation profiles ("buckets" of N) a set uses the first that takes its number of pictures; each
profile has an execution context of its own, since a context's graphs hold for the profile it had.

Left on the CPU: encoding a set (once a set), choosing pictures (a few hundred numbers), compositing and watermark,
which need the whole output canvas. Inputs are 6 KB, so that uploading them beside the frame before gains nothing.

Not yet run on a GPU: the project has had none so far. Tests run it on a stand-in for the CUDA runtime in host memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError, EngineMismatch, InferenceFailed, OutOfDeviceMemory, ShapeOutsideProfile
from engine.runtime.base import FRAME_SHAPES, EncodedSourceSet, FrameInputs, LayerTime, fill_picks
from engine.runtime.cuda import CudaDevice, DeviceBuffer, Graph
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_encoder import SourceEncoder
from engine.runtime.runtime_cache import RuntimeCache
from engine.runtime.tensorrt_library import make_logger, make_profiler
from engine.types import MAX_SOURCES

__all__ = ["TensorRtRunner"]

_OUTPUT, _PICTURES = "portrait", "rgba"


@dataclass(slots=True)
class _Resident:
    """A set on the GPU. profile: of the engine, for its number of pictures. graph: recorded with its first frame."""

    buffers: dict[str, DeviceBuffer]
    shapes: dict[str, tuple[int, ...]]
    profile: int
    graph: Graph | None = None


class TensorRtRunner:
    """Runs `animate` from an engine file.

    Args:
        manifest: the model; its files are verified first.
        engine: the engine file's bytes, whose fingerprint the caller has checked. library: `tensorrt` or
            `tensorrt_rtx`, imported. cuda: the GPU, which the runner closes.
        cache: file for kernels that TensorRT for RTX compiles on this GPU; None keeps none.
        recorded: whether frames are recorded into graphs; without, each is queued call by call, to compare and to
            measure layers.

    Raises:
        EngineMismatch: the library cannot read the engine here. OutOfDeviceMemory, CudaError: see `CudaDevice`.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        *,
        engine: bytes,
        library: Any,
        cuda: CudaDevice,
        cache: Path | None = None,
        recorded: bool = True,
    ) -> None:
        manifest.verify()
        self._manifest, self._library, self._cuda, self._recorded = manifest, library, cuda, recorded
        self._encoder = SourceEncoder(manifest, OpenVinoDevice("CPU"))
        self._reports: list[str] = []
        self._logger = make_logger(library, self._reports)
        self._engine = library.Runtime(self._logger).deserialize_cuda_engine(engine)
        if self._engine is None:
            raise self._refusal(self._why())
        self._contexts: dict[int, Any] = {}
        self._kernels = RuntimeCache(cache)
        self._bound: _Resident | None = None
        self._context(0)  # now, since it is what an engine that does not fit fails at
        side = manifest.side_px
        self._inputs = {name: cuda.pinned(shape, kind) for name, (shape, kind) in FRAME_SHAPES.items()}
        self._portrait = cuda.pinned((1, 4, side, side), np.float32)
        self._device_inputs = {name: cuda.allocate(array) for name, array in self._inputs.items()}
        self._device_portrait = cuda.allocate(self._portrait)

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        precision = "fp32 + fp16 decoder" if self._manifest.islands else "fp32"
        return f"{self._library.__name__} {self._library.__version__} on {self._cuda.name}, {precision}"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures and load them onto the GPU: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3).

        Raises:
            ShapeOutsideProfile: more pictures than the engine is built for. OutOfDeviceMemory: they do not fit.
        """
        count = len(rgba)
        if count > MAX_SOURCES:
            raise ShapeOutsideProfile(
                f"The set has {count} pictures, and the engine takes up to {MAX_SOURCES}.", hint="Use fewer pictures."
            )
        profile = self._profile_for(count)
        tensors = self._encoder.encode(rgba, keypoints)
        buffers = {name: self._cuda.allocate(array) for name, array in tensors.items()}
        resident = _Resident(buffers, {name: array.shape for name, array in tensors.items()}, profile)
        return EncodedSourceSet(count, {"resident": resident})

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array is reused by the next call.

        Raises:
            InferenceFailed: the engine refuses the frame. OutOfDeviceMemory, CudaError, DeviceLost: the GPU failed.
        """
        self.start(sources, inputs)
        return self.wait()

    def start(self, sources: EncodedSourceSet, inputs: FrameInputs) -> None:
        """Queue a frame; see `engine.runtime.base.StartsFrames`. Raises as `animate`."""
        resident: _Resident = sources.tensors["resident"]
        fill_picks(inputs, into=self._inputs)
        if not self._recorded:
            self._bind(resident)
            self._queue(resident)
        else:
            if resident.graph is None:
                resident.graph = self._record(resident)
            self._cuda.launch(resident.graph)

    def wait(self) -> NDArray[np.float32]:
        """Return the portrait of the frame that was queued. Raises as `animate`."""
        self._cuda.synchronize()
        return np.asarray(self._portrait[0])

    def measure_layers(self, sources: EncodedSourceSet, inputs: FrameInputs, *, frames: int) -> list[LayerTime]:
        """Return what each layer of the engine takes, in milliseconds, the mean over some frames.

        The library takes the time between layers, frame by frame and without a graph: sums are above a frame's time.

        Raises:
            As `animate`.
        """
        resident: _Resident = sources.tensors["resident"]
        fill_picks(inputs, into=self._inputs)
        self._bind(resident)
        self._queue(resident)
        self._cuda.synchronize()
        profiler, sums = make_profiler(self._library)
        context = self._context(resident.profile)
        context.profiler = profiler
        for _ in range(frames):
            self._queue(resident)
            self._cuda.synchronize()
        del self._contexts[resident.profile]  # a profiler cannot be taken off again; graphs keep what they recorded
        self._bound = None
        return [LayerTime(name, "", ms / frames) for name, ms in sums.items()]

    def close(self) -> None:
        """Free the engine; sets that are still held keep their memory."""
        self._bound = None
        self._contexts.clear()
        self._engine = None
        for buffer in (*self._device_inputs.values(), self._device_portrait):
            buffer.free()
        self._encoder.close()
        self._cuda.close()

    def _context(self, profile: int) -> Any:
        """Return the execution context of a profile, made when first asked for.

        Raises:
            OutOfDeviceMemory: it does not fit. EngineMismatch: the library refuses.
        """
        context = self._contexts.get(profile)
        if context is not None:
            return context
        needed = int(self._engine.get_device_memory_size_for_profile_v2(profile))
        free = self._cuda.free_bytes
        if needed > free:
            raise OutOfDeviceMemory(
                f"The engine of '{self._manifest.name}' needs {needed / 1e6:.0f} MB on {self._cuda.name}, where "
                f"{free / 1e6:.0f} MB are free.",
                hint="Close other programs that use the GPU, choose a smaller model, or use --backend openvino.",
            )
        context = self._kernels.make_context(self._engine)
        if context is None:
            raise self._refusal(self._why())
        self._kernels.save()
        if profile and not context.set_optimization_profile_async(profile, self._cuda.stream):
            raise self._refusal(self._why())
        self._cuda.synchronize()
        return self._contexts.setdefault(profile, context)

    def _profile_for(self, count: int) -> int:
        """Return the engine's first profile that takes this number of pictures."""
        ranges = []
        for profile in range(int(self._engine.num_optimization_profiles)):
            least, _, most = (shape[1] for shape in self._engine.get_tensor_profile_shape(_PICTURES, profile))
            if least <= count <= most:
                return profile
            ranges.append(f"{least} to {most}" if least != most else str(most))
        raise ShapeOutsideProfile(
            f"The set has {count} pictures, and the engine of '{self._manifest.name}' takes {', '.join(ranges)}.",
            hint="Use fewer pictures (--sources), or build it again: python build_engines.py",
        )

    def _bind(self, resident: _Resident) -> None:
        """Point the context of a set's profile at its buffers."""
        if self._bound is resident:
            return
        context = self._context(resident.profile)
        shapes = {**resident.shapes, **{name: array.shape for name, array in self._inputs.items()}}
        buffers = {**resident.buffers, **self._device_inputs, _OUTPUT: self._device_portrait}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if name not in buffers:
                raise EngineMismatch(
                    f"The engine of '{self._manifest.name}' asks for '{name}', which this program does not know.",
                    hint="Build it again: python build_engines.py",
                )
            if name != _OUTPUT and not context.set_input_shape(name, shapes[name]):
                raise ShapeOutsideProfile(
                    f"The engine of '{self._manifest.name}' takes no {name} of shape {shapes[name]}: {self._why()}.",
                    hint="Build it again: python build_engines.py",
                )
            context.set_tensor_address(name, buffers[name].address)
        self._bound = resident

    def _queue(self, resident: _Resident) -> None:
        """Queue one frame: inputs up, the engine, the picture down."""
        for name, array in self._inputs.items():
            self._cuda.copy_in(self._device_inputs[name], array)
        if not self._context(resident.profile).execute_async_v3(self._cuda.stream):
            raise InferenceFailed(
                f"The engine of '{self._manifest.name}' failed: {self._why()}.", hint="Restart the run."
            )
        self._cuda.copy_out(self._portrait, self._device_portrait)

    def _record(self, resident: _Resident) -> Graph:
        """Record a set's frame. The engine runs once before, as TensorRT asks after a new shape."""
        self._bind(resident)
        self._queue(resident)
        self._cuda.synchronize()
        self._bound = None  # what is recorded needs no binding, and a set must not be held for one
        return self._cuda.record(lambda: self._queue(resident), resident.buffers, self._context(resident.profile))

    def _refusal(self, reason: str) -> EngineError:
        """Return the error for an engine that the library does not take, by its own words."""
        if "memory" in reason.lower():
            return OutOfDeviceMemory(
                f"The engine of '{self._manifest.name}' does not fit on {self._cuda.name}: {reason}.",
                hint="Close other programs that use the GPU, choose a smaller model, or use --backend openvino.",
            )
        return EngineMismatch(
            f"The engine of '{self._manifest.name}' cannot be used on {self._cuda.name}: {reason}.",
            hint="Build it again: python build_engines.py",
        )

    def _why(self) -> str:
        """What the library said last."""
        return self._reports[-1] if self._reports else "no reason given"
