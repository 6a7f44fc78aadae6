# SPDX-License-Identifier: Apache-2.0
"""Drawn characters → source sets: pictures, exact mattes, guide points in set.toml, landmarks fitted to them.

Data flow: DRAWN → build_drawn → `<name>.bunraku/`, in the same format as the rendered sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomlkit
from numpy.typing import NDArray

from engine.sources.guides import GuidePoints, fit_landmarks
from engine.sources.guides_file import guides_table
from engine.training.drawn.anime import draw_anime
from engine.training.drawn.canvas import Canvas, Point
from engine.training.drawn.head import Pose2D
from engine.training.drawn.robot import draw_robot
from engine.training.render.clip import over_background
from engine.training.render.source_sets import write_manifest, write_picture

__all__ = ["DRAWN", "DrawnSet", "build_drawn"]

_SIDE_PX = 512
# In the order in which they are used: eyes so large would make shut ones the second picture, before an open mouth.
_PICTURES: Mapping[str, tuple[str, Pose2D]] = {
    "front.webp": ("frontal, neutral", Pose2D()),
    "mouth_open.webp": ("mouth open", Pose2D(mouth_open=1.0)),
    "left.webp": ("turned 24° to the image left", Pose2D(yaw_deg=-24)),
    "right.webp": ("turned 24° to the image right", Pose2D(yaw_deg=24)),
    "eyes_closed.webp": ("eyes closed", Pose2D(eyes_closed=1.0)),
    "smile.webp": ("smile with teeth", Pose2D(smile=1.0)),
    "up.webp": ("chin up 13°", Pose2D(pitch_deg=13)),
    "down.webp": ("chin down 13°", Pose2D(pitch_deg=-13)),
    # A drawn eye is so large that no warp can shut it: turned heads need shut eyes of their own.
    "left_eyes_closed.webp": ("turned to the image left, eyes closed", Pose2D(yaw_deg=-24, eyes_closed=1.0)),
    "right_eyes_closed.webp": ("turned to the image right, eyes closed", Pose2D(yaw_deg=24, eyes_closed=1.0)),
}


@dataclass(frozen=True)
class DrawnSet:
    """A character and what draws it: pose → person, background, guide points in pixels."""

    name: str
    title: str
    draw: Callable[..., tuple[Canvas, Canvas, dict[str, Point]]]


DRAWN = (DrawnSet("mika", "Mika (anime)", draw_anime), DrawnSet("bolt", "Bolt (robot)", draw_robot))


def build_drawn(entry: DrawnSet, folder: Path) -> Iterator[str]:
    """Write one drawn set and yield each picture's file name when it is done.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    tables = []
    rest: GuidePoints | None = None
    for file, (notes, pose) in _PICTURES.items():
        person, behind, points = entry.draw(pose, side_px=_SIDE_PX)
        rgba = person.pixels()
        guides = GuidePoints(
            {name: (x / _SIDE_PX, y / _SIDE_PX) for name, (x, y) in points.items()}, pose.yaw_deg, pose.pitch_deg
        )
        rest = rest or guides
        landmarks_px = fit_landmarks(guides, size_wh=(_SIDE_PX, _SIDE_PX), rest=rest)
        _write(folder, file, rgba, behind.pixels()[..., :3], landmarks_px)
        table = tomlkit.table()
        table["file"], table["enabled"], table["notes"] = file, True, notes
        table["guides"] = guides_table(guides)
        tables.append(table)
        yield file
    write_manifest(
        folder,
        name=entry.name,
        title=entry.title,
        licence="Apache-2.0",
        origin="Drawn by Bunraku's own code (engine/training/drawn)",
        scope="a drawn character; shows no real person",
        pictures=tables,
        command="`python -m engine.training.render drawn`",
        listed=True,
    )


def _write(
    folder: Path, file: str, rgba: NDArray[np.uint8], behind: NDArray[np.uint8], landmarks_px: NDArray[np.float32]
) -> None:
    write_picture(
        folder, file, over_background(rgba, behind), matte=rgba[..., 3], find=lambda _decoded: landmarks_px.copy()
    )
