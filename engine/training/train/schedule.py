# SPDX-License-Identifier: Apache-2.0
"""How long to train, and the learning rate along the way: pure arithmetic, asked by the loop before every step.

A run is boxed by time or by a number of steps. The rate warms up, then falls along a cosine with the share of the box
that is used up, so that a run on a slow machine ends as well-cooled as one on a fast machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.errors import InvalidSetting

__all__ = ["Budget", "rate_factor"]

# Adam's second moments are wild at first. In a short run so many steps would be all of it: there the share decides.
_WARM_STEPS, _WARM_SHARE = 200, 0.03
_FLOOR = 0.01  # of the rate, kept to the end


@dataclass(frozen=True, slots=True)
class Budget:
    """The length of a run: minutes, or a number of steps; exactly one of them is given.

    Raises:
        InvalidSetting: both, neither, or not above 0.
    """

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InvalidSetting("A run is as long as --minutes or --steps says: expected exactly one of them.")
        name, value = ("steps", self.steps) if self.minutes is None else ("minutes", self.minutes)
        if value is None or not 0 < value < math.inf:
            raise InvalidSetting(f"--{name} must be above 0, got {value}.", name=name, value=value)

    def share(self, step: int, elapsed_s: float) -> float:
        """Return how much of it is used up after `step` steps; 1 and more is the end."""
        return step / self.steps if self.steps is not None else elapsed_s / (60.0 * (self.minutes or 1.0))

    def bar(self, step: int, elapsed_s: float) -> tuple[int, int]:
        """Return (done, total) for a progress bar, in `unit`."""
        if self.steps is not None:
            return step, self.steps
        total = max(1, round(60.0 * (self.minutes or 1.0)))
        return min(total, round(elapsed_s)), total

    @property
    def unit(self) -> str:
        """What `bar` counts."""
        return "seconds" if self.steps is None else "steps"


def rate_factor(step: int, share: float) -> float:
    """Return what the learning rate is multiplied with at a step (from 0) and share of the run; in (0, 1]."""
    warm = min(1.0, max((step + 1) / _WARM_STEPS, share / _WARM_SHARE))
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, share)))
    return warm * (_FLOOR + (1 - _FLOOR) * cosine)
