# SPDX-License-Identifier: Apache-2.0
"""Pictures taken in different light → one light: the skin of every picture is given the reference's colours.

Means and spread of lightness and the means of both colour axes of CIE L*a*b* are measured on the skin alone (lips,
eyes and brows change with the expression, hair and clothes with the cut) and the whole picture is moved by the same
amount. Limits keep a face that is half in shadow from being turned into another one. Any thread, once a set.

Source:
    Reinhard, Ashikhmin, Gooch, Shirley 2001, "Color transfer between images", IEEE CG&A 21(5), eq. 10-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.geometry import to_px
from engine.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from engine.types import SourceImage, freeze

__all__ = ["SkinTone", "light_distance", "match_colours", "skin_mask", "skin_tone"]

_GAIN = (0.7, 1.4)  # of the spread of lightness
_MOST_LIGHT, _MOST_COLOUR = 30.0, 18.0  # L*, a*, b* units by which a picture may be moved
_INNER = 0.85  # the face's outline is drawn in, away from hair and background


class SkinTone(NamedTuple):
    """mean: (3,) L*, a*, b* of the skin. spread: standard deviation of L*."""

    mean: NDArray[np.float32]
    spread: float


def skin_tone(image: SourceImage) -> SkinTone:
    """Measure the skin of a portrait."""
    lab = _to_lab(image.rgb)
    skin = lab[skin_mask(image)]
    # The middle of the distribution: highlights and cast shadows are no colour of the skin.
    lightness = skin[:, 0]
    middle = skin[(lightness >= np.quantile(lightness, 0.1)) & (lightness <= np.quantile(lightness, 0.9))]
    return SkinTone(middle.mean(0), max(float(middle[:, 0].std()), 1.0))


def light_distance(one: SkinTone, other: SkinTone) -> float:
    """Return how far apart two skins are, in L*a*b* units (CIE 1976 difference of the means)."""
    return float(np.linalg.norm(one.mean - other.mean))


def match_colours(images: Sequence[SourceImage]) -> tuple[SourceImage, ...]:
    """Return a set's pictures in the light of its first."""
    if len(images) < 2:
        return tuple(images)
    wanted = skin_tone(images[0])
    return (images[0], *(_moved(image, skin_tone(image), wanted) for image in images[1:]))


def _moved(image: SourceImage, has: SkinTone, wanted: SkinTone) -> SourceImage:
    lab = _to_lab(image.rgb)
    gain = float(np.clip(wanted.spread / has.spread, *_GAIN))
    limit = np.array([_MOST_LIGHT, _MOST_COLOUR, _MOST_COLOUR], np.float32)
    shift = np.clip(wanted.mean - has.mean, -limit, limit)
    lab[..., 0] = (lab[..., 0] - has.mean[0]) * gain + has.mean[0]
    lab += shift
    lab[..., 0] = np.clip(lab[..., 0], 0.0, 100.0)
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return replace(image, rgb=freeze(np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)))


def _to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float32)


def skin_mask(image: SourceImage) -> NDArray[np.bool_]:
    """Return the face without eyes, brows and mouth, (R, R) bool; the whole face where nothing else is left."""
    side = image.rgb.shape[0]
    xy = to_px(image.keypoints[:, :2], side_px=side)
    outline = xy[list(FACE_OVAL)]
    middle = outline.mean(0)
    mask = np.zeros((side, side), np.uint8)
    _fill(mask, middle + (outline - middle) * _INNER, 1)
    whole = mask.astype(bool)
    for group in (LIPS, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW):
        _fill(mask, xy[list(group)], 0)
    mask[image.alpha < 128] = 0
    for found in (mask.astype(bool), whole):
        if int(found.sum()) >= 50:
            return found
    return np.ones((side, side), bool)  # a face so far outside its picture that nothing of it is seen


def _fill(mask: NDArray[np.uint8], xy: NDArray[np.float64], value: int) -> None:
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(xy).astype(np.int32)), (value,))
