# SPDX-License-Identifier: Apache-2.0
"""Notices that the performer sits otherwise than when the neutral pose was taken. Render thread.

People move while they talk, so one frame says nothing; where the head is *most of the time* does. The median over a
minute is compared with the neutral pose: turned for good, or much nearer or farther, and every motion is measured from
the wrong place.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S
from engine.geometry import angles_from_rotation
from engine.track.calibration import Neutral
from engine.track.head import take_apart
from engine.types import TrackedMotion

__all__ = ["DriftWatch"]

_EVERY_NS = NS_PER_S // 2  # taking a face apart costs half a millisecond; twice a second is plenty
_WINDOW = 120  # looks: a minute
_TURNED_RAD = np.radians(12.0)  # half of what calibration itself refuses
_LOG_SCALE = np.log(1.35)  # a third nearer or farther


class DriftWatch:
    """Say `True` once, when the median pose of the last minute is far from the neutral one.

    State: starts anew with another neutral pose; after it has spoken it is silent until then.
    """

    def __init__(self, *, window: int = _WINDOW) -> None:
        self._looks: deque[NDArray[np.float64]] = deque(maxlen=window)
        self._neutral: Neutral | None = None
        self._next_ns = 0
        self._spoken = False

    def look(self, motion: TrackedMotion, neutral: Neutral | None) -> bool:
        """Take one frame into account; return whether it is time to calibrate again."""
        if neutral is not self._neutral:
            self._neutral, self._spoken = neutral, False
            self._looks.clear()
        if neutral is None or self._spoken or motion.captured_ns < self._next_ns:
            return False
        self._next_ns = motion.captured_ns + _EVERY_NS
        self._looks.append(_pose_of(motion.landmarks_px))
        if len(self._looks) < (self._looks.maxlen or 0):
            return False
        yaw, pitch, roll, log_scale = np.abs(np.median(self._looks, axis=0) - _pose_of(neutral.landmarks_px))
        self._spoken = bool(max(yaw, pitch, roll) > _TURNED_RAD or log_scale > _LOG_SCALE)
        return self._spoken


def _pose_of(landmarks_px: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return yaw, pitch, roll [rad] and log scale."""
    pose, _ = take_apart(landmarks_px)
    return np.array([*angles_from_rotation(pose.rotation), np.log(pose.scale)])
