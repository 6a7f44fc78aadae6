# SPDX-License-Identifier: Apache-2.0
"""The unpaced half of `bench`: frame after frame through the renderer, and one ahead as files are rendered. Any one
thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np

from engine.capture.base import Camera
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.errors import DriverUnreadable
from engine.evaluation.bench_report import WHOLE
from engine.renderer import PreparedCharacter, Renderer
from engine.sinks.base import Sink
from engine.stats import Spread, StageTimes, spread_of
from engine.types import Frame

__all__ = ["SyncSamples", "add_stages", "ratios", "run_sync", "spreads", "turns"]

_WARM_UP_FRAMES = 3  # after a change of sources: caches, allocations and the source choice settle

Count = TypeVar("Count")


@dataclass(slots=True)
class SyncSamples:
    """Times of one number of source pictures over all its blocks.

    block_medians_ns: median of each stage, block by block. lost: frames in which no face was found. frames,
    elapsed_ns: one by one; ahead_frames, ahead_ns: one ahead.
    """

    stages_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    block_medians_ns: list[dict[str, float]] = field(default_factory=list)
    frames: int = 0
    lost: int = 0
    elapsed_ns: int = 0
    ahead_frames: int = 0
    ahead_ns: int = 0

    @property
    def fps(self) -> float:
        """Frames per second, capture and sink included."""
        return self.frames * NS_PER_S / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def ahead_fps(self) -> float:
        """Frames per second where each is drawn beside its neighbours, capture and sink included."""
        return self.ahead_frames * NS_PER_S / self.ahead_ns if self.ahead_ns else 0.0


def turns(counts: Sequence[Count], rounds: int) -> Iterator[Count]:
    """Yield all counts once a round, forwards and backwards in turn, so that none is always first or last."""
    for number in range(rounds):
        yield from counts if number % 2 == 0 else reversed(counts)


def run_sync(
    renderer: Renderer,
    prepared: Mapping[int, PreparedCharacter],
    camera: Camera,
    sink: Sink,
    *,
    rounds: int,
    block_s: float,
    clock: Clock | None = None,
    step: Callable[[], None] = lambda: None,
) -> dict[int, SyncSamples]:
    """Render for `rounds` blocks of `block_s` per number of source pictures; each is followed by one of half the time
    in which frames are rendered one ahead.

    Args:
        prepared: characters by number of pictures. camera: endless and unpaced. step: called after each block.
    Raises:
        DriverUnreadable: the camera ended.
    """
    clock = clock or SystemClock()
    samples = {count: SyncSamples() for count in prepared}
    for count in turns(list(prepared), rounds):
        renderer.use(prepared[count])
        for _ in range(_WARM_UP_FRAMES):
            _render_one(renderer, camera, sink, clock, SyncSamples())
        before = {name: len(values) for name, values in samples[count].stages_ns.items()}
        until_ns = clock.now_ns() + round(block_s * NS_PER_S)
        while clock.now_ns() < until_ns:
            _render_one(renderer, camera, sink, clock, samples[count])
        stages = {name: values[before.get(name, 0) :] for name, values in samples[count].stages_ns.items()}
        medians = {name: float(np.median(values)) for name, values in stages.items() if values}
        samples[count].block_medians_ns.append(medians)
        _render_block_ahead(renderer, camera, sink, clock, samples[count], block_s=block_s / 2)
        step()
    return samples


def ratios(samples: SyncSamples, base: SyncSamples) -> dict[str, float]:
    """Return how much longer each stage takes than in `base`.

    The median over rounds of the ratio of the two blocks' medians: blocks of one round are seconds apart, so a burst
    of foreign load hits both or spoils one round only.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for mine, others in zip(samples.block_medians_ns, base.block_medians_ns, strict=True):
        for name in mine.keys() & others.keys():
            if others[name] > 0:
                found[name].append(mine[name] / others[name])
    return {name: float(np.median(values)) for name, values in found.items()}


def _render_one(renderer: Renderer, camera: Camera, sink: Sink, clock: Clock, samples: SyncSamples) -> None:
    start_ns = clock.now_ns()
    frame = _next_frame(camera)
    captured_ns = clock.now_ns()
    output = renderer.render(frame)
    rendered_ns = clock.now_ns()
    sink.send(output)
    end_ns = clock.now_ns()
    samples.frames += 1
    samples.elapsed_ns += end_ns - start_ns
    samples.stages_ns["capture"].append(captured_ns - start_ns)
    samples.stages_ns["sink"].append(end_ns - rendered_ns)
    if not add_stages(samples.stages_ns, renderer.last_timings):
        samples.lost += 1


def _render_block_ahead(
    renderer: Renderer, camera: Camera, sink: Sink, clock: Clock, samples: SyncSamples, *, block_s: float
) -> None:
    start_ns = clock.now_ns()
    until_ns = start_ns + round(block_s * NS_PER_S)

    def frames() -> Iterator[Frame]:
        while clock.now_ns() < until_ns:
            yield _next_frame(camera)

    with closing(renderer.render_ahead(frames())) as rendered:
        for done in rendered:
            sink.send(done.output)
            samples.ahead_frames += 1
    samples.ahead_ns += clock.now_ns() - start_ns


def _next_frame(camera: Camera) -> Frame:
    frame = camera.read()
    if frame is None:
        raise DriverUnreadable(f"The driving video ended while measuring ({camera.info.name}).")
    return frame


def add_stages(stages_ns: dict[str, list[int]], times: StageTimes) -> bool:
    """Add one frame's times; return False and add nothing where no character was rendered (no face)."""
    if not times.warp_ns:
        return False
    for each in fields(times):
        stages_ns[each.name.removesuffix("_ns")].append(getattr(times, each.name))
    stages_ns[WHOLE].append(times.total_ns)
    return True


def spreads(stages_ns: Mapping[str, Sequence[int]]) -> dict[str, Spread]:
    """Return p50, p95 and p99 of every stage."""
    return {name: spread_of(values) for name, values in stages_ns.items()}
