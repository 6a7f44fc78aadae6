# SPDX-License-Identifier: Apache-2.0
"""The studio's stop-watch: the video it makes, and what a time is made of."""

from __future__ import annotations

from pathlib import Path

from engine.capture import open_camera
from engine.evaluation.studio import make_video, timed


def test_the_video_it_makes_can_be_read_and_moves(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make_video(path, seconds=1)
    with open_camera(str(path), paced=False) as camera:
        frames = []
        while (frame := camera.read()) is not None:
            frames.append(frame.rgb)
    assert len(frames) == 30
    assert frames[0].shape == (720, 1280, 3)
    assert abs(frames[-1][:, 280:1000].astype(int) - frames[0][:, 280:1000]).mean() > 0.5


def test_a_time_counts_the_processor_too() -> None:
    took = timed(lambda: sum(i * i for i in range(300_000)))
    assert took.processor_s > 0
    assert took.wall_s > 0
