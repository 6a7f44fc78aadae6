# SPDX-License-Identifier: Apache-2.0
"""Figures for the status strip: the engine's own counters, and rates over the last moments. No Qt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from desktop.words import StageLoad, advice_for, bottleneck, delay_ms, stage_loads
from engine.stats import PipelineStats

__all__ = ["FigureMeter", "Figures"]

UNSTEADY = "Bottleneck and delay are measured while the character follows you."
_SPAN = 6  # measurements: three seconds at two a second; shorter spans make the number jump


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at a run.

    fps: rendered frames a second over the last three seconds; 0 at the start. age_p95_ms: 95 % of the frames reach the
    output sooner. dropped: frames that a slow output or a late engine skipped. limit: the stage that limits the rate,
    or empty. advice: one sentence about it. delay: camera to output, None until measured.
    """

    fps: float
    wanted_fps: float
    age_p95_ms: float
    dropped: int
    loads: tuple[StageLoad, ...]
    limit: str
    advice: str
    delay: float | None
    stats: PipelineStats


class FigureMeter:
    """Turns snapshots into `Figures`."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=_SPAN + 1)

    def reset(self) -> None:
        """Begin anew: another run."""
        self._seen.clear()

    def measure(self, stats: PipelineStats, *, wanted_fps: float, steady: bool = True) -> Figures:
        """Return the figures now. steady: the character follows; holding cards say nothing of bottleneck and delay."""
        self._seen.append((self._now_s(), stats.delivered.get("render", 0), stats.dropped.get("capture", 0)))
        (first_s, first, first_missed), (last_s, last, last_missed) = self._seen[0], self._seen[-1]
        fps = (last - first) / (last_s - first_s) if last_s > first_s else 0.0
        missed = last_missed - first_missed
        late = missed / (missed + last - first) if missed else 0.0
        limit = bottleneck(stats, fps=fps, wanted_fps=wanted_fps, late=late) if steady else ""
        ages = [stats.frame_age[name].p95_ms for name in ("virtual camera", "preview") if name in stats.frame_age]
        return Figures(
            fps=fps,
            wanted_fps=wanted_fps,
            age_p95_ms=ages[0] if ages else 0.0,
            dropped=sum(stats.dropped.values()),
            loads=tuple(stage_loads(stats)),
            limit=limit,
            advice=advice_for(limit, stats, fps=fps, wanted_fps=wanted_fps) if steady else UNSTEADY,
            delay=delay_ms(stats) if steady else None,
            stats=stats,
        )
