# SPDX-License-Identifier: Apache-2.0
"""The four trainable models as tasks: what each learns from a batch. Offline.

implicit_warp.py   landmarks and a geometric start (the shipped model)
learned.py         learned keypoints: the paper's implicit warping, FOMM, fv2v
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import InvalidSetting
from engine.training.task import Task

__all__ = ["TASKS", "make_task"]

TASKS = ("implicit_warp", "implicit_warp_paper", "fomm", "fv2v")


def make_task(model: str, *, size: str = "", options: Mapping[str, object] | None = None) -> Task:
    """Make a model with its losses, untrained.

    Args:
        model: one of `TASKS`. size: a named size of that model, its default if empty.
        options: fields of the model's config that differ from that size, for ablations.
    Raises:
        InvalidSetting: no such model, size or option.
    """
    if model == "implicit_warp":
        from engine.training.tasks.implicit_warp import ImplicitWarpTask

        return ImplicitWarpTask.make(size or "lite", options or {})
    if model in TASKS:
        from engine.training.tasks.learned import LearnedTask

        return LearnedTask.make(model, size, options or {})
    raise InvalidSetting(f"There is no model '{model}' to train.", hint=f"Choose one of: {', '.join(TASKS)}.")
