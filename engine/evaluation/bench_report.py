# SPDX-License-Identifier: Apache-2.0
"""What `bench` found: stage times, frame age, drops per number of source pictures; tables and JSON. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from engine.evaluation.gpu_watch import GpuFigures
from engine.runtime.base import LayerTime
from engine.stats import Spread

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["STAGES", "BenchReport", "BenchRun", "FirstFrame", "bench_tables"]

STAGES = ("capture", "track", "retarget", "warp", "composite", "watermark", "sink")
_SHOWN_LAYERS = 25
WHOLE = "whole frame"  # all stages but capture and sink, as `Renderer.render` runs them


@dataclass(frozen=True, slots=True)
class BenchRun:
    """Figures for one number of source pictures.

    stages: unpaced, one frame after another; `whole frame` is their sum per frame. ratios: time of a stage over the
    first run's, from neighbouring blocks. renderer_fps: frames per second it managed, capture and sink included;
    ahead_fps: the same where each is drawn beside its neighbours, as files are. lost: frames without a face, which are
    in no stage. live_*: through the threaded pipeline with a camera paced at camera_fps; frame_age: from capture until
    a sink has the frame. dropped: frames that a newer one replaced, per hand-over. model: the frame graph alone; None
    where not measured.
    """

    sources: int
    stages: Mapping[str, Spread]
    ratios: Mapping[str, float]
    renderer_fps: float
    lost: int
    live_stages: Mapping[str, Spread]
    live_fps: float
    frame_age: Spread
    delivered: int
    dropped: Mapping[str, int]
    model: Spread | None = None
    ahead_fps: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """From starting a fresh Python process to its first output frame. imports_s: libraries alone."""

    total_s: float
    imports_s: float
    build_s: float
    frame_s: float


@dataclass(frozen=True, slots=True, eq=False)
class BenchReport:
    """Everything one run of `bench` found. engine: model and back-end in the warper's own words.

    gpu: on an NVIDIA GPU. layers: of the frame graph with the most pictures, the longest first, where asked for.
    """

    runs: tuple[BenchRun, ...]
    engine: str
    source_set: str
    driving: str
    size_wh: tuple[int, int]
    camera_fps: float
    seconds: float
    peak_rss_mb: float
    first_frame: FirstFrame | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    gpu: GpuFigures | None = None
    layers: tuple[LayerTime, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "machine": dict(self.machine),
            "engine": self.engine,
            "source_set": self.source_set,
            "driving": self.driving,
            "size_wh": list(self.size_wh),
            "camera_fps": round(self.camera_fps, 3),
            "seconds_per_count": self.seconds,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "first_frame_s": None if self.first_frame is None else _rounded(asdict(self.first_frame)),
            "gpu": None if self.gpu is None else _finite(asdict(self.gpu)),
            "runs": [_rounded(asdict(run)) for run in self.runs],
            **({"layers": [_rounded(asdict(layer)) for layer in self.layers]} if self.layers else {}),
        }


def bench_tables(report: BenchReport) -> list[Table]:
    """Return the stages, the live figures, the layers if there are any, and the surroundings, for a terminal."""
    layers = [_layer_table(report)] if report.layers else []
    return [_stage_table(report), _live_table(report), *layers, _facts_table(report)]


def _stage_table(report: BenchReport) -> Table:
    table = _table("Renderer, unpaced: p50 / p95 / p99 ms")
    table.add_column("stage", no_wrap=True)
    for run in report.runs:
        table.add_column(f"N={run.sources}", justify="right", no_wrap=True)
    for name in (*STAGES, WHOLE):
        table.add_row(name, *(_triple(run.stages.get(name)) for run in report.runs))
    if any(run.model is not None for run in report.runs):
        table.add_row("model alone", *(_triple(run.model) for run in report.runs))
    table.add_row("frames/s", *(f"{run.renderer_fps:.1f}" for run in report.runs))
    table.add_row("frames/s, one ahead", *(f"{run.ahead_fps:.1f}" for run in report.runs))
    first = report.runs[0].sources if report.runs else 1
    for name in ("warp", WHOLE):
        table.add_row(f"{name} / N={first}", *(_times(run.ratios.get(name)) for run in report.runs))
    return table


def _live_table(report: BenchReport) -> Table:
    table = _table(f"Pipeline, camera paced at {report.camera_fps:g} fps")
    table.add_column("N", justify="right")
    for heading in ("frames/s", "age p50/p95/p99 ms", "warp p50/p95/p99 ms", "delivered", "dropped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in report.runs:
        table.add_row(
            str(run.sources),
            f"{run.live_fps:.1f}",
            _triple(run.frame_age),
            _triple(run.live_stages.get("warp")),
            str(run.delivered),
            str(sum(run.dropped.values())),
        )
    return table


def _layer_table(report: BenchReport) -> Table:
    whole_ms = sum(layer.ms for layer in report.layers)
    table = _table(
        f"Layers of the frame graph, {len(report.layers)} in all, {whole_ms:.2f} ms with the counting itself"
    )
    table.add_column("layer", overflow="ellipsis", max_width=60)
    table.add_column("kind", overflow="ellipsis", max_width=40)
    for heading in ("ms", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in report.layers[:_SHOWN_LAYERS]:
        table.add_row(layer.name, layer.kind, f"{layer.ms:.3f}", f"{100 * layer.ms / max(whole_ms, 1e-9):.1f} %")
    return table


def _facts_table(report: BenchReport) -> Table:
    table = _table("Measured on")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column()
    machine = report.machine
    facts = {
        "engine": report.engine,
        "set": report.source_set,
        "driving": f"{report.driving}, output {report.size_wh[0]} x {report.size_wh[1]}",
        "machine": f"{machine.get('cpu', '')}, {machine.get('usable_cores', '?')} cores, "
        f"{machine.get('memory_mb', 0) / 1024:.0f} GiB, {machine.get('system', '')}",
        "python": f"{machine.get('python', '')}; "
        + ", ".join(f"{name} {version}" for name, version in machine.get("libraries", {}).items()),
        "gpu": report.gpu.spell() if report.gpu is not None else "",
        "memory": f"{report.peak_rss_mb:.0f} MiB at most",
        "first frame": _spell_first_frame(report.first_frame),
        "date": str(machine.get("date", "")),
    }
    for name, fact in facts.items():
        if fact:
            table.add_row(name, fact)
    return table


def _spell_first_frame(first: FirstFrame | None) -> str:
    if first is None:
        return ""
    parts = f"libraries {first.imports_s:.1f}, building {first.build_s:.1f}, frame {first.frame_s:.2f}"
    return f"{first.total_s:.1f} s after start ({parts})"


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    return table


def _triple(spread: Spread | None) -> str:
    if spread is None or not spread.count:
        return "–"
    return " / ".join(f"{ms:.1f}" if ms < 100 else f"{ms:.0f}" for ms in (spread.p50_ms, spread.p95_ms, spread.p99_ms))


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}x"


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what a GPU did not tell is null."""
    return {key: None if value != value else _rounded(value) for key, value in values.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return value
