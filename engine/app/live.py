# SPDX-License-Identifier: Apache-2.0
"""A live run from names and options: camera → virtual camera and/or file. The caller's thread watches; others work."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.app.assembly import build_pipeline
from engine.capture import Camera, open_camera
from engine.compose.compositor import TRANSPARENT
from engine.config import LiveSettings
from engine.consent import recording_notes, require_consent
from engine.errors import InvalidSetting
from engine.pipeline import Pipeline
from engine.sinks.base import BaseSink
from engine.sinks.file import open_file_sink
from engine.sources import find_source_set
from engine.sources.library import describe_source_set

__all__ = ["LiveJob", "open_live"]

_STARTING = "Starting"
_JOIN_S = 60.0


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What runs live.

    camera: what `engine.capture.open_camera` takes. out: a file to record (see `engine.sinks.file`), or None.
    virtual_camera: offer the picture to other programs. device: which virtual camera, where there are several. The rest
    as in `AnimateJob`.
    """

    source_set: str
    camera: str
    out: Path | None = None
    virtual_camera: bool = True
    device: str | None = None
    sources: int | None = None
    model: str = "lite"
    backend: str = "auto"
    settings: LiveSettings = field(default_factory=LiveSettings)


def open_live(job: LiveJob) -> Pipeline:
    """Open camera and outputs and return a pipeline that is ready to start; it closes them.

    Raises:
        InvalidSetting: there is no output at all.
        SourceSetMissing: there is no such set. ConsentMissing: it may not go to the virtual camera.
        CameraError, DriverError: the camera cannot be opened. SinkError: an output cannot be opened.
    """
    if not job.virtual_camera and job.out is None:
        raise InvalidSetting("The picture would go nowhere.", hint="Give --out FILE.mp4, or use the virtual camera.")
    # Before anything is opened: a set that may not be shown is known by its own few lines.
    about = describe_source_set(find_source_set(job.source_set))
    if job.virtual_camera and not about.problem:
        require_consent(about, datetime.datetime.now().astimezone())
    if job.virtual_camera and job.settings.output.background == TRANSPARENT:
        raise InvalidSetting(
            "A virtual camera has no transparency, and the background is to be transparent.",
            hint="Choose green, which call and streaming programs can take out, or --no-virtual-camera.",
        )
    # Whoever waits for a command wants threads to end, however long that takes; only a window must not wait.
    patient = replace(job.settings, pipeline=replace(job.settings.pipeline, join_s=_JOIN_S))
    with ExitStack() as opened:
        # Opened here rather than on the capture thread: a missing camera is then said before the engine loads.
        waiting = [opened.enter_context(_open_camera(job))]
        pipeline = build_pipeline(
            lambda: waiting.pop() if waiting else _open_camera(job),
            [opened.enter_context(sink) for sink in _open_sinks(job, recording_notes(about))],
            job.source_set,
            sources=job.sources,
            model=job.model,
            backend=job.backend,
            settings=patient,
        )
        opened.pop_all()  # from here on the pipeline closes them
        return pipeline


def _open_camera(job: LiveJob) -> Camera:
    return open_camera(job.camera, fps=job.settings.output.fps)


def _open_sinks(job: LiveJob, notes: Mapping[str, str]) -> Iterator[BaseSink]:
    output = job.settings.output
    if job.virtual_camera:
        from engine.sinks.virtual_camera import VirtualCameraSink
        from engine.watermark.gate import holding_card

        card = holding_card(output.size_wh, _STARTING)
        yield VirtualCameraSink(*output.size_wh, output.fps, device=job.device, card=card)
    if job.out is not None:
        transparent = output.background == TRANSPARENT
        yield open_file_sink(job.out, fps=output.fps, transparent=transparent, live=True, notes=notes)
