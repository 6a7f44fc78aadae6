# SPDX-License-Identifier: Apache-2.0
"""Torch back-end: the reference that the exported graphs are compared with, and the way onto GPUs without TensorRT.

Slower than OpenVINO on a CPU, and the only module outside `engine.models` and `engine.training` that imports torch.
Needs the [train] extra. On CUDA the convolutions of a decoder run in bfloat16 (float16 where the GPU has none),
channels last; geometry stays float32 (`AttentionWarp` and `LandmarkField` see to that). A frame is then one launch of a
recorded graph, each set with its own, and allocates nothing.

Not yet run on a GPU: the project has had none so far.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, CudaError, DeviceLost, OutOfDeviceMemory
from engine.models.checkpoint import load_checkpoint
from engine.models.implicit_warp import SourceCache
from engine.runtime.base import FRAME_SHAPES, PICKED, EncodedSourceSet, FrameInputs, LayerTime, fill_picks
from engine.runtime.cuda import DEVICE_LOST
from engine.runtime.manifest import ModelManifest

__all__ = ["TorchRunner"]

_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(slots=True)
class _Resident:
    """A set on the device. graph, portrait: recorded with its first frame, on CUDA."""

    cache: SourceCache
    graph: Any = None
    portrait: torch.Tensor | None = None


class TorchRunner:
    """Runs the torch model itself.

    Args:
        manifest: the model; `weights.safetensors` lies beside its graphs.
        device: torch device, e.g. cpu, cuda.
        precision: of the decoder: fp32, bf16, fp16, or auto: half where it is a GPU and there is a decoder.
        recorded: whether a GPU's frames are recorded into graphs; without, kernels are launched one by one.

    Raises:
        BackendUnavailable: torch has no such device.
        ModelFileMissing, ModelMismatch: the weights are missing or damaged.
    """

    def __init__(
        self, manifest: ModelManifest, *, device: str = "cpu", precision: str = "auto", recorded: bool = True
    ) -> None:
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without the device
            raise BackendUnavailable(
                f"torch cannot use the device '{device}' on this machine: {str(error).splitlines()[0]}",
                hint="Use --backend openvino, or install the device's driver.",
            ) from error
        self._manifest, self._device = manifest, torch.device(device)
        model = load_checkpoint(manifest.folder / "weights.safetensors").to(self._device).eval()
        self._on_gpu = self._device.type == "cuda"
        self._records = self._on_gpu and recorded
        if precision == "auto":
            half = "bf16" if self._on_gpu and torch.cuda.is_bf16_supported() else "fp16"
            precision = half if self._on_gpu and manifest.islands else "fp32"
        self._precision = precision
        self._model = model if precision == "fp32" else model.to(memory_format=torch.channels_last)
        zeros = {name: torch.from_numpy(np.zeros(shape, kind)) for name, (shape, kind) in FRAME_SHAPES.items()}
        self._host = {name: x.pin_memory() if self._on_gpu else x for name, x in zeros.items()}
        side = manifest.side_px
        self._portrait = torch.zeros(4, side, side, pin_memory=self._on_gpu)
        self._arrays = {name: tensor.numpy() for name, tensor in self._host.items()}
        self._inputs = {name: tensor.to(self._device) for name, tensor in self._host.items()}

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        place = torch.cuda.get_device_name(self._device) if self._on_gpu else str(self._device)
        half = f"fp32 + {self._precision} decoder" if self._precision != "fp32" else "fp32"
        return f"torch {torch.__version__} on {place}, {half}"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3)."""
        with self._computing():
            cache = self._model.encode_sources(self._tensor(rgba), self._tensor(keypoints))
        return EncodedSourceSet(len(rgba), {"resident": _Resident(cache)})

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array is reused by the next call.

        Raises:
            OutOfDeviceMemory, CudaError, DeviceLost: the GPU is full, failed, or is gone.
        """
        resident: _Resident = sources.tensors["resident"]
        fill_picks(inputs, into=self._arrays)
        with self._computing():
            for name, tensor in self._host.items():
                self._inputs[name].copy_(tensor, non_blocking=True)
            if self._records:
                if resident.graph is None:
                    self._record(resident)
                resident.graph.replay()
                drawn = resident.portrait
            else:
                drawn = self._draw(resident, PICKED if self._on_gpu else len(inputs.pick))
            assert drawn is not None
            self._portrait.copy_(drawn, non_blocking=True)
            if self._on_gpu:
                torch.cuda.current_stream(self._device).synchronize()
            return np.asarray(self._portrait.numpy())

    def measure_layers(self, sources: EncodedSourceSet, inputs: FrameInputs, *, frames: int) -> list[LayerTime]:
        """Return what each kernel of a frame takes, the mean over some frames, launched one by one."""
        resident: _Resident = sources.tensors["resident"]
        self.animate(sources, inputs)
        kinds = [torch.profiler.ProfilerActivity.CUDA if self._on_gpu else torch.profiler.ProfilerActivity.CPU]
        with self._computing(), torch.profiler.profile(activities=kinds) as profile:
            for _ in range(frames):
                self._draw(resident, PICKED if self._on_gpu else len(inputs.pick))
        where = "device" if self._on_gpu else "cpu"
        return [
            LayerTime(event.key, where, getattr(event, f"self_{where}_time_total") / frames / 1e3)
            for event in profile.key_averages()
        ]

    def close(self) -> None:
        """Free the model."""
        del self._model

    def _draw(self, resident: _Resident, picked: int = PICKED) -> torch.Tensor:
        keypoints = self._inputs["keypoints"]
        how = {name: x[:, :picked] for name, x in self._inputs.items() if name != "keypoints"}
        portrait, _ = self._model.animate(keypoints, resident.cache, **how)
        return torch.as_tensor(portrait[0].float())

    def _record(self, resident: _Resident) -> None:
        """Record a frame; it runs a few times before, as torch asks, on a stream of its own."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._draw(resident)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            resident.portrait = self._draw(resident)
        resident.graph = graph

    @contextlib.contextmanager
    def _computing(self) -> Any:
        """No gradients, the decoder's precision, and the GPU's errors as ours."""
        half = _PRECISIONS[self._precision]
        try:
            kind, on = self._device.type, half is not None
            # what autocast keeps between calls would be part of one graph and missing in the next
            with torch.inference_mode(), torch.autocast(kind, dtype=half, enabled=on, cache_enabled=False):
                yield
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(
                "The GPU has no memory left for this set.",
                hint="Close other programs that use it, or use fewer pictures (--sources) or a smaller model.",
            ) from error
        except RuntimeError as error:
            if not self._on_gpu:
                raise
            reason = str(error).splitlines()[0]
            if getattr(error, "error_code", None) in DEVICE_LOST:  # of torch.AcceleratorError
                raise DeviceLost(
                    f"The GPU was lost while torch drew a frame: {reason}.", hint="Start Bunraku again."
                ) from error
            raise CudaError(f"torch failed on {self._device}: {reason}.", hint="Start again.") from error

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        return torch.tensor(array)[None].to(self._device)  # a copy: the arrays may be read-only
