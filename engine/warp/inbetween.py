# SPDX-License-Identifier: Apache-2.0
"""Two pictures warped into one pose → one picture without double contours. Pure, any thread; offline work.

The landmark warp brings both pictures into the pose between them, so faces lie on each other; hair and shoulders,
which have no landmarks, only nearly do. Three steps make one picture of the two:

1. *Align*: dense optical flow between the two warped pictures is split between them by time, so that both meet where
   the moment lies, as in frame interpolation (`engine.warp.flow`).
2. *Share*: where the two agree they are averaged by time. Where they do not (what a turned head hides or shows) each
   gives the side of the head that it sees better, and the seam between the sides travels across the head with time.
   On the face itself, which the landmarks hold together, time alone decides, but an open mouth or eye speaks louder
   than a shut one: it can be closed by warping, the other cannot be opened.
3. *Outline*: the silhouette is the interpolation of both silhouettes' signed distances (Turk and O'Brien 1999, "Shape
   transformation using variational implicit functions", in its simplest form): averaged alphas would be a halo.

Beside the face the warp only guesses, while two pictures of one scene show what went where: still shoulders lie where
they lay, and a strand of hair is found again. So the pictures are also moved onto the moment by the flow between them,
without the model, and off the face each pixel is taken from where both pictures agree better. Flow that does not come
back where it started, and colours that differ, count as disagreement. Pictures of different scenes agree nowhere; for
them nothing changes (`Pair.trust`).

At time 0 the result is the first picture, at time 1 the second, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.geometry import to_px
from engine.headpose import describe_head
from engine.landmarks import (
    FACE_OVAL,
    LEFT_EYE,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    RIGHT_EYE,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from engine.types import WarpedPortrait
from engine.warp.flow import Float, find_flow, flows_to_moment, moved_by
from engine.warp.outline import outline_between, smoothstep
from engine.warp.warper import Warper

__all__ = ["Between", "Pair", "blend_pictures", "look_at_pair", "warp_between"]

_SEAM_FROM, _SEAM_FULL = 0.10, 0.45  # change of the pose matrix (about radians) between which the seam takes over
_SEAM_SOFT = 0.28  # width of the seam, in head scales (about half a face's width)
_SEAM_REACH = 2.6  # how far from the nose the seam starts and ends, in head scales: beyond all hair
_AGREE, _DISAGREE = 10.0, 40.0  # difference, 0-255, between which averaging gives way to the seam
_LOOK_SHARE = 0.02  # neighbourhood in which difference is judged, over the side
_FACE_GROW = 1.05  # around it, inside which the model alone decides
_FACE_SHARE = 0.9  # of the face's outline, inside which there is no seam
_OPEN_GAIN, _OPEN_MOST = 6.0, 1.6  # logits per head scale of opening, and at most
_AROUND_PX = 3.0  # neighbourhood in which agreement is judged, at 256²
_ASTRAY = 1.0  # levels, 0-255, that a pixel of flow gone astray counts as
# The flow wins where it disagrees by less than so many times what the warp does, and levels.
_LENIENT, _FLOOR = 1.5, 4.0
_DECIDED = 8  # how suddenly: what is taken from both by halves is a ghost
_WORST = 80.0  # … and by less than about this
_BACK_PX, _SAME_LEVELS = 1.5, 25.0  # flow that returns this near, to a colour this alike, has found its way
_TRUST_FROM, _TRUST_FULL = 0.06, 0.2  # of the picture that must have: strangers have 0-3 %, wide turns of one head 8 %

_OPENINGS = (
    (LIPS, (LIPS_INNER_UPPER, LIPS_INNER_LOWER)),
    (RIGHT_EYE, (RIGHT_UPPER_LID, RIGHT_LOWER_LID)),
    (LEFT_EYE, (LEFT_UPPER_LID, LEFT_LOWER_LID)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """A moment between two pictures.

    share: 0 = the first picture, 1 = the second. first, second, now: (478, 3) keypoints, portrait space.
    """

    share: float
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    now: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two pictures of a set, with what is the same for every moment between them.

    persons: (R, R, 4) uint8 each, straight alpha. shown: (R, R, 3) uint8 each, over their own backgrounds. ahead, back:
    the flow from the first to the second and back, (R, R, 2) pixels. trust: [0, 1], whether they are of one scene.
    """

    persons: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    shown: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    ahead: Float
    back: Float
    trust: float


def look_at_pair(
    warper: Warper, pictures: tuple[int, int], first: NDArray[np.float32], second: NDArray[np.float32]
) -> Pair:
    """Return two pictures of the warper's set as `warp_between` takes them; first, second: their keypoints.

    Raises:
        SourceSetEmpty, InferenceFailed: as `warp_between`.
    """
    backdrops = warper.prepared.backdrops
    persons = (warper.warp_from(pictures[0], first), warper.warp_from(pictures[1], second))
    shown = (_over(persons[0], backdrops[pictures[0]]), _over(persons[1], backdrops[pictures[1]]))
    return _pair_of(persons, shown)


def _pair_of(
    persons: tuple[NDArray[np.uint8], NDArray[np.uint8]], shown: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> Pair:
    ahead, back = find_flow(shown[0], shown[1]), find_flow(shown[1], shown[0])
    found = moved_by(shown[1].astype(np.float32), ahead)
    home = (_stray(ahead, back) < _BACK_PX) & (np.abs(found - shown[0]).max(-1) < _SAME_LEVELS)
    trust = smoothstep((float(home.mean()) - _TRUST_FROM) / (_TRUST_FULL - _TRUST_FROM))
    return Pair(persons, shown, ahead, back, float(trust))


def _stray(ahead: Float, back: Float) -> Float:
    """Return how far from its start a pixel ends that goes there and back, (R, R) pixels."""
    return np.asarray(np.linalg.norm(ahead + moved_by(back, ahead), axis=-1), np.float32)


def warp_between(
    warper: Warper, pictures: tuple[int, int], moment: Between, *, pair: Pair | None = None, captured_ns: int = 0
) -> WarpedPortrait:
    """Render a moment between two pictures of the warper's set.

    Args:
        pictures: which two of the set. moment: with their keypoints and those of the moment itself. pair: the same two
            pictures looked at before, which saves time where several moments are rendered.
    Raises:
        SourceSetEmpty: no set was given yet. InferenceFailed: the back-end failed.
    """
    prepared = warper.prepared
    first, second = pictures
    t = np.float32(min(max(moment.share, 0.0), 1.0))
    behind = [prepared.backdrops[index].astype(np.float32) for index in pictures]
    backdrop = np.rint((1 - t) * behind[0] + t * behind[1]).astype(np.uint8)
    warped = [warper.warp_from(index, moment.now) for index in pictures]
    if 0.0 < t < 1.0:
        pair = pair or look_at_pair(warper, pictures, moment.first, moment.second)
    rgba = blend_pictures(warped[0], warped[1], moment, ground=backdrop, pair=pair)
    mass = np.zeros(len(prepared.backdrops), np.float32)
    mass[first] += 1 - t
    mass[second] += t
    return WarpedPortrait(captured_ns, rgba, backdrop, mass)


def blend_pictures(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    moment: Between,
    *,
    ground: NDArray[np.uint8],
    pair: Pair | None = None,
) -> NDArray[np.uint8]:
    """Return one picture of two that show the same moment.

    Args:
        first, second: the person as warped from each picture. ground: what lies behind, for judging differences.
        pair: the pictures themselves, which are used where they tell more than the warp.
    Shapes:
        first, second, returns: (R, R, 4) uint8, straight alpha. ground: (R, R, 3) uint8.
    """
    if moment.share <= 0.0:
        return first
    if moment.share >= 1.0:
        return second
    shown = [_over(picture, ground) for picture in (first, second)]
    flows = flows_to_moment(shown, moment.share)
    colours, covers = _layers((first, second), flows)
    share = _share_map(colours, covers, moment)
    weight = np.stack([(1 - share) * covers[0], share * covers[1]]) + 1e-4 * np.stack([1 - share, share])
    weight /= weight.sum(0)
    colour = weight[0][..., None] * colours[0] + weight[1][..., None] * colours[1]
    alpha = outline_between(covers[0], covers[1], moment.share)
    if pair is not None and pair.trust > 0.0:
        apart = _apart(shown, flows)
        colour, alpha = _with_found(np.asarray(colour, np.float32), alpha, pair, moment, apart)
    rgba: NDArray[np.uint8] = np.rint(np.concatenate([colour, 255.0 * alpha[..., None]], -1)).astype(np.uint8)
    return rgba


def _layers(
    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]], flows: list[Float]
) -> tuple[list[Float], list[Float]]:
    """Return colours (R, R, 3) in 0-255 and covers (R, R) in [0, 1] of two layers, each moved by its flow."""
    moved = [moved_by(picture.astype(np.float32), flow) for picture, flow in zip(pictures, flows, strict=True)]
    return [np.clip(m[..., :3], 0, 255) for m in moved], [np.clip(m[..., 3] / 255.0, 0, 1) for m in moved]


def _apart(shown: Sequence[NDArray[np.uint8]], flows: list[Float]) -> Float:
    """Return how much two pictures differ around each place of the moment, (R, R), 0-255."""
    moved = [moved_by(picture.astype(np.float32), flow) for picture, flow in zip(shown, flows, strict=True)]
    return _around(np.abs(moved[0] - moved[1]).max(-1))


def _around(values: Float) -> Float:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), max(1.0, _AROUND_PX * len(values) / 256)), np.float32)


def _with_found(colour: Float, alpha: Float, pair: Pair, moment: Between, apart: Float) -> tuple[Float, Float]:
    """Return colour and alpha with what the flow between the pictures themselves has found, where it is better.

    Args:
        apart: how much the warped pictures differ around each place, see `_apart`.
    """
    t = np.float32(moment.share)
    flows = flows_to_moment(pair.shown, moment.share, first_look=(pair.ahead, pair.back))
    strays = (_stray(pair.ahead, pair.back), _stray(pair.back, pair.ahead))
    stray = np.maximum(*(moved_by(each, flow) for each, flow in zip(strays, flows, strict=True)))
    per_px = 256.0 / len(alpha)  # flow in pixels of 256², whatever the size
    off = _apart(pair.shown, flows) + _ASTRAY * per_px * _around(stray)
    better = 1.0 / (1.0 + (off / (_LENIENT * (apart + _FLOOR))) ** _DECIDED) * np.exp(-((off / _WORST) ** 2))
    better *= pair.trust * (1.0 - _mask(moment.now, FACE_OVAL, len(alpha), grow=_FACE_GROW))
    colours, covers = _layers(pair.persons, flows)
    found_cover = outline_between(covers[0], covers[1], moment.share)
    weight = np.stack([(1 - t) * covers[0], t * covers[1]]) + np.float32(1e-4)
    weight /= weight.sum(0)
    found = found_cover[..., None] * (weight[0][..., None] * colours[0] + weight[1][..., None] * colours[1])
    mixed_alpha = alpha + better * (found_cover - alpha)
    mixed = alpha[..., None] * colour + better[..., None] * (found - alpha[..., None] * colour)
    seen = mixed_alpha[..., None] > 1.0 / 255.0
    straight = np.where(seen, mixed / np.maximum(mixed_alpha[..., None], 1.0 / 255.0), colour)
    return np.clip(straight, 0, 255).astype(np.float32), np.clip(mixed_alpha, 0, 1).astype(np.float32)


def _over(rgba: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cover = rgba[..., 3:].astype(np.float32) / 255.0
    return np.asarray(np.rint(rgba[..., :3] * cover + ground * (1 - cover)), np.uint8)


def _share_map(colours: list[Float], covers: list[Float], moment: Between) -> Float:
    """Return the second picture's share at every pixel, (R, R)."""
    side = covers[0].shape[0]
    share = np.full((side, side), moment.share, np.float32)
    for ring, (upper, lower) in _OPENINGS:
        spoken = _louder(moment, upper, lower)
        share += _mask(moment.now, ring, side, grow=1.25) * (spoken - np.float32(moment.share))
    seam, strength = _seam(moment, side)
    if strength <= 0.0:
        return share
    apart = np.abs(colours[0] - colours[1]).max(-1) * covers[0] * covers[1] + 255.0 * np.abs(covers[0] - covers[1])
    apart = cv2.GaussianBlur(apart, (0, 0), max(1.0, side * _LOOK_SHARE))
    doubt = strength * smoothstep((apart - _AGREE) / (_DISAGREE - _AGREE))
    doubt *= 1.0 - _mask(moment.now, FACE_OVAL, side, grow=_FACE_SHARE)
    return np.asarray(share + doubt * (seam - share), np.float32)


def _seam(moment: Between, side: int) -> tuple[Float, float]:
    """Return the second picture's share across the travelling seam, (R, R), and how far the turn asks for one."""
    first, second, now = (describe_head(k) for k in (moment.first, moment.second, moment.now))
    # Row 2 of the pose is where the head's z axis goes, which points backwards: its move is the turn, the other way.
    towards = -(second.pose - first.pose).reshape(3, 3)[2, :2]
    turned = float(np.hypot(*towards))
    strength = float(smoothstep((turned - _SEAM_FROM) / (_SEAM_FULL - _SEAM_FROM)))
    if strength <= 0.0:
        return np.empty((0, 0), np.float32), 0.0
    direction = towards / turned
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2.0 / side) - 1.0
    along = (axis[None] - now.origin[0]) * direction[0] + (axis[:, None] - now.origin[1]) * direction[1]
    # The second picture looks further that way, so it sees more of the side that is left behind.
    way = 2.0 * moment.share - 1.0
    start = _SEAM_REACH * way * abs(way) ** 0.5  # quickly over the hair, slowly over the head
    steep = np.clip((along / now.scale - start) * (4.0 / _SEAM_SOFT), -30.0, 30.0)
    return np.asarray(1.0 / (1.0 + np.exp(steep)), np.float32), strength


def _louder(moment: Between, upper: tuple[int, ...], lower: tuple[int, ...]) -> np.float32:
    """Return the second picture's share where lips or lids part; 0 and 1 stay what they are."""
    gap = [
        float(np.linalg.norm(k[list(upper), :2] - k[list(lower), :2], axis=1).mean()) / describe_head(k).scale
        for k in (moment.first, moment.second)
    ]
    odds = float(np.exp(np.clip(_OPEN_GAIN * (gap[1] - gap[0]), -_OPEN_MOST, _OPEN_MOST)))
    t = moment.share
    return np.float32(t * odds / (t * odds + 1.0 - t))


def _mask(keypoints: NDArray[np.float32], ring: tuple[int, ...], side: int, *, grow: float) -> Float:
    """Return a soft mask of the hull of some landmarks, scaled about its middle, (R, R) in [0, 1]."""
    points = to_px(keypoints[list(ring), :2], side_px=side)
    points = points.mean(0) + grow * (points - points.mean(0))
    mask = np.zeros((side, side), np.float32)
    cv2.fillConvexPoly(mask, np.rint(cv2.convexHull(points.astype(np.float32))).astype(np.int32), (1.0,))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(1.0, side * _LOOK_SHARE / 2)), np.float32)
