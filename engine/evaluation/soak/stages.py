# SPDX-License-Identifier: Apache-2.0
"""Tracker and model that fail on command, around the real ones. Render thread.

A lost GPU is what it is to the app: every call into the runner fails, and so does every attempt to load the model
again, until the fault is over; only a runner loaded after that works.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import CudaError, InferenceFailed, InvalidSetting, OutOfDeviceMemory
from engine.evaluation.soak.faults import Switchboard
from engine.runtime.base import EncodedSourceSet, FrameInputs, WarpRunner
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.select import open_runner
from engine.stages import Spares
from engine.track.face_mesh import FaceMeshTracker
from engine.types import Frame, TrackedMotion
from engine.warp import Warper

__all__ = ["FaultyRunner", "FaultyTracker", "faulty_spares"]


class FaultyTracker:
    """MediaPipe's tracker, failing while told to."""

    def __init__(self, board: Switchboard) -> None:
        self._board, self._tracker = board, FaceMeshTracker()

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Track, or fail."""
        if self._board.on("tracker-error"):
            raise RuntimeError("CalculatorGraph::Run() failed: Graph has errors")
        motion = self._tracker.track(frame)
        if motion is None or not self._board.on("tracker-nan"):
            return motion
        return TrackedMotion(frame.index, frame.captured_ns, np.full_like(motion.landmarks_px, np.nan))

    def reset(self) -> None:
        """Forget the performer."""
        self._tracker.reset()

    def close(self) -> None:
        """Free the models."""
        self._tracker.close()


class FaultyRunner:
    """A runner around the real one, failing while told to, and for good once its device was lost."""

    def __init__(self, runner: WarpRunner, board: Switchboard) -> None:
        self._runner, self._board = runner, board
        self._lost = False

    @property
    def manifest(self) -> ModelManifest:
        """The model it runs."""
        return self._runner.manifest

    @property
    def description(self) -> str:
        """The real back-end's own."""
        return self._runner.description

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        """Encode pictures, or fail."""
        self._check_device()
        return self._runner.encode(rgba, keypoints)

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        """Return the portrait, or fail."""
        self._check_device()
        if self._board.on("model-error"):
            raise InferenceFailed("OpenVINO failed on CPU: Infer Request was not started.", hint="Try another device.")
        portrait = self._runner.animate(sources, inputs)
        return np.full_like(portrait, np.nan) if self._board.on("model-nan") else portrait

    def close(self) -> None:
        """Free the model."""
        self._runner.close()

    def _check_device(self) -> None:
        self._lost = self._lost or self._board.on("gpu-lost")
        _check_device(self._board)
        if self._lost:
            raise CudaError("CUDA error 719: unspecified launch failure.", hint="The driver has restarted.")


def faulty_spares(board: Switchboard, *, model: str, backend: str) -> Spares:
    """Return how to make both; loading the model fails while there is no device.

    Raises:
        InvalidSetting: the model finds keypoints of its own; its runner is another one.
    """
    if load_manifest(model).learned:
        raise InvalidSetting(
            f"A soak run needs an implicit-warping model, and '{model}' is none.",
            hint="Use --model lite.",
            name="model",
        )

    def make_warper() -> Any:
        _check_device(board)
        runner, reason = open_runner(backend, model=model)
        return Warper(FaultyRunner(runner, board), reason=reason)

    return Spares(lambda: FaultyTracker(board), make_warper)


def _check_device(board: Switchboard) -> None:
    if board.on("gpu-lost"):
        raise CudaError("CUDA error 100: no CUDA-capable device is detected.", hint="Check its driver and cables.")
    if board.on("out-of-memory"):
        raise OutOfDeviceMemory("The GPU has no memory left.", hint="Close other programs that use it.")
