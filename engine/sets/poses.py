# SPDX-License-Identifier: Apache-2.0
"""One face in numbers and words: head angles, mouth, eyes, brows, against the person's own neutral. Pure, any thread.

Everything that judges a set, picks frames or coaches a capture speaks of faces in these terms, so that they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.geometry import angles_from_rotation, fit_similarity
from engine.landmarks import RIGID
from engine.sources.ordering import describe_face

__all__ = [
    "EYES_SHUT",
    "MOUTH_OPEN",
    "MOUTH_PARTED",
    "TILTED_DEG",
    "TURNED_DEG",
    "Face",
    "Neutral",
    "brows_down",
    "brows_up",
    "calmest",
    "describe_pose",
    "eyes_shut",
    "mouth_open",
    "neutral_of",
    "read_face",
    "smiles",
]

# Measured on eleven sets (seven rendered, four of real people): shut lids read 0.07 to 0.11, open ones 0.16 to 0.26;
# a closed mouth reads below 0.03, one that speaks 0.1 to 0.25, an open one 0.3 to 0.5; a smile is 12 to 20 % wider.
MOUTH_PARTED, MOUTH_OPEN = 0.08, 0.22
SMILE_WIDER = 1.10
EYES_SHUT, _EYES_SHUT_SHARE, _EYES_WIDE_SHARE = 0.14, 0.6, 1.3
_BROWS_UP, _BROWS_DOWN = 0.05, -0.05
TURNED_DEG, TILTED_DEG, ROLLED_DEG = 12.0, 7.0, 12.0


@dataclass(frozen=True, slots=True)
class Face:
    """What one face does.

    yaw_deg > 0 looks to the picture's right, pitch_deg > 0 up, roll_deg > 0 clockwise. mouth: opening over its width.
    mouth_width, brows: over the distance between the eyes. eyes: lid gap over eye width.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    mouth: float
    mouth_width: float
    eyes: float
    brows: float


@dataclass(frozen=True, slots=True)
class Neutral:
    """A person's rest: what differs from face to face. pitch_deg: of a level head. The rest as in `Face`."""

    pitch_deg: float
    mouth_width: float
    eyes: float
    brows: float


def read_face(keypoints: NDArray[np.floating[Any]]) -> Face:
    """Read a face off its landmarks.

    Shapes:
        keypoints: (478, 3), any frame and scale.
    """
    rigid = list(RIGID)
    rotation = fit_similarity(load_canonical_face()[rigid], keypoints[rigid]).rotation
    yaw, pitch, roll = np.degrees(angles_from_rotation(rotation))
    mouth, mouth_width, eyes, brows = describe_face(keypoints)[3:]
    return Face(float(yaw), float(pitch), float(roll), float(mouth), float(mouth_width), float(eyes), float(brows))


def calmest(faces: Sequence[Face]) -> int:
    """Return which of one person's faces is most at rest and looks most straight ahead."""
    return int(np.argmin(_unrest(faces)))


def neutral_of(faces: Sequence[Face]) -> Neutral:
    """Guess a person's rest from some of their faces: the calmest of those that look ahead.

    A single face is its own rest.
    """
    if not faces:
        raise ValueError("a neutral needs at least one face")
    order = np.argsort(_unrest(faces), kind="stable")
    calm = [faces[i] for i in order[: max(1, len(faces) // 4)]]
    open_eyes = [face.eyes for face in calm if face.eyes >= EYES_SHUT] or [max(face.eyes for face in faces)]
    eyes = float(np.median(open_eyes))
    return Neutral(
        calm[0].pitch_deg, calm[0].mouth_width, max(eyes, EYES_SHUT), float(np.median([f.brows for f in calm]))
    )


def _unrest(faces: Sequence[Face]) -> list[float]:
    narrowest = min(face.mouth_width for face in faces)
    level = float(np.median([face.pitch_deg for face in faces]))  # cameras stand high or low: zero means nothing
    return [
        abs(face.yaw_deg)
        + 0.7 * abs(face.pitch_deg - level)
        + 0.5 * abs(face.roll_deg)
        + 60.0 * (face.mouth + max(0.0, face.mouth_width - narrowest))
        + (20.0 if face.eyes < EYES_SHUT else 0.0)
        for face in faces
    ]


def eyes_shut(face: Face, neutral: Neutral) -> bool:
    """Whether both lids are down."""
    return face.eyes < min(EYES_SHUT, _EYES_SHUT_SHARE * neutral.eyes)


def smiles(face: Face, neutral: Neutral) -> bool:
    """Whether the mouth is much wider than at rest."""
    return face.mouth_width > SMILE_WIDER * neutral.mouth_width


def mouth_open(face: Face) -> bool:
    """Whether the inside of the mouth can be seen."""
    return face.mouth > MOUTH_OPEN


def brows_up(face: Face, neutral: Neutral) -> bool:
    """Whether the brows are raised; on a tilted head their height cannot be told."""
    return face.brows - neutral.brows > _BROWS_UP and abs(face.pitch_deg - neutral.pitch_deg) < 12.0


def brows_down(face: Face, neutral: Neutral) -> bool:
    """Whether the brows are drawn down."""
    return face.brows - neutral.brows < _BROWS_DOWN and abs(face.pitch_deg - neutral.pitch_deg) < 12.0


def describe_pose(face: Face, neutral: Neutral) -> list[str]:
    """Say what is special about a face, most telling first; `["front", "neutral"]` where nothing is."""
    pitch = face.pitch_deg - neutral.pitch_deg
    words = []
    if abs(face.yaw_deg) > TURNED_DEG:
        words.append(f"turned {abs(face.yaw_deg):.0f}° {'right' if face.yaw_deg > 0 else 'left'}")
    if abs(pitch) > TILTED_DEG:
        words.append(f"looking {'up' if pitch > 0 else 'down'} {abs(pitch):.0f}°")
    if abs(face.roll_deg) > ROLLED_DEG:
        words.append(f"tilted {abs(face.roll_deg):.0f}°")
    if not words:
        words.append("front")
    expression = []
    if mouth_open(face):
        expression.append("mouth open")
    elif face.mouth > MOUTH_PARTED:
        expression.append("lips parted")
    if smiles(face, neutral):
        expression.append("smile")
    if eyes_shut(face, neutral):
        expression.append("eyes closed")
    elif face.eyes > _EYES_WIDE_SHARE * neutral.eyes:
        expression.append("eyes wide")
    if brows_up(face, neutral):
        expression.append("brows raised")
    elif brows_down(face, neutral):
        expression.append("brows drawn down")
    return [*words, *(expression or ["neutral"])]
