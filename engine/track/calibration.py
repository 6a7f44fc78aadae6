# SPDX-License-Identifier: Apache-2.0
"""The performer's neutral pose: taken live over half a second, or found in a recording. Render thread.

Motion is measured from the neutral pose, so a wrong one (a blink, an open mouth, a turned head) would stick to every
later frame. Hence the live calibration refuses such a pose and says why, and the search in a recording scores every
frame by the same measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import CalibrationRejected, NoFaceInDriver, ShapeError
from engine.geometry import angles_from_rotation, rotation_from_rotvec, rotvec_from_rotation
from engine.landmarks import MOUTH_CORNERS
from engine.track.expression import load_expression_basis
from engine.track.eyes import AVERAGE_OPEN, read_eyes
from engine.track.head import HeadPose, take_apart
from engine.types import LANDMARK_COUNT, TrackedMotion, freeze

__all__ = ["CALIBRATION_S", "Calibrator", "Neutral", "find_neutral", "make_neutral", "rescale_neutral"]

Array = NDArray[np.float64]

CALIBRATION_S = 0.5
_MIN_FRAMES = 5
_MAX_PAUSE_S = 0.3  # a face lost for longer starts the half second again
_MIN_QUALITY = 0.5
_OPEN_LIPS = 0.10  # inner lip gap over mouth width; closed lips track as 0-0.02
_SHUT_EYE = 0.12  # lid gap over eye width; eyes at rest track as 0.18-0.32
_BLINK_DROP = 0.6  # … or below this share of the window's median
_TURNED_RAD = np.radians(20.0)  # yaw and roll; pitch depends on the shape of a face and gets half as much more
_MOVED_RAD, _MOVED_UNITS, _MOVED_SHAPE = np.radians(3.0), 0.12, 0.03  # spread within the window
_EXPRESSION_SCALE = 0.10  # RMS of the estimated expression that halves the score
_GOOD_NEUTRAL = 0.5  # quality below which a recording's best moment is not trusted as it is
_MAX_SEARCHED = 1500  # frames of a recording that are scored


@dataclass(frozen=True, slots=True, eq=False)
class Neutral:
    """A performer's rest pose.

    landmarks_px: (478, 3) float32, pixels of the driving frame. resting_openness: (2,) float64, lid gap over eye
    width of the open eyes, right first. quality: [0, 1], how neutral it looks. captured_ns: time of the frame that
    shows it best.
    """

    landmarks_px: NDArray[np.float32]
    resting_openness: Array
    quality: float = 1.0
    captured_ns: int = 0

    def __post_init__(self) -> None:
        if self.landmarks_px.shape != (LANDMARK_COUNT, 3):
            raise ShapeError("Neutral.landmarks_px", (LANDMARK_COUNT, 3), self.landmarks_px.shape)
        freeze(self.landmarks_px)
        freeze(self.resting_openness)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One frame taken apart."""

    pose: HeadPose
    shape: Array
    openness: Array
    lip_gap: float
    quality: float

    @classmethod
    def at(cls, motion: TrackedMotion) -> _Look:
        pose, shape = take_apart(motion.landmarks_px)
        width = max(float(np.linalg.norm(shape[MOUTH_CORNERS[0]] - shape[MOUTH_CORNERS[1]])), 1e-6)
        lip_gap = max(float(shape[14, 1] - shape[13, 1]), 0.0) / width
        return cls(pose, shape, read_eyes(shape).openness, lip_gap, motion.quality)

    def neutrality(self, *, resting: float) -> float:
        """Score how neutral the frame looks, [0, 1]; 1 is frontal, lips closed, eyes open, no expression."""
        yaw, pitch, roll = angles_from_rotation(self.pose.rotation)
        blink = max(0.0, 0.85 * resting - float(self.openness.min())) / (0.3 * resting)
        expression = float(np.sqrt((load_expression_basis().estimate(self.shape) ** 2).sum(1).mean()))
        penalty = (yaw / _TURNED_RAD) ** 2 + (roll / _TURNED_RAD) ** 2 + (pitch / (1.5 * _TURNED_RAD)) ** 2
        penalty += (self.lip_gap / _OPEN_LIPS) ** 2 + blink**2 + (expression / _EXPRESSION_SCALE) ** 2
        return float(np.exp2(-penalty)) * min(1.0, self.quality)


def make_neutral(landmarks_px: NDArray[np.floating[Any]], *, quality: float = 1.0) -> Neutral:
    """Make a neutral pose of one set of landmarks, (478, 3), without any check."""
    openness = read_eyes(take_apart(landmarks_px)[1]).openness
    return Neutral(np.array(landmarks_px, np.float32), _plausible(openness), quality)


def rescale_neutral(neutral: Neutral, *, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> Neutral:
    """Return the same rest pose for frames of another size: about the middle, by the ratio of the heights.

    Convention:
        the picture's height shows as much as before, which holds for a camera's other modes of the same shape and
        nearly for those that only cut off the sides; `engine.geometry`'s pixel coordinates.
    """
    ratio = np.float32(to_wh[1] / from_wh[1])
    from_middle, to_middle = ((np.array([*size_wh, 0.0]) - [1.0, 1.0, 0.0]) / 2 for size_wh in (from_wh, to_wh))
    landmarks_px = (neutral.landmarks_px - from_middle.astype(np.float32)) * ratio + to_middle.astype(np.float32)
    return replace(neutral, landmarks_px=np.asarray(landmarks_px, np.float32))


class Calibrator:
    """Collects half a second of motion into a neutral pose.

    State: collecting → accepted (`add` returned a neutral) or rejected (`add` raised); either way the next call
    starts a new half second, so a caller may simply go on adding.
    """

    def __init__(self, *, window_s: float = CALIBRATION_S) -> None:
        self._window_ns = round(window_s * 1e9)
        self._looks: list[_Look] = []
        self._first_ns = self._last_ns = 0

    @property
    def progress(self) -> float:
        """How much of the window is collected, [0, 1]."""
        return min(1.0, (self._last_ns - self._first_ns) / self._window_ns) if self._looks else 0.0

    def reset(self) -> None:
        """Drop what was collected."""
        self._looks.clear()

    def add(self, motion: TrackedMotion) -> Neutral | None:
        """Add a frame; return the neutral pose once the window is full.

        Raises:
            CalibrationRejected: the performer blinked, moved, turned or opened the mouth; the message says which.
        """
        pause_ns = motion.captured_ns - self._last_ns
        if self._looks and not 0 <= pause_ns <= _MAX_PAUSE_S * 1e9:
            self.reset()
        if not self._looks:
            self._first_ns = motion.captured_ns
        self._looks.append(_Look.at(motion))
        self._last_ns = motion.captured_ns
        if self._last_ns - self._first_ns < self._window_ns:
            return None
        looks = self._looks.copy()
        self.reset()
        reason = _reason_to_reject(looks)
        if reason:
            raise CalibrationRejected(
                f"The neutral pose was not taken: {reason}.",
                hint="Look into the camera with a relaxed face, mouth closed and eyes open, and hold still.",
                reason=reason,
            )
        return _average(looks, captured_ns=motion.captured_ns)


def find_neutral(motions: Sequence[TrackedMotion], *, window_s: float = CALIBRATION_S) -> Neutral:
    """Find the most neutral half second of a recording (or its most neutral frame, if it is shorter).

    Raises:
        NoFaceInDriver: there is no motion to search.
    """
    usable = list(motions)
    if not usable:
        raise NoFaceInDriver(
            "No face was found in the driving video.", hint="Use a video in which one face is seen from the front."
        )
    usable = usable[:: -(-len(usable) // _MAX_SEARCHED)]
    looks = [_Look.at(motion) for motion in usable]
    # People rest with open eyes: the upper half of what was seen, so that many blinks do not lower it.
    resting = np.maximum(np.percentile([look.openness for look in looks], 70, axis=0), _SHUT_EYE)
    scores = np.array([look.neutrality(resting=float(resting.mean())) for look in looks])
    times_s = np.array([motion.captured_ns for motion in usable]) * 1e-9
    best, best_score = [int(scores.argmax())], -1.0
    for start in range(len(looks)):
        inside = np.flatnonzero((times_s >= times_s[start]) & (times_s <= times_s[start] + window_s))
        # A calm window beats a calm moment: its worst frames count as well.
        score = float(scores[inside].mean() * 0.5 + scores[inside].min() * 0.5)
        if len(inside) >= _MIN_FRAMES and score > best_score:
            best, best_score = inside.tolist(), score
    if scores[best].mean() < 0.5 * scores.max():
        best = [int(scores.argmax())]
    clearest = max(best, key=lambda i: float(scores[i]))
    return _average([looks[i] for i in best], captured_ns=usable[clearest].captured_ns, resting=resting)


def _reason_to_reject(looks: list[_Look]) -> str:
    """Say in words why a window is no neutral pose; empty if it is one."""
    if len(looks) < _MIN_FRAMES or np.mean([look.quality for look in looks]) < _MIN_QUALITY:
        return "the face was not seen well enough"
    openness = np.array([look.openness.min() for look in looks])
    if np.median(openness) < _SHUT_EYE:
        return "the eyes were shut"
    if openness.min() < _BLINK_DROP * np.median(openness):
        return "you blinked"
    mean = _average_pose(looks)
    yaw, pitch, roll = (abs(angle) for angle in angles_from_rotation(mean.rotation))
    if max(yaw, roll, pitch / 1.5) > _TURNED_RAD:
        return "the head was turned or tilted"
    if np.mean([look.lip_gap for look in looks]) > _OPEN_LIPS:
        return "the mouth was open"
    turns = [np.linalg.norm(rotvec_from_rotation(mean.rotation.T @ look.pose.rotation)) for look in looks]
    moves = [np.linalg.norm((look.pose.position - mean.position)[:2]) / mean.scale for look in looks]
    spread = np.std([look.shape for look in looks], axis=0).mean()
    if max(turns) > 2 * _MOVED_RAD or max(moves) > 2 * _MOVED_UNITS or spread > _MOVED_SHAPE:
        return "the face moved too much"
    return ""


def _average_pose(looks: list[_Look]) -> HeadPose:
    first = looks[0].pose
    turn = np.mean([rotvec_from_rotation(first.rotation.T @ look.pose.rotation) for look in looks], axis=0)
    return HeadPose(
        scale=float(np.exp(np.mean([np.log(look.pose.scale) for look in looks]))),
        rotation=first.rotation @ rotation_from_rotvec(turn),
        position=np.mean([look.pose.position for look in looks], axis=0),
    )


def _average(looks: list[_Look], *, captured_ns: int, resting: Array | None = None) -> Neutral:
    """Average faces in the head's frame: averaging pixels of a moving head would shrink it.

    With `resting` (a recording, where nobody can be asked again) a poor neutral has its expression taken out as far
    as it can be estimated: a person who smiles throughout is then still seen to smile.
    """
    pose, shape = _average_pose(looks), np.mean([look.shape for look in looks], axis=0)
    openness = np.median([look.openness for look in looks], axis=0)
    rest = openness if resting is None else np.where(openness < 0.8 * resting, resting, openness)
    quality = float(np.mean([look.neutrality(resting=float(rest.mean())) for look in looks]))
    if resting is not None and quality < _GOOD_NEUTRAL:
        shape = shape - (1 - quality / _GOOD_NEUTRAL) * load_expression_basis().estimate(shape)
    return Neutral(pose.place(shape).astype(np.float32), _plausible(rest), quality, captured_ns)


def _plausible(openness: Array) -> Array:
    """Replace the reading of a shut eye: no rest pose is measured against it."""
    plausible: Array = np.where(openness < _SHUT_EYE, AVERAGE_OPEN, openness)
    return plausible
