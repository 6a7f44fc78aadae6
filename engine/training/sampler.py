# SPDX-License-Identifier: Apache-2.0
"""Frames of a pack in memory → batches, everything heavy on the device. Offline.

    clip   N frames are the source pictures, another one is to be reproduced
    still  N + 1 random smooth warps of the person in it, over its own backdrop

Source pictures are taken apart into person and backdrop as the running app does it. In some samples the backdrop is
swapped for a plain one, in sources and truth alike: that is what teaches where the person ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from engine.errors import InvalidSetting
from engine.training.augment import JointChange, SmoothWarp, change_colours, move_jointly
from engine.training.batch import Batch
from engine.training.data import PackSplit
from engine.training.degrade import Degradation, degrade
from engine.training.layers import complete_backdrops, end_at_top, separate_person

__all__ = ["Sampler"]

# Shares of the clip samples with sources far from the driving frame, and near it: sitting still must be learned too.
_FAR_SHARE, _NEAR_SHARE = 0.4, 0.25
_CANDIDATES = 4  # … the farthest or nearest of so many times N
_SWAP_SHARE = 0.3  # of the samples get another backdrop
_JITTER = 0.5 / 128  # half a pixel at 256²: what the tracker wavers by


class _Plan(NamedTuple):
    """rows: (B, N + 1) frame numbers, driving last. still: (B,) whether row 0 is warped into all of them."""

    rows: NDArray[np.int64]
    still: NDArray[np.bool_]


class Sampler:
    """Draws batches from one split.

    Args:
        split: the frames; they are moved to the device once and stay there.
        max_sources: N is drawn from 1 to this many for every batch. sources: draw this N always.
        still_share: share of samples from stills. augment: off for judging: clips only, nothing is changed.
    Raises:
        InvalidSetting: the split holds nothing that can be drawn.
    """

    def __init__(
        self,
        split: PackSplit,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        max_sources: int = 4,
        sources: int | None = None,
        still_share: float = 0.3,
        augment: bool = True,
    ) -> None:
        self._device, self._seed, self._augment = torch.device(device), seed, augment
        self._counts = (sources, sources) if sources else (1, max_sources)
        most = self._counts[1]
        usable = [i for i in split.items if i.kind == "clip" and i.stop - i.start > most]
        self._clips = [np.arange(i.start, i.stop) for i in usable]
        self._odds = _odds([i.group for i in usable], even=not augment)
        self._stills = np.array([i.start for i in split.items if i.kind == "still"], np.int64)
        self._still_share = still_share if len(self._stills) and augment else 0.0
        if not self._clips:
            if not len(self._stills) or not augment:
                raise InvalidSetting(
                    f"The split holds no clip with more than {most} frames: expected at least one.",
                    hint="Build the pack with longer clips, or ask for fewer sources.",
                )
            self._still_share = 1.0
        self._keypoints = split.keypoints
        self._frames = torch.from_numpy(split.frames).to(self._device)
        self._mattes = torch.from_numpy(split.mattes).to(self._device)

    def draw(self, step: int, *, batch: int, rank: int = 0, world: int = 1) -> Batch:
        """Return the samples of one step; see `engine.training.data.BatchSource`.

        Raises:
            InvalidSetting: the batch cannot be shared out equally.
        """
        if batch % world:
            raise InvalidSetting(f"A batch of {batch} cannot be shared by {world} processes.", hint="Use a multiple.")
        rng = np.random.default_rng([self._seed, step])
        plan = self._plan(rng, batch)
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        part = slice(rank * batch // world, (rank + 1) * batch // world)
        return self._make(plan, torch_rng, part, np.random.default_rng([self._seed, step, 1]))

    def _plan(self, rng: np.random.Generator, batch: int) -> _Plan:
        count = int(rng.integers(self._counts[0], self._counts[1] + 1))
        rows, still = np.empty((batch, count + 1), np.int64), np.zeros(batch, bool)
        for i in range(batch):
            if rng.random() < self._still_share:
                rows[i], still[i] = self._stills[rng.integers(len(self._stills))], True
                continue
            clip = self._clips[rng.choice(len(self._clips), p=self._odds)]
            mood = rng.random() if self._augment else 1.0
            if mood < _FAR_SHARE + _NEAR_SHARE:
                some = rng.permutation(clip)[: 1 + _CANDIDATES * count]
                gap = np.square(self._keypoints[some[1:]] - self._keypoints[some[0]]).sum((1, 2))
                order = np.argsort(-gap if mood < _FAR_SHARE else gap)
                rows[i] = [*rng.permutation(some[1:][order[:count]]), some[0]]
            else:
                rows[i] = rng.permutation(clip)[: count + 1]
        return _Plan(rows, still)

    def _make(self, plan: _Plan, rng: Generator, part: slice, swaps: np.random.Generator) -> Batch:
        device, (batch, pictures) = self._device, plan.rows.shape
        # every draw is made for the whole batch, then cut to this process's part
        joint = JointChange.draw(batch, rng)
        warp = SmoothWarp.draw(batch * pictures, rng)
        jitter = torch.randn(batch * pictures, *self._keypoints.shape[1:], generator=rng)[..., :2] * _JITTER
        swap = torch.from_numpy(swaps.random(batch) < _SWAP_SHARE)
        corners = torch.from_numpy(swaps.uniform(-1, 1, (batch, 3, 2, 2)).astype(np.float32))
        damage = Degradation.draw(batch * pictures, rng).of_sources(pictures)
        each = slice(part.start * pictures, part.stop * pictures)
        joint = JointChange(*(x[part].to(device) for x in joint))
        warp = SmoothWarp(*(x[each].to(device) for x in warp))
        rows, still = plan.rows[part], torch.from_numpy(plan.still[part]).to(device)
        b = len(rows)

        flat = torch.from_numpy(rows.reshape(-1)).to(device)
        rgb = self._frames[flat].permute(0, 3, 1, 2).float() / 127.5 - 1
        alpha = self._mattes[flat][:, None].float() / 255
        keypoints = torch.from_numpy(self._keypoints[rows.reshape(-1)]).to(device)
        if self._augment:
            both, keypoints = move_jointly(torch.cat([rgb, alpha], 1), keypoints, joint)
            rgb, alpha = change_colours(both[:, :3], joint), both[:, 3:]
            rgb = degrade(rgb, Degradation(*(x[each] for x in damage)))
        side = rgb.shape[-1]

        def split(x: Tensor) -> Tensor:
            return x.reshape(b, pictures, *x.shape[1:])

        sources = slice(0, pictures - 1)
        shown = split(alpha)[:, sources]
        plates = complete_backdrops(split(rgb)[:, sources], shown)
        backdrop = plates[:, 0]
        drawn = end_at_top(alpha)
        # The driving frame is taken apart as well: where its backdrop is swapped, and where a still is warped.
        all_plates = torch.cat([plates, plates[:, :1]], 1).flatten(0, 1)
        person = separate_person(rgb, drawn, all_plates)
        if self._augment:
            where = still.repeat_interleave(pictures)
            if bool(where.any()):
                moved, points = _warp_some(torch.cat([person, drawn], 1), keypoints, warp, where)
                person, drawn, keypoints = moved[:, :3], moved[:, 3:], points
            scene = torch.nn.functional.interpolate(corners[part].to(device), size=side, mode="bilinear")
            other = swap[part].to(device)
            backdrop = torch.where(other[:, None, None, None], scene, backdrop)
            behind = backdrop.repeat_interleave(pictures, 0)
            remade = drawn * person + (1 - drawn) * behind
            changed = (where | other.repeat_interleave(pictures))[:, None, None, None]
            rgb = torch.where(changed, remade, rgb)
            keypoints = torch.cat([keypoints[..., :2] + jitter[each].to(device), keypoints[..., 2:]], -1)
        rgba = torch.cat([person, drawn * 2 - 1], 1)
        rgb, rgba, keypoints = split(rgb), split(rgba), split(keypoints)
        return Batch(
            rgb=rgb[:, sources].contiguous(),
            rgba=rgba[:, sources].contiguous(),
            source_keypoints=keypoints[:, sources],
            truth=rgb[:, -1].contiguous(),
            keypoints=keypoints[:, -1],
            backdrop=backdrop,
        )


def _odds(groups: list[str], *, even: bool) -> NDArray[np.float64]:
    """How likely each clip is drawn: a group's share goes with the root of its size, or a small one is never seen."""
    count = {group: groups.count(group) for group in groups}
    weight = np.array([1.0 if even else count[group] ** -0.5 for group in groups])
    return weight / max(float(weight.sum()), 1e-9)


def _warp_some(pictures: Tensor, keypoints: Tensor, warp: SmoothWarp, where: Tensor) -> tuple[Tensor, Tensor]:
    chosen = where.nonzero()[:, 0]
    moved, points = SmoothWarp(*(x[chosen] for x in warp)).apply(pictures[chosen], keypoints[chosen])
    return pictures.index_copy(0, chosen, moved), keypoints.index_copy(0, chosen, points)
