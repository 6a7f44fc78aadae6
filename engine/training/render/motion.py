# SPDX-License-Identifier: Apache-2.0
"""Lively head and face motion: a score of key poses, blinks and speech, read at any time.

Data flow: score file or random_score → Score → pose_at(t) → renderer. Key poses are joined by minimum-jerk moves,
which is how people move head and eyes; small slow noise keeps the figure from freezing in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.training.render.pose import VOWELS, Pose, blend_weights, expression_weights

__all__ = ["MOODS", "FaceKey", "GazeKey", "HeadKey", "Reach", "Score", "Speech", "random_score"]

# A blink: seconds from its middle, and how far the lids are closed then.
_BLINK_AT_S, _BLINK_CLOSED = (-0.09, -0.02, 0.02, 0.06, 0.13, 0.22), (0.0, 0.92, 1.0, 1.0, 0.5, 0.0)
_LID_FOLLOW = 0.38 / 16.0  # closure per degree of lowered gaze
_SYLLABLE_S = (0.10, 0.19)
_OPEN = ("a", "o", "e", "i", "uh")  # the vowels that open the mouth
_TURN_DEG_S = 145.0  # mean speed of the widest moves; at its peak a minimum-jerk move is 1.9 times as fast

MOODS = ("smile", "grin", "brows_up", "brows_down", "mouth_open", "surprise", "laugh", "kiss", "neutral")


@dataclass(frozen=True)
class HeadKey:
    """Where the head has arrived at a time. shift_m: (right, up, towards the camera)."""

    time_s: float
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class GazeKey:
    """Where the eyes have arrived at a time, relative to the head."""

    time_s: float
    right_deg: float = 0.0
    down_deg: float = 0.0


@dataclass(frozen=True)
class FaceKey:
    """Which expressions are shown at a time, by strength."""

    time_s: float
    expression: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Speech:
    """A stretch of talking."""

    start_s: float
    stop_s: float
    strength: float = 0.85


@dataclass(frozen=True)
class Reach:
    """How far a random performance turns the head, at most; yaw_deg: (least, most) of a turn to either side."""

    yaw_deg: tuple[float, float] = (8.0, 32.0)
    pitch_deg: tuple[float, float] = (-14.0, 15.0)
    roll_deg: float = 11.0


@dataclass(frozen=True)
class Score:
    """A whole performance. sway: amount of involuntary motion, 1 is lively; it starts after `still_s`."""

    duration_s: float
    head: Sequence[HeadKey] = ()
    gaze: Sequence[GazeKey] = ()
    face: Sequence[FaceKey] = ()
    speech: Sequence[Speech] = ()
    blinks_s: Sequence[float] = ()
    sway: float = 1.0
    still_s: float = 0.0
    seed: int = 0

    def pose_at(self, time_s: float) -> Pose:
        """Return the pose at a time."""
        head = _read([k.time_s for k in self.head], [_head_vector(k) for k in self.head], time_s, width=6)
        gaze = _read([k.time_s for k in self.gaze], [(k.right_deg, k.down_deg) for k in self.gaze], time_s, width=2)
        head = head + self._sway_at(time_s)
        spoken = self._speech_at(time_s)
        weights = blend_weights((self._face_at(time_s), 1.0 - 0.35 * min(sum(spoken.values()), 1.0)), (spoken, 1.0))
        self._move_lids(weights, time_s, down_deg=float(gaze[1]))
        return Pose(
            yaw_deg=float(head[0]),
            pitch_deg=float(head[1]),
            roll_deg=float(head[2]),
            shift_m=(float(head[3]), float(head[4]), float(head[5])),
            gaze_deg=(float(gaze[0]), float(gaze[1])),
            weights=weights,
        )

    @cached_property
    def _syllables(self) -> list[tuple[float, Mapping[str, float], float]]:
        """Time, mouth shape and strength of every syllable's peak; rests where nothing is said."""
        rng = np.random.default_rng([self.seed, 3])
        opened = [name for name in _OPEN if name in VOWELS]
        narrow = [name for name in VOWELS if name not in (*_OPEN, "rest")]
        found: list[tuple[float, Mapping[str, float], float]] = []
        for part in self.speech:
            time_s, is_open = part.start_s, False
            found.append((time_s, {}, 0.0))
            while (time_s := time_s + float(rng.uniform(*_SYLLABLE_S))) < part.stop_s - 0.1:
                is_open = not is_open or rng.random() < 0.25  # consonant and vowel mostly take turns
                name = str(rng.choice(opened if is_open else narrow))
                found.append((time_s, VOWELS[name], part.strength * float(rng.uniform(0.65, 1.0))))
            found.append((part.stop_s, {}, 0.0))
        return found

    def _speech_at(self, time_s: float) -> dict[str, float]:
        times = [s[0] for s in self._syllables]
        after = int(np.searchsorted(times, time_s))
        if after in (0, len(times)):
            return {}
        share = _ease((time_s - times[after - 1]) / max(times[after] - times[after - 1], 1e-6))
        (_, first, weak), (_, second, strong) = self._syllables[after - 1 : after + 1]
        return blend_weights((first, weak * (1 - share)), (second, strong * share))

    def _face_at(self, time_s: float) -> dict[str, float]:
        times = [k.time_s for k in self.face]
        names = sorted({name for k in self.face for name in k.expression})
        rows = [[k.expression.get(name, 0.0) for name in names] for k in self.face]
        values = _read(times, rows, time_s, width=len(names))
        return expression_weights(dict(zip(names, values.tolist(), strict=True)))

    def _move_lids(self, weights: dict[str, float], time_s: float, *, down_deg: float) -> None:
        """Close the lids for blinks and lowered eyes; a closing lid takes opening and squinting back."""
        blink = max((float(np.interp(time_s - t, _BLINK_AT_S, _BLINK_CLOSED)) for t in self.blinks_s), default=0.0)
        for side in ("L", "R"):
            closed = max(blink, weights.get(f"{side}eyeClose", 0.0) + max(down_deg, 0.0) * _LID_FOLLOW)
            weights[f"{side}eyeClose"] = min(closed, 1.0)
            for name in (f"{side}eyeOpen", f"{side}squint", f"{side}lowLid"):
                weights[name] = weights.get(name, 0.0) * (1 - 0.75 * min(closed, 1.0))

    def _sway_at(self, time_s: float) -> NDArray[np.float64]:
        """Return involuntary motion (6,): degrees, then metres; larger while talking."""
        talking = any(part.start_s <= time_s <= part.stop_s for part in self.speech)
        amount = self.sway * float(np.clip((time_s - self.still_s) / 0.5, 0, 1)) * (1.0 if not talking else 1.35)
        slow = _noise(self.seed, time_s, period_s=1.7) * [1.3, 0.9, 0.9, 0.0020, 0.0010, 0.0030]
        quick = _noise(self.seed + 1, time_s, period_s=0.45) * [0.35, 0.55, 0.25, 0.0002, 0.0004, 0.0005]
        return amount * (slow + quick)


def _head_vector(key: HeadKey) -> tuple[float, ...]:
    return (key.yaw_deg, key.pitch_deg, key.roll_deg, *key.shift_m)


def _ease(share: float) -> float:
    """Return the minimum-jerk course from 0 to 1."""
    s = min(max(share, 0.0), 1.0)
    return s**3 * (s * (6 * s - 15) + 10)


def _read(times: Sequence[float], rows: Sequence[Sequence[float]], time_s: float, *, width: int) -> NDArray[np.float64]:
    """Return the eased value (width,) between the two keys around a time; zero without keys."""
    if not times:
        return np.zeros(width)
    after = int(np.searchsorted(times, time_s))
    if after == 0 or after == len(times):
        return np.asarray(rows[min(after, len(times) - 1)], np.float64)
    before, following = np.asarray(rows[after - 1]), np.asarray(rows[after])
    share = _ease((time_s - times[after - 1]) / (times[after] - times[after - 1]))
    return np.asarray(before + (following - before) * share)


def _noise(seed: int, time_s: float, *, period_s: float) -> NDArray[np.float64]:
    """Return six smooth random courses, about ±1, as a sum of sines whose periods never line up."""
    rng = np.random.default_rng([seed, 17])
    phase, stretch = rng.uniform(0, 2 * np.pi, (3, 6)), rng.uniform(0.75, 1.35, (3, 6))
    waves = np.sin(2 * np.pi * time_s / (period_s * stretch * np.array([[1.0], [0.62], [1.9]])) + phase)
    return np.asarray(waves.mean(axis=0) * 1.4)


def random_score(
    seed: int, duration_s: float, *, reach: Reach | None = None, moods: Sequence[str] = MOODS, talks: bool = True
) -> Score:
    """Return a lively performance that starts frontal and neutral; the same for the same seed.

    Args:
        reach: how far the head turns. moods: names of expressions to draw from. talks: speak in the second half.
    """
    rng, reach = np.random.default_rng([seed, 29]), reach or Reach()
    head, gaze, face = [HeadKey(0.0), HeadKey(0.35)], [GazeKey(0.0), GazeKey(0.4)], [FaceKey(0.0), FaceKey(0.4)]
    while head[-1].time_s < duration_s:
        turn = float(np.sign(rng.normal()) * rng.uniform(*reach.yaw_deg))
        needed_s = abs(turn - head[-1].yaw_deg) / _TURN_DEG_S
        head.append(
            HeadKey(
                head[-1].time_s + max(float(rng.uniform(0.45, 0.9)), needed_s),
                yaw_deg=turn,
                pitch_deg=float(rng.uniform(*reach.pitch_deg)),
                roll_deg=float(rng.uniform(-reach.roll_deg, reach.roll_deg)),
                shift_m=(float(rng.normal(0, 0.010)), float(rng.normal(0, 0.005)), float(rng.normal(0, 0.018))),
            )
        )
    while gaze[-1].time_s < duration_s:
        away = rng.random() < 0.7
        gaze.append(
            GazeKey(
                gaze[-1].time_s + float(rng.uniform(0.25, 0.8)),
                away * float(rng.normal(0, 11)),
                away * float(rng.normal(0, 5)),
            )
        )
    while face[-1].time_s < duration_s:
        mood = str(rng.choice(list(moods)))
        face.append(FaceKey(face[-1].time_s + float(rng.uniform(0.35, 0.8)), {mood: float(rng.uniform(0.5, 1.0))}))
    blinks = np.cumsum(rng.uniform(0.7, 1.9, int(duration_s / 0.7) + 2))
    return Score(
        duration_s=duration_s,
        head=tuple(head),
        gaze=tuple(gaze),
        face=tuple(face),
        speech=(Speech(0.5 * duration_s, 0.95 * duration_s),) if talks else (),
        blinks_s=tuple(float(b) for b in blinks if b < duration_s),
        still_s=0.2,
        seed=seed,
    )
