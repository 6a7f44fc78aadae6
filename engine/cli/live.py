# SPDX-License-Identifier: Apache-2.0
"""`run`: starts a live pipeline and says on one line how it goes. Main thread; the pipeline has its own."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from engine.app.live import LiveJob, open_live
from engine.cli.console import status_line
from engine.events import Calibrated, CalibrationFailed, PipelineEvent, Warned
from engine.pipeline import Pipeline
from engine.stats import PipelineStats

__all__ = ["camera_spec", "run_live"]

_REFRESH_S = 0.5


def camera_spec(text: str) -> str:
    """Return what `open_camera` takes for the value of `--camera`: a bare id or number means a camera."""
    known = text.startswith("camera:") or text == "synthetic" or Path(text).exists() or Path(text).suffix
    return text if known else f"camera:{text}"


def run_live(job: LiveJob, *, limit_s: float | None = None, quiet: bool = False) -> None:
    """Run until the source ends, `limit_s` has passed, or Ctrl-C.

    Raises:
        PuppeteerError: what made the pipeline fail. KeyboardInterrupt: after everything was closed.
    """
    pipeline = open_live(job)
    try:
        pipeline.start()
        _watch(pipeline, limit_s=limit_s, quiet=quiet)
    finally:
        pipeline.stop()
        delivered = pipeline.stats().delivered.get("mp4", 0)
        if job.out is not None and delivered:
            typer.echo(f"{job.out}: {delivered} frames")
    error = pipeline.state.error
    if error is not None:
        raise error


def _watch(pipeline: Pipeline, *, limit_s: float | None, quiet: bool) -> None:
    announced, told = False, ""
    started_s = time.monotonic()
    with status_line("starting", quiet=quiet) as show:
        while not pipeline.wait(0):
            event = pipeline.next_event(_REFRESH_S)
            if not announced and pipeline.description:
                announced = True
                started_s = time.monotonic()  # loading is not part of the run
                typer.echo(pipeline.description)
            news = _news(event)
            if news and news != told:  # the same refusal comes twice a second until it is heeded
                typer.echo(f"note: {news}", err=True)
                told = news
            show(_line(str(pipeline.state), pipeline.stats()))
            if limit_s is not None and announced and time.monotonic() - started_s >= limit_s:
                return


def _news(event: PipelineEvent | None) -> str:
    """Return what an event means to the user; nothing for most of them, which the status line shows."""
    if isinstance(event, Warned):
        return f"{event.where}: {event.error}"
    if isinstance(event, CalibrationFailed):
        return str(event.error)
    return "neutral pose taken" if isinstance(event, Calibrated) else ""


def _line(state: str, stats: PipelineStats) -> str:
    parts = [state]
    for name, fps in stats.fps.items():
        if name == "render":
            continue
        parts.append(f"{name} {fps:.0f} fps, {stats.frame_age[name].p50_ms:.0f} ms old")
    dropped = sum(stats.dropped.values())
    return " · ".join([*parts, *([f"{dropped} skipped"] if dropped else [])])
