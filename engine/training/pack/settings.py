# SPDX-License-Identifier: Apache-2.0
"""What goes into a pack, as numbers, and the random numbers of each item. Pure values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidSetting

__all__ = ["PackSettings", "item_rng", "rank_of"]

_RECIPE = 1  # goes up when the same settings make other items


@dataclass(frozen=True, slots=True)
class PackSettings:
    """Size and length of a pack. Counts only add or drop items; all else changes the items themselves.

    clips_per_avatar, dev_clips_per_avatar: rendered clips. stills, dev_stills: at most so many, spread over the groups.
    max_frames: longer clips are thinned out to this.
    """

    seed: int = 1
    side_px: int = 256
    fps: int = 25
    seconds: float = 2.0
    clips_per_avatar: int = 8
    dev_clips_per_avatar: int = 3
    stills: int = 1100
    dev_stills: int = 200
    max_frames: int = 160

    def __post_init__(self) -> None:
        if self.side_px < 64 or self.side_px % 2 or not 1 <= self.fps <= 120 or not 0.4 <= self.seconds <= 60:
            raise InvalidSetting(
                "A pack needs an even side of at least 64 px, 1 to 120 frames per second and clips of 0.4 to 60 s; "
                f"got {self.side_px} px, {self.fps} per second, {self.seconds:g} s.",
            )
        if min(self.clips_per_avatar, self.dev_clips_per_avatar, self.stills, self.dev_stills, self.seed) < 0:
            raise InvalidSetting("Counts and the seed of a pack must not be negative.")

    @property
    def frames(self) -> int:
        """Frames of a rendered clip."""
        return round(self.seconds * self.fps)

    def fingerprint(self) -> str:
        """Return a text that is equal where an item comes out equal, whatever the counts."""
        parts = (_RECIPE, self.seed, self.side_px, self.fps, self.frames, self.max_frames)
        return "-".join(str(part) for part in parts)

    def clips_in(self, split: str) -> int:
        """Rendered clips of an avatar of a split."""
        return self.clips_per_avatar if split == "train" else self.dev_clips_per_avatar

    def stills_in(self, split: str) -> int:
        """Stills of a split, at most."""
        return self.stills if split == "train" else self.dev_stills


def item_rng(seed: int, *names: str) -> np.random.Generator:
    """Return the random numbers of one thing: they depend on the seed and its names, not on what came before."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], "<u4").tolist()])


def rank_of(seed: int, *names: str) -> bytes:
    """Return a key that puts names in a random order in which a longer selection contains every shorter one."""
    return hashlib.sha256(f"{seed}:{'/'.join(names)}".encode()).digest()
