# SPDX-License-Identifier: Apache-2.0
"""From the performer's motion to the character's keypoints, without the performer's face. Render thread.

The performer's landmarks are taken apart into head pose and shape (`engine.track.head`). Of the shape only the
*change* from the performer's own neutral is used; it is scaled region by region to the character's proportions and
added to the character's own shape; lids and gaze go through `engine.track.eyes`. The change of head pose is applied
about the character's own axes, within what the source set covers. `motion = 1` measures change from the calibrated
neutral; `motion = 0` needs none: head angles are copied and expression is what `engine.track.expression` estimates;
values between blend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import MotionSettings
from engine.geometry import angles_from_rotation, rotation_from_rotvec, rotvec_from_rotation, scale_rotation
from engine.landmarks import (
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
    region_weights,
)
from engine.track.calibration import Neutral
from engine.track.coverage import Coverage
from engine.track.expression import load_expression_basis
from engine.track.eyes import (
    AVERAGE_OPEN,
    EyeState,
    combine_by_visibility,
    normalise_openness,
    read_eyes,
    write_eyes,
)
from engine.track.head import FaceSizes, HeadPose, measure_sizes, take_apart
from engine.track.smoothing import FaceSmoother
from engine.types import Query, TrackedMotion

__all__ = ["Retargeter"]

Array = NDArray[np.float64]

_RATIO_RANGE = (0.4, 2.0)  # a drawn face may have a tiny mouth; beyond this the measure itself is doubtful
_MOUTH_IN_OPENING = 0.25  # share of the mouth's width in how far it opens: keeps a tiny drawn mouth from gaping
_OUTER_LIP_SHARE = 0.6  # how much of a lip contact the outer rim follows


@dataclass(frozen=True, slots=True, eq=False)
class _Person:
    """A neutral face taken apart and measured."""

    pose: HeadPose
    shape: Array
    sizes: FaceSizes
    eyes: EyeState
    resting_openness: Array

    @classmethod
    def of(cls, landmarks: NDArray[np.floating[Any]], *, resting_openness: Array | None = None) -> _Person:
        pose, shape = take_apart(landmarks)
        eyes = read_eyes(shape)
        resting = eyes.openness if resting_openness is None else resting_openness
        return cls(pose, shape, measure_sizes(shape), eyes, resting)


class Retargeter:
    """Turns tracked motion into queries for one character.

    Thread: one thread at a time; `settings` and `neutral` may be replaced between frames.

    Args:
        character: (478, 3) keypoints of the reference picture, portrait space.
        coverage: (N, 478, 3) keypoints of the whole source set; None for the reference alone.
        neutral: the performer's calibrated rest pose; without one motion is absolute, whatever the settings say.
        smoothed: whether tracker noise is filtered; only tests and offline measurements turn it off.
    """

    def __init__(
        self,
        character: NDArray[np.floating[Any]],
        *,
        coverage: NDArray[np.floating[Any]] | None = None,
        neutral: Neutral | None = None,
        settings: MotionSettings | None = None,
        smoothed: bool = True,
    ) -> None:
        self._settings = settings or MotionSettings()
        self._smoother = FaceSmoother(steadiness=self._settings.steadiness) if smoothed else None
        self._anchor: HeadPose | None = None
        self.set_character(character, coverage=coverage)
        self.neutral = neutral

    @property
    def settings(self) -> MotionSettings:
        """The live motion settings."""
        return self._settings

    @settings.setter
    def settings(self, settings: MotionSettings) -> None:
        self._settings = settings
        if self._smoother is not None:
            self._smoother.set_steadiness(settings.steadiness)

    @property
    def neutral(self) -> Neutral | None:
        """The performer's rest pose; set it to (re)calibrate."""
        return self._neutral

    @neutral.setter
    def neutral(self, neutral: Neutral | None) -> None:
        self._neutral = neutral
        self._performer = (
            None if neutral is None else _Person.of(neutral.landmarks_px, resting_openness=neutral.resting_openness)
        )

    def set_character(
        self, character: NDArray[np.floating[Any]], *, coverage: NDArray[np.floating[Any]] | None = None
    ) -> None:
        """Switch to another character; the performer's neutral and filters stay."""
        self._character = _Person.of(character)
        self._coverage = Coverage.of(self._character.pose, coverage)
        self._character_expression = load_expression_basis().estimate(self._character.shape)

    def reset(self) -> None:
        """Forget the past frames (camera changed, seek); the neutral stays."""
        self._anchor = None
        if self._smoother is not None:
            self._smoother.reset()

    def retarget(self, motion: TrackedMotion) -> Query:
        """Return the character's keypoints for one tracked frame."""
        pose, shape = take_apart(motion.landmarks_px)
        if self._anchor is None:
            self._anchor = pose
        if self._smoother is not None:
            pose, shape = self._smooth(self._smoother, pose, shape, motion.captured_ns)
        moved = self._move_head(pose)
        keypoints = moved.place(self._express(shape, angles_from_rotation(pose.rotation)[0]))
        return Query(captured_ns=motion.captured_ns, keypoints=keypoints.astype(np.float32))

    def _smooth(self, smoother: FaceSmoother, pose: HeadPose, shape: Array, time_ns: int) -> tuple[HeadPose, Array]:
        """Filter in units of the face's size at the start, so that tuning holds for any camera."""
        assert self._anchor is not None
        unit = self._anchor.scale
        rotvec, position, log_scale, shape = smoother.smooth(
            rotvec=rotvec_from_rotation(pose.rotation),
            position=pose.position / unit,
            log_scale=float(np.log(pose.scale / unit)),
            shape=shape,
            time_ns=time_ns,
        )
        return HeadPose(unit * float(np.exp(log_scale)), rotation_from_rotvec(rotvec), position * unit), shape

    def _relative_share(self) -> float:
        return self._settings.motion if self._performer is not None else 0.0

    def _move_head(self, pose: HeadPose) -> HeadPose:
        """Apply the performer's head motion to the character's head, inside the coverage."""
        own, gain = self._character.pose, self._settings.head
        turn = own.rotation.T @ pose.rotation  # copies the performer's angles
        rest = self._anchor
        if self._performer is not None:
            rest = self._performer.pose
            relative = rest.rotation.T @ pose.rotation  # about the performer's own axes
            turn = turn @ scale_rotation(turn.T @ relative, self._relative_share())
        assert rest is not None
        offset = (pose.position - rest.position)[:2] / rest.scale
        turn, offset, log_scale = self._coverage.limit(
            turn=turn if gain == 1.0 else scale_rotation(turn, gain),
            offset=gain * offset,
            log_scale=gain * float(np.log(pose.scale / rest.scale)),
        )
        position = own.position + own.scale * np.array([*offset, 0.0])
        return HeadPose(own.scale * float(np.exp(log_scale)), own.rotation @ turn, position)

    def _express(self, shape: Array, yaw_rad: float) -> Array:
        """Give the character's shape the performer's expression."""
        own, performer, share = self._character, self._performer, self._relative_share()
        basis = load_expression_basis()
        change = np.zeros_like(shape)
        if share < 1.0:
            absolute = basis.estimate(shape) - self._character_expression
            change += (1 - share) * absolute * _scale_to(own.sizes, measure_sizes(basis.neutral))
        if performer is not None and share > 0.0:
            change += share * (shape - performer.shape) * _scale_to(own.sizes, performer.sizes)
        settings = self._settings
        gains = np.array([settings.eyes, settings.mouth, settings.brows])
        expressed: Array = own.shape + (gains @ region_weights())[:, None] * change
        _keep_lips_apart(expressed, own.shape)
        self._look(expressed, read_eyes(shape), yaw_rad)
        return expressed

    def _look(self, expressed: Array, eyes: EyeState, yaw_rad: float) -> None:
        """Set the character's lids and gaze in place."""
        own, performer, share = self._character, self._performer, self._relative_share()
        openness = (1 - share) * normalise_openness(eyes.openness, resting=np.full(2, AVERAGE_OPEN))
        gaze_change = (1 - share) * (eyes.gaze - own.eyes.gaze)
        if performer is not None:
            openness += share * normalise_openness(eyes.openness, resting=performer.resting_openness)
            gaze_change += share * (eyes.gaze - performer.eyes.gaze)
        gain = self._settings.eyes
        openness = np.maximum(1 + gain * (combine_by_visibility(openness, yaw_rad=yaw_rad) - 1), 0.0)
        write_eyes(expressed, neutral=own.shape, openness=openness, gaze_change=gain * gaze_change)


def _scale_to(own: FaceSizes, other: FaceSizes) -> Array:
    """Return how much bigger the character's features are than the other face's, per landmark and axis, (478, 3)."""
    eyes = _ratio(own.eye_width, other.eye_width)
    mouth_width, lower_face = _ratio(own.mouth_width, other.mouth_width), _ratio(own.lower_face, other.lower_face)
    # A wide mouth is stretched further; how far it opens depends on the jaw, and a little on the mouth.
    opening = float(lower_face ** (1 - _MOUTH_IN_OPENING) * mouth_width**_MOUTH_IN_OPENING)
    brows = _ratio(own.face_height, other.face_height)
    per_region = np.array([[eyes] * 3, [mouth_width, opening, opening], [brows] * 3])
    scaled: Array = region_weights().T @ per_region
    return scaled


def _ratio(own: float, other: float) -> float:
    return float(np.clip(own / max(other, 1e-6), *_RATIO_RANGE))


def _keep_lips_apart(expressed: Array, neutral: Array) -> None:
    """Let lips meet but not pass through each other, in place; the character's own contact is the limit."""
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    allowed = np.minimum(neutral[lower, 1] - neutral[upper, 1], 0.0)
    overlap = np.maximum(allowed - (expressed[lower, 1] - expressed[upper, 1]), 0.0) / 2
    expressed[upper, 1] -= overlap
    expressed[lower, 1] += overlap
    expressed[list(LIPS_OUTER_UPPER), 1] -= _OUTER_LIP_SHARE * overlap
    expressed[list(LIPS_OUTER_LOWER), 1] += _OUTER_LIP_SHARE * overlap
