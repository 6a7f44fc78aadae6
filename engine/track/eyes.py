# SPDX-License-Identifier: Apache-2.0
"""Lids and gaze as numbers that mean the same on every face, and back onto a given face. Pure, any thread.

Reading: openness is the lid gap over the eye's width; gaze is the iris centre's offset from the middle of the eye
corners over that width. Writing: a face's own upper and lower lid meet on a seam of its own geometry, so any eye
shuts fully, however differently the performer's is cut. All in the frame of `engine.track.head`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.headpose import eye_openness
from engine.landmarks import EYE_SIDES

__all__ = [
    "AVERAGE_OPEN",
    "CLOSED",
    "GAZE_REACH",
    "EyeState",
    "combine_by_visibility",
    "normalise_openness",
    "read_eyes",
    "write_eyes",
]

Array = NDArray[np.float64]

# Measured with MediaPipe on 4 talking people and 5 rendered ones: a closed lid gap never reads as zero.
CLOSED = 0.055  # lid gap over eye width of a shut eye
AVERAGE_OPEN = 0.25  # … of an eye at rest
GAZE_REACH = np.array([0.30, 0.20, 0.20])  # how far an iris may stray from the middle, over eye width
_SHUT_BELOW = 0.14  # openness that already counts as shut: blinks are shorter than two frames
_LINEAR_FROM = 0.5  # openness from which the shut rule no longer bends the curve
_SEAM = 0.3  # where the lids meet, from lower to upper lid: seen in the same clips
_SHUT_GAP = 0.06  # share of the open gap that stays, so that lid points keep their order
_WIDEST = 1.7  # openness of a stare
_PART_YAW_RAD = (np.radians(18.0), np.radians(38.0))  # between these the far eye hands over to the near one

# Place of each lid point between outer (0) and inner (1) corner.
_ALONG = (np.arange(7, dtype=np.float64)[:, None] + 1) / 8


@dataclass(frozen=True, slots=True, eq=False)
class EyeState:
    """Both eyes, the person's right first. openness: (2,) lid gap over width. gaze: (2, 3) offset over width."""

    openness: Array
    gaze: Array


def read_eyes(shape: Array) -> EyeState:
    """Measure both eyes of a shape, (478, 3)."""
    gaze = np.empty((2, 3))
    for side, (corners, _, _, iris) in enumerate(EYE_SIDES):
        outer, inner = shape[corners[0]], shape[corners[1]]
        width = max(float(np.linalg.norm(outer - inner)), 1e-6)
        gaze[side] = (shape[iris[0]] - (outer + inner) / 2) / width
    return EyeState(eye_openness(shape), gaze)


def normalise_openness(openness: Array, *, resting: Array) -> Array:
    """Map a lid gap to 0 = shut, 1 = the person's eye at rest; more for a stare. All (2,)."""
    span = np.maximum(resting - CLOSED, 0.04)
    linear = (openness - CLOSED) / span
    slope = _LINEAR_FROM / (_LINEAR_FROM - _SHUT_BELOW)
    bent = np.where(linear < _LINEAR_FROM, (linear - _SHUT_BELOW) * slope, linear)
    clipped: Array = np.clip(bent, 0.0, _WIDEST)
    return clipped


def combine_by_visibility(values: Array, *, yaw_rad: float) -> Array:
    """Let the nearer eye speak for both when the head is turned: the far lids are half guessed by the tracker.

    Not for gaze: tracked depth bends with the angle, so the two eyes' gaze vectors differ when both look one way.

    Shapes:
        values: (2, ...), right eye first. returns: the same shape.
    """
    start, end = _PART_YAW_RAD
    trust = float(np.clip((abs(yaw_rad) - start) / (end - start), 0.0, 1.0))
    trust = trust * trust * (3 - 2 * trust)
    # Looking towards +x turns the person's left eye (larger x) away.
    near, far = (0, 1) if yaw_rad > 0 else (1, 0)
    combined = values.copy()
    combined[far] = (1 - trust) * values[far] + trust * values[near]
    return combined


def write_eyes(shape: Array, *, neutral: Array, openness: Array, gaze_change: Array) -> None:
    """Set lids and irises of `shape` in place.

    Lids interpolate between the face's own open and shut position and follow the eye corners that `shape` already
    has; irises move from their neutral place, inside their eye.

    Shapes:
        shape, neutral: (478, 3). openness: (2,), 1 = as in `neutral`. gaze_change: (2, 3), over eye width.
    """
    for side, (corners, upper, lower, iris) in enumerate(EYE_SIDES):
        ends = list(corners)
        moved = shape[ends] - neutral[ends]
        carried = (1 - _ALONG) * moved[0] + _ALONG * moved[1]
        above, below = neutral[list(upper)], neutral[list(lower)]
        gap = above - below
        seam = below + _SEAM * gap
        amount = float(openness[side])
        shut_above, shut_below = seam + 0.5 * _SHUT_GAP * gap, seam - 0.5 * _SHUT_GAP * gap
        shape[list(upper)] = shut_above + amount * (above - shut_above) + carried
        shape[list(lower)] = shut_below + amount * (below - shut_below) + carried
        width = float(np.linalg.norm(neutral[ends[0]] - neutral[ends[1]]))
        rest = (neutral[iris[0]] - neutral[ends].mean(0)) / width
        reached = _keep_inside(rest, rest + gaze_change[side])
        shape[list(iris)] = neutral[list(iris)] + (reached - rest) * width + moved.mean(0)


def _keep_inside(rest: Array, wanted: Array) -> Array:
    """Stop an iris at the reach of its eye; one that rests beyond it may stay there."""
    low, high = np.minimum(-GAZE_REACH, rest), np.maximum(GAZE_REACH, rest)
    kept: Array = np.clip(wanted, low, high)
    return kept
