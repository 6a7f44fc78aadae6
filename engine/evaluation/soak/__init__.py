# SPDX-License-Identifier: Apache-2.0
"""`bunraku soak`: the real pipeline for minutes or hours, with random faults, watched from outside. Headless.

    faults.py     which faults there are, and the switchboard that turns them on
    camera.py     … those of a camera and of what stands in front of it
    stages.py     … those of tracker and model
    sinks.py      … those of outputs; and the sink that inspects every frame it is sent
    recorder.py   records piece by piece, and looks whether the pieces play and are marked
    resources.py  memory, handles, threads and queues, sampled
    run.py        the run itself: `run_soak`
    report.py     its result: verdict, table, JSON
    plot.py       … as a picture

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine.evaluation.soak.faults import FAULTS, parse_faults
    from engine.evaluation.soak.plot import write_plot
    from engine.evaluation.soak.report import SoakReport, soak_tables
    from engine.evaluation.soak.run import SoakJob, run_soak

__all__ = ["FAULTS", "SoakJob", "SoakReport", "parse_faults", "run_soak", "soak_tables", "write_plot"]

__getattr__ = lazy_names(
    __name__,
    {
        "FAULTS": "faults",
        "SoakJob": "run",
        "SoakReport": "report",
        "parse_faults": "faults",
        "run_soak": "run",
        "soak_tables": "report",
        "write_plot": "plot",
    },
)
