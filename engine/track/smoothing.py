# SPDX-License-Identifier: Apache-2.0
"""Removes tracker noise from motion without making it late. Render thread.

The One-Euro filter: a low-pass whose cut-off rises with speed, so that a still head stands still and a blink is not
smeared. Pose and expression are tuned apart: a swaying head is noticed at once, lips must not lag the voice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.landmarks import EYES, IRISES, LIPS, MOUTH_INNER
from engine.types import LANDMARK_COUNT

__all__ = ["FaceSmoother", "OneEuroFilter"]

Array = NDArray[np.float64]

_DERIVATIVE_CUTOFF_HZ = 1.5
_MAX_GAP_S = 0.5  # after a longer silence the past says nothing
_STEADINESS_SPAN = 5.0  # cut-offs are multiplied by 5 at steadiness 0 and by 1/5 at 1


class OneEuroFilter:
    """A speed-adaptive low-pass over an array of any shape.

    Args:
        min_cutoff_hz: cut-off at rest; a number or an array that broadcasts against the values.
        beta: cut-off gained per unit of speed (value units per second).
        derivative_cutoff_hz: cut-off of the speed estimate; higher reacts sooner and trembles more.
        max_gap_s: after a longer silence the filter starts afresh.
    Source:
        Casiez, Roussel, Vogel 2012, "1€ Filter: a simple speed-based low-pass filter for noisy input in interactive
        systems", CHI, algorithm 1.
    """

    def __init__(
        self,
        *,
        min_cutoff_hz: float | Array,
        beta: float | Array,
        derivative_cutoff_hz: float | Array = _DERIVATIVE_CUTOFF_HZ,
        max_gap_s: float = _MAX_GAP_S,
    ) -> None:
        self.min_cutoff_hz = min_cutoff_hz
        self.beta = beta
        self._derivative_cutoff_hz = derivative_cutoff_hz
        self._max_gap_s = max_gap_s
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next value passes unchanged."""
        self._value: Array | None = None
        self._speed: Array | None = None
        self._time_ns = 0

    def filter(self, value: Array, *, time_ns: int) -> Array:
        """Return the smoothed value at `time_ns`.

        A repeated timestamp returns the last result; a step back in time or a long gap starts afresh.
        """
        if self._value is None or self._speed is None:
            return self._start(value, time_ns)
        step_s = (time_ns - self._time_ns) * 1e-9
        if step_s == 0:
            return self._value.copy()
        if step_s < 0 or step_s > self._max_gap_s:
            return self._start(value, time_ns)
        speed = (value - self._value) / step_s
        self._speed = self._speed + _alpha(self._derivative_cutoff_hz, step_s) * (speed - self._speed)
        cutoff = self.min_cutoff_hz + self.beta * np.abs(self._speed)
        self._value = self._value + _alpha(cutoff, step_s) * (value - self._value)
        self._time_ns = time_ns
        return self._value.copy()

    def _start(self, value: Array, time_ns: int) -> Array:
        self._value, self._speed = np.array(value, np.float64), np.zeros_like(value, np.float64)
        self._time_ns = time_ns
        return self._value.copy()


def _alpha(cutoff_hz: float | Array, step_s: float) -> float | Array:
    """Return the smoothing factor of a first-order low-pass."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * step_s))


@dataclass(frozen=True, slots=True)
class _Tuning:
    """min_cutoff_hz at steadiness 0.5, beta (Hz per unit/s), derivative_cutoff_hz."""

    min_cutoff_hz: float
    beta: float
    derivative_cutoff_hz: float = _DERIVATIVE_CUTOFF_HZ


# Units: radians; canonical units (about 6 cm) for position and shape; natural logarithm for scale. Tuned on tracked
# clips: tracker noise at rest is about 0.004 rad and 0.005 canonical units, a nod 1-2 rad/s, lips 1-4 units/s.
_ROTATION = _Tuning(1.2, 9.0)
_POSITION = _Tuning(1.0, 6.0)
_LOG_SCALE = _Tuning(0.5, 6.0)  # a head that breathes in and out is the most disliked jitter
_SHAPE = _Tuning(1.5, 8.0)
_MOUTH = _Tuning(3.0, 14.0, 3.0)
_LIDS = _Tuning(3.0, 35.0, 6.0)  # a blink is over in five frames


class FaceSmoother:
    """Smooths the parts of one performer's face, each in its own way.

    Args:
        steadiness: [0, 1]; 0 follows at once, 1 is calm and late.
    """

    def __init__(self, *, steadiness: float = 0.5) -> None:
        tunings = [_SHAPE] * LANDMARK_COUNT
        for points, tuning in (((*LIPS, *MOUTH_INNER), _MOUTH), ((*EYES, *IRISES), _LIDS)):
            for point in points:
                tunings[point] = tuning
        cutoff, beta, derivative_cutoff = (
            np.array([[getattr(tuning, name)] for tuning in tunings])
            for name in ("min_cutoff_hz", "beta", "derivative_cutoff_hz")
        )
        self._cutoffs = (
            np.array([*[_ROTATION.min_cutoff_hz] * 3, *[_POSITION.min_cutoff_hz] * 3, _LOG_SCALE.min_cutoff_hz]),
            cutoff,
        )
        self._pose = OneEuroFilter(
            min_cutoff_hz=1.0, beta=np.array([*[_ROTATION.beta] * 3, *[_POSITION.beta] * 3, _LOG_SCALE.beta])
        )
        self._shape = OneEuroFilter(min_cutoff_hz=1.0, beta=beta, derivative_cutoff_hz=derivative_cutoff)
        self.set_steadiness(steadiness)

    def set_steadiness(self, steadiness: float) -> None:
        """Change the compromise between calm and quick, live."""
        factor = _STEADINESS_SPAN ** (1.0 - 2.0 * steadiness)
        self._pose.min_cutoff_hz = self._cutoffs[0] * factor
        self._shape.min_cutoff_hz = self._cutoffs[1] * factor

    def reset(self) -> None:
        """Forget the performer."""
        self._pose.reset()
        self._shape.reset()

    def smooth(
        self, *, rotvec: Array, position: Array, log_scale: float, shape: Array, time_ns: int
    ) -> tuple[Array, Array, float, Array]:
        """Return rotvec (3,), position (3,), log_scale and shape (478, 3) smoothed, in canonical units."""
        pose = self._pose.filter(np.array([*rotvec, *position, log_scale]), time_ns=time_ns)
        return pose[:3], pose[3:6], float(pose[6]), self._shape.filter(shape, time_ns=time_ns)
