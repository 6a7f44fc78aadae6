# SPDX-License-Identifier: Apache-2.0
"""From names and options to a ready `Renderer` or `Pipeline`: the one place where the stages meet.

What is opened here belongs to the renderer and is closed with it. Any one thread; the renderer is then used by one
thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.capture import Camera, open_camera
from engine.compose.compositor import Compositor
from engine.config import LiveSettings
from engine.errors import InvalidSetting
from engine.pipeline import Pipeline
from engine.renderer import Renderer
from engine.runtime.manifest import load_manifest
from engine.sinks.base import Sink
from engine.sources import find_source_set, load_source_set
from engine.stages import PortraitWarper, Spares
from engine.track.calibration import Neutral
from engine.track.face_mesh import FaceMeshTracker
from engine.track.person_matte import PersonMatte
from engine.track.retarget import Retargeter
from engine.types import Frame, Origin, SourceSet
from engine.warp import open_warper

__all__ = ["FaceAnalyser", "build_pipeline", "build_renderer", "load_sources"]


class FaceAnalyser:
    """What `engine.sources` asks of a picture, answered by MediaPipe; loads its models on the first question."""

    def __init__(self) -> None:
        self._tracker: FaceMeshTracker | None = None
        self._matte: PersonMatte | None = None

    def keypoints(self, rgb: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return one (478, 3) float32 array of landmarks in pixels per face, biggest face first."""
        if self._tracker is None:
            self._tracker = FaceMeshTracker(static=True, max_faces=4)
        return [motion.landmarks_px for motion in self._tracker.track_all(Frame(0, 0, rgb))]

    def matte(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W) uint8, 255 on the person."""
        if self._matte is None:
            self._matte = PersonMatte()
        return self._matte.matte(rgb)

    def close(self) -> None:
        """Free the models."""
        for part in (self._tracker, self._matte):
            if part is not None:
                part.close()
        self._tracker = self._matte = None


def load_sources(name_or_path: str | Path, *, count: int | None = None, side_px: int = 256) -> SourceSet:
    """Load a source set by name or path, cut to its first `count` pictures.

    Raises:
        SourceError: no such set, or one of its pictures is unusable.
        InvalidSetting: `count` is more than the set has.
    """
    analyser = FaceAnalyser()
    try:
        source_set = load_source_set(find_source_set(name_or_path), side_px=side_px, analyser=analyser)
    finally:
        analyser.close()
    if count is None:
        return source_set
    if not 1 <= count <= len(source_set.images):
        raise InvalidSetting(
            f"--sources must be from 1 to {len(source_set.images)}, the pictures of {source_set.name}; got {count}.",
            name="sources",
            value=count,
        )
    return source_set.take(count)


def build_renderer(
    source_set: str | Path | SourceSet,
    *,
    sources: int | None = None,
    model: str = "lite",
    backend: str = "auto",
    settings: LiveSettings | None = None,
    announce: Callable[[str], None] = lambda _line: None,
    spares: Spares | None = None,
) -> Renderer:
    """Build the synchronous core for a source set.

    Args:
        source_set: its name, its path, or the loaded set. sources: use only the first so many pictures.
        model, backend: see `engine.warp.open_warper`.
        announce: told which engine runs, on what and how: the first line of every run.
        spares: how tracker and warper are made, at first and when they have broken; None makes the shipped ones.
    Raises:
        SourceError: the set cannot be used.
        EngineError: the back-end cannot run here, or a model file is missing or damaged.
    """
    settings = settings or LiveSettings()

    chosen = backend

    def shipped_warper() -> PortraitWarper:
        nonlocal chosen
        warper = open_warper(model=model, backend=chosen)
        chosen = warper.backend  # after a failure it is made anew there or not at all: no silent way from GPU to CPU
        return warper

    make_tracker = spares.tracker if spares is not None and spares.tracker is not None else FaceMeshTracker
    make_warper = spares.warper if spares is not None and spares.warper is not None else shipped_warper
    with ExitStack() as opened:
        warper = make_warper()
        opened.enter_context(closing(warper))
        loaded = (
            source_set
            if isinstance(source_set, SourceSet)
            else load_sources(source_set, count=sources, side_px=warper.side_px)
        )
        tracker = opened.enter_context(closing(make_tracker()))
        retargeter = Retargeter(loaded.images[0].keypoints, settings=settings.motion)
        spares = Spares(make_tracker, make_warper)
        origin = Origin(model=model, model_sha256=load_manifest(model).sha256)
        compositor = Compositor(settings.output)
        renderer = Renderer(tracker, retargeter, warper, compositor, settings=settings, spares=spares, origin=origin)
        renderer.set_source_set(loaded)
        announce(renderer.description)
        opened.pop_all()  # from here on the renderer closes them
        return renderer


def build_pipeline(
    camera: str | Callable[[], Camera],
    sinks: Sequence[Sink],
    source_set: str | Path | SourceSet,
    *,
    sources: int | None = None,
    model: str = "lite",
    backend: str = "auto",
    settings: LiveSettings | None = None,
    neutral: Neutral | None = None,
    doorbell: Callable[[], None] | None = None,
    spares: Spares | None = None,
) -> Pipeline:
    """Build the threaded pipeline; nothing is opened before `Pipeline.start`.

    Without `neutral`, the performer's rest pose is taken from the first calm half second, unless motion is absolute.

    Args:
        camera: what `open_camera` takes, or a function that opens one. sinks: open; the pipeline closes them.
        source_set, sources, model, backend, spares: see `build_renderer`. neutral: a rest pose taken earlier.
        doorbell: see `Pipeline`.
    """
    settings = settings or LiveSettings()

    def open_the_camera() -> Camera:
        return open_camera(camera, fps=settings.output.fps) if isinstance(camera, str) else camera()

    def make_renderer() -> Renderer:
        renderer = build_renderer(
            source_set, sources=sources, model=model, backend=backend, settings=settings, spares=spares
        )
        if neutral is not None:
            renderer.set_neutral(neutral)
        elif settings.motion.motion > 0:
            renderer.start_calibration(keep_trying=True)
        return renderer

    return Pipeline(open_the_camera, make_renderer, sinks, settings=settings, doorbell=doorbell)
