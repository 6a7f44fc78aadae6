# SPDX-License-Identifier: Apache-2.0
"""Split the source pictures into a moving person and a still backdrop, once per source set.

The head must move without dragging its background along, and what it uncovers must be there (`engine.warp.plates`). So
each picture is taken apart (matting equation, Porter & Duff 1984: C = αF + (1 − α)B): the person keeps its own colours
free of background at the soft hair edge. Put back together unmoved, the layers give the original picture. Runs when a
set is loaded, on the caller's thread.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.types import SourceSet
from engine.warp.base import fit_picture
from engine.warp.plates import claim_rims, make_backdrops

__all__ = ["Layers", "end_at_top", "fill_holes", "layers_of", "separate_person", "shared_backdrop"]

_MIN_ALPHA, _SURE_ALPHA = 0.08, 0.15  # below the first, dividing by alpha only magnifies noise

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """A set's pictures taken apart; shared, so not to be written.

    person: (N, R, R, 4) uint8, straight alpha. backdrop: (R, R, 3) uint8, the one that is shown. backdrops: (N, R, R,
    3) uint8, that of every picture.
    """

    person: NDArray[np.uint8]
    backdrop: NDArray[np.uint8]
    backdrops: NDArray[np.uint8]


@functools.lru_cache(maxsize=2)  # a model made anew after a failure gets the same pictures; so does a set shown again
def layers_of(source_set: SourceSet, side_px: int) -> Layers:
    """Take a set's pictures apart at a model's side."""
    rgb = np.stack([fit_picture(image.rgb, side_px) for image in source_set.images])
    alpha = np.stack([fit_picture(image.alpha, side_px) for image in source_set.images])
    backdrops = make_backdrops(rgb, alpha)
    alpha = claim_rims(rgb, alpha, backdrops)
    end_at_top(alpha)
    person = np.concatenate([separate_person(rgb, alpha, backdrops), alpha[..., None]], -1)
    layers = Layers(person, shared_backdrop(backdrops), _to_bytes(backdrops))
    for array in (layers.person, layers.backdrop, layers.backdrops):
        array.setflags(write=False)
    return layers


def fill_holes(rgb: Float, known: Float) -> Float:
    """Continue known pixels smoothly into unknown ones (push-pull pyramid, Gortler et al. 1996).

    Shapes:
        rgb: (H, W, 3) float32. known: (H, W) float32 in [0, 1], 1 = keep. returns: (H, W, 3) float32.
    """
    levels = [(rgb * known[..., None], known)]
    while max(levels[-1][1].shape) > 1:  # down to one cell, which knows a colour if anything does
        colour, weight = levels[-1]
        half = (max(weight.shape[1] // 2, 1), max(weight.shape[0] // 2, 1))
        levels.append((_shrink(colour, half), _shrink(weight, half)))
    colour, weight = levels[-1]
    filled = colour / (weight[..., None] + 1e-6)
    for colour, weight in reversed(levels[:-1]):
        wide = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        # a cell that is partly known takes its own mean for that part and the coarser guess for the rest
        filled = colour + (1.0 - np.clip(weight, 0, 1))[..., None] * wide
    return np.asarray(filled, np.float32)


def _shrink(array: Float, size_wh: tuple[int, int]) -> Float:
    return np.asarray(cv2.resize(array, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def end_at_top(alpha: NDArray[np.uint8]) -> None:
    """Clear the first row of mattes (N, R, R), in place: the warp repeats the border outwards.

    Hair cut off by the upper edge then ends there; repeated, it stands on the head like a chimney. Shoulders at the
    other edges are meant to go on.
    """
    alpha[:, 0] = 0


def separate_person(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], backdrops: Float) -> NDArray[np.uint8]:
    """Return the person's own colours, continued past the silhouette.

    Solves C = αF + (1 − α)B for F where alpha is large enough, and continues F outwards elsewhere, so that an edge
    warped to a new place mixes with its new background only.

    Shapes:
        rgb: (N, R, R, 3) uint8. alpha: (N, R, R) uint8. backdrops: (N, R, R, 3) float32, 0–255.
        returns: (N, R, R, 3) uint8.
    """
    out = np.empty_like(rgb)
    for i in range(len(rgb)):
        a = (alpha[i].astype(np.float32) / 255.0)[..., None]
        unmixed = (rgb[i].astype(np.float32) - (1 - a) * backdrops[i]) / np.maximum(a, _MIN_ALPHA)
        trust = np.clip((a[..., 0] - _MIN_ALPHA) / (_SURE_ALPHA - _MIN_ALPHA), 0, 1)
        out[i] = _to_bytes(fill_holes(np.clip(unmixed, 0, 255), trust))
    return out


def shared_backdrop(backdrops: Float) -> NDArray[np.uint8]:
    """Return the reference (first) picture's backdrop as (R, R, 3) uint8: one still stage, whatever picture is used.

    Following the most used picture instead would make the background flicker with every switch.
    """
    return np.ascontiguousarray(_to_bytes(backdrops[0]))


def _to_bytes(colour: Float) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(colour, 0, 255)), np.uint8)
