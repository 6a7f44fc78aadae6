# SPDX-License-Identifier: Apache-2.0
"""Figures for a character driven by somebody else, where there is no truth to compare with. Pure, any thread.

Who it is: the *neutralised face shape*, the mean over frames of the face in the head's own frame with its estimated
expression taken out, without lips, lids and brows, frontal frames counting most. Measured on 19 development clips:
two halves of one clip are 2.6 % of the face's RMS radius apart, clips of one avatar in other clothes 4.2 %, different
people 8.9 % (without taking the expression out 6, 10 and 12 %). And colour: mean and spread in CIE Lab inside the
face's outline. What it does: expression and head turn found on the output against those that were wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.evaluation.metrics import hull_mask
from engine.geometry import angles_from_rotation, rotvec_from_rotation, to_norm
from engine.landmarks import BROWS, EYES, FACE_OVAL, IRISES, LIPS
from engine.track.expression import load_expression_basis
from engine.track.head import take_apart
from engine.types import LANDMARK_COUNT

__all__ = [
    "expression_error_px",
    "face_colours",
    "identity_shape",
    "leak_share",
    "mean_or_nan",
    "shape_distance",
    "turn_error_deg",
]

Array = NDArray[np.float64]

_SOFT = {*LIPS, *EYES, *IRISES, *BROWS}
_HARD_POINTS = [index for index in range(LANDMARK_COUNT) if index not in _SOFT]
_EXPRESSIVE = sorted({*LIPS, *EYES, *BROWS})
_FRONTAL_RAD = np.radians(15.0)  # a head turned this far counts 1/e: landmarks of its far side are guesses
_SAME_SHAPE = 0.05  # canonical units; between faces as alike as this, a share of the way is mostly noise


def identity_shape(faces: Iterable[NDArray[np.floating[Any]]]) -> Array | None:
    """Return a person's neutralised face shape; None without any face.

    Shapes:
        faces: (478, 3) each, any unit. returns: (P, 3) float64, canonical units.
    """
    basis = load_expression_basis()
    total, weights = np.zeros((len(_HARD_POINTS), 3)), 0.0
    for landmarks in faces:
        pose, shape = take_apart(landmarks)
        yaw, pitch, _ = angles_from_rotation(pose.rotation)
        weight = float(np.exp(-(yaw**2 + pitch**2) / _FRONTAL_RAD**2)) + 1e-6
        total += weight * (shape - basis.estimate(shape))[_HARD_POINTS]
        weights += weight
    return total / weights if weights else None


def shape_distance(first: Array, second: Array) -> float:
    """Return the RMS distance of two identity shapes in percent of a face's RMS radius."""
    return float(100.0 * np.sqrt(((first - second) ** 2).sum(1).mean()))


def leak_share(output: Array, *, character: Array, driver: Array) -> float:
    """Return how far the output's shape went from the character's (0) towards the driver's (1).

    Only the part along that way counts; NaN between two faces of nearly the same shape.
    """
    way = driver - character
    if np.sqrt((way**2).sum(1).mean()) < _SAME_SHAPE:
        return float("nan")
    return float(((output - character) * way).sum() / (way**2).sum())


def face_colours(rgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating[Any]]) -> Array:
    """Return mean and standard deviation of L, a, b inside the face's outline; NaN for a face outside the picture.

    Shapes:
        rgb: (R, R, 3) uint8. landmarks_px: (478, 3). returns: (6,) float64.
    """
    side_px = rgb.shape[0]
    keypoints = to_norm(landmarks_px[:, :2], side_px=side_px)
    mask = hull_mask(keypoints, groups=[FACE_OVAL], side_px=side_px)
    if not mask.any():
        return np.full(6, np.nan)
    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float64)[mask]
    return np.concatenate([lab.mean(0), lab.std(0)])


def expression_error_px(found_px: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]]) -> float:
    """Return the mean distance of brows, lids and lips from where the wanted expression has them.

    Of the difference between both faces only what is expression counts, as far as it can be told from the face's
    build (see `engine.track.expression`); a head in another pose costs nothing here.

    Shapes:
        found_px, wanted: (478, 3); the result has the unit of `found_px`.
    """
    pose, shape = take_apart(found_px)
    basis = load_expression_basis()
    error = basis.estimate(shape) - basis.estimate(take_apart(wanted)[1])
    return float(pose.scale * np.linalg.norm(error[_EXPRESSIVE], axis=1).mean())


def turn_error_deg(found: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]]) -> float:
    """Return the angle between the head rotations of two faces, (478, 3) each."""
    between = take_apart(found)[0].rotation.T @ take_apart(wanted)[0].rotation
    return float(np.degrees(np.linalg.norm(rotvec_from_rotation(between))))


def mean_or_nan(values: Sequence[float]) -> float:
    """Return the mean; NaN for none."""
    return float(np.mean(values)) if len(values) else float("nan")
