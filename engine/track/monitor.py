# SPDX-License-Identifier: Apache-2.0
"""A small picture of the performer with what the tracker found, for the performer's own eyes; render thread → window.

Off unless somebody sets it as `Renderer.monitor`. What it holds is a `MonitorView`, which no sink accepts, at a size
that serves to sit right before the camera and no more. The newest view replaces an unread one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.cv import shrink
from engine.errors import Closed
from engine.slots import LatestSlot
from engine.track.calibration import Neutral
from engine.types import Frame, MonitorView, TrackedMotion

__all__ = ["TrackingMonitor"]

_WIDTH_PX = 320


class TrackingMonitor:
    """What `Renderer.monitor` calls.

    Thread: `__call__` on the render thread, `take` on any other; `doorbell` must return at once.
    """

    def __init__(self, doorbell: Callable[[], None], *, width_px: int = _WIDTH_PX) -> None:
        self._slot: LatestSlot[MonitorView] = LatestSlot()
        self._doorbell, self._width_px = doorbell, width_px

    def __call__(self, frame: Frame, motion: TrackedMotion | None, neutral: Neutral | None) -> None:
        """Keep a small copy of this moment and ring."""
        small = shrink(frame.rgb, width_px=self._width_px)
        scale = np.float32(small.shape[1] / frame.rgb.shape[1])
        seen = motion is not None and motion.quality > 0
        view = MonitorView(
            small,
            motion.landmarks_px[:, :2] * scale if motion is not None and seen else None,
            neutral.landmarks_px[:, :2] * scale if neutral is not None else None,
        )
        self._slot.put(view)
        self._doorbell()

    def take(self) -> MonitorView | None:
        """Return the newest view, or None if there is none newer than the last one taken."""
        try:
            return self._slot.get(timeout_s=0)
        except Closed:
            return None
