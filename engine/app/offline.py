# SPDX-License-Identifier: Apache-2.0
"""A driving file → an animated file: every frame is rendered, and the file's own time stamps are kept.

Runs on the calling thread; nothing is dropped and nothing is paced. While the model draws a frame, the one before is
composed and encoded and the next is tracked (`Renderer.render_ahead`). Ctrl-C closes the output, so that what was
rendered so far plays.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.app.assembly import build_renderer
from engine.app.contact_sheet import ContactSheet
from engine.capture import Camera, CameraInfo, open_camera
from engine.compose.compositor import TRANSPARENT
from engine.config import LiveSettings
from engine.consent import recording_notes
from engine.errors import DriverUnreadable, NoFaceInDriver, SigningFailed
from engine.provenance.signing import sign_recording
from engine.renderer import Renderer
from engine.sinks.audio import add_audio
from engine.sinks.base import Sink
from engine.sinks.file import keeps_alpha, open_file_sink
from engine.sinks.mp4 import Mp4Sink
from engine.track.calibration import Neutral, find_neutral
from engine.track.face_mesh import FaceMeshTracker
from engine.types import Frame, TrackedMotion
from engine.warp.heat import heat_legend

__all__ = ["AnimateJob", "Animation", "animate", "fit_background", "frame_at", "neutral_of", "render_all"]

_log = logging.getLogger(__name__)

_NS_PER_S = 1e9
_LIVE = ("camera:", "synthetic")
_CALIBRATION_STEP = 2
_CALIBRATION_NS = 15_000_000_000


@dataclass(frozen=True, slots=True)
class AnimateJob:
    """What to animate, with what, into what.

    source_set: name or path. driving: what `engine.capture.open_camera` takes. out: see `engine.sinks.file`; where it
    keeps transparency, a set of cut-outs is put on none. sheet: a contact sheet to write too. sources: use only the
    first so many pictures. limit_s: stop after so much driving time. heat_map: draw the character in the colours of the
    pictures that each pixel comes from.
    """

    source_set: str
    driving: str
    out: Path
    sheet: Path | None = None
    sources: int | None = None
    model: str = "lite"
    backend: str = "auto"
    limit_s: float | None = None
    settings: LiveSettings = field(default_factory=LiveSettings)
    heat_map: bool = False


@dataclass(frozen=True, slots=True)
class Animation:
    """What a job did. lost_count: frames in which no face was found. complete: False when it was interrupted."""

    frame_count: int
    lost_count: int
    duration_s: float
    complete: bool = True


def animate(
    job: AnimateJob,
    *,
    announce: Callable[[str], None] = lambda _line: None,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Animation:
    """Do a job.

    Args:
        announce: see `build_renderer`. advance: called with (frames done, frames in all or None).
    Raises:
        NoFaceInDriver: not one frame showed a face.
        PuppeteerError: as the stages raise it.
    """
    sheet = ContactSheet(title=f"{Path(job.driving).name} drives {Path(job.source_set).stem}") if job.sheet else None
    with ExitStack() as opened:
        camera = opened.enter_context(open_camera(job.driving, paced=False))
        renderer = opened.enter_context(
            build_renderer(
                job.source_set,
                sources=job.sources,
                model=job.model,
                backend=job.backend,
                settings=job.settings,
                announce=announce,
            )
        )
        renderer.show_sources(job.heat_map)
        if job.heat_map and renderer.source_set is not None:
            announce(heat_legend([image.name for image in renderer.source_set.images]))
        if job.settings.motion.motion > 0:
            _calibrate(renderer, job.driving)
        notes = recording_notes(renderer.source_set) if renderer.source_set is not None else {}
        renderer.set_settings(fit_background(renderer.settings, job.out, cut_out=renderer.cut_out))
        fps = camera.info.fps or job.settings.output.fps
        transparent = renderer.settings.output.background == TRANSPARENT
        sink = opened.enter_context(open_file_sink(job.out, fps=fps, transparent=transparent, notes=notes))
        total = _expected_frames(camera.info, job.limit_s)
        done = render_all(
            camera, renderer, sink, sheet=sheet, limit_s=job.limit_s, advance=lambda count: advance(count, total)
        )
    if done.frame_count and type(sink) is Mp4Sink and Path(job.driving).is_file():
        _add_sound(sink, source=Path(job.driving))
    if sheet is not None and job.sheet is not None and done.frame_count:
        sheet.save(job.sheet)
    return done


def _add_sound(sink: Mp4Sink, *, source: Path) -> None:
    """Give a finished recording the sound of the driving video, and its signature again, which that takes away."""
    if not add_audio(sink.path, source=source):
        return
    try:
        sign_recording(sink.path, sink.seals)
    except SigningFailed as error:
        _log.warning("%s", error)


def fit_background(settings: LiveSettings, out: Path, *, cut_out: bool) -> LiveSettings:
    """Return the settings with no background where the pictures have none and the output can keep that."""
    if not cut_out or settings.output.background != "source" or not keeps_alpha(out):
        return settings
    return replace(settings, output=replace(settings.output, background=TRANSPARENT))


def _expected_frames(info: CameraInfo, limit_s: float | None) -> int | None:
    """Return about how many frames a job renders; None where nobody knows."""
    counts = [info.frame_count] if info.frame_count else []
    if limit_s is not None and info.fps:
        counts.append(math.ceil(limit_s * info.fps))
    return min(counts, default=None)


def _calibrate(renderer: Renderer, driving: str) -> None:
    if driving.startswith(_LIVE):
        renderer.start_calibration(keep_trying=True)
    else:
        neutral = neutral_of(driving)
        frame = frame_at(driving, neutral.captured_ns) if renderer.needs_portrait else None
        renderer.set_neutral(neutral, frame=frame)


def neutral_of(driving: str) -> Neutral:
    """Look through the beginning of a driving file for the performer's most neutral moment.

    A file can be read twice, so nobody has to sit still at its start. Every second frame up to a quarter of a minute
    after the first face is enough.

    Raises:
        NoFaceInDriver: there is no face in the whole file.
        DriverUnreadable: the file cannot be read.
    """
    motions: list[TrackedMotion] = []
    with open_camera(driving, paced=False) as camera, closing(FaceMeshTracker()) as tracker:
        while (frame := camera.read()) is not None:
            if frame.index % _CALIBRATION_STEP:
                continue
            motion = tracker.track(frame)
            if motion is not None:
                motions.append(motion)
            if motions and frame.captured_ns - motions[0].captured_ns > _CALIBRATION_NS:
                break
    return find_neutral(motions)


def frame_at(driving: str, captured_ns: int) -> Frame:
    """Return the first frame of a driving file that is no earlier than a time; the last one where all are.

    Raises:
        DriverUnreadable: the file cannot be read, or holds no frame.
    """
    last: Frame | None = None
    with open_camera(driving, paced=False) as camera:
        while (frame := camera.read()) is not None:
            last = frame
            if frame.captured_ns >= captured_ns:
                break
    if last is None:
        raise DriverUnreadable(f"The driving file holds no frame: {driving}.", hint="Record it again.", path=driving)
    return last


def _frames(camera: Camera, limit_s: float | None) -> Iterator[Frame]:
    """Yield the frames of so much driving time."""
    first_ns: int | None = None
    while (frame := camera.read()) is not None:
        first_ns = frame.captured_ns if first_ns is None else first_ns
        if limit_s is not None and (frame.captured_ns - first_ns) / _NS_PER_S >= limit_s:
            return
        yield frame


def render_all(
    camera: Camera,
    renderer: Renderer,
    sink: Sink,
    *,
    sheet: ContactSheet | None = None,
    limit_s: float | None = None,
    advance: Callable[[int], None] = lambda _done: None,
) -> Animation:
    """Render every frame of `camera` into `sink`; the caller closes all three.

    Raises:
        NoFaceInDriver: not one frame showed a face.
        PuppeteerError: as the stages raise it.
    """
    count = lost = 0
    first_ns = last_ns = 0
    try:
        with closing(renderer.render_ahead(_frames(camera, limit_s))) as rendered:
            for done in rendered:
                last_ns = done.frame.captured_ns
                first_ns = first_ns if count else last_ns
                sink.send(done.output)
                lost += done.lost
                if sheet is not None:
                    at_s = (last_ns - first_ns) / _NS_PER_S
                    sheet.offer(count, at_s=at_s, driver=done.frame.rgb, output=done.output)
                count += 1
                advance(count)
    except KeyboardInterrupt:
        return Animation(count, lost, (last_ns - first_ns) / _NS_PER_S, complete=False)
    if lost == count:
        raise NoFaceInDriver(
            f"No face was found in the driving video: expected one in some of its {count} frames, got none "
            f"({camera.info.name}).",
            hint="Use a video that shows one face from the front, well lit and at least 80 pixels wide.",
        )
    return Animation(count, lost, (last_ns - first_ns) / _NS_PER_S)
