# SPDX-License-Identifier: Apache-2.0
"""Sources for a tiny training pack, instruments that know where its faces are, and the settings to build it with."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.evaluation.protocol import Instruments
from engine.training.pack.settings import PackSettings
from engine.types import Frame, TrackedMotion
from tests.helpers.eval_clips import whole_matte
from tests.helpers.source_faces import landmarks_at, portrait_rgb
from tests.helpers.tiny_avatar import write_tiny_avatar

__all__ = ["SETTINGS", "MiddleTracker", "make_instruments", "write_sources"]

SETTINGS = PackSettings(
    seed=7, side_px=64, seconds=0.48, clips_per_avatar=1, dev_clips_per_avatar=1, stills=3, dev_stills=2
)


class MiddleTracker:
    """Sees a face in the middle of every frame, turned by what the frame looks like; blind where told to be.

    A frame whose upper left corner is pure black holds no face.
    """

    def __init__(self, *, blind: frozenset[int] = frozenset()) -> None:
        self.blind, self.resets, self.calls = blind, 0, 0

    def track(self, frame: Frame) -> TrackedMotion | None:
        self.calls += 1
        if frame.index in self.blind or not frame.rgb[:4, :4].any():
            return None
        height, width = frame.rgb.shape[:2]
        turn = zlib.crc32(frame.rgb.tobytes()) % 100 / 100 - 0.5
        points = landmarks_at(((width - 1) / 2, (height - 1) / 2), 0.45 * height, yaw=turn, mouth=0.2 * turn + 0.1)
        return TrackedMotion(frame.index, frame.captured_ns, points)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        """Nothing is held."""


def make_instruments(*, blind: frozenset[int] = frozenset()) -> Instruments:
    """Return instruments whose follower is blind in some frames."""
    return Instruments(MiddleTracker(blind=blind), MiddleTracker(), whole_matte)


def write_sources(folder: Path) -> Path:
    """Write an avatar, a video and three pictures (one a cut-out) for train, two pictures for dev; licences."""
    for name in ("train/valid", "train/talk", "train/faces", "dev/faces"):
        (folder / name).mkdir(parents=True)
    write_tiny_avatar(folder / "train/valid/tiny.glb")
    (folder / "train/valid/LICENSE").write_text("MIT License\n\nCopyright (c) A\n")
    writer = cv2.VideoWriter(str(folder / "train/talk/talk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (96, 80))
    for index in range(14):
        writer.write(np.roll(portrait_rgb((96, 80)), index, axis=1))
    writer.release()
    for index, name in enumerate(("train/faces/a b.png", "train/faces/a.b.png", "dev/faces/c.png", "dev/faces/d.png")):
        Image.fromarray(portrait_rgb((120, 100), seed=index)).save(folder / name)
    cutout = np.dstack([portrait_rgb((100, 100), seed=9), whole_matte(portrait_rgb((100, 100)))])
    Image.fromarray(cutout, "RGBA").save(folder / "train/faces/cutout.png")
    (folder / "README.md").write_text(
        "| folder | what | licence |\n|---|---|---|\n"
        "| `*/faces` | patterns | CC0 |\n| `train/talk`, `dev/talk` | a video | CC BY 4.0 |\n"
    )
    return folder
