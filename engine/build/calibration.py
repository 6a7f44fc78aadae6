# SPDX-License-Identifier: Apache-2.0
"""Frames as the frame graph gets them in use: source sets, driven by a tracked clip, recorded on their way in.

What a graph is calibrated and judged on must be what it meets: real landmarks, retargeted, and the pictures that the
selection picks. Any one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.app.assembly import load_sources
from engine.capture import open_camera
from engine.compose.compositor import Compositor
from engine.config import OutputSettings
from engine.errors import NoFaceInDriver
from engine.renderer import Renderer
from engine.runtime.base import EncodedSourceSet, FrameInputs
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.track.face_mesh import FaceMeshTracker
from engine.track.retarget import Retargeter
from engine.warp.warper import Warper

__all__ = ["RecordedFrame", "feeds_of", "record_frames"]

_CANVAS_WH = (320, 180)  # nobody looks at it


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """What one frame is drawn from; the tensors belong to OpenVINO and may be given to any of its runners."""

    sources: EncodedSourceSet
    inputs: FrameInputs


class _Recorder:
    """A runner that notes what it is asked to draw."""

    def __init__(self, runner: OpenVinoRunner) -> None:
        self._runner, self.frames = runner, list[RecordedFrame]()
        self.manifest, self.description = runner.manifest, runner.description

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        return self._runner.encode(rgba, keypoints)

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        self.frames.append(RecordedFrame(sources, inputs))
        return self._runner.animate(sources, inputs)

    def close(self) -> None:
        self._runner.close()


def record_frames(
    manifest: ModelManifest, source_sets: Sequence[str], driving: Path, *, frames: int
) -> list[RecordedFrame]:
    """Drive source sets with a clip in float32; return about `frames` frames, spread over sets and clip.

    Args:
        source_sets: names or paths. driving: a video of a face.
    Raises:
        SourceError, DriverError: a set or the clip cannot be used. NoFaceInDriver: no frame shows a face.
    """
    with open_camera(str(driving), paced=False) as camera:
        length = sum(1 for _ in iter(camera.read, None))
    share = max(1, frames // len(source_sets))
    chosen = set(np.linspace(0, length - 1, share).round().astype(int).tolist())
    recorded: list[RecordedFrame] = []
    for name in source_sets:
        loaded = load_sources(name, side_px=manifest.side_px)
        recorder = _Recorder(OpenVinoRunner(manifest, precision="fp32"))
        renderer = Renderer(
            FaceMeshTracker(),
            Retargeter(loaded.images[0].keypoints),
            Warper(recorder),
            Compositor(OutputSettings(size_wh=_CANVAS_WH)),
        )
        with closing(renderer), open_camera(str(driving), paced=False) as camera:
            renderer.set_source_set(loaded)
            for index, frame in enumerate(iter(camera.read, None)):
                if index in chosen:
                    renderer.render(frame)
        recorded += recorder.frames
    if not recorded:
        raise NoFaceInDriver(f"No frame of the clip shows a face: {driving}.", hint="Give another one.")
    return recorded


def feeds_of(frame: RecordedFrame) -> Mapping[str, NDArray[Any]]:
    """Return a frame's inputs by tensor name, as the ONNX graph takes them."""
    inputs = frame.inputs
    return {
        **{name: np.asarray(tensor.data) for name, tensor in frame.sources.tensors.items()},
        "keypoints": inputs.keypoints[None],
        "pick": inputs.pick[None],
        "log_stage": inputs.log_stage[None],
        "log_face": inputs.log_face[None],
    }
