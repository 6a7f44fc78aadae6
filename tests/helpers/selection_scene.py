# SPDX-License-Identifier: Apache-2.0
"""A source set made of numbers for the source selection: eight heads, and what a choice means for the picture."""

from __future__ import annotations

import numpy as np

from engine.headpose import HeadDescriptor, describe_head, expression_weights
from engine.warp.selection import SelectionSettings, SourceChoice, SourceSelector
from tests.helpers.source_faces import make_keypoints

__all__ = [
    "FACES",
    "FRAME_NS",
    "NAMES",
    "face_costs",
    "head_of",
    "make_selector",
    "mix",
    "weights_of",
]

FRAME_NS = 40_000_000  # 25 fps
FACES: dict[str, dict[str, float]] = {
    "front": {},
    "left": {"yaw": -0.5},
    "right": {"yaw": 0.5},
    "up": {"pitch": -0.26},
    "down": {"pitch": 0.26},
    "mouth": {"mouth": 0.3},
    "smile": {"smile": 0.1},
    "shut": {"eyes": 0.0},
}
NAMES = tuple(FACES)


def head_of(**face: float) -> HeadDescriptor:
    """Return the descriptor of a made-up face; see `make_keypoints`."""
    return describe_head(make_keypoints(**face))


def mix(a: str, b: str, share: float) -> HeadDescriptor:
    """Return a head between two pictures of the set."""
    first, second = FACES[a], FACES[b]
    rest = {"eyes": 1.0}
    names = {*first, *second}
    blend = {n: (1 - share) * first.get(n, rest.get(n, 0.0)) + share * second.get(n, rest.get(n, 0.0)) for n in names}
    return head_of(**blend)


def make_selector(*names: str, **changes: float) -> SourceSelector:
    """Return a selector over the named pictures, all of them by default."""
    return SourceSelector([head_of(**FACES[name]) for name in names or NAMES], SelectionSettings(**changes))


def face_costs(head: HeadDescriptor) -> np.ndarray:
    """Return what the attention would charge each picture at each landmark, (8, 478) logits."""
    settings, weight = SelectionSettings(), expression_weights()
    rows = []
    for face in FACES.values():
        picture = head_of(**face)
        pose = settings.face_pose * ((head.pose - picture.pose) ** 2).sum()
        rows.append(pose + settings.expression * weight * ((head.deform - picture.deform) ** 2).sum(1))
    return np.stack(rows)


def weights_of(choice: SourceChoice, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each picture's weight on the stage, which sums to 1, and on the face, (count,) each."""
    stage, face = np.zeros(count), np.zeros(count)
    np.add.at(stage, choice.pick, np.exp(choice.log_stage.astype(float)))
    np.add.at(face, choice.pick, np.exp(choice.log_face.astype(float)))
    return stage / stage.sum(), face
