# SPDX-License-Identifier: Apache-2.0
"""One run of the engine for the window: a pipeline, its preview slot and, if wanted, those who watch the performer.

Making and ending a session takes seconds (libraries, models, camera): both belong on a thread of `Tasks`.
No Qt here; what rings is a callback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from desktop.bridge.outputs import HIDDEN, OPENING, card
from engine.config import LiveSettings, OutputSettings
from engine.pipeline import Pipeline
from engine.renderer import Monitor
from engine.sinks.base import Sink
from engine.sinks.preview import PreviewSink
from engine.stats import PipelineStats
from engine.types import Frame, MonitorView, OutputFrame, SourceSet, TrackedMotion

if TYPE_CHECKING:
    from engine.track.calibration import Neutral
    from engine.track.monitor import TrackingMonitor

__all__ = [
    "DEMO_CLIP",
    "Session",
    "SessionRequest",
    "camera_spec",
    "check_background",
    "load_set",
    "needs_another_run",
    "open_session",
    "warm_up",
]

DEMO_CLIP = "demo"
"""Stands for the driving clip that ships with Bunraku."""

_PERFORMER = "performer"


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What to run. camera: what `open_camera` takes, or `DEMO_CLIP`. person: whose saved rest pose is used.

    sinks: outputs besides the preview. monitored: whether the performer's own view is wanted.
    """

    camera: str
    source_set: str
    model: str
    backend: str
    live: LiveSettings
    person: str = "me"
    sinks: Sequence[Sink] = field(default_factory=tuple)
    monitored: bool = False


class _Choice(Protocol):
    """What requests and settings have in common."""

    @property
    def camera(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def live(self) -> LiveSettings: ...


def needs_another_run(before: _Choice, now: _Choice) -> bool:
    """Return whether two choices differ in something that a run cannot change."""
    was, output = before.live.output, now.live.output
    same = (before.camera, before.model, before.backend) == (now.camera, now.model, now.backend)
    return not same or (was.size_wh, was.fps) != (output.size_wh, output.fps)


class Session:
    """A pipeline that runs from here on, and the slots that the window reads. Thread: any."""

    def __init__(
        self, request: SessionRequest, pipeline: Pipeline, preview: PreviewSink, monitor: TrackingMonitor
    ) -> None:
        self.request, self.pipeline = request, pipeline
        self._preview, self._monitor = preview, monitor
        self._watchers: dict[str, Monitor] = {}
        self.show_monitor(request.monitored)
        pipeline.start()

    @property
    def description(self) -> str:
        """The engine's own line about model and back-end; empty while it loads."""
        return self.pipeline.description

    def stats(self) -> PipelineStats:
        """Return times, rates, ages and drops so far."""
        return self.pipeline.stats()

    def take_frame(self) -> OutputFrame | None:
        """Return the newest picture, or None where there is none newer than the last one taken."""
        return self._preview.take()

    def take_view(self) -> MonitorView | None:
        """Return the newest look at the performer, or None where there is no newer one."""
        return self._monitor.take()

    def show_monitor(self, wanted: bool) -> None:
        """Let the performer be seen by the window, or not."""
        self.watch(_PERFORMER, self._monitor if wanted else None)

    def watch(self, name: str, watcher: Monitor | None) -> None:
        """Tell one more of every driving frame, or that one no longer. It is called on the render thread."""
        self._watchers = {each: held for each, held in self._watchers.items() if each != name}
        if watcher is not None:
            self._watchers[name] = watcher
        told = tuple(self._watchers.values())

        def tell(frame: Frame, motion: TrackedMotion | None, neutral: Neutral | None) -> None:
            for each in told:
                each(frame, motion, neutral)

        self.pipeline.command(lambda renderer: setattr(renderer, "monitor", tell if told else None))

    def keep_neutral(self, person: str) -> None:
        """Save the rest pose in use for this person and the session's camera.

        Raises:
            OSError: it cannot be written.
        """
        from engine.track.neutral_file import neutral_path, save_neutral

        if (neutral := self.pipeline.neutral) is not None:
            save_neutral(neutral_path(person, self.request.camera), neutral)

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
    # Imported here, on the task's thread: these pull the engine's libraries, which takes a second or two.
    from engine.app import build_pipeline
    from engine.capture import Camera, open_camera
    from engine.track.monitor import TrackingMonitor
    from engine.track.neutral_file import load_neutral, neutral_path

    spec, fps, preview = camera_spec(request.camera), request.live.output.fps, PreviewSink(on_frame)

    def open_it() -> Camera:
        return open_camera(spec, fps=fps, loop=True)

    pipeline = build_pipeline(
        open_it,
        [preview, *request.sinks],
        request.source_set,
        model=request.model,
        backend=request.backend,
        settings=request.live,
        neutral=load_neutral(neutral_path(request.person, request.camera)),
        doorbell=on_event,
    )
    return Session(request, pipeline, preview, TrackingMonitor(on_monitor))


def camera_spec(camera: str) -> str:
    """Return what `open_camera` takes.

    Raises:
        ModelFileMissing: the demo clip is not there.
    """
    if camera != DEMO_CLIP:
        return camera
    from engine.app.demo import builtin_clip

    return str(builtin_clip())


def warm_up(output: OutputSettings) -> None:
    """Load the libraries that the first start needs, and draw the cards that the window may need at once.

    A card takes 35 ms, the panic key's included; from then on 3 ms.
    """
    import engine.app.assembly  # noqa: F401 - loading it is the point
    from engine.track.face_mesh import FaceMeshTracker

    for reason in (HIDDEN, OPENING):
        card(output, reason)
    FaceMeshTracker().close()


def load_set(name: str, *, model: str) -> SourceSet:
    """Load a source set at the size the model works with.

    Raises:
        SourceError: it cannot be used. EngineError: the model's files are wrong.
    """
    from engine.app import load_sources
    from engine.runtime.manifest import load_manifest

    return load_sources(name, side_px=load_manifest(model).side_px)


def check_background(picture: Path) -> None:
    """Try a background picture.

    Raises:
        InvalidSetting: it cannot be used.
    """
    from engine.compose.background import load_picture

    load_picture(picture)
