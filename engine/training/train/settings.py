# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run that are not the model's; checked once, then read-only."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidSetting
from engine.training.train.schedule import Budget

__all__ = ["TrainSettings"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    batch: samples a step, of all processes together. rate: AdamW's learning rate at its highest. gan_from: share of the
    run from which the adversary plays; 1 keeps it out. eval_minutes, checkpoint_minutes: time between two. log_s:
    seconds between two lines of the log. dev_samples: judged per number of sources. rival_width: channels of the
    adversary's first layer.

    Raises:
        InvalidSetting: a number outside what it allows.
    """

    budget: Budget
    batch: int = 8
    seed: int = 0
    rate: float = 4e-4
    gan_from: float = 1.0
    eval_minutes: float = 10.0
    checkpoint_minutes: float = 5.0
    log_s: float = 10.0
    dev_samples: int = 32
    rival_width: int = 48

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("batch", self.batch >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**63, "from 0 to 2^63 - 1"),
            ("rate", 0 < self.rate <= 1, "above 0, at most 1"),
            ("gan-from", 0 <= self.gan_from <= 1, "from 0 to 1"),
            ("eval-minutes", self.eval_minutes > 0, "above 0"),
            ("checkpoint-minutes", self.checkpoint_minutes > 0, "above 0"),
        ):
            if not good:
                value = getattr(self, name.replace("-", "_"))
                raise InvalidSetting(f"--{name} must be {allowed}, got {value}.", name=name, value=value)
