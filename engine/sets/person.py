# SPDX-License-Identifier: Apache-2.0
"""Whether pictures show the same person: by the build of the face, and by colours of skin and hair. Pure, any thread.

*Build*. Landmarks are brought into the head's own frame, made symmetric, stripped of what expressions move, and
projected onto the thirty directions in which people differ, each measured in units of what one person varies over
expressions and turns (a whitened within-person covariance, as in linear discriminant analysis). A picture is judged
by how much farther it is from the others than these are from each other, and by the one that is nearest. What a turned
head makes the tracker guess is taken off.

*Colours*, the second cue: red and blue of the skin against its green, and the hair against the skin, as logarithms in
linear light, where exposure is a mere shift. Other light, make-up or a hat change them too, so they are a part of the
sum and no verdict of their own.

It is a hint and not a face recogniser: the mesh fits everybody's face with one template. Weights and
`SAME_PERSON_BELOW` were chosen on development data that the directions were not fitted on (41 people: nine built-in
sets, five rendered people in three lights each, four sitters, two actors, 20 photographed twice, one in eight selfies),
six pictures a set, by `python -m engine.evaluation.person_check`, which says how many strangers are found.

Source:
    Fisher 1936, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7(2); fitted by
    `python -m engine.training.fit_face_shape` on clips of the 30 training avatars of VALID (MIT, © 2022 Tiffany Do).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import asset_path, load_canonical_face
from engine.geometry import fit_similarity, to_px
from engine.landmarks import BROWS, CHIN, EYES, FOREHEAD_TOP, IRISES, LIPS, RIGID, flip_permutation
from engine.sets.poses import read_face
from engine.sources.colour_match import skin_mask
from engine.types import SourceImage, freeze

__all__ = [
    "SAME_PERSON_BELOW",
    "Likeness",
    "Unlikeness",
    "compare_person",
    "identity_of",
    "likeness_of",
    "stable_shape",
]

SAME_PERSON_BELOW = 2.3  # `Unlikeness.total`
_TURNED = 0.3  # taken off the build for each 20° of yaw beyond 15°, or 15° of pitch beyond 12°
_SKIN, _HAIR = 2.0, 0.5  # weight of the colours beside the build
_BRIGHTNESS = 0.1  # of brightness beside hue: it changes with every lamp
_DARK = 0.002  # linear light that counts as black


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


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What one picture says about who it shows.

    build: (30,), see `identity_of`. skin: (3,) colour. hair: (3,), against the skin; NaN where none is seen. turned:
    how far the head is turned beyond what the tracker measures well, 0 for a front view.
    """

    build: NDArray[np.float64]
    skin: NDArray[np.float64]
    hair: NDArray[np.float64]
    turned: float


@dataclass(frozen=True, slots=True)
class Unlikeness:
    """How much a picture looks like somebody else, in all and in parts; NaN with fewer than three pictures."""

    total: float
    build: float
    colours: float


def likeness_of(image: SourceImage) -> Likeness:
    """Measure a portrait."""
    skin = np.median(_linear(image.rgb[skin_mask(image)]), axis=0)
    tone, face = np.log(skin + _DARK), read_face(image.keypoints)
    turned = max(0.0, abs(face.yaw_deg) - 15.0) / 20.0 + max(0.0, abs(face.pitch_deg) - 12.0) / 15.0
    colour = np.array([tone[0] - tone[1], tone[2] - tone[1], _BRIGHTNESS * tone.mean()])
    hair = (np.log(_hair(image) + 2 * _DARK) - np.log(skin + 2 * _DARK)) / 3.0
    return Likeness(identity_of(image.keypoints), colour, hair, turned)


def compare_person(faces: Sequence[Likeness], index: int) -> Unlikeness:
    """Return how much one picture of a set looks like somebody else than the others do.

    Distances to the others and among them are medians, so that one odd picture does not make all the others odd.
    """
    if len(faces) < 3:
        return Unlikeness(float("nan"), float("nan"), float("nan"))
    apart, among, nearest = _excess([face.build for face in faces], index, _rms)
    build = apart - among + nearest - _TURNED * faces[index].turned
    colours = 0.0
    for weight, values in ((_SKIN, [face.skin for face in faces]), (_HAIR, [face.hair for face in faces])):
        seen = [i for i, value in enumerate(values) if np.isfinite(value).all()]
        if index in seen and len(seen) > 3:
            apart, among, _ = _excess([values[i] for i in seen], seen.index(index), _length)
            colours += weight * max(0.0, apart - among)
    return Unlikeness(build + colours, build, colours)


def _excess(
    values: Sequence[NDArray[np.float64]],
    index: int,
    distance: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> tuple[float, float, float]:
    """Return the median distance of one to the others, that among the others, and the least of one to another."""
    others = np.stack([value for i, value in enumerate(values) if i != index])
    apart = distance(others - values[index])
    pairs = np.triu_indices(len(others), 1)
    among = distance(others[pairs[0]] - others[pairs[1]])
    return float(np.median(apart)), float(np.median(among)), float(apart.min())


def _rms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt((rows**2).mean(-1)))


def _length(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(rows, axis=-1))


def _hair(image: SourceImage) -> NDArray[np.float64]:
    """Return the colour over the forehead in linear light, (3,); NaN where the person ends there."""
    side = len(image.rgb)
    xy = to_px(image.keypoints[:, :2], side_px=side)
    up = xy[FOREHEAD_TOP] - xy[CHIN]
    across = np.array([-up[1], up[0]])
    steps = np.stack(np.meshgrid(np.linspace(0.06, 0.22, 9), np.linspace(-0.25, 0.25, 11)), -1).reshape(-1, 2)
    at = np.rint(xy[FOREHEAD_TOP] + steps @ np.stack([up, across])).astype(int)
    at = at[((at >= 0) & (at < side)).all(1)]
    at = at[image.alpha[at[:, 1], at[:, 0]] > 200]
    if len(at) <= 10:
        return np.full(3, np.nan)
    return np.asarray(np.median(_linear(image.rgb[at[:, 1], at[:, 0]]), axis=0))


def _linear(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Undo the curve of sRGB (IEC 61966-2-1)."""
    value = rgb / 255.0
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))
