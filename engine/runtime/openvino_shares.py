# SPDX-License-Identifier: Apache-2.0
"""`shares.onnx` through OpenVINO: what each picture of a set gives to each pixel of a frame, by the attention.

The attention's weights hang on landmarks alone, not on colours, so a small graph of their own answers on the CPU
whichever back-end draws the frames; nothing is added to what every frame computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidSetting
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import SHARES_GRAPH, ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_encoder import open_count

__all__ = ["SourceShares"]


class SourceShares:
    """Computes attention weights on the CPU; compiled at once. Thread: one at a time.

    Raises:
        InvalidSetting: the model has no such graph. ModelMismatch: it is damaged or gone.
    """

    def __init__(self, manifest: ModelManifest) -> None:
        if SHARES_GRAPH not in manifest.files:
            raise InvalidSetting(
                f"Model '{manifest.name}' cannot say which pictures its pixels come from: it has no {SHARES_GRAPH}.",
                hint="Export it again: python -m engine.build WEIGHTS FOLDER.",
                name="model",
            )
        self._device = OpenVinoDevice("CPU")
        model = self._device.read(manifest, SHARES_GRAPH)
        open_count(model)
        self._request: Any = self._device.compile(
            model, name=manifest.name, key=manifest.files[SHARES_GRAPH]
        ).create_infer_request()

    def shares(self, sources: NDArray[np.float32], inputs: FrameInputs) -> NDArray[np.float32]:
        """Return what each picture gives to each pixel.

        Shapes:
            sources: (N, 478, 3) float32, keypoints of the set's pictures. returns: (R, R, N) float32, sums to 1 over N.
        Raises:
            InferenceFailed: the device failed.
        """
        feeds = {
            "keypoints": inputs.keypoints[None],
            "source_keypoints": sources[None],
            "pick": inputs.pick[None],
            "log_stage": inputs.log_stage[None],
            "log_face": inputs.log_face[None],
        }
        self._device.infer(self._request, feeds)
        picked = self._request.get_tensor("shares").data[0]  # (K, R, R)
        shares = np.zeros((*picked.shape[1:], len(sources)), np.float32)
        for index, share in zip(inputs.pick, picked, strict=True):
            shares[..., index] += np.clip(share, 0.0, 1.0)
        return shares
