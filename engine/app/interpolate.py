# SPDX-License-Identifier: Apache-2.0
"""Pictures → a video of what lies between them, without a driver (a use named by Mallya, Wang, Liu 2022).

Keypoints move along a smooth path from picture to picture; every moment is drawn by the two pictures it lies between.
Runs on the calling thread; nothing is paced. Ctrl-C closes the output, so that what was rendered so far plays.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from engine.app.assembly import FaceAnalyser
from engine.app.contact_sheet import ContactSheet
from engine.app.offline import fit_background
from engine.compose.compositor import TRANSPARENT, Compositor
from engine.config import LiveSettings, OutputSettings
from engine.errors import InvalidSetting
from engine.sinks.file import open_file_sink
from engine.sources import find_source_set, load_source_set
from engine.sources.manifest import suggest
from engine.track.keypoint_path import EASINGS, KeypointPath, ease
from engine.types import OutputFrame, SourceImage, SourceSet
from engine.warp import Warper, open_warper
from engine.warp.inbetween import Between, Pair, look_at_pair, warp_between
from engine.watermark.gate import seal

__all__ = ["EASINGS", "InterpolateJob", "Interpolation", "Interpolator", "interpolate"]

log = logging.getLogger(__name__)

_WIDE_TURN_DEG = 70.0  # seen on clips: beyond, hair that neither picture shows well fills the middle
_NS_PER_S = 1e9
_SECONDS = (0.1, 600.0)
_MOST_FRAMES = 36_000


@dataclass(frozen=True, slots=True)
class InterpolateJob:
    """What lies between which pictures, into what.

    pictures: two or more files; with `source_set` (name or path) the names of its pictures, none for all of them.
    out: see `engine.sinks.file`. sheet: a contact sheet to write too. easing: one of `EASINGS`. loop: end where it
    began.
    """

    pictures: tuple[str, ...]
    out: Path
    source_set: str = ""
    seconds: float = 3.0
    easing: str = EASINGS[0]
    loop: bool = False
    sheet: Path | None = None
    model: str = "lite-512"
    backend: str = "auto"
    settings: LiveSettings = field(default_factory=lambda: LiveSettings(output=OutputSettings(size_wh=(512, 512))))

    def __post_init__(self) -> None:
        low, high = _SECONDS
        if not low <= self.seconds <= high:
            raise InvalidSetting(
                f"--seconds must be from {low:g} to {high:g}, got {self.seconds:g}.", value=self.seconds
            )
        if self.easing not in EASINGS:
            raise InvalidSetting(f"--ease must be one of {', '.join(EASINGS)}; got {self.easing!r}.", value=self.easing)
        if self.frame_count > _MOST_FRAMES:
            raise InvalidSetting(
                f"{self.seconds:g} s at {self.settings.output.fps:g} fps are {self.frame_count} frames, "
                f"expected at most {_MOST_FRAMES}.",
                hint="Ask for fewer seconds or frames a second.",
            )

    @property
    def frame_count(self) -> int:
        """How many frames the video has."""
        return max(2, round(self.seconds * self.settings.output.fps))


@dataclass(frozen=True, slots=True)
class Interpolation:
    """What a job did. complete: False when it was interrupted."""

    frame_count: int
    duration_s: float
    complete: bool = True


class Interpolator:
    """Renders moments between the pictures of a set; also for an application that shows them itself.

    Thread: one at a time. The warper stays the caller's, who closes it.
    """

    def __init__(self, warper: Warper, source_set: SourceSet, *, settings: LiveSettings, loop: bool = False) -> None:
        warper.set_sources(source_set)
        self._warper, self._compositor = warper, Compositor(settings.output)
        self._keypoints = [image.keypoints for image in source_set.images]
        self.path = KeypointPath(self._keypoints, loop=loop)
        self._looked: tuple[tuple[int, int], Pair] | None = None  # the pair of the last moment

    def render(self, place: float, *, captured_ns: int = 0) -> OutputFrame:
        """Return the watermarked frame at a place of the path, [0, path.segments].

        Raises:
            EngineError: the back-end failed. WatermarkError: the frame could not be marked; nothing may be shown.
        """
        first, second, share = self.path.pair(place)
        moment = Between(share, self._keypoints[first], self._keypoints[second], self.path.at(place))
        pair = self._pair(first, second) if 0.0 < share < 1.0 else None
        portrait = warp_between(self._warper, (first, second), moment, pair=pair, captured_ns=captured_ns)
        look = self._compositor.settings
        canvas = self._compositor.compose(portrait)
        return seal(canvas, rendered_ns=captured_ns, corner=look.watermark_corner, style=look.watermark_style)

    def _pair(self, first: int, second: int) -> Pair:
        if self._looked is None or self._looked[0] != (first, second):
            pair = look_at_pair(self._warper, (first, second), self._keypoints[first], self._keypoints[second])
            self._looked = (first, second), pair
        return self._looked[1]


def interpolate(
    job: InterpolateJob,
    *,
    announce: Callable[[str], None] = lambda _line: None,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Interpolation:
    """Do a job.

    Args:
        announce: told which engine runs. advance: called with (frames done, frames in all).
    Raises:
        InvalidSetting: fewer than two pictures, or a model that is not driven by landmarks.
        PuppeteerError: as the stages raise it.
    """
    sheet = (
        ContactSheet(title=f"between {', '.join(job.pictures) or job.source_set}", labels=("from", "between"))
        if job.sheet
        else None
    )
    with ExitStack() as opened:
        warper = open_warper(model=job.model, backend=job.backend)
        opened.enter_context(closing(warper))
        if not isinstance(warper, Warper):
            raise InvalidSetting(
                f"Model {job.model} finds keypoints of its own and cannot be led along a path.",
                hint="Use lite, lite-512 or lite-trained.",
                model=job.model,
            )
        chosen = _choose(job, side_px=warper.side_px)
        settings = fit_background(job.settings, job.out, cut_out=chosen.cutout)
        maker = Interpolator(warper, chosen, settings=settings, loop=job.loop)
        announce(warper.description)
        _warn_of_wide_turns(maker.path, chosen)
        transparent = settings.output.background == TRANSPARENT
        fps = settings.output.fps
        sink = opened.enter_context(open_file_sink(job.out, fps=fps, transparent=transparent))
        count = job.frame_count
        # A loop's last frame is followed by its first, so the first is not shown twice.
        steps = count if job.loop else count - 1
        done = 0
        try:
            for index in range(count):
                place = ease(index / steps, easing=job.easing, segments=maker.path.segments, loop=job.loop)
                output = maker.render(place, captured_ns=round(index * _NS_PER_S / fps))
                sink.send(output)
                if sheet is not None:
                    first, _, _ = maker.path.pair(place)
                    sheet.offer(index, at_s=index / fps, driver=chosen.images[first].rgb, output=output)
                done = index + 1
                advance(done, count)
        except KeyboardInterrupt:
            return Interpolation(done, done / fps, complete=False)
    if sheet is not None and job.sheet is not None:
        sheet.save(job.sheet)
    return Interpolation(done, done / settings.output.fps)


def _warn_of_wide_turns(path: KeypointPath, chosen: SourceSet) -> None:
    for segment in range(path.segments):
        turn_deg = math.degrees(path.turn_rad(segment))
        if turn_deg > _WIDE_TURN_DEG:
            names = [chosen.images[index % len(chosen.images)].name for index in (segment, segment + 1)]
            log.warning(
                "Between %s and %s the head turns by %.0f°, and much of what lies between is guessed; "
                "a picture between them would help.",
                *names,
                turn_deg,
            )


def _choose(job: InterpolateJob, *, side_px: int) -> SourceSet:
    """Load the pictures in the order of the path."""
    with closing(FaceAnalyser()) as analyser:
        if not job.source_set:
            _check_count(len(job.pictures))
            paths = [Path(picture).expanduser() for picture in job.pictures]
            return load_source_set(paths, side_px=side_px, analyser=analyser, keep_order=True)
        path = find_source_set(job.source_set)
        loaded = load_source_set(path, side_px=side_px, analyser=analyser, keep_order=True)
    images = tuple(_named(name, loaded.images) for name in job.pictures) or loaded.images
    _check_count(len(images))
    return SourceSet(loaded.name, images, loaded.licence, loaded.consent)


def _named(name: str, images: Sequence[SourceImage]) -> SourceImage:
    known = {image.name: image for image in images}
    found = known.get(name) or known.get(Path(name).stem)
    if found is None:
        raise InvalidSetting(f"The set has no picture called {name}.", hint=suggest(name, known), name=name)
    return found


def _check_count(count: int) -> None:
    if count < 2:
        raise InvalidSetting(
            f"There is nothing between fewer than two pictures: expected two or more, got {count}.",
            hint="Name another picture.",
        )
