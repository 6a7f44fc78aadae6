# SPDX-License-Identifier: Apache-2.0
"""Clips → training samples: a few frames of a clip as source pictures, another one to be reproduced. Offline.

The source pictures are taken apart into person and backdrop exactly as the running app's warper does it, so that what
is learned on them holds there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import DriverError, NoFaceInDriver
from engine.evaluation.clips import EvalClip, list_clips, load_clip
from engine.evaluation.protocol import Instruments
from engine.warp.layers import end_at_top, separate_person, shared_backdrop
from engine.warp.plates import claim_rims, make_backdrops

__all__ = ["Sample", "TuningClip", "draw_sample", "read_clips"]

log = logging.getLogger(__name__)

_SOURCE_COUNTS = (1, 2, 4)
_FRAMES_A_CLIP = 48  # evenly spread; neighbours at 25 fps teach the same thing twice


@dataclass(frozen=True, slots=True, eq=False)
class TuningClip:
    """A clip and the matte of every frame, (T, R, R) uint8."""

    clip: EvalClip
    mattes: NDArray[np.uint8]


class Sample(NamedTuple):
    """One reconstruction: rgba (1, N, 4, R, R), source_keypoints (1, N, P, 3), keypoints (1, P, 3), backdrop and
    truth (1, 3, R, R); colours and alpha in [-1, 1]."""

    rgba: Tensor
    source_keypoints: Tensor
    keypoints: Tensor
    backdrop: Tensor
    truth: Tensor


def read_clips(
    folder: Path,
    *,
    side_px: int,
    instruments: Instruments,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[TuningClip]:
    """Read, track and matte every usable clip of a folder.

    Raises:
        DriverUnreadable: no video there. NoFaceInDriver: none of the videos can be used.
    """
    paths = list_clips(folder)
    usable, reasons = [], []
    for index, path in enumerate(paths):
        advance(index, len(paths))
        try:
            clip = load_clip(path, tracker=instruments.follower, side_px=side_px, max_frames=_FRAMES_A_CLIP)
        except DriverError as error:
            reasons.append(error)
            continue
        usable.append(TuningClip(clip, np.stack([instruments.matte(rgb) for rgb in clip.frames])))
    if not usable:
        what = f"None of the {len(paths)} clips can be used for tuning; the first one says: {reasons[0].message}"
        raise NoFaceInDriver(what, hint=reasons[0].hint, path=str(folder))
    for reason in reasons:
        log.warning("Clip skipped: %s", reason)
    return usable


def draw_sample(clips: Sequence[TuningClip], rng: np.random.Generator) -> Sample:
    """Draw a clip, its source frames and a driving frame; the same random state draws the same."""
    chosen = clips[int(rng.integers(len(clips)))]
    count = int(rng.choice(_SOURCE_COUNTS))
    *sources, driving = rng.permutation(len(chosen.mattes))[: count + 1].tolist()
    rgb, alpha = chosen.clip.frames[sources], chosen.mattes[sources]
    backdrops = make_backdrops(rgb, alpha)
    alpha = claim_rims(rgb, alpha, backdrops)
    end_at_top(alpha)
    person = separate_person(rgb, alpha, backdrops)
    keypoints = torch.tensor(chosen.clip.keypoints)[None]
    return Sample(
        rgba=_to_planes(np.concatenate([person, alpha[..., None]], -1))[None],
        source_keypoints=keypoints[:, sources],
        keypoints=keypoints[:, driving],
        backdrop=_to_planes(shared_backdrop(backdrops)[None]),
        truth=_to_planes(chosen.clip.frames[[driving]]),
    )


def _to_planes(picture: NDArray[np.uint8]) -> Tensor:
    """(N, R, R, C) uint8 -> (N, C, R, R) float32 in [-1, 1]."""
    return torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
