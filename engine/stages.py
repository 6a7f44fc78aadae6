# SPDX-License-Identifier: Apache-2.0
"""What the renderer needs of the stages it joins, as protocols; the stages themselves are in packages of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.config import MotionSettings
from engine.errors import PuppeteerError
from engine.track.base import Tracker
from engine.track.calibration import Neutral
from engine.types import Frame, Query, SourceSet, TrackedMotion, WarpedPortrait

__all__ = ["Monitor", "MotionRetargeter", "PortraitWarper", "PreparedCharacter", "PreparedSet", "Spares"]

Monitor = Callable[[Frame, "TrackedMotion | None", "Neutral | None"], None]
"""Told of every driving frame, what was found on it, and the neutral pose; for the performer's own eyes only."""


class MotionRetargeter(Protocol):
    """What the renderer needs of `engine.track.retarget.Retargeter`."""

    settings: MotionSettings
    neutral: Neutral | None

    def set_character(
        self, character: NDArray[np.floating[Any]], *, coverage: NDArray[np.floating[Any]] | None = None
    ) -> None:
        """Switch to another character."""

    def retarget(self, motion: TrackedMotion) -> Query:
        """Return the character's keypoints for one tracked frame."""

    def reset(self) -> None:
        """Forget the past frames."""


class PreparedSet(Protocol):
    """What the renderer needs to know of a set that a warper has prepared."""

    @property
    def shown(self) -> int:
        """Of how many of the set's pictures, its first, the device holds what it needs."""
        ...

    @property
    def warning(self) -> PuppeteerError | None:
        """What is to be said about it with its first frame."""
        ...


class PortraitWarper(Protocol):
    """What the renderer needs of a warper; one that is a `NeedsPortrait` too gets the driving portrait with a query."""

    @property
    def side_px(self) -> int:
        """Side R of the portraits."""

    @property
    def description(self) -> str:
        """Model and back-end in one line."""

    def prepare(self, source_set: SourceSet) -> PreparedSet:
        """Encode a set without using it yet; on any thread."""

    def use(self, prepared: Any) -> None:
        """Switch to a prepared set."""

    def warp(self, query: Query) -> WarpedPortrait:
        """Render the character in the query's pose."""

    def reset(self) -> None:
        """Forget temporal state."""

    def close(self) -> None:
        """Free the model."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCharacter:
    """A source set ready to be switched to between two frames. warper: whose cache it is, of no use to another."""

    source_set: SourceSet
    warper_side: PreparedSet
    warper: PortraitWarper | None = None


@dataclass(frozen=True, slots=True)
class Spares:
    """How to make a stage anew when it has broken; None where it cannot be replaced."""

    tracker: Callable[[], Tracker] | None = None
    warper: Callable[[], PortraitWarper] | None = None
