# SPDX-License-Identifier: Apache-2.0
"""Stages that cost what they are told to, for testing how the benchmark counts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np

from engine.capture.base import CameraInfo
from engine.clock import FakeClock
from engine.config import LiveSettings, OutputSettings
from engine.renderer import PreparedCharacter, Rendered
from engine.stats import StageTimes
from engine.types import Frame, OutputFrame, SourceImage, SourceSet
from engine.watermark.gate import holding_card
from tests.helpers.source_faces import make_keypoints

__all__ = ["SMALL", "CountingRenderer", "EndlessCamera", "make_source_set"]

SMALL = LiveSettings(output=OutputSettings(size_wh=(256, 256)))
_MS = 1_000_000


def make_source_set(count: int) -> SourceSet:
    """Return a set of `count` plain pictures."""
    rgb, alpha = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8)
    images = [SourceImage(str(i), rgb.copy(), alpha.copy(), make_keypoints(yaw=0.1 * i)) for i in range(count)]
    return SourceSet("plain", tuple(images))


class EndlessCamera:
    """Delivers frames at once, each taking `read_ms` of a fake clock; ends after `limit`."""

    info = CameraInfo("endless", "endless", 64, 64, 30.0)

    def __init__(self, clock: FakeClock, *, read_ms: int = 2, limit: int | None = None) -> None:
        self._clock, self._read_ms, self._limit, self.reads = clock, read_ms, limit, 0

    def read(self) -> Frame | None:
        self._clock.advance(ns=self._read_ms * _MS)
        self.reads += 1
        if self._limit is not None and self.reads > self._limit:
            return None
        return Frame(self.reads, self._clock.now_ns(), np.zeros((64, 64, 3), np.uint8))


class CountingRenderer:
    """A renderer whose warp takes 10 ms per source picture; every `lost_every`-th frame has no face."""

    description = "engine: by hand, N=2"
    tracking_lost = False
    stage = "warp"

    def __init__(self, clock: FakeClock | None = None, *, lost_every: int = 0, fails_at: int = 0) -> None:
        self._clock, self._lost_every, self._fails_at = clock, lost_every, fails_at
        self.listener: Callable[[Any], None] = lambda event: None
        self.last_timings = StageTimes()
        self.source_set: SourceSet | None = None
        self.used: list[int] = []
        self.frames = 0
        self.closed = 0
        self._card = holding_card(SMALL.output.size_wh, "test")

    def prepare(self, source_set: SourceSet) -> PreparedCharacter:
        return PreparedCharacter(source_set, None)

    def use(self, prepared: PreparedCharacter) -> None:
        self.used.append(len(prepared.source_set.images))

    def render(self, frame: Frame) -> OutputFrame:
        self.frames += 1
        if self._fails_at and self.frames >= self._fails_at:
            raise RuntimeError("out of ink")
        warp_ms = 10 * self.used[-1] if self.used else 10
        if self._clock is not None:
            self._clock.advance(ns=(warp_ms + 5) * _MS)
        lost = self._lost_every and self.frames % self._lost_every == 0
        self.last_timings = StageTimes(track_ns=5 * _MS, warp_ns=0 if lost else warp_ms * _MS)
        return OutputFrame(frame.captured_ns, frame.captured_ns, self._card.rgb, self._card.seal)

    def render_ahead(self, frames: Iterable[Frame]) -> Generator[Rendered, None, None]:
        for frame in frames:
            yield Rendered(frame, self.render(frame), lost=False)

    def render_absent(self, now_ns: int, reason: str) -> OutputFrame:
        return self._card

    def card(self, reason: str, *, at_ns: int) -> OutputFrame:
        return self._card

    def close(self) -> None:
        self.closed += 1
