# SPDX-License-Identifier: Apache-2.0
"""`bench`: what every stage costs and how old a frame is when it leaves, for several numbers of source pictures.

Three ways. Unpaced, the renderer runs frame after frame, which is what the stages cost, and one ahead, which is how
fast files are rendered. The frame graph alone. Live, the threaded pipeline is fed by a video paced like a webcam:
delivered frames, frame age, drops. The numbers of source pictures take turns in short blocks, so that a machine that
slows down or warms up does so for all of them and ratios between them stay honest. Any one thread; the pipeline has its
own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from engine.app.assembly import build_renderer, load_sources
from engine.app.demo import builtin_clip, builtin_set
from engine.capture import open_camera
from engine.config import LiveSettings, OutputSettings
from engine.errors import InvalidSetting
from engine.evaluation.bench_live import LiveSamples, open_stand_in, run_live
from engine.evaluation.bench_model import ModelTimes, measure_model
from engine.evaluation.bench_report import BenchReport, BenchRun
from engine.evaluation.bench_sync import SyncSamples, ratios, run_sync, spreads
from engine.evaluation.first_frame import measure_first_frame
from engine.evaluation.gpu_watch import GpuWatch, runs_on_nvidia
from engine.evaluation.machine import describe_machine, peak_rss_mb
from engine.renderer import Renderer
from engine.runtime.manifest import load_manifest
from engine.sinks.memory import MemorySink
from engine.stats import spread_of

__all__ = ["choose_counts", "run_bench"]

log = logging.getLogger(__name__)

CAMERA_FPS = 30.0  # what nearly every webcam delivers
_BLOCK_S = 0.5  # short enough that all counts meet the same machine, long enough for a steady state
_MIN_ROUNDS = 4

_COUNT = re.compile(r", N=\d+")  # the warper names the count it has; here there are several

Advance = Callable[[int, int | None], None]


def run_bench(
    *,
    source_set: str | Path = "",
    driving: str | Path = "",
    seconds: float = 6.0,
    source_counts: Sequence[int] = (1, 2, 4, 8),
    model: str = "lite",
    backend: str = "auto",
    size_wh: tuple[int, int] = (1280, 720),
    with_first_frame: bool = True,
    layers: bool = False,
    advance: Advance = lambda _done, _total: None,
) -> BenchReport:
    """Measure speed.

    Args:
        source_set, driving: set name or path, and a video of a face; empty means the built-in ones.
        seconds: measuring time per number of source pictures, for each of the ways.
        source_counts: numbers of source pictures; more than the set has are left out.
        size_wh: output canvas. with_first_frame: also time a fresh process up to its first frame.
        layers: also measure the frame graph layer by layer.
        advance: called with (steps done, steps in all).
    Raises:
        InvalidSetting: the set has fewer pictures than any of the counts, or `seconds` is not positive.
        SourceError, DriverError, EngineError: what is needed cannot be opened or fails.
    """
    if seconds <= 0:
        raise InvalidSetting(f"--seconds must be more than 0, got {seconds:g}.", name="seconds", value=seconds)
    set_name = str(source_set) or builtin_set()
    clip = Path(driving) if str(driving) else builtin_clip()
    settings = LiveSettings(output=OutputSettings(size_wh=size_wh))
    loaded = load_sources(set_name)
    counts = choose_counts(source_counts, available=len(loaded.images), name=loaded.name)
    rounds = max(_MIN_ROUNDS, round(seconds / _BLOCK_S))
    block_s = seconds / rounds
    alone = not load_manifest(model).learned
    steps = _Steps(advance, (2 + alone) * rounds * len(counts) + with_first_frame)

    # First, while nothing of ours is warm in this process and no other thread of ours competes.
    first_frame = None
    if with_first_frame:
        first_frame = measure_first_frame(
            source_set=set_name, driving=clip, model=model, backend=backend, sources=counts[-1]
        )
        steps.step()

    def make() -> Renderer:
        return build_renderer(loaded, model=model, backend=backend, settings=settings)

    watch = GpuWatch(_gpu_index(backend))
    with watch, closing(make()) as renderer, open_camera(clip, paced=False, loop=True) as camera:
        engine = _COUNT.sub("", renderer.description.removeprefix("engine: "))
        prepared = {count: renderer.prepare(loaded.take(count)) for count in counts}
        with MemorySink(capacity=1) as sink:
            sync = run_sync(renderer, prepared, camera, sink, rounds=rounds, block_s=block_s, step=steps.step)
    graph = None
    if alone:
        graph = measure_model(
            loaded,
            model=model,
            backend=backend,
            counts=counts,
            rounds=rounds,
            block_s=block_s,
            layers=layers,
            step=steps.step,
        )
    live = run_live(
        lambda: open_stand_in(clip, fps=CAMERA_FPS),
        make,
        loaded,
        counts=counts,
        rounds=rounds,
        block_s=block_s,
        settings=settings,
        step=steps.step,
    )
    return BenchReport(
        runs=_runs(counts, sync, live, graph),
        engine=engine,
        source_set=loaded.name,
        driving=clip.name,
        size_wh=size_wh,
        camera_fps=CAMERA_FPS,
        seconds=seconds,
        peak_rss_mb=peak_rss_mb(),
        first_frame=first_frame,
        machine=describe_machine(),
        gpu=watch.figures if runs_on_nvidia(engine) else None,
        layers=graph.layers if graph is not None else (),
    )


def choose_counts(wanted: Sequence[int], *, available: int, name: str) -> tuple[int, ...]:
    """Return the numbers of source pictures that a set can serve, each once, in the order asked for.

    Raises:
        InvalidSetting: none is left.
    """
    counts = tuple(dict.fromkeys(count for count in wanted if 1 <= count <= available))
    left_out = sorted(set(wanted) - set(counts))
    if not counts:
        what = f"--sources must be from 1 to {available}, the pictures of {name}; got {', '.join(map(str, wanted))}."
        raise InvalidSetting(what, name="sources", value=tuple(wanted))
    if left_out:
        log.warning("Source set %s has %d pictures; left out: N=%s", name, available, ", ".join(map(str, left_out)))
    return counts


def _gpu_index(backend: str) -> int:
    """`tensorrt:1` -> 1; the first GPU where none is named."""
    number = backend.rpartition(":")[2]
    return int(number) if number.isdigit() else 0


class _Steps:
    """Counts finished steps for the progress bar."""

    def __init__(self, advance: Advance, total: int) -> None:
        self._advance, self._total, self._done = advance, total, 0
        advance(0, total)

    def step(self) -> None:
        self._done += 1
        self._advance(self._done, self._total)


def _runs(
    counts: Sequence[int],
    sync: Mapping[int, SyncSamples],
    live: Mapping[int, LiveSamples],
    graph: ModelTimes | None,
) -> tuple[BenchRun, ...]:
    return tuple(
        BenchRun(
            sources=count,
            stages=spreads(sync[count].stages_ns),
            ratios=ratios(sync[count], sync[counts[0]]),
            renderer_fps=sync[count].fps,
            ahead_fps=sync[count].ahead_fps,
            lost=sync[count].lost,
            live_stages=spreads(live[count].stages_ns),
            live_fps=live[count].fps,
            frame_age=spread_of(live[count].ages_ns),
            delivered=len(live[count].ages_ns),
            dropped=dict(live[count].dropped),
            model=graph.animate[count] if graph is not None else None,
        )
        for count in counts
    )
