# SPDX-License-Identifier: Apache-2.0
"""OpenVINO back-end: the default on CPUs, and on Intel GPUs and NPUs by name.

Geometry always runs in float32: its logits and coordinates lose whole pixels in half precision (all of `animate` in
bfloat16 differs from float32 by more than half the range). Only a decoder's islands of convolutions may run in less:

    int8   from a graph of its own that `python -m engine.build int8` has calibrated and judged; one compiled graph
    bf16   the exact graph, cut at the islands; the parts run one after another
    fp32   where the processor has neither

An NPU computes in half precision alone: it gets the islands, and the CPU beside it the rest.

One compiled graph per number of picked pictures K (1 or 2). K is fixed at compile time so that everything after the
gather has static shapes. On a CPU N stays open, so changing to a set of another size compiles nothing; on other
devices, which are slow or helpless with open shapes, it is fixed too.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, InferenceFailed
from engine.runtime.base import EncodedSourceSet, FrameInputs, LayerTime
from engine.runtime.manifest import INT8_GRAPH, ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice, is_npu
from engine.runtime.openvino_encoder import SourceEncoder, open_count
from engine.runtime.openvino_split import Part, split_model

__all__ = ["OpenVinoRunner"]

_Stages = list[tuple[Part, Any]]  # what runs one after another, and its infer request


class OpenVinoRunner:
    """Runs `encode.onnx` and `animate.onnx` through OpenVINO.

    Args:
        manifest: the model; its files are verified first.
        device: OpenVINO device name, e.g. CPU, GPU, GPU.1, NPU.
        threads: CPU threads; 0 takes the machine's cores up to 8.
        precision: of the decoder: fp32, bf16, int8, or `auto`: int8 where there is such a graph, else bf16, both only
            where the device computes in bf16 (processors that do multiply 8-bit integers without overflow, too).

    Raises:
        BackendUnavailable: no such device, or it cannot run the model, or there is no int8 graph.
        ModelFileMissing, ModelMismatch: see `ModelManifest.verify`.
    """

    def __init__(
        self, manifest: ModelManifest, *, device: str = "CPU", threads: int = 0, precision: str = "auto"
    ) -> None:
        manifest.verify()
        self._manifest = manifest
        given = OpenVinoDevice(device, threads=threads)
        beside = is_npu(device)
        if beside and not manifest.islands:
            raise BackendUnavailable(
                f"'{manifest.name}' is all geometry, which an NPU computes too coarsely.",
                hint="Use --backend openvino (CPU), or a model with a decoder, such as lite-trained.",
            )
        self._device = OpenVinoDevice("CPU", threads=threads) if beside else given
        self._island_device = given
        if precision == "int8" and not manifest.quantised:
            raise BackendUnavailable(
                f"'{manifest.name}' has no int8 graph.", hint=f"Make one: python -m engine.build int8 {manifest.name}"
            )
        self._precision = _choose(manifest, given, precision, beside=beside)
        self._encoder, self._compile_lock = SourceEncoder(manifest, self._device), threading.Lock()
        self._animators: dict[tuple[int, int], _Stages] = {}
        self._compiled: list[Any] = []  # kept, so that they can be shared
        self._begun: tuple[_Stages, dict[str, Any]] | None = None

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        decoder = f" + {self._precision} decoder" if self._precision != "fp32" else ""
        place = f" on {self._island_device.name}" if self._island_device is not self._device else ""
        return f"{self._device.description}, fp32{decoder}{place}"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3)."""
        tensors = self._encoder.encode(rgba, keypoints)
        count = len(rgba)
        self._animator(min(2, count), count)  # compiled now, not while the first frame waits
        return EncodedSourceSet(count, {name: self._device.wrap(array) for name, array in tensors.items()})

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array is reused by the next call."""
        self._settle()
        return self._run(self._animator(len(inputs.pick), sources.count), _tensors_of(sources, inputs))

    def start(self, sources: EncodedSourceSet, inputs: FrameInputs) -> None:
        """Begin a frame; see `engine.runtime.base.StartsFrames`. Of a graph in parts it is the first that runs now."""
        self._settle()
        stages, known = self._animator(len(inputs.pick), sources.count), _tensors_of(sources, inputs)
        part, request = stages[0]
        self._device.start(request, {name: known[name] for name in part.inputs})
        self._begun = stages, known

    def wait(self) -> NDArray[np.float32]:
        """Return the portrait of the frame that was begun, (4, R, R) in [-1, 1]; the array is reused by the next."""
        assert self._begun is not None, "a frame was begun"
        (stages, known), self._begun = self._begun, None
        part, request = stages[0]
        self._device.wait(request)
        known.update({name: request.get_tensor(name) for name in part.outputs})
        return self._run(stages[1:], known) if len(stages) > 1 else _portrait(request)

    def measure_layers(self, sources: EncodedSourceSet, inputs: FrameInputs, *, frames: int) -> list[LayerTime]:
        """Return what each kernel of a frame takes, the mean over some frames; compiles the graph once more.

        Counting costs time: sums are above a frame's time.
        """
        stages = self._build_animator(len(inputs.pick), self._fixed(sources.count), PERF_COUNT="YES")
        known = _tensors_of(sources, inputs)
        self._run(stages, known)
        sums: dict[tuple[str, str], float] = {}
        for _ in range(frames):
            self._run(stages, known)
            for _part, request in stages:
                for layer in request.get_profiling_info():
                    key = (layer.node_name, f"{layer.node_type} {layer.exec_type}")
                    sums[key] = sums.get(key, 0.0) + layer.real_time.total_seconds() * 1e3
        return [LayerTime(name, kind, ms / frames) for (name, kind), ms in sums.items()]

    def close(self) -> None:
        """Free the compiled graphs."""
        self._settle()
        self._animators.clear()
        self._compiled.clear()
        self._encoder.close()

    def _settle(self) -> None:
        """Wait for a frame that was begun and that nobody wants any more."""
        if self._begun is not None:
            (_, request), *_ = self._begun[0]
            self._begun = None
            with contextlib.suppress(InferenceFailed):
                self._device.wait(request)

    def _run(self, stages: _Stages, known: dict[str, Any]) -> NDArray[np.float32]:
        """Run the parts of a frame on what is known by name, and note there what they make."""
        request: Any = None
        for part, request in stages:
            self._device.infer(request, {name: known[name] for name in part.inputs})
            known.update({name: request.get_tensor(name) for name in part.outputs})
        return _portrait(request)

    def _animator(self, picked: int, count: int) -> _Stages:
        """Return the compiled frame graph for K picked pictures; loading threads and the render thread both ask.

        A graph that is there is taken without the lock: a set that compiles another one must not hold up a frame.
        """
        key = picked, self._fixed(count)
        stages = self._animators.get(key)
        if stages is None:
            with self._compile_lock:
                stages = self._animators.get(key)
                if stages is None:
                    stages = self._animators[key] = self._build_animator(*key)
        return stages

    def _fixed(self, count: int) -> int:
        """Return the number of pictures that a graph is compiled for; 0 leaves it open."""
        return 0 if self._device.name == "CPU" else count

    def _build_animator(self, picked: int, count: int, **settings: str) -> _Stages:
        """Return the parts of a frame and their infer requests, in order: one, or exact ones and islands in turns."""
        file = INT8_GRAPH if self._precision == "int8" else "animate.onnx"
        model = self._device.read(self._manifest, file)
        open_count(model, {"pick": picked, "log_stage": picked, "log_face": picked}, count=count)
        split = self._island_device is not self._device or self._precision == "bf16"
        hints = {"INFERENCE_PRECISION_HINT": "bf16"} if self._precision == "bf16" else {}
        stages = []
        for number, part in enumerate(split_model(model, self._manifest.islands if split else ())):
            device = self._island_device if part.half else self._device
            compiled = device.compile(
                part.model,
                name=self._manifest.name,
                key=f"{self._manifest.files[file]} {picked} {count} {split} {number}",
                **settings,
                **(hints if part.half else {}),
            )
            self._compiled.append(compiled)
            stages.append((part, compiled.create_infer_request()))
        return stages


def _tensors_of(sources: EncodedSourceSet, inputs: FrameInputs) -> dict[str, Any]:
    """Return what a frame is computed from, by the graph's names."""
    return {
        **sources.tensors,
        "keypoints": inputs.keypoints[None],
        "pick": inputs.pick[None],
        "log_stage": inputs.log_stage[None],
        "log_face": inputs.log_face[None],
    }


def _portrait(request: Any) -> NDArray[np.float32]:
    return np.asarray(request.get_output_tensor(0).data[0])


def _choose(manifest: ModelManifest, device: OpenVinoDevice, precision: str, *, beside: bool) -> str:
    """Return the decoder's precision."""
    if beside:
        return "fp16"
    if not manifest.islands and precision != "int8":
        return "fp32"
    if precision != "auto":
        return precision
    if not device.computes_bf16:
        return "fp32"
    return "int8" if manifest.quantised else "bf16"
