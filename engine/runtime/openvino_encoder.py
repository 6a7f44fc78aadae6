# SPDX-License-Identifier: Apache-2.0
"""`encode.onnx` through OpenVINO: what a source set is turned into once, for whichever back-end draws the frames."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.types import MAX_SOURCES

__all__ = ["SourceEncoder", "open_count"]


def open_count(model: ov.Model, fixed: dict[str, int] | None = None, *, count: int = 0) -> None:
    """Set the second axis of the inputs in `fixed`, and the number of pictures N; 0 leaves it open up to the limit."""
    shapes = {}
    for port in model.inputs:
        shape, name = port.partial_shape, port.any_name
        if fixed and name in fixed:
            shape[1] = fixed[name]
        elif shape.is_dynamic:
            shape[1] = count or ov.Dimension(1, MAX_SOURCES)
        shapes[name] = shape
    model.reshape(shapes)


class SourceEncoder:
    """Encodes source sets in float32; compiled when first used.

    Thread: any; one set at a time.
    """

    def __init__(self, manifest: ModelManifest, device: OpenVinoDevice) -> None:
        self._manifest, self._device, self._lock = manifest, device, threading.Lock()
        self._compiled: Any = None  # kept, so that it can be shared
        self._request: Any = None

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3) -> tensors (1, N, …), with `rgba`.

        Raises:
            ModelMismatch: the graph is damaged or gone. BackendUnavailable, InferenceFailed: the device refuses it.
        """
        pictures = np.ascontiguousarray(rgba[None], np.float32)
        with self._lock:
            if self._request is None:
                model = self._device.read(self._manifest, "encode.onnx")
                open_count(model)
                self._compiled = self._compile(model)
                self._request = self._compiled.create_infer_request()
            faces = np.ascontiguousarray(keypoints[None], np.float32)
            self._device.infer(self._request, {"rgba": pictures, "keypoints": faces})
            tensors = {name: self._request.get_tensor(name).data.copy() for name in self._manifest.cache}
        return {**tensors, "rgba": pictures}

    def _compile(self, model: ov.Model) -> Any:
        return self._device.compile(model, name=self._manifest.name, key=self._manifest.files["encode.onnx"])

    def close(self) -> None:
        """Free the compiled graph."""
        self._request = self._compiled = None
