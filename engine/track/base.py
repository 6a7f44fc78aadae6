# SPDX-License-Identifier: Apache-2.0
"""What every tracker is: driving frame in, the performer's landmarks out. Render thread."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from engine.types import Frame, TrackedMotion

__all__ = ["Tracker"]


@runtime_checkable
class Tracker(Protocol):
    """Finds one performer in every frame.

    Thread: one thread at a time. A lost face is not an error: `track` returns None and looks again next time.
    """

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Return the performer's landmarks, or None while no face is found."""

    def reset(self) -> None:
        """Forget the performer: the next frame is treated as the first (camera or scene changed)."""

    def close(self) -> None:
        """Free the model; safe to call twice."""
