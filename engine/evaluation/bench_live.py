# SPDX-License-Identifier: Apache-2.0
"""The live half of `bench`: the threaded pipeline, fed like a webcam feeds it. Called from any one thread."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import Camera
from engine.capture.clips import Clip
from engine.capture.replay import ReplayCamera
from engine.capture.video import VideoClip
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.config import LiveSettings
from engine.errors import EngineError
from engine.evaluation.bench_sync import add_stages, turns
from engine.pipeline import Pipeline
from engine.renderer import PreparedCharacter, Renderer
from engine.sinks.base import BaseSink
from engine.stats import StageTimes
from engine.types import Frame, OutputFrame, SourceSet

__all__ = ["LiveSamples", "RetimedClip", "open_stand_in", "run_live"]

_WARM_UP_FRAMES = 10  # after a change of sources: until frames rendered from the old ones are through
_LOADING_S = 300.0
_SWITCH_S = 60.0


class RetimedClip:
    """A clip played at a webcam's rate, whatever its own."""

    def __init__(self, clip: Clip, *, fps: float) -> None:
        self._clip, self._fps = clip, fps
        self.info = replace(clip.info, fps=fps)

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (time_ns, rgb), evenly spaced."""
        for index, (_, rgb) in enumerate(self._clip.frames()):
            yield round(index * NS_PER_S / self._fps), rgb


def open_stand_in(path: Path, *, fps: float, clock: Clock | None = None) -> ReplayCamera:
    """Open a video as an endless webcam of `fps` frames a second: a reader that comes late loses frames."""
    return ReplayCamera(RetimedClip(VideoClip(path), fps=fps), paced=True, loop=True, clock=clock)


@dataclass(slots=True)
class LiveSamples:
    """What one number of source pictures did live, over all its blocks."""

    stages_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    ages_ns: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    elapsed_ns: int = 0

    @property
    def fps(self) -> float:
        """Delivered frames per second."""
        return len(self.ages_ns) * NS_PER_S / self.elapsed_ns if self.elapsed_ns else 0.0


class _AgeSink(BaseSink):
    """Takes the newest frame, as a virtual camera does, and notes how old it is. Thread: any."""

    name = "sink"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ages_ns: list[int] = []
        self._count = 0

    def send(self, frame: OutputFrame) -> None:
        with self._changed:
            self._ages_ns.append(self._clock.now_ns() - frame.captured_ns)
            self._count += 1
            self._changed.notify_all()

    def wait_for_more(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` more frames came; return whether they did."""
        with self._changed:
            target = self._count + count
            return self._changed.wait_for(lambda: self._count >= target, timeout_s)

    def take(self) -> list[int]:
        """Return the ages since the last call."""
        with self._changed:
            ages, self._ages_ns = self._ages_ns, []
            return ages


class _WatchedRenderer:
    """The renderer with a note of every frame's times. Thread: render; `take` from another."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._lock = threading.Lock()
        self._times: list[StageTimes] = []

    def render(self, frame: Frame) -> OutputFrame:
        output = self._renderer.render(frame)
        with self._lock:
            self._times.append(self._renderer.last_timings)
        return output

    def take(self) -> list[StageTimes]:
        """Return the times since the last call."""
        with self._lock:
            times, self._times = self._times, []
            return times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)


def run_live(
    camera: Callable[[], Camera],
    renderer: Callable[[], Renderer],
    source_set: SourceSet,
    *,
    counts: Sequence[int],
    rounds: int,
    block_s: float,
    settings: LiveSettings,
    clock: Clock | None = None,
    step: Callable[[], None] = lambda: None,
) -> dict[int, LiveSamples]:
    """Run one pipeline for `rounds` blocks of `block_s` per number of source pictures.

    Args:
        camera, renderer: as `engine.pipeline.Pipeline` takes them. step: called after each block.
    Raises:
        PuppeteerError: the pipeline failed; its own error.
    """
    clock = clock or SystemClock()
    # A run that mends itself is a good show and a bad figure.
    settings = replace(settings, pipeline=replace(settings.pipeline, give_up_s=0.0))
    sink = _AgeSink(clock)
    made: list[_WatchedRenderer] = []
    prepared: dict[int, PreparedCharacter] = {}

    def make() -> Renderer:
        # On the render thread, which alone may touch a GPU.
        made.append(_WatchedRenderer(renderer()))
        prepared.update((count, made[0].prepare(source_set.take(count))) for count in counts)
        return cast(Renderer, made[0])

    samples = {count: LiveSamples() for count in counts}
    pipeline = Pipeline(camera, make, [sink], settings=settings, clock=clock)
    try:
        pipeline.start()
        if not pipeline.wait_until_live(_LOADING_S):
            raise _reason(pipeline)
        for count in turns(counts, rounds):
            _switch(pipeline, prepared[count], sink)
            _measure(pipeline, made[0], sink, samples[count], block_s=block_s, clock=clock)
            step()
    finally:
        pipeline.stop()
    return samples


def _switch(pipeline: Pipeline, prepared: PreparedCharacter, sink: _AgeSink) -> None:
    switched = threading.Event()

    def use(renderer: Renderer) -> None:
        renderer.use(prepared)
        switched.set()

    pipeline.command(use)
    if not (switched.wait(_SWITCH_S) and sink.wait_for_more(_WARM_UP_FRAMES, _SWITCH_S)):
        raise _reason(pipeline)


def _measure(
    pipeline: Pipeline,
    watched: _WatchedRenderer,
    sink: _AgeSink,
    samples: LiveSamples,
    *,
    block_s: float,
    clock: Clock,
) -> None:
    dropped_before = pipeline.stats().dropped
    watched.take()
    sink.take()
    start_ns = clock.now_ns()
    if pipeline.wait(block_s):
        raise _reason(pipeline)
    samples.elapsed_ns += clock.now_ns() - start_ns
    samples.ages_ns += sink.take()
    for times in watched.take():
        add_stages(samples.stages_ns, times)
    for name, total in pipeline.stats().dropped.items():
        samples.dropped[name] += total - dropped_before.get(name, 0)


def _reason(pipeline: Pipeline) -> BaseException:
    """Return why the pipeline does not deliver."""
    return pipeline.state.error or EngineError(f"The pipeline delivers no frames: it is {pipeline.state}.")
