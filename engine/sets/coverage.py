# SPDX-License-Identifier: Apache-2.0
"""What a set's pictures show of a face, and what is missing: the map, and the holes in plain words. Pure, any thread.

What no picture shows the model must make up, and that is where it looks wrong: a mouth without teeth, a cheek drawn
from the other side. Every hole says what will be invented, and how to fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.sets import poses
from engine.sets.poses import Face, Neutral, neutral_of

__all__ = ["PITCH_ROWS", "TARGETS", "YAW_COLUMNS", "CoverageMap", "Hole", "Target", "map_coverage"]

YAW_COLUMNS = ("far left", "left", "front", "right", "far right")
PITCH_ROWS = ("up", "level", "down")
_YAW_EDGES = (-38.0, -poses.TURNED_DEG, poses.TURNED_DEG, 38.0)
_TURN_DEG, _TILT_DEG = 18.0, 8.0  # from which a turn or a tilt counts as shown
_PROFILE_DEG = 55.0

Test = Callable[[Face, Neutral], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing a good set shows. key: for programs. ask: how a coach asks for it. hole: what is said without it.

    weight: how much it matters, 1 the most. shown: whether a face shows it.
    """

    key: str
    ask: str
    hole: str
    weight: float
    shown: Test


def _front(face: Face, neutral: Neutral) -> bool:
    return abs(face.yaw_deg) < poses.TURNED_DEG and abs(face.pitch_deg - neutral.pitch_deg) < _TILT_DEG


def _calm(face: Face, neutral: Neutral) -> bool:
    still = face.mouth < poses.MOUTH_PARTED and not poses.smiles(face, neutral)
    return _front(face, neutral) and still and not poses.eyes_shut(face, neutral)


def _ahead(test: Test) -> Test:
    """An expression counts where the face is seen well enough to lend it."""
    return lambda face, neutral: abs(face.yaw_deg) < 30.0 and test(face, neutral)


TARGETS: tuple[Target, ...] = (
    Target(
        "front",
        "Look straight into the camera with a relaxed face, lips together",
        "no front view with a relaxed face: every other expression starts from one, so the rest pose will look odd",
        1.0,
        _calm,
    ),
    Target(
        "mouth_open",
        "Open your mouth wide, teeth showing",
        "no picture with the mouth open: teeth and tongue will be invented",
        1.0,
        _ahead(lambda face, _: poses.mouth_open(face)),
    ),
    Target(
        "eyes_closed",
        "Close your eyes",
        "no picture with the eyes closed: every blink will be drawn with stretched lids",
        0.9,
        _ahead(poses.eyes_shut),
    ),
    Target(
        "left",
        "Turn your head slowly to your right, which is the left of the picture",
        "no picture turned to the left: beyond some 15° the far cheek and ear will be invented",
        0.9,
        lambda face, _: face.yaw_deg < -_TURN_DEG,
    ),
    Target(
        "right",
        "Turn your head slowly to your left, which is the right of the picture",
        "no picture turned to the right: beyond some 15° the far cheek and ear will be invented",
        0.9,
        lambda face, _: face.yaw_deg > _TURN_DEG,
    ),
    Target(
        "smile",
        "Smile with your teeth showing",
        "no picture with a smile: cheeks and folds of a smile will be missing",
        0.8,
        _ahead(poses.smiles),
    ),
    Target(
        "up",
        "Raise your chin a little",
        "no picture looking up: nostrils and the underside of the chin will be stretched",
        0.6,
        lambda face, neutral: face.pitch_deg - neutral.pitch_deg > _TILT_DEG,
    ),
    Target(
        "down",
        "Lower your chin a little",
        "no picture looking down: the top of the head will be stretched",
        0.6,
        lambda face, neutral: face.pitch_deg - neutral.pitch_deg < -_TILT_DEG,
    ),
    Target(
        "brows_up",
        "Raise your brows",
        "no picture with raised brows: the lines of the forehead will be missing",
        0.3,
        _ahead(poses.brows_up),
    ),
)


@dataclass(frozen=True, slots=True)
class Hole:
    """Something no picture shows. sentence: what that means. ask: how to fill it. weight: how much it matters."""

    key: str
    sentence: str
    ask: str
    weight: float


@dataclass(frozen=True, slots=True)
class CoverageMap:
    """Which picture shows what, by numbers of pictures in the order given.

    heads: `PITCH_ROWS` × `YAW_COLUMNS`, the pictures in each cell. shown: target → the pictures that show it.
    yaw_deg, pitch_deg: the range of head angles, pitch against the person's level head. score: share of what a good
    set shows, weighted, in [0, 1].
    """

    heads: tuple[tuple[tuple[int, ...], ...], ...]
    shown: dict[str, tuple[int, ...]]
    holes: tuple[Hole, ...]
    neutral: Neutral
    yaw_deg: tuple[float, float]
    pitch_deg: tuple[float, float]
    score: float


def map_coverage(faces: Sequence[Face], *, neutral: Neutral | None = None) -> CoverageMap:
    """Lay out what faces of one person cover.

    Args:
        neutral: their rest, where it is known; guessed from the faces otherwise.
    Raises:
        ValueError: there is no face.
    """
    neutral = neutral or neutral_of(list(faces))
    cells: list[list[list[int]]] = [[[] for _ in YAW_COLUMNS] for _ in PITCH_ROWS]
    for index, face in enumerate(faces):
        column = sum(face.yaw_deg > edge for edge in _YAW_EDGES)
        pitch = face.pitch_deg - neutral.pitch_deg
        row = 0 if pitch > poses.TILTED_DEG else 2 if pitch < -poses.TILTED_DEG else 1
        cells[row][column].append(index)
    shown = {t.key: tuple(i for i, face in enumerate(faces) if t.shown(face, neutral)) for t in TARGETS}
    holes = tuple(Hole(t.key, t.hole, t.ask, t.weight) for t in TARGETS if not shown[t.key])
    total = sum(t.weight for t in TARGETS)
    pitches = [face.pitch_deg - neutral.pitch_deg for face in faces]
    yaws = [face.yaw_deg for face in faces]
    return CoverageMap(
        tuple(tuple(tuple(cell) for cell in row) for row in cells),
        shown,
        holes,
        neutral,
        (min(yaws), max(yaws)),
        (min(pitches), max(pitches)),
        1.0 - sum(hole.weight for hole in holes) / total,
    )
