# SPDX-License-Identifier: Apache-2.0
"""Networks take turns in short blocks, so that a machine that slows down does so for all of them. Any one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S
from engine.evaluation.bench_sync import turns

__all__ = ["Cost", "Samples", "Timed", "TimedPart", "measure", "ratios_of"]

_BLOCK_S = 0.5  # a fast network gets more frames than asked for: its block must last long enough to meet the noise


@dataclass(frozen=True, slots=True, eq=False)
class TimedPart:
    """run: computes it once, returns how long that took, nanoseconds. parameters, macs: a frame's, 0 where unknown."""

    name: str
    run: Callable[[], int]
    parameters: int = 0
    macs: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """A network ready to run. how: device and precision in words."""

    name: str
    words: str
    parts: tuple[TimedPart, ...]
    how: str


class Cost(NamedTuple):
    """wall: by the clock. cpu: processor time of all threads, which foreign load does not stretch. Nanoseconds."""

    wall: int
    cpu: int


@dataclass(slots=True)
class Samples:
    """blocks: block by block, frame by frame, the cost of each part."""

    blocks: list[list[tuple[Cost, ...]]] = field(default_factory=list)

    def frames(self, parts: Sequence[int]) -> list[Cost]:
        """Return the cost of every frame, summed over these parts."""
        return [cost for block in self.blocks for cost in _sums(block, parts)]

    def block_medians(self, parts: Sequence[int]) -> NDArray[np.float64]:
        """Return the median frame of every block, (blocks, 2): wall, cpu."""
        return np.array([np.median(_sums(block, parts), axis=0) for block in self.blocks])


def measure(
    networks: Sequence[Timed],
    *,
    rounds: int,
    frames: int,
    block_s: float = _BLOCK_S,
    step: Callable[[], None] = lambda: None,
) -> dict[str, Samples]:
    """Time all networks in turns.

    Args:
        rounds: blocks per network. frames: per block, at least; one more before them warms the caches up.
        block_s: a block lasts at least so long. step: called after each block.
    """
    samples = {network.name: Samples() for network in networks}
    for network in turns(networks, rounds):
        _frame(network)
        block, start_ns = list[tuple[Cost, ...]](), time.perf_counter_ns()
        while len(block) < frames or time.perf_counter_ns() - start_ns < block_s * NS_PER_S:
            block.append(_frame(network))
        samples[network.name].blocks.append(block)
        step()
    return samples


def ratios_of(samples: Mapping[str, Samples], name: str, parts: Sequence[int], *, base: str) -> tuple[float, float]:
    """Return how many times more than the base's a frame takes, by the clock and in processor time.

    The median over rounds of the ratio of the two blocks' medians: blocks of one round are neighbours, so a burst of
    foreign load hits both or spoils one round only.
    """
    theirs = samples[name].block_medians(parts)
    mine = samples[base].block_medians(range(len(samples[base].blocks[0][0])))
    wall, cpu = np.median(theirs / np.maximum(mine, 1), axis=0)
    return float(wall), float(cpu)


def _frame(network: Timed) -> tuple[Cost, ...]:
    costs = []
    for part in network.parts:
        cpu_ns = time.process_time_ns()
        wall_ns = part.run()
        costs.append(Cost(wall_ns, time.process_time_ns() - cpu_ns))
    return tuple(costs)


def _sums(block: Sequence[tuple[Cost, ...]], parts: Sequence[int]) -> list[Cost]:
    return [Cost(sum(frame[p].wall for p in parts), sum(frame[p].cpu for p in parts)) for frame in block]
