# SPDX-License-Identifier: Apache-2.0
"""A soak run as one picture: memory, handles and threads, queues, frame age over time, faults shaded. Any thread."""

from __future__ import annotations

from pathlib import Path

from engine.errors import OutputUnwritable
from engine.evaluation.soak.report import SoakReport

__all__ = ["write_plot"]

_SHADE = {"camera": "#7aa6d8", "model": "#d87a7a", "tracker": "#d8a67a", "scene": "#a6c48a", "sink": "#b48ac4"}


def write_plot(report: SoakReport, path: Path) -> None:
    """Write the picture, as PNG.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from engine.evaluation.soak.faults import FAULTS

    figure = Figure(figsize=(12, 9), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(4, 1, sharex=True)
    minutes = [sample.at_s / 60 for sample in report.samples]
    rows[0].plot(minutes, [s.rss_mb for s in report.samples], color="#222", linewidth=1.2)
    if all(s.heap_mb is not None for s in report.samples):
        rows[0].plot(minutes, [s.heap_mb for s in report.samples], color="#888", linewidth=1.0)
    rows[0].set_ylabel("memory and heap, MiB")
    rows[1].plot(minutes, [s.handles for s in report.samples], label="handles", color="#1f6f8b")
    rows[1].plot(minutes, [s.threads for s in report.samples], label="threads", color="#c0392b")
    rows[1].legend(loc="upper right")
    rows[2].plot(minutes, [s.waiting for s in report.samples], label="frames waiting", color="#1f6f8b")
    rows[2].plot(minutes, [s.fps for s in report.samples], label="frames a second", color="#888", linewidth=0.8)
    rows[2].legend(loc="upper right")
    rows[3].plot(minutes, [s.age_ms for s in report.samples], color="#222", linewidth=1.0)
    rows[3].set_ylabel("frame age p95, ms")
    rows[3].set_xlabel("minutes")
    for row in rows:
        row.set_ylim(bottom=0)
        row.grid(alpha=0.25)
        for episode in report.episodes:
            colour = _SHADE[FAULTS[episode.fault].where]
            row.axvspan(
                episode.at_s / 60, (episode.at_s + episode.lasted_s) / 60, color=colour, alpha=0.35, linewidth=0
            )
    rows[0].legend(handles=[Patch(color=c, alpha=0.35, label=where) for where, c in _SHADE.items()], loc="lower right")
    figure.suptitle(report.verdict, fontsize=9, wrap=True)
    try:
        figure.savefig(path, dpi=100, format="png")
    except OSError as error:
        raise OutputUnwritable(
            f"The plot cannot be written: {error.strerror or error} ({path}).", hint="Choose another folder."
        ) from error
