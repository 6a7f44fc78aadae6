# SPDX-License-Identifier: Apache-2.0
"""What every back-end offers: encode a source set once, animate it once a frame.

Two kinds of model: implicit warping is given landmarks; models with learned keypoints find their own on every picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.runtime.manifest import ModelManifest

__all__ = ["EncodedSourceSet", "FrameInputs", "LearnedRunner", "Motion", "WarpRunner"]

Motion = Mapping[str, NDArray[np.float32]]  # the motion tensors of one picture, without the batch


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSourceSet:
    """A source set on the back-end's side.

    count: pictures N. tensors: name -> back-end tensor with leading shape (1, N, ...); belongs to the runner that
    made it. A set may be dropped while frames are in flight; tensors live as long as somebody holds them.
    """

    count: int
    tensors: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class FrameInputs:
    """What changes from frame to frame.

    keypoints: (478, 3) float32, portrait space. pick: (K,) int64, pictures to use. log_stage, log_face: (K,)
    float32, log weight of each outside and on the face.
    """

    keypoints: NDArray[np.float32]
    pick: NDArray[np.int64]
    log_stage: NDArray[np.float32]
    log_face: NDArray[np.float32]


class WarpRunner(Protocol):
    """One loaded model on one device. Thread: `animate` on the render thread only; `encode` on any thread."""

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        ...

    @property
    def description(self) -> str:
        """Back-end, version, device and precision, e.g. `openvino 2026.4 on CPU (2 threads), fp32`."""
        ...

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode N pictures: rgba (N, 4, R, R) in [-1, 1], keypoints (N, 478, 3)."""
        ...

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, (4, R, R) in [-1, 1]; the array may be reused by the next call."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class LearnedRunner(Protocol):
    """One loaded model with learned keypoints on one device.

    Thread: `animate` and `detect` on the render thread only; `encode` on any thread.
    """

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        ...

    @property
    def description(self) -> str:
        """Back-end, version, device and precision."""
        ...

    def detect(self, rgb: NDArray[np.float32]) -> Motion:
        """Return the motion tensors of one picture, (3, R, R) in [-1, 1]."""
        ...

    def encode(self, rgb: NDArray[np.float32]) -> tuple[EncodedSourceSet, Sequence[Motion]]:
        """Encode N pictures, (N, 3, R, R) in [-1, 1]; returns their motion tensors too."""
        ...

    def animate(self, sources: EncodedSourceSet, motion: Motion) -> NDArray[np.float32]:
        """Return the portrait, (3, R, R) in [-1, 1]; the array may be reused by the next call."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...
