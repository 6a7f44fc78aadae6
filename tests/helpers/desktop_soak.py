# SPDX-License-Identifier: Apache-2.0
"""The window for long, with another character every few seconds: what grows.

Characters differ in size, and a line through what they take in turn has a slope of its own. So the slope is fitted
with a level for each character: how much more the same character takes an hour later.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.helpers.desktop_drive import go_live, opened_window, spend, until

__all__ = ["soak"]

_SAMPLE_S = 5.0
_SETTLED_S = 4.0  # after a switch; what was shown before is gone then
_WARM_SHARE = 0.2


@dataclass(frozen=True)
class _Sample:
    at_s: float
    name: str
    rss_mb: float
    threads: int
    handles: int


def soak(*, minutes: float, switch_s: float) -> dict[str, float]:
    """Run the window live, print a line every few seconds, and return what grew."""
    rows: list[_Sample] = []
    with opened_window() as window:
        go_live(window)
        until(lambda: bool(window.live.gallery.names))
        names, began_s, turn, switched_s = window.live.gallery.names, time.monotonic(), 0, 0.0
        name = window.controller.settings.source_set
        shown: list[str] = []
        window.controller.set_shown.connect(shown.append)
        while (spent_s := time.monotonic() - began_s) < minutes * 60:
            if switch_s and spent_s // switch_s > turn:
                turn = int(spent_s // switch_s)
                name = names[turn % len(names)]
                shown.clear()
                window.controller.select_set(name)
                until(lambda: bool(shown))
                switched_s = time.monotonic() - began_s
            spend(_SAMPLE_S)
            at_s = time.monotonic() - began_s
            if at_s - switched_s >= _SETTLED_S:
                rows.append(_sample(at_s, name))
                last = rows[-1]
                words = f"{last.rss_mb:7.1f} MB  {last.threads} threads  {last.handles} handles  {name}"
                print(f"{at_s / 60:5.1f} min  {words}", flush=True)
        session = window.controller.run.session
        rendered = session.stats().delivered["render"] if session is not None else 0
    warm = [row for row in rows if row.at_s >= rows[-1].at_s * _WARM_SHARE]
    slope, error = _slope(warm, np.array([row.rss_mb for row in warm]))
    return {
        "minutes": minutes,
        "switches": turn,
        "rendered_frames": rendered,
        "rss_first_mb": rows[0].rss_mb,
        "rss_most_mb": max(row.rss_mb for row in rows),
        "rss_last_mb": rows[-1].rss_mb,
        "rss_slope_mb_per_h": slope,
        "rss_slope_standard_error": error,
        "threads_slope_per_h": _slope(warm, np.array([row.threads for row in warm], float))[0],
        "threads_least_most": f"{min(row.threads for row in warm)} to {max(row.threads for row in warm)}",
        "handles_slope_per_h": _slope(warm, np.array([row.handles for row in warm], float))[0],
        "handles_least_most": f"{min(row.handles for row in warm)} to {max(row.handles for row in warm)}",
    }


def _slope(rows: list[_Sample], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the growth per hour beside a level for each character, by least squares, and its standard error."""
    names = sorted({row.name for row in rows})
    hours = np.array([row.at_s / 3600 for row in rows])
    levels = np.array([[row.name == name for name in names] for row in rows], float)
    design = np.column_stack([hours, levels])
    found, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left = values - design @ found
    spread = float(left @ left) / max(1, len(rows) - int(rank))
    return float(found[0]), float(np.sqrt(spread * np.linalg.pinv(design.T @ design)[0, 0]))


def _sample(at_s: float, name: str) -> _Sample:
    """Return resident memory in MB, threads, open handles."""
    status = Path("/proc/self/status").read_text()
    rss_mb = int(status.split("VmRSS:")[1].split()[0]) / 1024
    threads = int(status.split("Threads:")[1].split()[0])
    return _Sample(at_s, name, rss_mb, threads, len(os.listdir("/proc/self/fd")))
