# SPDX-License-Identifier: Apache-2.0
"""Whether pictures show the same person, by the shape of the face alone. Pure, any thread.

Landmarks are brought into the head's own frame, made symmetric, stripped of what expressions move, and projected onto
the thirty directions in which people differ, each measured in units of what one person varies over expressions and
turns (a whitened within-person covariance, as in linear discriminant analysis). A picture is judged by how much
farther it is from the others than these are from each other. It is a hint and not a face recogniser: the mesh fits
everybody's face with one template. `SAME_PERSON_BELOW` was set on development data that the directions were not fitted
on (39 people: four sitters and two actors on video, 21 photographed, five rendered and seven built-in characters): with
six pictures a set, 2 % of a person's own pictures and 73 % of a stranger's lie beyond it.

Source:
    Fisher 1936, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7(2); fitted by
    `python -m engine.training.fit_face_shape` on clips of the 30 training avatars of VALID (MIT, © 2022 Tiffany Do).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import asset_path, load_canonical_face
from engine.geometry import fit_similarity
from engine.landmarks import BROWS, EYES, IRISES, LIPS, RIGID, flip_permutation
from engine.types import freeze

__all__ = ["SAME_PERSON_BELOW", "identity_of", "person_distance", "stable_shape"]

SAME_PERSON_BELOW = 0.55  # `person_distance`


@functools.cache
def _stable() -> NDArray[np.intp]:
    """Return the landmarks that no expression moves much, (P,)."""
    return freeze(np.array(sorted(set(range(468)) - {*LIPS, *EYES, *BROWS, *IRISES})))


@functools.cache
def _directions() -> NDArray[np.float32]:
    """Return the whitening projection, (2 P, 30) float32."""
    return freeze(np.load(asset_path("models", "face_shape.npy"), allow_pickle=False).astype(np.float32))


def stable_shape(keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the stable part of a face in canonical units, symmetric, x and y of each point.

    Depth is left out: tracked, it changes more between two pictures of one person than between two people.

    Shapes:
        keypoints: (478, 3), any frame and scale. returns: (2 P,) float64.
    """
    rigid = list(RIGID)
    shape = fit_similarity(load_canonical_face()[rigid], keypoints[rigid]).undo(keypoints)
    mirrored = shape[flip_permutation()] * (-1.0, 1.0, 1.0)
    return np.asarray(((shape + mirrored) / 2.0)[_stable(), :2].ravel())


def identity_of(keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return a face's build in units of what one person varies, (30,) float64."""
    return np.asarray(stable_shape(keypoints) @ _directions())


def person_distance(identities: Sequence[NDArray[np.float64]], index: int) -> float:
    """Return how much farther one face's build is from the others than these are from each other.

    Both are medians of root mean square distances, so that one odd picture does not make all the others odd. NaN with
    fewer than three faces.
    """
    others = [other for i, other in enumerate(identities) if i != index]
    if len(others) < 2:
        return float("nan")
    apart = [_distance(identities[index], other) for other in others]
    among = [_distance(a, b) for i, a in enumerate(others) for b in others[i + 1 :]]
    return float(np.median(apart) - np.median(among))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))
