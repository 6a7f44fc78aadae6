# SPDX-License-Identifier: Apache-2.0
"""How many pictures an engine takes: N as one range or in buckets, K picked ones fixed.

A range is one optimisation profile; it is the default, because a runner need not know of it. A bucket is a profile of
its own, tuned to its largest N; together they cover every N from 1 to MAX_SOURCES, so that no set is padded, and the
runner has to choose one (`set_optimization_profile_async`). With TensorRT for RTX five buckets made the file 4.3 times
as large (8.6 -> 37.0 MB for `lite`, 2026-11) and the build 3.5 times as long; which of the two is faster on a GPU has
not been measured yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.runtime.base import PICKED
from engine.types import MAX_SOURCES

__all__ = ["BUCKETS", "PROFILES", "RANGE", "ProfilePlan", "add_profiles"]

_PICKED_INPUTS = ("pick", "log_stage", "log_face")


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """Ranges of N, (least, tuned for, most) each; they join without a gap."""

    ranges: tuple[tuple[int, int, int], ...]

    @property
    def name(self) -> str:
        """For file names: least, tuned-for and most N of one range, or the most of every bucket."""
        counts = self.ranges[0] if len(self.ranges) == 1 else [most for _, _, most in self.ranges]
        return f"n{'-'.join(str(count) for count in counts)}k{PICKED}"


RANGE = ProfilePlan(((1, 4, MAX_SOURCES),))
BUCKETS = ProfilePlan(((1, 1, 1), (2, 2, 2), (3, 4, 4), (5, 8, 8), (9, MAX_SOURCES, MAX_SOURCES)))
PROFILES = {"range": RANGE, "buckets": BUCKETS}


def add_profiles(builder: Any, network: Any, config: Any, plan: ProfilePlan) -> None:
    """Give the builder's configuration one profile for each range of the plan; none where all shapes are fixed."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    open_inputs = [(tensor.name, tuple(tensor.shape)) for tensor in inputs if -1 in tuple(tensor.shape)]
    for counts in plan.ranges if open_inputs else ():
        profile = builder.create_optimization_profile()
        for name, shape in open_inputs:
            chosen = (PICKED,) * 3 if name in _PICKED_INPUTS else counts
            profile.set_shape(name, *(tuple(count if x == -1 else x for x in shape) for count in chosen))
        config.add_optimization_profile(profile)
