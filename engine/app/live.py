# SPDX-License-Identifier: Apache-2.0
"""A live run from names and options: camera → virtual camera and/or file. The caller's thread watches; others work."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from engine.app.assembly import build_pipeline
from engine.config import LiveSettings
from engine.errors import InvalidSetting
from engine.pipeline import Pipeline
from engine.sinks.base import Sink
from engine.sinks.mp4 import Mp4Sink

__all__ = ["LiveJob", "open_live"]

_STARTING = "Starting"


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What runs live.

    camera: what `engine.capture.open_camera` takes. out: an MP4 to record, or None. virtual_camera: offer the picture
    to other programs. device: which virtual camera, where there are several. The rest as in `AnimateJob`.
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
    """Open the outputs and return a pipeline that is ready to start; it closes the outputs.

    Raises:
        InvalidSetting: there is no output at all.
        SinkError: an output cannot be opened.
    """
    output = job.settings.output
    with ExitStack() as opened:
        sinks: list[Sink] = []
        if job.virtual_camera:
            from engine.sinks.virtual_camera import VirtualCameraSink
            from engine.watermark.gate import holding_card

            card = holding_card(output.size_wh, _STARTING)
            camera = VirtualCameraSink(*output.size_wh, output.fps, device=job.device, card=card)
            sinks.append(opened.enter_context(camera))
        if job.out is not None:
            sinks.append(opened.enter_context(Mp4Sink(job.out, fps=output.fps)))
        if not sinks:
            raise InvalidSetting(
                "The picture would go nowhere.", hint="Give --out FILE.mp4, or use the virtual camera."
            )
        pipeline = build_pipeline(
            job.camera,
            sinks,
            job.source_set,
            sources=job.sources,
            model=job.model,
            backend=job.backend,
            settings=job.settings,
        )
        opened.pop_all()  # from here on the pipeline closes them
        return pipeline
