# SPDX-License-Identifier: Apache-2.0
"""`compare`: sources | driving | each model, side by side as a video. Any one thread.

Whom to show: a source set, or frames of a clip. Who drives: a video; without one the clip rebuilds itself from its
own frames, as `eval` measures it. Each frame is tracked and retargeted once, as the app does it, and goes to all
models. Unlike every other command this one shows the driving picture, because that is what the user asks it for; like
every other output, each frame passes the watermark gate, which alone makes what a sink accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.ahead import one_ahead
from engine.app.assembly import load_sources
from engine.app.offline import frame_at, neutral_of
from engine.capture import open_camera
from engine.clock import NS_PER_S
from engine.consent import recording_notes
from engine.errors import InvalidSetting, NoFaceInDriver
from engine.evaluation.baseline import PortraitWarper
from engine.evaluation.clips import EvalClip, load_clip
from engine.evaluation.columns import Columns
from engine.evaluation.cross import character_of
from engine.evaluation.drive import Moment, begin, open_models, show, shown, start
from engine.evaluation.plan import plan_clip
from engine.evaluation.protocol import Instruments, moment_of, open_instruments
from engine.runtime.manifest import load_manifest
from engine.sinks.mp4 import Mp4Sink
from engine.sources.driving_crop import DrivingCrop
from engine.track.face_mesh import FaceMeshTracker
from engine.track.retarget import Retargeter
from engine.types import Composite, Origin, SourceImage, SourceSet
from engine.watermark.gate import seal

__all__ = ["CompareJob", "Comparison", "compare"]

_SIDE_PX = 256
_CLIP_SOURCES = 4  # of a clip's own frames, unless told otherwise
_CLIP_FRAMES = 1500  # of a clip that rebuilds itself; they are held in memory, and a longer one is thinned out

Advance = Callable[[int, int | None], None]
_Timed = tuple[int, "Moment | None"]  # when, and what; None where no face was found


@dataclass(frozen=True, slots=True)
class CompareJob:
    """What to compare, on what, into what.

    models: names, one column each. source_set or clip: the character; exactly one of them. driving: a video; None lets
    `clip` rebuild itself. sources: pictures used; None takes all of a set and four of a clip. absolute: copy positions
    instead of adding motion. limit_s: stop after so much driving time.
    """

    models: tuple[str, ...]
    out: Path
    source_set: str = ""
    clip: Path | None = None
    driving: Path | None = None
    sources: int | None = None
    absolute: bool = False
    limit_s: float | None = None
    backend: str = "auto"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a job did. lost_count: driving frames without a face, in which the columns stand still."""

    frame_count: int
    lost_count: int
    complete: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A character and what drives it. neutral: the driving portrait at rest, None for absolute motion."""

    source_set: SourceSet
    moments: Iterator[_Timed]
    neutral: NDArray[np.uint8] | None
    total: int | None
    fps: float
    caption: str
    origin: Origin = field(default_factory=Origin)


def compare(
    job: CompareJob,
    *,
    announce: Callable[[str], None] = lambda _line: None,
    advance: Advance = lambda _done, _total: None,
) -> Comparison:
    """Do a job.

    Args:
        announce: told which engine runs each model. advance: called with (frames done, frames in all or None).
    Raises:
        InvalidSetting: no character or two, or nobody to drive it. NoFaceInDriver: not one frame shows a face.
        ModelFileMissing: no such model. PuppeteerError: as the stages raise it.
    """
    _check(job)
    with open_models(job.models, backend=job.backend, baseline=False) as opened, open_instruments() as instruments:
        plan = _plan(job, instruments)
        plan = replace(plan, origin=_origin(job.models, plan.source_set))
        for model, warper in opened.warpers.items():
            begin(warper, plan.source_set, neutral=plan.neutral)
            announce(getattr(warper, "description", model))
        pictures = [image.rgb for image in plan.source_set.images]
        columns = Columns(pictures, [opened.titles[model] for model in opened.warpers], caption=plan.caption)
        with Mp4Sink(job.out, fps=plan.fps, notes=recording_notes(plan.source_set)) as sink:
            return _render(plan, list(opened.warpers.values()), columns, sink, advance)


def _origin(models: Sequence[str], source_set: SourceSet) -> Origin:
    """Return all models as one, for the signature."""
    hashes = ",".join(load_manifest(model).sha256 for model in models)
    return Origin(",".join(models), hashes, source_set.consent.kind)


def _check(job: CompareJob) -> None:
    if not job.models:
        raise InvalidSetting("There is no model to compare.", hint="Give --models, such as fomm,lite.")
    if bool(job.source_set) == (job.clip is not None):
        what = "both" if job.source_set else "neither"
        raise InvalidSetting(f"The character is --set or --clip, exactly one of them; got {what}.")
    if job.source_set and job.driving is None:
        raise InvalidSetting("Nobody drives the source set.", hint="Give --driving FILE.")


def _render(
    plan: _Plan, warpers: Sequence[PortraitWarper], columns: Columns, sink: Mp4Sink, advance: Advance
) -> Comparison:
    count = lost = 0
    try:
        with closing(_drawn(plan.moments, warpers)) as drawn:
            for (captured_ns, moment), outputs in drawn:
                lost += moment is None
                canvas = columns.hold() if moment is None else columns.draw(moment.portrait, outputs)
                composite = Composite(captured_ns, canvas)
                sealed = seal(composite, rendered_ns=captured_ns, corner="bottom-right", origin=plan.origin)
                sink.send(sealed)
                count += 1
                advance(count, plan.total)
    except KeyboardInterrupt:
        return Comparison(count, lost, complete=False)
    if lost == count:
        raise NoFaceInDriver(
            f"No face was found in the driving video: expected one in some of its {count} frames, got none.",
            hint="Use a video that shows one face from the front, well lit and at least 80 pixels wide.",
        )
    return Comparison(count, lost)


def _drawn(
    moments: Iterator[_Timed], warpers: Sequence[PortraitWarper]
) -> Generator[tuple[_Timed, list[NDArray[np.uint8]]], None, None]:
    """Yield each moment with every model's output. The last model draws beside the tracking and the encoding."""
    others, last = warpers[:-1], warpers[-1]
    outputs: list[NDArray[np.uint8]] = []

    def begin_last(timed: _Timed) -> None:
        if (moment := timed[1]) is not None:
            outputs[:] = [show(warper, moment, side_px=_SIDE_PX) for warper in others]
            start(last, moment)

    def finish_last(timed: _Timed) -> list[NDArray[np.uint8]]:
        if (moment := timed[1]) is None:
            return []
        return [*outputs, shown(last, moment, side_px=_SIDE_PX)]

    return one_ahead(moments, start=begin_last, finish=finish_last)


def _plan(job: CompareJob, instruments: Instruments) -> _Plan:
    if job.clip is not None and job.driving is None:
        clip = load_clip(job.clip, tracker=instruments.follower, side_px=_SIDE_PX, max_frames=_CLIP_FRAMES)
        return _rebuild(job, clip, instruments)
    if job.clip is not None:
        clip = load_clip(job.clip, tracker=instruments.follower, side_px=_SIDE_PX)
        count = job.sources or _CLIP_SOURCES
        source_set = character_of(clip, most_sources=count, matte=instruments.matte).source_set
    else:
        source_set = load_sources(job.source_set, count=job.sources, side_px=_SIDE_PX)
    return _drive(job, source_set)


def _rebuild(job: CompareJob, clip: EvalClip, instruments: Instruments) -> _Plan:
    """A clip from its own frames: the protocol of `eval`, every frame of it."""
    plan = plan_clip(clip.keypoints, clip.captured_ns, most_sources=job.sources or _CLIP_SOURCES)
    images = tuple(
        SourceImage(f"{index}", clip.frames[index], instruments.matte(clip.frames[index]), clip.keypoints[index])
        for index in plan.sources
    )
    step_ns = float(np.median(np.diff(clip.captured_ns)))
    times = [int(time_ns) for time_ns in clip.captured_ns if job.limit_s is None or time_ns < job.limit_s * NS_PER_S]
    moments = ((time_ns, moment_of(clip, index)) for index, time_ns in enumerate(times))
    caption = f"{clip.name} rebuilt from N = {len(images)} of its frames"
    return _Plan(SourceSet(clip.name, images), moments, None, len(times), NS_PER_S / step_ns, caption)


def _drive(job: CompareJob, source_set: SourceSet) -> _Plan:
    """A character driven by a video, as the app does it."""
    assert job.driving is not None, "checked before"
    keypoints = np.stack([image.keypoints for image in source_set.images])
    crop = DrivingCrop(side_px=_SIDE_PX)
    neutral = neutral_of(str(job.driving))
    portrait = crop.cut(frame_at(str(job.driving), neutral.captured_ns).rgb, neutral.landmarks_px)
    retargeter = Retargeter(keypoints[0], coverage=keypoints, neutral=None if job.absolute else neutral)
    with open_camera(job.driving, paced=False) as camera:
        info = camera.info
    total = info.frame_count or None
    if job.limit_s is not None and info.fps:
        total = min(total or round(job.limit_s * info.fps), round(job.limit_s * info.fps))
    way = "absolute" if job.absolute else "relative"
    caption = f"{source_set.name}, N = {len(source_set.images)}, driven by {job.driving.name}, {way} motion"
    moments = _moments(job.driving, retargeter, crop, job.limit_s)
    return _Plan(source_set, moments, None if job.absolute else portrait, total, info.fps or 25.0, caption)


def _moments(driving: Path, retargeter: Retargeter, crop: DrivingCrop, limit_s: float | None) -> Iterator[_Timed]:
    with open_camera(driving, paced=False) as camera, closing(FaceMeshTracker()) as tracker:
        while (frame := camera.read()) is not None:
            if limit_s is not None and frame.captured_ns >= limit_s * NS_PER_S:
                return
            motion = tracker.track(frame)
            if motion is None:
                yield frame.captured_ns, None
                continue
            query = retargeter.retarget(motion)
            portrait = crop.cut(frame.rgb, motion.landmarks_px)
            yield frame.captured_ns, Moment(query.captured_ns, query.keypoints, portrait)
