# SPDX-License-Identifier: Apache-2.0
"""What every runner on a GPU has to hold: checks for a real GPU (`tests/gpu`) and for CUDA in host memory alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.build.parity import psnr_of
from engine.runtime.base import EncodedSourceSet, FrameInputs, StartsFrames, WarpRunner
from tests.helpers.source_faces import make_keypoints

__all__ = ["CountedApi", "check_parity", "check_recorded_is_queued", "check_soak", "frame", "source_set"]

_TURNS = (0, 1, 1, 0, 1)  # sets take turns: each is drawn from its own graph


class CountedApi:
    """`cuda.bindings.runtime`, with a count of its calls. calls: by function."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if not name.startswith("cuda") or isinstance(found, (type, int)):
            return found

        def call(*arguments: Any) -> Any:
            self.calls[name] += 1
            return found(*arguments)

        return call


def source_set(count: int, *, side_px: int = 256, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (count, 4, side, side) in [-1, 1] and their keypoints."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(-1, 1, (count, 4, 8, 8)).astype(np.float32)
    rgba = small.repeat(side_px // 8, 2).repeat(side_px // 8, 3)
    return rgba, np.stack([make_keypoints(yaw=0.1 * i) for i in range(count)]).astype(np.float32)


def frame(yaw: float, picks: int) -> FrameInputs:
    """Return the inputs of a frame that looks at one or two pictures."""
    shares = np.log(np.array([0.7, 0.3][:picks], np.float32))
    return FrameInputs(make_keypoints(yaw=yaw).astype(np.float32), np.arange(picks)[::-1].copy(), shares, shares)


def _encode(runner: WarpRunner, counts: Sequence[int]) -> list[EncodedSourceSet]:
    side_px = runner.manifest.side_px
    return [runner.encode(*source_set(count, side_px=side_px, seed=count)) for count in counts]


def check_parity(runner: WarpRunner, reference: WarpRunner, *, least_db: float, counts: Sequence[int] = (1, 3)) -> None:
    """Sets of several sizes, drawn in turns, look as the reference draws them."""
    ours, theirs = _encode(runner, counts), _encode(reference, counts)
    for step in range(5):
        which = _TURNS[step] if len(counts) == 2 else step % len(counts)
        inputs = frame(0.05 * step, min(2, counts[which]))
        found = runner.animate(ours[which], inputs).copy()
        psnr_db = psnr_of(found, reference.animate(theirs[which], inputs))
        assert psnr_db >= least_db, f"N={counts[which]}, frame {step}: {psnr_db:.1f} dB"


def check_recorded_is_queued(recorded: WarpRunner, queued: WarpRunner) -> None:
    """A frame from a graph is, to the bit, the frame whose work is queued call by call."""
    ours, theirs = _encode(recorded, (2, 3)), _encode(queued, (2, 3))
    for step, which in enumerate(_TURNS):
        inputs = frame(0.05 * step, 2)
        found = recorded.animate(ours[which], inputs).copy()
        np.testing.assert_array_equal(found, queued.animate(theirs[which], inputs))
        if isinstance(recorded, StartsFrames):
            recorded.start(ours[which], inputs)
            np.testing.assert_array_equal(found, recorded.wait())


def check_soak(runner: WarpRunner, *, frames: int, held: Callable[[], Any], warm_up: int = 3) -> None:
    """Frame after frame, two sets in turns, and at the end as much memory is held as at the beginning.

    Args:
        held: what is held now, in any unit; asked after the warm-up and at the end.
    """
    sets = _encode(runner, (2, 3))
    for step in range(2 * warm_up):
        runner.animate(sets[step % 2], frame(0.0, 2))
    before = held()
    inputs = [frame(0.3 * np.sin(step), 2) for step in range(16)]
    for step in range(frames):
        picture = runner.animate(sets[(step // 8) % 2], inputs[step % 16])
    assert np.isfinite(picture).all()
    assert held() == before
