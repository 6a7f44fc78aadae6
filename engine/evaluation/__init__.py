# SPDX-License-Identifier: Apache-2.0
"""Figures: how good the picture is (`eval`) and how fast the engine is (`bench`). Any one thread, headless.

    metrics.py        PSNR, L1, SSIM, landmark distance, jitter; pure functions
    clips.py          a video file → one fixed portrait crop with keypoints
    plan.py           which frames of a clip are source pictures, scored, or show jitter
    drive.py          any model, driven frame by frame
    protocol.py       same-identity reconstruction over clips, source counts and models: `run_eval`
    scoring.py        one output against the truth
    cross.py          a character driven by somebody else: `run_cross`
    cross_scoring.py  … figures that need no truth
    eval_report.py    the results as values and as JSON
    tables.py         … as tables
    sheet.py          … as pictures: sources, driving, outputs
    compare.py        sources, driving and models side by side as a video: `compare`
    columns.py        … its canvas
    picker.py         frames picked from a video against random ones: `python -m engine.evaluation.picker`
    baseline.py       the warper that warps nothing
    bench.py          stage times, frame age, drops: `run_bench`
    bench_sync.py     … unpaced, through the renderer
    bench_live.py     … paced, through the pipeline
    first_frame.py    … from a fresh process to its first frame
    bench_report.py   its result as a table and as JSON
    machine.py        what the figures were measured on

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine.evaluation.bench import run_bench
    from engine.evaluation.bench_report import BenchReport, bench_tables
    from engine.evaluation.compare import CompareJob
    from engine.evaluation.cross import run_cross
    from engine.evaluation.eval_report import EvalReport
    from engine.evaluation.machine import write_json
    from engine.evaluation.protocol import run_eval
    from engine.evaluation.sheet import write_sheet
    from engine.evaluation.tables import eval_tables

__all__ = [
    "BenchReport",
    "CompareJob",
    "EvalReport",
    "bench_tables",
    "eval_tables",
    "run_bench",
    "run_cross",
    "run_eval",
    "write_json",
    "write_sheet",
]

__getattr__ = lazy_names(
    __name__,
    {
        "BenchReport": "bench_report",
        "CompareJob": "compare",
        "EvalReport": "eval_report",
        "bench_tables": "bench_report",
        "eval_tables": "tables",
        "run_bench": "bench",
        "run_cross": "cross",
        "run_eval": "protocol",
        "write_json": "machine",
        "write_sheet": "sheet",
    },
)
