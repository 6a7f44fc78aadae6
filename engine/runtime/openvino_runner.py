# SPDX-License-Identifier: Apache-2.0
"""OpenVINO back-end: the default on CPUs, and on Intel GPUs and NPUs by name.

Geometry always runs in float32: its logits and coordinates lose whole pixels in half precision (all of `animate` in
bfloat16 differs from float32 by more than half the range). A model with a decoder is therefore cut at its islands of
convolutions, and only those run in bfloat16 where the processor has it.

One compiled graph per number of picked pictures K (1 or 2). K is fixed at compile time so that everything after the
gather has static shapes; N stays open, so changing to a set of another size compiles nothing.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engine.runtime.base import EncodedSourceSet, FrameInputs
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_encoder import SourceEncoder, open_count
from engine.runtime.openvino_split import Part, split_model

__all__ = ["OpenVinoRunner"]


class OpenVinoRunner:
    """Runs `encode.onnx` and `animate.onnx` through OpenVINO.

    Args:
        manifest: the model; its files are verified first.
        device: OpenVINO device name, e.g. CPU, GPU, GPU.1, NPU.
        threads: CPU threads; 0 takes the machine's cores up to 8.
        precision: of the decoder; `auto` is bf16 where the device computes in it, else fp32.

    Raises:
        BackendUnavailable: no such device, or it cannot compile the model.
        ModelFileMissing, ModelMismatch: see `ModelManifest.verify`.
    """

    def __init__(
        self, manifest: ModelManifest, *, device: str = "CPU", threads: int = 0, precision: str = "auto"
    ) -> None:
        manifest.verify()
        self._manifest, self._device = manifest, OpenVinoDevice(device, threads=threads)
        self._half = bool(manifest.islands) and (
            precision == "bf16" or (precision == "auto" and self._device.computes_bf16)
        )
        self._encoder, self._compile_lock = SourceEncoder(manifest, self._device), threading.Lock()
        self._animators: dict[int, list[tuple[Part, Any]]] = {}

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        return f"{self._device.description}, {'fp32 + bf16 decoder' if self._half else 'fp32'}"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3)."""
        tensors = self._encoder.encode(rgba, keypoints)
        self._animator(min(2, len(rgba)))  # compiled now, not while the first frame waits
        return EncodedSourceSet(len(rgba), {name: self._device.wrap(array) for name, array in tensors.items()})

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array is reused by the next call."""
        known: dict[str, Any] = {
            **sources.tensors,
            "keypoints": inputs.keypoints[None],
            "pick": inputs.pick[None],
            "log_stage": inputs.log_stage[None],
            "log_face": inputs.log_face[None],
        }
        request: Any = None
        for part, request in self._animator(len(inputs.pick)):
            self._device.infer(request, {name: known[name] for name in part.inputs})
            known.update({name: request.get_tensor(name) for name in part.outputs})
        return np.asarray(request.get_output_tensor(0).data[0])

    def close(self) -> None:
        """Free the compiled graphs."""
        self._animators.clear()
        self._encoder.close()

    def _animator(self, picked: int) -> list[tuple[Part, Any]]:
        """Return the compiled frame graph for K picked pictures; loading threads and the render thread both ask.

        A graph that is there is taken without the lock: a set that compiles another one must not hold up a frame.
        """
        stages = self._animators.get(picked)
        if stages is None:
            with self._compile_lock:
                stages = self._animators.get(picked)
                if stages is None:
                    stages = self._animators[picked] = self._build_animator(picked)
        return stages

    def _build_animator(self, picked: int) -> list[tuple[Part, Any]]:
        """Return the parts of a frame and their infer requests, in order: one, or exact ones and islands in turns."""
        model = self._device.read(self._manifest, "animate.onnx")
        open_count(model, {"pick": picked, "log_stage": picked, "log_face": picked})
        hints: tuple[dict[str, str], ...] = ({}, {"INFERENCE_PRECISION_HINT": "bf16"})
        parts = split_model(model, self._manifest.islands if self._half else ())
        graph = f"{self._manifest.files['animate.onnx']} {picked}"
        return [
            (part, self._compile(part.model, f"{graph} {number}", **hints[part.half]).create_infer_request())
            for number, part in enumerate(parts)
        ]

    def _compile(self, model: ov.Model, key: str, **settings: str) -> Any:
        return self._device.compile(model, name=self._manifest.name, key=key, **settings)
