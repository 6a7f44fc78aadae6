# SPDX-License-Identifier: Apache-2.0
"""The soak run: a real pipeline, random faults drawn from a seed, and everything that is measured on the way.

Driver is a video played as an endless webcam; model, tracker, compositor, watermark and recorder are the shipped ones,
with stand-ins around them that fail on command. The caller's thread injects, watches and samples.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from engine import state as states
from engine.app.assembly import build_pipeline, load_sources
from engine.app.demo import builtin_clip
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.config import LiveSettings, OutputSettings
from engine.errors import EngineError
from engine.evaluation.bench_live import open_stand_in
from engine.evaluation.machine import describe_machine
from engine.evaluation.soak.camera import open_faulty
from engine.evaluation.soak.faults import Fault, Switchboard
from engine.evaluation.soak.recorder import PieceRecorder
from engine.evaluation.soak.report import Episode, SoakReport
from engine.evaluation.soak.resources import Sample, Sampler, leftover_threads
from engine.evaluation.soak.sinks import Audited, AuditSink, FailingSink
from engine.evaluation.soak.stages import faulty_spares
from engine.events import PipelineEvent, ThreadStuck, Warned
from engine.pipeline import Pipeline
from engine.sinks.base import Sink
from engine.types import SourceSet

__all__ = ["SoakJob", "run_soak"]

_LOADING_S = 300.0
_NOTICE_S = 60.0  # a fault that the state does not show by then has not been noticed, however busy the machine
_RECOVER_S = 120.0
_REST_S = (1.0, 4.0)  # between two faults
_HOLD_S = (0.3, 2.0)  # how much longer a fault stays after it was noticed
_LOOK_S = 0.05
_PIECE_S = 45.0  # a recording's length
_SAMPLES = 1500  # about so many, whatever the length


@dataclass(frozen=True, slots=True)
class SoakJob:
    """What to run. source_sets: switched between. driving: a video; None takes the built-in clip. virtual_camera: a
    real one behind the inspecting sink; device: which."""

    minutes: float
    faults: tuple[Fault, ...] = ()
    seed: int = 1
    source_sets: tuple[str, ...] = ("amara", "otto")
    driving: Path | None = None
    size_wh: tuple[int, int] = (640, 360)
    fps: float = 30.0
    model: str = "lite"
    backend: str = "auto"
    virtual_camera: bool = False
    device: str | None = None


def run_soak(
    job: SoakJob,
    *,
    announce: Callable[[str], None] = lambda _line: None,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
    clock: Clock | None = None,
) -> SoakReport:
    """Run for the given time, or until Ctrl-C, and report.

    Args:
        announce: told the engine's line, and each fault. advance: called with (seconds done, seconds in all).

    Raises:
        PuppeteerError: the pipeline does not start.
    """
    run = _Run(job, clock or SystemClock(), announce, advance)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bunraku-soak-")))
        return run.run(folder)


class _Run:
    """One run's state. Thread: the caller's."""

    def __init__(
        self,
        job: SoakJob,
        clock: Clock,
        announce: Callable[[str], None],
        advance: Callable[[int, int | None], None],
    ) -> None:
        self._job, self._clock, self._announce, self._advance = job, clock, announce, advance
        self._board, self._random = Switchboard(), random.Random(job.seed)
        self._settings = LiveSettings(output=OutputSettings(size_wh=job.size_wh, fps=job.fps))
        self._audit = AuditSink(behind=self._virtual_camera(), clock=clock)
        self._sets = [load_sources(name) for name in job.source_sets]
        self._pipeline = self._build(self._sets[0])
        self._sampler = Sampler(self._pipeline, sink=self._audit.name)
        self._samples: list[Sample] = []
        self._episodes: list[Episode] = []
        self._warnings: Counter[str] = Counter()
        self._stuck: list[str] = []
        self._started_ns = 0
        self._sample_every_s = max(1.0, job.minutes * 60 / _SAMPLES)
        self._queue: list[Fault] = []

    def run(self, folder: Path) -> SoakReport:
        pipeline, job = self._pipeline, self._job
        recorder = PieceRecorder(pipeline, folder, self._board, fps=job.fps)
        engine, piece_s = "", 0.0
        try:
            pipeline.start()
            if not pipeline.wait_until_live(_LOADING_S):
                raise pipeline.state.error or EngineError(f"The pipeline delivers no frames: it is {pipeline.state}.")
            engine = pipeline.description
            self._announce(engine)
            self._started_ns = self._clock.now_ns()
            while self._now_s < job.minutes * 60 and self._alive:
                recorder.begin()
                self._watch(self._random.uniform(*_REST_S))
                if job.faults and self._alive:
                    self._inject(self._next_fault(), recorder)
                self._act()
                if self._now_s - piece_s > _PIECE_S:
                    recorder.check(recorder.finish())
                    piece_s = self._now_s
        except KeyboardInterrupt:
            self._announce("stopped; what was found so far:")
        finally:
            seconds = self._now_s
            failed = "" if self._alive else str(pipeline.state)
            pipeline.stop()
            self._take_events()
        recorder.check(recorder.left())
        return self._report(engine, seconds, failed, recorder)

    @property
    def _now_s(self) -> float:
        return (self._clock.now_ns() - self._started_ns) / NS_PER_S if self._started_ns else 0.0

    @property
    def _alive(self) -> bool:
        return self._pipeline.state.live

    def _virtual_camera(self) -> Sink | None:
        if not self._job.virtual_camera:
            return None
        from engine.sinks.virtual_camera import VirtualCameraSink
        from engine.watermark.gate import holding_card

        card = holding_card(self._job.size_wh, "Starting")
        return VirtualCameraSink(*self._job.size_wh, self._job.fps, device=self._job.device, card=card)

    def _build(self, source_set: SourceSet) -> Pipeline:
        job, board = self._job, self._board
        driving = job.driving or builtin_clip()
        return build_pipeline(
            lambda: open_faulty(lambda: open_stand_in(driving, fps=job.fps), board),
            [FailingSink(self._audit, board)],
            source_set,
            model=job.model,
            backend=job.backend,
            settings=self._settings,
            spares=faulty_spares(board, model=job.model, backend=job.backend),
        )

    def _next_fault(self) -> Fault:
        """Draw without putting back, so that every fault comes equally often."""
        if not self._queue:
            self._queue = list(self._job.faults)
            self._random.shuffle(self._queue)
        return self._queue.pop()

    def _inject(self, fault: Fault, recorder: PieceRecorder) -> None:
        at_s = self._now_s
        self._board.set(fault.name, True)
        noticed: float | None = 0.0
        if fault.reason:
            noticed = self._until(lambda: fault.reason in self._pipeline.state.reasons, _NOTICE_S)
        self._watch(self._random.uniform(*_HOLD_S))
        lasted_s = self._now_s - at_s
        self._board.set(fault.name, False)
        cleared_s = self._now_s
        torn = None
        if fault.name == "disk-full":  # what a user does: record anew
            torn = recorder.finish()
            recorder.begin()
        recovered = self._until(lambda: self._clear(fault), _RECOVER_S)
        total = None if recovered is None else self._now_s - cleared_s
        self._episodes.append(Episode(fault.name, at_s, lasted_s, noticed, total))
        words = f"not recovered ({self._pipeline.state})" if total is None else f"recovered in {total:.2f} s"
        recorder.check(torn)
        self._announce(f"{at_s:8.1f} s  {fault.name}: {'not noticed, ' if noticed is None else ''}{words}")

    def _clear(self, fault: Fault) -> bool:
        """Whether all is well again; on a machine that is too busy, the stand-in for a camera is slow by itself."""
        reasons = set(self._pipeline.state.reasons)
        return self._alive and not reasons - ({states.CAMERA_SLOW} - {fault.reason})

    def _act(self) -> None:
        """Do one of the things a performer does meanwhile."""
        pipeline, pick = self._pipeline, self._random.randrange(6)
        if not self._alive:
            return
        if pick == 0:
            pipeline.set_source_set(self._random.choice(self._sets))
        elif pick == 1:
            background = self._random.choice(("source", "green", "#204060"))
            mirrored = self._random.random() < 0.5
            output = replace(self._settings.output, background=background, mirrored=mirrored)
            self._settings = replace(self._settings, output=output)
            pipeline.apply(self._settings)
        elif pick == 2:
            pipeline.calibrate()
        elif pick == 3:
            pipeline.apply(replace(self._settings, blanked=True))
            self._watch(0.5)
            pipeline.apply(self._settings)
            self._until(lambda: states.BLANKED not in pipeline.state.reasons, _RECOVER_S)

    def _until(self, holds: Callable[[], bool], timeout_s: float) -> float | None:
        """Watch until something holds; return after how long, None where it did not."""
        started_s = self._now_s
        while not holds():
            if self._now_s - started_s > timeout_s or not self._alive:
                return None
            self._watch(_LOOK_S)
        return self._now_s - started_s

    def _watch(self, seconds: float) -> None:
        """Take events and samples for a while."""
        until_s = self._now_s + seconds
        while (left_s := until_s - self._now_s) > 0 and self._alive:
            event = self._pipeline.next_event(min(left_s, _LOOK_S))
            if event is not None:
                self._note(event)
            if not self._samples or self._now_s - self._samples[-1].at_s >= self._sample_every_s:
                self._samples.append(self._sampler.take(at_s=self._now_s))
                self._advance(int(self._now_s), int(self._job.minutes * 60))

    def _note(self, event: PipelineEvent) -> None:
        if isinstance(event, Warned):
            self._warnings[f"{event.where}: {event.error}"] += 1
        elif isinstance(event, ThreadStuck):
            self._stuck.append(event.name)

    def _take_events(self) -> None:
        for event in self._pipeline.events():
            self._note(event)

    def _report(self, engine: str, seconds: float, failed: str, recorder: PieceRecorder) -> SoakReport:
        found: Audited = self._audit.found
        return SoakReport(
            engine=engine,
            machine=describe_machine(),
            seed=self._job.seed,
            seconds=seconds,
            sent=found.count,
            unmarked=found.unmarked + recorder.found.unmarked,
            raw=found.raw + recorder.found.raw,
            longest_gap_s=self._audit.longest_gap_s,
            pieces=recorder.pieces,
            broken_pieces=recorder.broken,
            failed=failed,
            stuck=(*self._stuck, *leftover_threads()),
            warnings=dict(self._warnings.most_common(50)),
            episodes=tuple(self._episodes),
            samples=tuple(self._samples),
        )
