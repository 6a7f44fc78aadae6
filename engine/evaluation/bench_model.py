# SPDX-License-Identifier: Apache-2.0
"""The model alone: what `bench` measures of a frame graph, without tracking, conversion of colours and compositing.

Keypoints wander between those of the set's own pictures, so that the choice of pictures changes as it does in use. Any
one thread, which owns the GPU meanwhile. Implicit-warping models only: the others need a driving picture for a frame.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S
from engine.evaluation.bench_sync import turns
from engine.runtime.base import EncodedSourceSet, FrameInputs, LayerTime, MeasuresLayers, WarpRunner
from engine.runtime.manifest import ModelManifest
from engine.runtime.select import open_runner
from engine.stats import Spread, spread_of
from engine.types import Query, SourceSet
from engine.warp import Warper

__all__ = ["ModelTimes", "measure_model"]

_FPS = 30.0
_STEPS = 20  # frames from one picture's pose to the next
_WARM_UP_FRAMES = 10  # a graph is recorded, memory is touched, clocks rise
_LAYER_FRAMES = 50


@dataclass(frozen=True, slots=True)
class ModelTimes:
    """animate: time of the frame graph by number of pictures, copies to and from the device included.

    layers: what its layers take, with the most pictures; empty where nobody asked.
    """

    animate: Mapping[int, Spread]
    layers: tuple[LayerTime, ...] = ()


class _Clocked:
    """A runner that notes what it is asked to draw and how long that took."""

    def __init__(self, runner: WarpRunner) -> None:
        self._runner = runner
        self.took_ns = 0
        self.asked: tuple[EncodedSourceSet, FrameInputs] | None = None

    @property
    def manifest(self) -> ModelManifest:
        return self._runner.manifest

    @property
    def description(self) -> str:
        return self._runner.description

    def encode(self, rgba: NDArray[np.float32], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        return self._runner.encode(rgba, keypoints)

    def animate(self, sources: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.float32]:
        start_ns = time.perf_counter_ns()
        portrait = self._runner.animate(sources, inputs)
        self.took_ns, self.asked = time.perf_counter_ns() - start_ns, (sources, inputs)
        return portrait

    def close(self) -> None:
        self._runner.close()


@dataclass(slots=True)
class _Wanderer:
    """Endless queries between the poses of a set's pictures."""

    source_set: SourceSet
    index: Iterator[int] = field(default_factory=itertools.count)

    def next(self) -> Query:
        index = next(self.index)
        images = self.source_set.images
        leg, step = divmod(index, _STEPS)
        here, there = (images[i % len(images)].keypoints for i in (leg, leg + 1))
        share = np.float32(step / _STEPS)
        return Query(round(index * NS_PER_S / _FPS), (1 - share) * here + share * there)


def measure_model(
    source_set: SourceSet,
    *,
    model: str,
    backend: str,
    counts: Sequence[int],
    rounds: int,
    block_s: float,
    layers: bool = False,
    step: Callable[[], None] = lambda: None,
) -> ModelTimes:
    """Time the frame graph for several numbers of pictures, in turns.

    Args:
        rounds, block_s: blocks per number, and their length. layers: also measure layer by layer.
        step: called after each block.
    Raises:
        EngineError: the back-end cannot run here or fails.
    """
    runner, _ = open_runner(backend, model=model)
    clocked = _Clocked(runner)
    with closing(Warper(clocked)) as warper:
        prepared = {count: warper.prepare(source_set.take(count)) for count in counts}
        wanderers = {count: _Wanderer(source_set.take(count)) for count in counts}
        times: dict[int, list[int]] = {count: [] for count in counts}
        for count in turns(list(counts), rounds):
            warper.use(prepared[count])
            for _ in range(_WARM_UP_FRAMES):
                warper.warp(wanderers[count].next())
            until_ns = time.perf_counter_ns() + round(block_s * NS_PER_S)
            while time.perf_counter_ns() < until_ns:
                warper.warp(wanderers[count].next())
                times[count].append(clocked.took_ns)
            step()
        found: list[LayerTime] = []
        if layers and isinstance(runner, MeasuresLayers):
            warper.use(prepared[max(counts)])
            warper.warp(wanderers[max(counts)].next())
            assert clocked.asked is not None
            found = runner.measure_layers(*clocked.asked, frames=_LAYER_FRAMES)
    ordered = tuple(sorted(found, key=lambda layer: -layer.ms))
    return ModelTimes({count: spread_of(values) for count, values in times.items()}, ordered)
