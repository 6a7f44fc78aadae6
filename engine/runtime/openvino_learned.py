# SPDX-License-Identifier: Apache-2.0
"""OpenVINO back-end of the models with learned keypoints: `detect.onnx`, `encode.onnx`, `animate.onnx`.

All in float32: keypoints and sampling coordinates lose whole pixels in half precision. What runs once a frame is
compiled for the set's number of pictures N, once per N and while the set is loaded: with N left open FOMM took 1.4 and
fv2v 1.2 to 1.5 times as long for 4 and 8 pictures, against 0.2 s of compiling.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, ModelMismatch
from engine.runtime.base import EncodedSourceSet, Motion
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice, is_npu

__all__ = ["OpenVinoLearnedRunner"]

_DETECT, _ENCODE, _ANIMATE = "detect.onnx", "encode.onnx", "animate.onnx"


class OpenVinoLearnedRunner:
    """Runs a model with learned keypoints through OpenVINO.

    Args:
        manifest: the model; its files are verified first. device, threads: see `OpenVinoDevice`.

    Raises:
        BackendUnavailable: no such device, or it cannot compile the model.
        ModelFileMissing, ModelMismatch: see `ModelManifest.verify`; or a graph lacks a tensor of the manifest.
    """

    def __init__(self, manifest: ModelManifest, *, device: str = "CPU", threads: int = 0) -> None:
        manifest.verify()
        if is_npu(device):
            raise BackendUnavailable(
                f"'{manifest.name}' needs float32, and an NPU computes in half precision alone.",
                hint="Use --backend openvino (CPU) or openvino:GPU.",
            )
        self._manifest, self._device = manifest, OpenVinoDevice(device, threads=threads)
        self._encode_lock, self._compile_lock = threading.Lock(), threading.Lock()
        self._graphs: dict[str, Any] = {}
        self._requests: dict[str, Any] = {}

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        return f"{self._device.description}, fp32"

    def detect(self, rgb: NDArray[np.float32]) -> Motion:
        """Return the motion tensors of one picture, (3, R, R) in [-1, 1]."""
        return self._detect(self._request(_DETECT, "render"), rgb)

    def encode(self, rgb: NDArray[np.float32]) -> tuple[EncodedSourceSet, Sequence[Motion]]:
        """Encode N pictures, (N, 3, R, R) in [-1, 1]; returns their motion tensors too."""
        with self._encode_lock:
            # A detector request of its own: the render thread is using the other one meanwhile.
            detector, encoder = self._request(_DETECT, "encode"), self._request(_ENCODE, "encode")
            motions = [self._detect(detector, picture) for picture in rgb]
            stacked = {name: np.stack([motion[name] for motion in motions])[None] for name in self._manifest.motion}
            self._device.infer(encoder, {"rgb": rgb[None], **stacked})
            cache = {name: self._output(encoder, name, _ENCODE).copy() for name in self._manifest.cache}
        sources = EncodedSourceSet(len(rgb), {name: self._device.wrap(array) for name, array in cache.items()})
        self._request(_DETECT, "render")  # compiled now, not while the first frame waits
        self._animator(sources)
        return sources, motions

    def animate(self, sources: EncodedSourceSet, motion: Motion) -> NDArray[np.float32]:
        """Return the portrait, (3, R, R) in [-1, 1]; the array is reused by the next call."""
        request = self._animator(sources)
        feeds = {name: motion[name][None] for name in self._manifest.motion}
        self._device.infer(request, {**sources.tensors, **feeds})
        return np.asarray(request.get_output_tensor(0).data[0])

    def close(self) -> None:
        """Free the compiled graphs."""
        self._requests.clear()
        self._graphs.clear()

    def _detect(self, request: Any, rgb: NDArray[np.float32]) -> Motion:
        self._device.infer(request, {"rgb": rgb[None]})
        return {name: self._output(request, name, _DETECT)[0].copy() for name in self._manifest.motion}

    def _output(self, request: Any, name: str, file: str) -> NDArray[np.float32]:
        try:
            return np.asarray(request.get_tensor(name).data)
        except RuntimeError as error:
            raise ModelMismatch(
                f"{file} of '{self._manifest.name}' has no output '{name}', which its manifest promises.",
                hint="Export the model again, or install Bunraku again (python3 run.py).",
            ) from error

    def _animator(self, sources: EncodedSourceSet) -> Any:
        """Return the frame graph's request for sets of this size."""
        shapes = {name: list(tensor.shape) for name, tensor in sources.tensors.items()}
        return self._request(_ANIMATE, f"render N={sources.count}", shapes=shapes)

    def _request(self, file: str, user: str, *, shapes: Mapping[str, list[int]] | None = None) -> Any:
        """Return the infer request of a graph for one user (thread, and N), compiled on first use.

        Args:
            shapes: of inputs that are open in the file; a graph with fixed ones is compiled for this user alone.
        """
        request = self._requests.get(f"{file} {user}")  # without the lock: loading a set must not hold up a frame
        if request is None:
            with self._compile_lock:
                graph = self._graphs.get(file) if shapes is None else None
                if graph is None:
                    model = self._device.read(self._manifest, file, shapes=shapes)
                    graph = self._device.compile(model, name=self._manifest.name)
                if shapes is None:
                    self._graphs[file] = graph
                request = self._requests.setdefault(f"{file} {user}", graph.create_infer_request())
        return request
