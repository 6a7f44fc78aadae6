# SPDX-License-Identifier: Apache-2.0
"""Which pictures of a set show one background, and how one lies over the other. Pure, any thread, once a set.

Pictures taken with a still camera lie over each other as they are. Where every picture was cut around its own head, or
the camera was moved a little, a similarity brings one background onto the other: found on features off the person,
then refined on the pixels themselves. What remains is a difference in light, a gain and an offset a channel. A
background that still does not fit is another room, and nothing is taken from it.

Source:
    Lowe 2004, "Distinctive image features from scale-invariant keypoints", IJCV 60; Evangelidis, Psarakis 2008,
    "Parametric image alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30 (both OpenCV's).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2

__all__ = ["BackgroundView", "Float", "furthest", "laid_over", "register_backgrounds"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SAME_BACKGROUND = 8.0  # median absolute difference, 0–255, up to which two pictures share one background
_STILL = 2.0  # … up to which the camera did not move: noise of a webcam
_MIN_OVERLAP_PX = 400  # fewer shared background pixels say nothing
_GAIN, _OFFSET = (0.8, 1.25), 30.0  # of a channel, at most; beyond, it is another wall
_SCALE = (0.6, 1.6)  # of one picture's head against another's, at most
_MIN_MATCHES = 8
_RATIO = 0.8  # Lowe's, of the best match's distance to the second's
_NEAR_SHARE = 0.015  # over the side: how far a matched feature may lie off
_FITS = 6.0  # what is off by less is no outlier
_SAMPLES = 4_000


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundView:
    """How one picture's background is brought onto that of another, the group's first.

    group: number of that picture. onto: (2, 3) float32 pixels, None where the pictures lie over each other as they are.
    gain, offset: (3,) of its colours, to the group's light. noise: median absolute difference that remains, 0-255.
    """

    group: int
    onto: Float | None = None
    gain: Float = field(default_factory=lambda: np.ones(3, np.float32))
    offset: Float = field(default_factory=lambda: np.zeros(3, np.float32))
    noise: float = 0.0


def register_backgrounds(colour: Float, known: Mask) -> list[BackgroundView]:
    """Sort pictures into groups that share a background; the first picture of each group is its reference.

    Shapes:
        colour: (N, R, R, 3) float32, 0-255. known: (N, R, R) bool, true on clean background.
    """
    views: dict[int, BackgroundView] = {}
    for first in range(len(colour)):
        if first in views:
            continue
        views[first] = BackgroundView(first)
        for other in range(first + 1, len(colour)):
            if other not in views and (view := _fit(colour, known, first, other)) is not None:
                views[other] = view
    return [views[index] for index in range(len(colour))]


def laid_over(picture: Float, view: BackgroundView, *, back: bool = False) -> Float:
    """Return a picture moved onto its group's reference, or from there `back`; nothing (0) where it does not reach.

    Shapes:
        picture: (R, R) or (R, R, C) float32.
    """
    if view.onto is None:
        return picture
    flags = cv2.INTER_LINEAR | (cv2.WARP_INVERSE_MAP if back else 0)
    return np.asarray(cv2.warpAffine(picture, view.onto, picture.shape[1::-1], flags=flags), np.float32)


def furthest(difference: Float) -> Float:
    """Return the largest difference of the three channels, (..., 3) -> (...); `max(-1)` takes ten times as long."""
    size = np.abs(difference)
    return np.maximum(np.maximum(size[..., 0], size[..., 1]), size[..., 2])


def _fit(colour: Float, known: Mask, first: int, other: int) -> BackgroundView | None:
    """Return how picture `other` lies over `first`, None where they show different backgrounds."""
    still = _judge(colour, known, first, BackgroundView(first), other)
    if still is not None and still.noise <= _STILL:
        return still
    moved = None
    onto = _similarity(colour, known, first, other)
    if onto is not None:
        moved = _judge(colour, known, first, BackgroundView(first, onto), other)
    found = [view for view in (still, moved) if view is not None and view.noise <= _SAME_BACKGROUND]
    return min(found, key=lambda view: view.noise) if found else None


def _judge(colour: Float, known: Mask, first: int, view: BackgroundView, other: int) -> BackgroundView | None:
    """Return a view with its light matched and its noise measured, None where too little is shared to say."""
    picture = laid_over(colour[other], view)
    both = known[first] & (laid_over(known[other].astype(np.float32), view) > 0.99)
    count = int(both.sum())
    if count < _MIN_OVERLAP_PX:
        return None
    step = max(1, count // _SAMPLES)
    wanted, got = colour[first][both][::step], picture[both][::step]
    plain = float(np.median(np.abs(wanted - got)))
    gain, offset = _light(wanted, got)
    matched = float(np.median(np.abs(wanted - (got * gain + offset))))
    if matched > 0.85 * plain:  # the same light: what a fit would change is noise
        return BackgroundView(view.group, view.onto, noise=plain)
    return BackgroundView(view.group, view.onto, gain, offset, matched)


def _light(wanted: Float, got: Float) -> tuple[Float, Float]:
    """Return gain and offset a channel that bring `got` to `wanted`, both (S, 3); the worst third does not count."""
    keep = np.ones(len(got), bool)
    gain, offset = np.ones(3, np.float32), np.zeros(3, np.float32)
    for _ in range(3):
        mean_w, mean_g = wanted[keep].mean(0), got[keep].mean(0)
        spread = ((got[keep] - mean_g) ** 2).mean(0)
        slope = ((got[keep] - mean_g) * (wanted[keep] - mean_w)).mean(0) / (spread + 4.0)
        # Of a plain wall only the offset can be told: its spread is noise.
        sure = spread / (spread + 25.0)
        gain = np.clip(sure * slope + (1 - sure), *_GAIN).astype(np.float32)
        offset = np.clip(mean_w - gain * mean_g, -_OFFSET, _OFFSET).astype(np.float32)
        off = furthest(wanted - (got * gain + offset))
        keep = off <= max(float(np.quantile(off, 0.67)), _FITS)
    return gain, offset


def _similarity(colour: Float, known: Mask, first: int, other: int) -> Float | None:
    """Return the similarity that brings `other` onto `first`, (2, 3), found off the persons; None if there is none."""
    if min(int(known[index].sum()) for index in (first, other)) < _MIN_OVERLAP_PX:
        return None
    grey = [_grey(colour[index]) for index in (first, other)]
    finder = cv2.SIFT.create(nfeatures=400)
    points, words = zip(
        *(
            finder.detectAndCompute(picture, known[i].astype(np.uint8))
            for picture, i in zip(grey, (first, other), strict=True)
        ),
        strict=True,
    )
    if any(each is None or len(each) < _MIN_MATCHES for each in words):
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(words[1], words[0], k=2)
    good = [best for best, second in pairs if best.distance < _RATIO * second.distance]
    if len(good) < _MIN_MATCHES:
        return None
    src = np.array([points[1][match.queryIdx].pt for match in good], np.float32)
    dst = np.array([points[0][match.trainIdx].pt for match in good], np.float32)
    near_px = max(1.5, _NEAR_SHARE * grey[0].shape[0])
    onto, inside = cv2.estimateAffinePartial2D(src, dst, method=cv2.RANSAC, ransacReprojThreshold=near_px)
    if onto is None or int(inside.sum()) < max(_MIN_MATCHES, 0.3 * len(good)):
        return None
    if not _SCALE[0] <= float(np.hypot(onto[0, 0], onto[1, 0])) <= _SCALE[1]:
        return None
    return _refined(grey, known, first, other, onto.astype(np.float32))


def _refined(grey: list[NDArray[np.uint8]], known: Mask, first: int, other: int, onto: Float) -> Float:
    """Return a similarity refined on pixels; as it was where that finds nothing."""
    view = BackgroundView(first, onto)
    both = known[other] & (laid_over(known[first].astype(np.float32), view, back=True) > 0.99)
    back = np.asarray(cv2.invertAffineTransform(onto), np.float32)
    end = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    try:
        _, found = cv2.findTransformECC(
            grey[0], grey[1], back, cv2.MOTION_AFFINE, end, both.astype(np.uint8) * np.uint8(255), 3
        )
    except cv2.error:  # it does not converge on a background without structure
        return onto
    return np.asarray(cv2.invertAffineTransform(np.asarray(found, np.float32)), np.float32)


def _grey(colour: Float) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", cv2.cvtColor(np.rint(colour).astype(np.uint8), cv2.COLOR_RGB2GRAY))
