# SPDX-License-Identifier: Apache-2.0
"""What happened between two lines of the log, summed up."""

from __future__ import annotations

from collections import defaultdict

from engine.training.train.learner import Step

__all__ = ["Tally"]


class Tally:
    """Collects steps until they are told.

    Args:
        since_s: when it was opened, on the clock of the run.
    """

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.samples = 0
        self._draw_s = 0.0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, step: Step, *, samples: int, draw_s: float) -> None:
        """Add a step; one that was skipped counts as time and samples only."""
        self.samples += samples
        self._draw_s += draw_s
        if step.taken:
            for name, value in {**step.losses, "gradient": step.gradient}.items():
                self._sums[name] += value
                self._counts[name] += 1

    def tell(self, now_s: float) -> dict[str, object]:
        """Return images per second, share of the time in which batches were drawn, and the means over the steps."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        gradient = means.pop("gradient", None)
        spent_s = max(now_s - self.since_s, 1e-9)
        return {
            "images_per_s": self.samples / spent_s,
            "draw_share": self._draw_s / spent_s,
            "losses": means,
            "gradient": gradient,
        }
