# SPDX-License-Identifier: Apache-2.0
"""Lids of drawn characters: they slide over the open eye instead of bending it. Render thread, numpy and OpenCV.

A drawn eye fills a quarter of the face and has hard outlines, so a warp cannot shut it: fringe and brows are squeezed
into the lid, lashes double, and half-way pictures show both eyes at once. Cut-out animation does it otherwise, and so
does this. The frame is drawn with its eyes open. While an eye shuts, the same frame is drawn once more by the picture
with shut eyes; there the lash line is pushed up to where the lid is, and what lies above it is laid over the open eye:
a lid that comes down. Each eye has a lid of its own, so a wink needs no picture of a wink. Where no picture shows shut
eyes, `engine.warp.drawn_shut` draws one from each picture.

Both frames are drawn with the lids of the face at rest: where upper and lower lid meet, the map to rest space folds,
and the picture with shut eyes was bent even in its own pose.

Only sets whose landmarks were placed by hand (`SourceSet.drawn`) are treated so; photographs and rendered characters,
whose lids the warp moves well, are not touched. While a lid is down a frame costs one more animation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.cv import cv2
from engine.geometry import Similarity, fit_similarity
from engine.headpose import describe_head, eye_openness
from engine.landmarks import EYE_SIDES, RIGID

__all__ = ["DrawnLids", "LidPatch", "LidReach", "LidView", "open_lids", "shut_pictures"]

Float = NDArray[np.float64]

_SHUT_BELOW = 0.45  # openness over the reference's, below which a picture shows a shut eye
_BENT_TO = 0.9  # the open eye's own lid is bent so far and no farther, or fringe and brows follow it visibly
_UPPER_SHARE = 0.7  # of what an eye is narrowed by, what its upper lid moves
# Where the sliding lid takes over, at once: mixed, two lashes would be seen. With one bound, a lid held there flickers.
_DOWN_BELOW, _UP_ABOVE = 0.70, 0.78
_ALL_SHUT = 0.28  # lid position of the performer at which the drawn one is down: it rarely reads as 0
_SHUT_GAP = 0.06  # share of the open gap that stays when a query's eye is shut
_ALONG = (np.arange(7, dtype=np.float64)[:, None] + 1) / 8  # of lid points, from outer to inner corner
_LASH, _RIGID_LASH = 0.10, 0.16  # of a lash line, over the eye's width: what is seen below it, and moved whole above it
_SOFT = 0.05  # width of the mask's edge over the eye's width


@dataclass(frozen=True, slots=True)
class LidReach:
    """What a lid may cover beside the corners, above the open lid and below the lower one, over the eye's width."""

    beside: float = 0.28
    above: float = 0.22
    below: float = 0.24


@dataclass(frozen=True, slots=True, eq=False)
class LidPatch:
    """One lid. spot: rows and columns of the portrait, (h, w). places: (h, w, 2) float32, where in the shut frame each
    pixel comes from. cover: (h, w) float32 in [0, 1], how much of it is seen."""

    spot: tuple[slice, slice]
    places: NDArray[np.float32]
    cover: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LidView:
    """The lids of one frame. index: the shut picture."""

    index: int
    patches: tuple[LidPatch, ...]

    def lay_over(self, under: NDArray[np.uint8], over: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the open frame with the lids of the shut one, (R, R, 4) each."""
        mixed = under.copy()
        for patch in self.patches:
            x, y = np.ascontiguousarray(patch.places[..., 0]), np.ascontiguousarray(patch.places[..., 1])
            lid = cv2.remap(over, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            below = mixed[patch.spot].astype(np.float32)
            mixed[patch.spot] = np.rint(below + patch.cover[..., None] * (lid - below))
        return mixed

    def credit(self, shares: NDArray[np.float32], source: int) -> None:
        """Give a source what the lids cover, in place; shares: (R, R, N), see `engine.warp.heat`."""
        for patch in self.patches:
            shares[patch.spot] *= 1.0 - patch.cover[..., None]
            shares[patch.spot][..., source] += patch.cover


def shut_pictures(keypoints: Sequence[NDArray[np.float32]]) -> list[int]:
    """Return which pictures of a set show both eyes shut, (478, 3) keypoints each; the first is the reference."""
    rest = eye_openness(keypoints[0])
    return [i for i, points in enumerate(keypoints) if i and (eye_openness(points) < _SHUT_BELOW * rest).all()]


def open_lids(keypoints: NDArray[np.float32], *, reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return keypoints (478, 3) with the lids of the face at rest, irises in their middle."""
    head = _fit_head(keypoints)
    shape, own = head.undo(keypoints), _fit_head(reference).undo(reference)
    for side, (_, _, _, iris) in enumerate(EYE_SIDES):
        _open_side(shape, own, side)
        shape[list(iris)] = own[list(iris)] + _carried(shape, own, side)[0].mean(0)
    return np.asarray(head.apply(shape), np.float32)


class DrawnLids:
    """Takes the lids out of queries for one drawn set and puts them over its open eyes.

    Args:
        reference: keypoints of the picture with the face at rest, whose shape the queries have.
        shut: keypoints of the pictures with shut eyes, at least one.
        stages: keypoints of all pictures of the set, of which one draws the stage.
        reach: how far around the eye the shut pictures differ from the open ones.

    State: which lids are down; `reset` forgets it.
    """

    def __init__(
        self,
        reference: NDArray[np.float32],
        shut: Sequence[NDArray[np.float32]],
        stages: Sequence[NDArray[np.float32]],
        *,
        side_px: int,
        reach: LidReach | None = None,
    ) -> None:
        self._side_px, self._reach = side_px, reach or LidReach()
        self._own = _fit_head(reference).undo(reference)
        self._rest = np.maximum(eye_openness(reference), 1e-3)
        self._shut = [_fit_head(points).undo(points) for points in shut]
        # The shut picture goes with the one that draws hair and shoulders: seen from another side, locks lie elsewhere.
        poses = np.stack([describe_head(points).pose for points in shut])
        self._shut_of = [int(((poses - describe_head(k).pose) ** 2).sum(1).argmin()) for k in stages]
        self.reset()

    def reset(self) -> None:
        """Forget which lids are down."""
        self._down, self._lid = np.zeros(2, np.bool_), np.ones(2)

    def raise_lids(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a query's keypoints with its lids as far open as the set's pictures can be warped to.

        Shapes:
            keypoints: (478, 3) float32, portrait space. returns: the same.
        """
        share = eye_openness(keypoints) / self._rest
        lid = (share - _SHUT_GAP) / (1.0 - _SHUT_GAP)  # 0 shut, 1 as at rest
        down = lid < np.where(self._down, _UP_ABOVE, _DOWN_BELOW)
        self._down = lid < _UP_ABOVE if down.any() else down  # two lids that are about as low go down together
        self._lid = np.clip((lid - _ALL_SHUT) / (1.0 - _ALL_SHUT), 0.0, 1.0)
        if (lid >= _BENT_TO).all():
            return keypoints
        head = _fit_head(keypoints)
        shape = head.undo(keypoints)
        for side in np.flatnonzero(lid < _BENT_TO):
            _open_side(shape, self._own, int(side), 1.0 if self._down[side] else _BENT_TO)
        return np.asarray(head.apply(shape), np.float32)

    def view(self, keypoints: NDArray[np.float32], *, stage: int) -> LidView | None:
        """Return the lids of the query that `raise_lids` has just raised; None where no lid is down.

        Args:
            keypoints: what it returned. stage: the picture that draws hair and shoulders.
        """
        if not self._down.any():
            return None
        head, index = _fit_head(keypoints), self._shut_of[stage]
        shape = head.undo(keypoints)
        sides = [int(side) for side in np.flatnonzero(self._down)]
        patches = [self._patch(shape, head, self._shut[index], side, float(self._lid[side])) for side in sides]
        return LidView(index, tuple(patch for patch in patches if patch is not None))

    def _patch(self, shape: Float, head: Similarity, shut: Float, side: int, lid: float) -> LidPatch | None:
        """Return one lid at a position, 0 shut and 1 open; None where the eye lies outside the portrait."""
        reach, (corners, upper, lower, _) = self._reach, EYE_SIDES[side]
        moved, carried = _carried(shape, self._own, side)
        outer, inner = self._px(head, shape[list(corners)])
        width = max(float(np.linalg.norm(inner - outer)), 1.0)
        axis = (inner - outer) / width
        down = np.array([-axis[1], axis[0]]) * np.sign(inner[0] - outer[0] or 1.0)

        def local(points: Float) -> Float:
            return np.asarray((self._px(head, points) - outer) @ np.stack([axis, down], 1) / width)

        # Lash line from the outer to the inner corner, when shut and when open; both are functions of u.
        ends = shut[list(corners)] + moved
        closed = local(np.concatenate([ends[:1], shut[list(upper)] + carried, ends[1:]]))
        opened = local(shape[[corners[0], *upper, corners[1]]])
        high = float(opened[:, 1].min()) - reach.above
        low = max(float(local(shape[list(lower)])[:, 1].max()), float(closed[:, 1].max())) + reach.below

        spot, u, v = self._around(outer, axis * width, down * width, (-reach.beside, 1 + reach.beside), (high, low))
        if not u.size:
            return None
        shut_v, open_v = (np.interp(u, *row[np.argsort(row[:, 0])].T) for row in (closed, opened))
        lash = shut_v + lid * np.minimum(open_v - shut_v, 0.0)
        # What lies under the lash line moves with it; the skin above is pressed together, ever less towards the brow.
        ease = np.clip((v - high) / np.maximum(lash - _RIGID_LASH - high, 1e-3), 0.0, 1.0) ** 2
        source_v = v + (shut_v - lash) * ease
        middle, tall = (high + low) / 2, (low - high) / 2
        egg = 1.0 - (np.abs((u - 0.5) / (0.5 + reach.beside)) ** 2.5 + np.abs((v - middle) / tall) ** 2.5) ** 0.4
        edge = lash + _LASH if lid > 0 else low + 1.0
        cover = np.clip(egg * tall / _SOFT, 0.0, 1.0) * np.clip((edge - v) / (_SOFT / 2) + 0.5, 0.0, 1.0)
        places = outer + width * (u[..., None] * axis + source_v[..., None] * down)
        return LidPatch(spot, places.astype(np.float32), cover.astype(np.float32))

    def _around(
        self, origin: Float, right: Float, down: Float, reach_u: tuple[float, float], reach_v: tuple[float, float]
    ) -> tuple[tuple[slice, slice], Float, Float]:
        """Return the rows and columns that hold a box, and the place of each pixel along its two axes."""
        spots = np.array([origin + u * right + v * down for u in reach_u for v in reach_v])
        start = np.clip(np.floor(spots.min(0)), 0, self._side_px).astype(int)
        stop = np.clip(np.ceil(spots.max(0)) + 1, 0, self._side_px).astype(int)
        ys, xs = np.mgrid[start[1] : stop[1], start[0] : stop[0]]
        off = np.stack([xs, ys], -1) - origin
        u, v = off @ right / (right @ right), off @ down / (down @ down)
        return (slice(int(start[1]), int(stop[1])), slice(int(start[0]), int(stop[0]))), u, v

    def _px(self, head: Similarity, shape: Float) -> Float:
        """Return where points of a shape (P, 3) lie, in pixels of the portrait, (P, 2)."""
        return np.asarray((head.apply(shape)[:, :2] + 1.0) / 2.0 * self._side_px - 0.5)


def _open_side(shape: Float, own: Float, side: int, lid: float = 1.0) -> None:
    """Put one eye's lids at a position, 1 as at rest, in place."""
    upper, lower = (list(row) for row in EYE_SIDES[side][1:3])
    carried = _carried(shape, own, side)[1]
    narrowed = (1.0 - lid) * (own[lower] - own[upper])
    shape[upper] = own[upper] + _UPPER_SHARE * narrowed + carried
    shape[lower] = own[lower] - (1.0 - _UPPER_SHARE) * narrowed + carried


def _carried(shape: Float, own: Float, side: int) -> tuple[Float, Float]:
    """Return by how much the corners have moved from the face at rest, (2, 3), and lid points with them, (7, 3)."""
    ends = list(EYE_SIDES[side][0])
    moved = shape[ends] - own[ends]
    return moved, (1 - _ALONG) * moved[0] + _ALONG * moved[1]


def _fit_head(keypoints: NDArray[np.float32]) -> Similarity:
    rigid = list(RIGID)
    return fit_similarity(load_canonical_face()[rigid], keypoints[rigid])
