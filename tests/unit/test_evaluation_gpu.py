# SPDX-License-Identifier: Apache-2.0
"""What `bench` says of a GPU and of the model alone. Nothing here measures time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.assets import asset_path
from engine.evaluation import bench_tables
from engine.evaluation.bench_model import measure_model
from engine.evaluation.bench_report import BenchReport, BenchRun
from engine.evaluation.gpu_watch import GpuFigures, GpuWatch, runs_on_nvidia
from engine.runtime.base import LayerTime
from engine.sources import load_source_set
from engine.stats import Spread

ROWS = """NVIDIA H200, 580.95.05, 143771, 430, 1980, 3201, 41, 115.50
NVIDIA H200, 580.95.05, 143771, 812, 1965, 3201, 47, 310.25
NVIDIA H200, 580.95.05, 143771, 811, 1980, 3201, 52, [N/A]
half a li"""


def put_program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Put an `nvidia-smi` first in the path that notes its arguments and prints a text at once."""
    program = folder / "nvidia-smi"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"pathlib.Path({str(folder / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\nprint({text!r}, flush=True)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "asked"


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")
def test_memory_clocks_heat_and_power_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = put_program(tmp_path, monkeypatch, ROWS)
    with GpuWatch(2) as watch:
        pass
    figures = watch.figures
    assert figures is not None
    assert "--id=2 " in asked.read_text()
    assert (figures.memory_before_mb, figures.memory_mb, figures.memory_total_mb) == (430, 812, 143771)
    assert (figures.sm_mhz, figures.least_sm_mhz, figures.memory_mhz, figures.temperature_c) == (1980, 1965, 3201, 52)
    assert figures.power_w != figures.power_w, "one look without a figure: the median is unknown"
    assert figures.spell().startswith("NVIDIA H200, driver 580.95.05: 812 of 143771 MiB at most, 430 before")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")
def test_a_program_that_says_nothing_of_use_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, monkeypatch, "Failed to initialize NVML: Driver/library version mismatch")
    with GpuWatch() as watch:
        pass
    assert watch.figures is None


def test_without_a_driver_nothing_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with GpuWatch() as watch:
        pass
    assert watch.figures is None


@pytest.mark.parametrize(
    ("engine", "nvidia"),
    [
        ("tensorrt_rtx 1.7.1 on NVIDIA GeForce RTX 4090, fp32, 256²", True),
        ("torch 2.13.0 on NVIDIA H200, fp32, 256²", True),
        ("torch 2.13.0 on cpu, fp32, 256²", False),
        ("openvino 2026.4 on CPU (2 threads), fp32, 256²", False),
    ],
)
def test_which_engines_are_watched(engine: str, nvidia: bool) -> None:
    assert runs_on_nvidia(engine) == nvidia


def test_the_model_alone_is_timed_for_every_count_and_by_layer() -> None:
    freya = load_source_set(asset_path("source_sets", "freya.bunraku"), side_px=256)
    steps: list[int] = []
    times = measure_model(
        freya,
        model="lite",
        backend="openvino",
        counts=(1, 3),
        rounds=2,
        block_s=0.05,
        layers=True,
        step=lambda: steps.append(1),
    )
    assert len(steps) == 4
    assert set(times.animate) == {1, 3}
    assert all(spread.count > 0 and spread.p50_ms > 0 for spread in times.animate.values())
    assert [layer.ms for layer in times.layers] == sorted((layer.ms for layer in times.layers), reverse=True)
    assert any("MatMul" in layer.kind for layer in times.layers)
    assert any("GridSample" in layer.kind for layer in times.layers)


def test_the_report_has_the_gpu_and_the_layers() -> None:
    run = BenchRun(1, {}, {}, 100.0, 0, {}, 30.0, Spread(), 1, {}, model=Spread(0.5, 0.6, 0.7, 9))
    nan = float("nan")
    report = BenchReport(
        runs=(run,),
        engine="tensorrt_rtx 1.7 on RTX",
        source_set="amara",
        driving="driver.mp4",
        size_wh=(64, 64),
        camera_fps=30.0,
        seconds=1.0,
        peak_rss_mb=1.0,
        gpu=GpuFigures("RTX", "580", 8192, 100, 300, 2500, 2400, 9000, 60, nan),
        layers=(LayerTime("warp", "MatMul", 0.3), LayerTime("blend", "", 0.1)),
    )
    stages, _, layers, facts = bench_tables(report)
    assert "0.5 / 0.6 / 0.7" in list(stages.columns[1].cells)
    assert list(layers.columns[3].cells) == ["75.0 %", "25.0 %"]
    assert any(str(cell).startswith("RTX, driver 580: 300 of 8192 MiB") for cell in facts.columns[1].cells)
    figures = report.as_dict()
    assert figures["gpu"]["power_w"] is None
    assert figures["layers"][0] == {"name": "warp", "kind": "MatMul", "ms": 0.3}
    assert figures["runs"][0]["model"]["p50_ms"] == 0.5
