# SPDX-License-Identifier: Apache-2.0
"""How long the studio takes, and what its choice of frames is worth.

    python -m engine.evaluation.studio                        # a 20 s video in 720p is made of the built-in clip
    python -m engine.evaluation.studio me.mp4 --clips PACK/dev/valid --clips PACK/dev/grid

Two times, each from the wall and of the processor: a set made from a video and saved, and eight pictures judged
(coverage, other-person check and leave-one-out, their model opened). With --clips also how much four picked frames beat
four random ones by (`engine.evaluation.picker`). The wall's time says something only on a machine that does nothing
else: the load is printed beside it. Exit code 1 where a limit of the project is missed. Any one thread.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from engine.app.demo import builtin_clip
from engine.app.sets import instruments, judge
from engine.capture import open_camera
from engine.cv import cv2
from engine.evaluation.picker import main as compare_picker
from engine.sets.draft import open_draft
from engine.sets.make import add_files, new_draft
from engine.sets.save import save_draft
from engine.sources.library import find_source_set

__all__ = ["Timed", "make_video", "timed"]

_VIDEO_LIMIT_S, _JUDGE_LIMIT_S = 20.0, 5.0
_SIZE_WH, _FPS, _SECONDS = (1280, 720), 30, 20
_JUDGED = "otto"  # a built-in character of eight pictures


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one piece of work. wall_s: by the clock. processor_s: of all threads of this process together."""

    wall_s: float
    processor_s: float


def timed(work: Callable[[], Any]) -> Timed:
    """Do a piece of work and say how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Timed(time.perf_counter() - wall, time.process_time() - processor)


def make_video(path: Path, *, seconds: int = _SECONDS) -> None:
    """Write a video in 720p: the built-in clip, there and back, in the middle of a grey wall."""
    with open_camera(str(builtin_clip()), paced=False) as camera:
        fps, frames = camera.info.fps or 25.0, []
        while (frame := camera.read()) is not None:
            frames.append(frame.rgb)
    width, height = _SIZE_WH
    there_and_back = [*range(len(frames)), *reversed(range(len(frames)))]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _FPS, _SIZE_WH)
    canvas, left = np.full((height, width, 3), 110, np.uint8), (width - height) // 2
    for number in range(seconds * _FPS):
        shown = frames[there_and_back[int(number * fps / _FPS) % len(there_and_back)]]
        canvas[:, left : left + height] = cv2.resize(shown, (height, height), interpolation=cv2.INTER_LINEAR)
        writer.write(canvas[..., ::-1])
    writer.release()


def _set_from(video: Path, folder: Path) -> None:
    with instruments() as tools:
        added = add_files(new_draft("timed"), [video], instruments=tools, cache_dir=folder / "cache")
        save_draft(added.draft, folder / "timed.bunraku")
    typer.echo(f"{len(added.added)} pictures were picked")


def main(
    video: Annotated[Path | None, typer.Argument(help="A video of 20 s; without one, one is made.")] = None,
    clips: Annotated[
        list[Path] | None, typer.Option("--clips", help="Compare the picker with chance on these.")
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Random sets for each clip.")] = 20,
) -> None:
    """Time the making and the judging of a set."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    typer.echo(f"{cores} cores{load}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if video is None:
            video = folder / "video.mp4"
            make_video(video)
        made = timed(lambda: _set_from(video, folder))
    draft = open_draft(find_source_set(_JUDGED))
    judged = timed(lambda: judge(draft))
    missed = False
    for what, took, limit_s in (
        (f"a set from {video.name}", made, _VIDEO_LIMIT_S),
        ("eight pictures judged", judged, _JUDGE_LIMIT_S),
    ):
        kept = took.wall_s <= limit_s
        missed |= not kept
        verdict = "kept" if kept else "missed"
        typer.echo(
            f"{what}: {took.wall_s:.1f} s, of the processor {took.processor_s:.1f} s; limit {limit_s:.0f} s {verdict}"
        )
    if clips:
        compare_picker(clips, count=4, draws=draws, out=None)
    if missed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
