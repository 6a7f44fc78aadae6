# SPDX-License-Identifier: Apache-2.0
"""One run of the engine for the window: a pipeline, its preview slot and, if wanted, the monitor of the performer.

Making and ending a session takes seconds (libraries, models, camera): both belong on a thread of `Tasks`.
No Qt here; what rings is a callback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.config import LiveSettings
from engine.sinks.base import Sink
from engine.sinks.preview import PreviewSink
from engine.types import SourceSet

__all__ = ["DEMO_CLIP", "Session", "SessionRequest", "camera_spec", "load_set", "open_session", "warm_up"]

DEMO_CLIP = "demo"
"""Stands for the driving clip that ships with Bunraku."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What to run. camera: what `open_camera` takes, or `DEMO_CLIP`. neutral_file: where a saved rest pose may be.

    sinks: outputs besides the preview. monitored: whether the performer's own view is wanted.
    """

    camera: str
    source_set: str
    model: str
    backend: str
    live: LiveSettings
    neutral_file: Path
    sinks: Sequence[Sink] = field(default_factory=tuple)
    monitored: bool = False


class Session:
    """A running pipeline and the slots that the window reads. Thread: any."""

    def __init__(
        self,
        request: SessionRequest,
        *,
        on_frame: Callable[[], None],
        on_event: Callable[[], None],
        on_monitor: Callable[[], None],
    ) -> None:
        # Imported here, on the task's thread: these pull the engine's libraries, which takes a second or two.
        from engine.app import build_pipeline
        from engine.capture import Camera, open_camera
        from engine.track.monitor import TrackingMonitor
        from engine.track.neutral_file import load_neutral

        self.request = request
        self.preview = PreviewSink(on_frame)
        self.monitor = TrackingMonitor(on_monitor)
        spec = camera_spec(request.camera)
        fps = request.live.output.fps

        def open_it() -> Camera:
            return open_camera(spec, fps=fps, loop=True)

        self.pipeline = build_pipeline(
            open_it,
            [self.preview, *request.sinks],
            request.source_set,
            model=request.model,
            backend=request.backend,
            settings=request.live,
            neutral=load_neutral(request.neutral_file),
            doorbell=on_event,
        )
        self.show_monitor(request.monitored)
        self.pipeline.start()

    def show_monitor(self, wanted: bool) -> None:
        """Let the performer be seen by the window, or not."""
        monitor = self.monitor if wanted else None
        self.pipeline.command(lambda renderer: setattr(renderer, "monitor", monitor))

    def stop(self) -> None:
        """End the run; waits for its threads."""
        self.pipeline.stop()


def open_session(
    request: SessionRequest,
    *,
    on_frame: Callable[[], None],
    on_event: Callable[[], None],
    on_monitor: Callable[[], None],
) -> Session:
    """Build and start a session; what goes wrong while it loads comes as its `failed` state."""
    return Session(request, on_frame=on_frame, on_event=on_event, on_monitor=on_monitor)


def camera_spec(camera: str) -> str:
    """Return what `open_camera` takes.

    Raises:
        ModelFileMissing: the demo clip is not there.
    """
    if camera != DEMO_CLIP:
        return camera
    from engine.app.demo import builtin_clip

    return str(builtin_clip())


def warm_up() -> None:
    """Load the libraries that the first start needs, so that it does not have to."""
    import engine.app.assembly  # noqa: F401 - loading it is the point
    from engine.track.face_mesh import FaceMeshTracker

    FaceMeshTracker().close()


def load_set(name: str, *, model: str) -> SourceSet:
    """Load a source set at the size the model works with.

    Raises:
        SourceError: it cannot be used. EngineError: the model's files are wrong.
    """
    from engine.app import load_sources
    from engine.runtime.manifest import load_manifest

    return load_sources(name, side_px=load_manifest(model).side_px)
