# SPDX-License-Identifier: Apache-2.0
"""What every back-end offers: encode a source set once, animate it once a frame.

Two kinds of model: implicit warping is given landmarks; models with learned keypoints find their own on every picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.runtime.manifest import ModelManifest

__all__ = [
    "FRAME_SHAPES",
    "PICKED",
    "EncodedSourceSet",
    "FrameInputs",
    "LayerTime",
    "LearnedRunner",
    "MeasuresLayers",
    "Motion",
    "StartsFrames",
    "WarpRunner",
    "fill_picks",
]

PICKED = 2  # pictures that a frame recorded on a GPU looks at: what is recorded has fixed shapes
FRAME_SHAPES: Mapping[str, tuple[tuple[int, ...], type[np.generic]]] = {  # of such a frame's inputs, with the batch
    "keypoints": ((1, 478, 3), np.float32),
    "pick": ((1, PICKED), np.int64),
    "log_stage": ((1, PICKED), np.float32),
    "log_face": ((1, PICKED), np.float32),
}
_NO_WEIGHT = -30.0  # log weight of a picture that is there to fill a place: e⁻³⁰ moves no pixel

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


@dataclass(frozen=True, slots=True)
class LayerTime:
    """What one layer of a compiled graph takes a frame. kind: of its kernel, where the back-end says so."""

    name: str
    kind: str
    ms: float


def fill_picks(inputs: FrameInputs, *, into: Mapping[str, NDArray[Any]]) -> None:
    """Write a frame's inputs into arrays of `FRAME_SHAPES`; a frame that wants one picture gets it twice."""
    count = len(inputs.pick)
    into["keypoints"][0] = inputs.keypoints
    into["pick"][0, :count], into["pick"][0, count:] = inputs.pick, inputs.pick[0]
    for name, values in (("log_stage", inputs.log_stage), ("log_face", inputs.log_face)):
        into[name][0, :count], into[name][0, count:] = values, _NO_WEIGHT


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


@runtime_checkable
class StartsFrames(Protocol):
    """A `WarpRunner` that computes by itself: `animate`, in two steps. One frame at a time. Thread: as `animate`."""

    def start(self, sources: EncodedSourceSet, inputs: FrameInputs) -> None:
        """Begin a frame and return at once; the inputs may be dropped."""
        ...

    def wait(self) -> NDArray[np.float32]:
        """Return the portrait of the frame that was begun, as `animate` does."""
        ...


@runtime_checkable
class MeasuresLayers(Protocol):
    """A `WarpRunner` that can say what takes how long."""

    def measure_layers(self, sources: EncodedSourceSet, inputs: FrameInputs, *, frames: int) -> list[LayerTime]:
        """Return what each layer of the frame graph takes, the mean over some frames. Thread: as `animate`."""
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
