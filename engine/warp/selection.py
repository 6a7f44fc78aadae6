# SPDX-License-Identifier: Apache-2.0
"""Which pictures of the set draw this frame: one for the *stage* (hair, shoulders, head), one more for the face.

Every frame uses at most two pictures, whatever the set's size, so cost does not grow with it; and one picture alone
draws everything outside the face, because two heads mixed at a hair edge are a ghost. On the face both compete per
token inside the attention, so an open mouth or closed lids come from the picture that has them.

Choices are sticky and changes are faded: slot 1 fades out on the face, takes the new picture, fades in; a change of
stage then crosses over between two pictures that are both already there. A hard switch is visible as a pop.
Runs on the render thread; plain numpy, O(N · 478).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.headpose import COHERENCE, COHERENCE_CAP, HeadDescriptor, expression_weights, pose_weights
from engine.landmarks import BROWS, EYES, IRISES, LIPS

Array = NDArray[np.floating[Any]]

__all__ = ["SelectionSettings", "SourceChoice", "SourceSelector"]

# Where expressions differ; cheeks and forehead would only dilute them.
_EXPRESSIVE = np.array(sorted({*LIPS, *EYES, *BROWS, *IRISES}))
_WEIGHTS = expression_weights()[_EXPRESSIVE]
_POSE_WEIGHTS = pose_weights()[_EXPRESSIVE]
_HOLD, _HOLD_FLOOR = 0.12, 0.1  # what the picture in slot 1 is given for being there: relative, and in logits
_BLINK_GAIN = 0.06  # logits that double the speed of a change in slot 1: what moves fast hides the change
_JUMP = 3.0  # urgency at which slot 1 changes at once: a blink is over before a fade is
_GAIN_CAP = 6.0  # logits at one landmark
_UNSEEN = 0.08  # share at its best landmarks below which a picture is not noticed on the face
_FLOOR = 3e-4  # weight that counts as none; its logarithm stays finite


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Gains are in logits; those on the face are the attention's own (squared), from the model's manifest."""

    stage_pose: float = 27.0
    stage_shift: float = 40.0  # of a head moved by its own half-width: the neck and what it covers move with it
    face_pose: float = 27.0
    expression: float = 54.0
    stage_expression: float = 0.6  # of the mean expression cost: the stage follows the head, slot 1 the face
    sticky: float = 0.8  # logits a rival must be better by
    fade_s: float = 0.12  # crossing from one stage to another, when the head moves slowly
    face_fade_s: float = 0.06  # slot 1 out, and in again: a blink lasts 0.15 s
    hurry: float = 1.0  # logits of misfit that double the speed; a fast turn hides a cut, and a slow fade is a ghost
    forget_s: float = 0.5  # after a gap this long nothing is faded


@dataclass(frozen=True, slots=True, eq=False)
class SourceChoice:
    """The pictures of one frame; K is 1 for a set of one picture, else 2.

    pick: (K,) int64. log_stage, log_face: (K,) float32. share: (N,) float32, use of each picture, sums to 1.
    """

    pick: NDArray[np.int64]
    log_stage: NDArray[np.float32]
    log_face: NDArray[np.float32]
    share: NDArray[np.float32]


class SourceSelector:
    """Picks sources over time for one source set.

    Args:
        heads: one descriptor a picture, in the set's order.
    """

    def __init__(self, heads: list[HeadDescriptor], settings: SelectionSettings | None = None) -> None:
        self._settings = settings or SelectionSettings()
        self._pose = np.stack([head.pose for head in heads])  # (N, 9)
        self._origin = np.stack([head.origin for head in heads])  # (N, 2)
        self._deform = np.stack([head.deform[_EXPRESSIVE] for head in heads])  # (N, E, 3)
        gap = ((self._pose[:, None] - self._pose[None]) ** 2).sum(-1)
        self._apart = np.minimum(COHERENCE * self._settings.face_pose * gap, COHERENCE_CAP)  # (N, N)
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next choice is made fresh, without fading."""
        self._stage = self._second = -1
        self._second_level = 1.0  # how far slot 1 is faded in on the face
        self._cross = 0.0  # how far the stage has moved from slot 0 to slot 1
        self._last_ns: int | None = None

    def choose(self, head: HeadDescriptor, time_ns: int) -> SourceChoice:
        """Choose for a driving head at a time; times must not run backwards, or the past is forgotten."""
        s = self._settings
        count = len(self._pose)
        if count == 1:
            zero = np.zeros(1, np.float32)
            return SourceChoice(np.zeros(1, np.int64), zero, zero, np.ones(1, np.float32))
        pose = ((head.pose[None] - self._pose) ** 2).sum(1)  # (N,)
        per_point = s.expression * _WEIGHTS * ((head.deform[_EXPRESSIVE][None] - self._deform) ** 2).sum(-1)  # (N, E)
        shift = ((head.origin[None] - self._origin) ** 2).sum(1) / head.scale**2
        stage_cost = s.stage_pose * pose + s.stage_shift * shift + s.stage_expression * per_point.mean(1)
        per_point = s.face_pose * pose[:, None] * _POSE_WEIGHTS + per_point
        gap_s = np.inf if self._last_ns is None else (time_ns - self._last_ns) / 1e9
        self._last_ns = time_ns
        if not 0 <= gap_s <= s.forget_s or self._stage < 0:
            self._stage = int(stage_cost.argmin())
            self._cross, self._second = 0.0, self._stage
            self._second = _best_other(self._gains(per_point), self._stage)
            self._second_level = 1.0
        else:
            self._advance(stage_cost, per_point, gap_s)
        return self._describe(per_point)

    def _advance(self, stage_cost: Array, per_point: Array, gap_s: float) -> None:
        """Move the two slots towards what fits now, as far as the time since the last frame allows."""
        s = self._settings
        rival = int(stage_cost.argmin())
        misfit = float(stage_cost[self._stage] - stage_cost[rival])
        wants_stage = rival != self._stage and misfit > s.sticky
        urgency = (max(misfit, 0.0) / s.hurry) ** 2
        if self._cross > 0:  # a crossing that has begun is finished, whatever the head does meanwhile
            target = self._second
        elif wants_stage:
            target = rival
        else:
            gains = self._gains(per_point)
            gains[self._second] = gains[self._second] * (1 + _HOLD) + _HOLD_FLOOR
            target = _best_other(gains, self._stage)
            urgency += float(gains[target] - gains[self._second]) / _BLINK_GAIN
        time = gap_s * (1.0 + urgency)
        if self._second != target:
            # Out first. What nobody sees needs no fading: usually slot 1 draws nothing when it is to change.
            cost = self._on_face(per_point)
            seen = float(np.quantile(_sigmoid(cost[self._stage] - cost[self._second]), 0.9))
            if seen < _UNSEEN or urgency > _JUMP:
                self._second_level = 0.0
            step = min(time / s.face_fade_s, self._second_level)
            self._second_level -= step
            time -= step * s.face_fade_s
            if self._second_level > 0:
                return
            self._second = target
            if urgency > _JUMP:
                self._second_level = 1.0
        step = min(time / s.face_fade_s, 1.0 - self._second_level)
        self._second_level += step
        time -= step * s.face_fade_s
        if self._second_level >= 1.0 and (self._cross > 0 or (wants_stage and self._second == rival)):
            self._cross = min(1.0, self._cross + time / s.fade_s)
            if self._cross >= 1.0:
                self._stage, self._second, self._cross = self._second, self._stage, 0.0

    def _on_face(self, per_point: Array) -> Array:
        """Add what each picture loses for not being of the stage's view, as the attention does; (N, E) logits."""
        lost = (1.0 - self._cross) * self._apart[self._stage] + self._cross * self._apart[self._second]
        return np.asarray(per_point + lost[:, None] * _POSE_WEIGHTS)

    def _gains(self, per_point: Array) -> Array:
        """Return what each picture would add to the stage picture on the face, (N,) logits.

        Only where it fits better counts: a second picture like the first adds nothing, however well it fits. Each
        landmark's gain is capped, or one wide-open mouth would outvote everything else.
        """
        cost = self._on_face(per_point)
        better = cost[self._stage][None] - cost
        return np.asarray(np.clip(better, 0.0, _GAIN_CAP).mean(1))

    def _describe(self, per_point: Array) -> SourceChoice:
        stage = np.array([1.0 - self._cross, self._cross])
        level = np.array([1.0, self._second_level])
        pick = np.array([self._stage, self._second], np.int64)
        share = np.zeros(len(per_point), np.float64)
        on_face = _softmax(-self._on_face(per_point)[pick], 0).mean(1) * level
        np.add.at(share, pick, 0.5 * stage + 0.5 * on_face / max(float(on_face.sum()), 1e-9))
        return SourceChoice(
            pick,
            np.log(np.maximum(stage, _FLOOR)).astype(np.float32),
            np.log(np.maximum(level, _FLOOR)).astype(np.float32),
            (share / share.sum()).astype(np.float32),
        )


def _best_other(gains: Array, stage: int) -> int:
    rest = gains.copy()
    rest[stage] = -1.0
    return int(rest.argmax())


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60, 60))))


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))
