# SPDX-License-Identifier: Apache-2.0
"""Torch back-end: the reference that the exported graphs are compared with; needs the [train] extra.

Slower than OpenVINO on a CPU, and the only module outside `engine.models` and `engine.training` that imports torch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import BackendUnavailable
from engine.models.checkpoint import load_checkpoint
from engine.models.implicit_warp import SourceCache
from engine.runtime.base import EncodedSourceSet, FrameInputs
from engine.runtime.manifest import ModelManifest

__all__ = ["TorchRunner"]


class TorchRunner:
    """Runs the torch model itself, in float32.

    Args:
        manifest: the model; `weights.safetensors` lies beside its graphs.
        device: torch device, e.g. cpu, cuda.

    Raises:
        BackendUnavailable: torch has no such device.
        ModelFileMissing, ModelMismatch: the weights are missing or damaged.
    """

    def __init__(self, manifest: ModelManifest, *, device: str = "cpu") -> None:
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without the device
            raise BackendUnavailable(
                f"torch cannot use the device '{device}' on this machine: {str(error).splitlines()[0]}",
                hint="Use --backend openvino, or install the device's driver.",
            ) from error
        self._manifest, self._device = manifest, torch.device(device)
        self._model = load_checkpoint(manifest.folder / "weights.safetensors").to(self._device).eval()

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._manifest

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        return f"torch {torch.__version__} on {self._device}, fp32"

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3)."""
        with torch.inference_mode():
            cache = self._model.encode_sources(self._tensor(rgba), self._tensor(keypoints))
        return EncodedSourceSet(len(rgba), cache._asdict())

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]."""
        with torch.inference_mode():
            portrait, _ = self._model.animate(
                self._tensor(inputs.keypoints),
                SourceCache(**sources.tensors),
                pick=self._tensor(inputs.pick),
                log_stage=self._tensor(inputs.log_stage),
                log_face=self._tensor(inputs.log_face),
            )
        return np.asarray(portrait[0].cpu().numpy())

    def close(self) -> None:
        """Free the model."""
        del self._model

    def _tensor(self, array: NDArray[np.float32] | NDArray[np.int64]) -> torch.Tensor:
        return torch.tensor(array)[None].to(self._device)  # a copy: the arrays may be read-only
