# SPDX-License-Identifier: Apache-2.0
"""From a model's name to the warper that fits its kind."""

from __future__ import annotations

from engine.runtime.manifest import load_manifest
from engine.runtime.select import open_chosen_runner, open_learned_runner
from engine.warp.learned_warper import LearnedWarper
from engine.warp.warper import Warper

__all__ = ["open_warper"]


def open_warper(*, backend: str = "auto", model: str = "lite") -> Warper | LearnedWarper:
    """Load a model on a back-end; see `engine.runtime.select.open_runner` for names and errors.

    The warper's `backend` is the one that auto has chosen: made anew, a model must not end up elsewhere unsaid.
    """
    manifest = load_manifest(model)
    if manifest.learned:
        learned, reason = open_learned_runner(manifest, backend=backend)
        return LearnedWarper(learned, reason=reason, backend="openvino" if backend == "auto" else backend)
    runner, reason, chosen = open_chosen_runner(backend, model=model)
    return Warper(runner, reason=reason, backend=chosen)
