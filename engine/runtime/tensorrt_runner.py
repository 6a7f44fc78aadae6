# SPDX-License-Identifier: Apache-2.0
"""TensorRT back-end: a built engine on an NVIDIA GPU, with `tensorrt` or `tensorrt_rtx`. No torch, no plugin.

A source set is encoded once on the CPU (OpenVINO) and kept on the GPU. A frame is one launch of a recorded graph:
four small inputs up, the engine, one picture down; nothing is allocated and nothing is decided in between. Each set
has a graph of its own, recorded when its first frame is drawn, so that switching back and forth records nothing.

Every engine is built for two picked pictures; a frame that wants one gets it twice, the second without weight.

Not yet run on a GPU: the project has had none so far. Tests run it on a stand-in for the CUDA runtime in host memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineMismatch, InferenceFailed, ShapeOutsideProfile
from engine.runtime.base import FRAME_SHAPES, EncodedSourceSet, FrameInputs, fill_picks
from engine.runtime.cuda import CudaDevice, DeviceBuffer, Graph
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_encoder import SourceEncoder
from engine.runtime.tensorrt_library import make_logger
from engine.types import MAX_SOURCES

__all__ = ["TensorRtRunner"]

_OUTPUT = "portrait"


@dataclass(slots=True)
class _Resident:
    """A set on the GPU. graph: recorded with its first frame."""

    buffers: dict[str, DeviceBuffer]
    shapes: dict[str, tuple[int, ...]]
    graph: Graph | None = None


class TensorRtRunner:
    """Runs `animate` from an engine file.

    Args:
        manifest: the model; its files are verified first.
        engine: the engine file's bytes, whose fingerprint the caller has checked. library: `tensorrt` or
            `tensorrt_rtx`, imported. cuda: the GPU.

    Raises:
        EngineMismatch: the library cannot read the engine here. OutOfDeviceMemory, CudaError: see `CudaDevice`.
    """

    def __init__(self, manifest: ModelManifest, *, engine: bytes, library: Any, cuda: CudaDevice) -> None:
        manifest.verify()
        self._manifest, self._library, self._cuda = manifest, library, cuda
        self._encoder = SourceEncoder(manifest, OpenVinoDevice("CPU"))
        self._reports: list[str] = []
        self._logger = make_logger(library, self._reports)
        self._engine = library.Runtime(self._logger).deserialize_cuda_engine(engine)
        context = self._engine.create_execution_context() if self._engine is not None else None
        if context is None:
            raise EngineMismatch(
                f"The engine of '{manifest.name}' cannot be used on {cuda.name}: {self._why()}.",
                hint="Build it again: python build_engines.py",
            )
        self._context = context
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
        """Back-end, version and device."""
        return f"{self._library.__name__} {self._library.__version__} on {self._cuda.name}"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures and load them onto the GPU: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3).

        Raises:
            ShapeOutsideProfile: more pictures than engines are built for. OutOfDeviceMemory: they do not fit.
        """
        if len(rgba) > MAX_SOURCES:
            raise ShapeOutsideProfile(
                f"The set has {len(rgba)} pictures, and the engine takes up to {MAX_SOURCES}.",
                hint="Use fewer pictures.",
            )
        tensors = self._encoder.encode(rgba, keypoints)
        buffers = {name: self._cuda.allocate(array) for name, array in tensors.items()}
        resident = _Resident(buffers, {name: array.shape for name, array in tensors.items()})
        return EncodedSourceSet(len(rgba), {"resident": resident})

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array is reused by the next call.

        Raises:
            InferenceFailed: the engine refuses the frame. CudaError: the GPU failed.
        """
        resident: _Resident = sources.tensors["resident"]
        fill_picks(inputs, into=self._inputs)
        if resident.graph is None:
            resident.graph = self._record(resident)
        self._cuda.launch(resident.graph)
        self._cuda.synchronize()
        return np.asarray(self._portrait[0])

    def close(self) -> None:
        """Free the engine; sets that are still held keep their memory."""
        self._context = self._engine = None
        for buffer in (*self._device_inputs.values(), self._device_portrait):
            buffer.free()
        self._encoder.close()

    def _record(self, resident: _Resident) -> Graph:
        """Bind a set's buffers and record a frame. The engine runs once before, as TensorRT asks after a new shape."""
        shapes = {**resident.shapes, **{name: array.shape for name, array in self._inputs.items()}}
        buffers = {**resident.buffers, **self._device_inputs, _OUTPUT: self._device_portrait}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if name not in buffers:
                raise EngineMismatch(
                    f"The engine of '{self._manifest.name}' asks for '{name}', which this program does not know.",
                    hint="Build it again: python build_engines.py",
                )
            if name != _OUTPUT and not self._context.set_input_shape(name, shapes[name]):
                raise ShapeOutsideProfile(
                    f"The engine of '{self._manifest.name}' takes no {name} of shape {shapes[name]}: {self._why()}.",
                    hint="Build it again: python build_engines.py",
                )
            self._context.set_tensor_address(name, buffers[name].address)

        def frame() -> None:
            for name, array in self._inputs.items():
                self._cuda.copy_in(self._device_inputs[name], array)
            if not self._context.execute_async_v3(self._cuda.stream):
                raise InferenceFailed(
                    f"The engine of '{self._manifest.name}' failed: {self._why()}.", hint="Restart the run."
                )
            self._cuda.copy_out(self._portrait, self._device_portrait)

        frame()
        self._cuda.synchronize()
        return self._cuda.record(frame, resident.buffers)

    def _why(self) -> str:
        """What the library said last."""
        return self._reports[-1] if self._reports else "no reason given"
