# SPDX-License-Identifier: Apache-2.0
"""The real pipeline with faults at hand: shipped clip, tracker, model and set; every sent frame is inspected."""

from __future__ import annotations

from collections.abc import Callable

from engine.app.assembly import build_pipeline, load_sources
from engine.app.demo import builtin_clip
from engine.config import LiveSettings, OutputSettings, PipelineSettings
from engine.evaluation.bench_live import open_stand_in
from engine.evaluation.soak.camera import open_faulty
from engine.evaluation.soak.faults import Switchboard
from engine.evaluation.soak.sinks import AuditSink, FailingSink
from engine.evaluation.soak.stages import faulty_spares
from engine.events import PipelineEvent, Warned
from engine.state import Phase, PipelineState

__all__ = ["LONG_S", "FaultRig"]

LONG_S = 60.0
_FPS = 30.0


class FaultRig:
    """A running pipeline, a switchboard and what was said so far."""

    def __init__(self, *, size_wh: tuple[int, int] = (320, 180)) -> None:
        self.board, self.audit = Switchboard(), AuditSink()
        self.seen: list[PipelineEvent] = []
        self.pipeline = build_pipeline(
            lambda: open_faulty(lambda: open_stand_in(builtin_clip(), fps=_FPS), self.board),
            [FailingSink(self.audit, self.board)],
            load_sources("otto", count=2),
            settings=LiveSettings(
                output=OutputSettings(size_wh=size_wh, fps=_FPS),
                # Silence is another test's business, and a slow machine must not look like it.
                pipeline=PipelineSettings(stall_s=30, join_s=60),
            ),
            spares=faulty_spares(self.board, model="lite", backend="auto"),
        )
        self.pipeline.start()
        assert self.pipeline.wait_until_live(LONG_S)
        self.until(lambda state: state.phase is Phase.RUNNING)

    def until(self, holds: Callable[[PipelineState], bool]) -> None:
        """Follow the events until the state is as wanted."""
        while not holds(self.pipeline.state):
            event = self.pipeline.next_event(LONG_S)
            assert event is not None, f"stays {self.pipeline.state}; seen: {self.seen[-10:]}"
            self.seen.append(event)

    def sentences(self, where: str) -> list[str]:
        """Return what was said about a stage so far."""
        self.seen += self.pipeline.events()
        return [str(event.error) for event in self.seen if isinstance(event, Warned) and event.where == where]

    def wait_for_frames(self, count: int) -> None:
        """Wait until so many more frames were sent."""
        assert self.audit.wait_for(self.audit.found.count + count, LONG_S)

    def assert_clean(self) -> None:
        """Every frame so far was marked, and none showed the driver."""
        found = self.audit.found
        assert found.count > 0
        assert (found.unmarked, found.raw) == (0, 0)

    def close(self) -> None:
        """Stop."""
        self.pipeline.stop()
