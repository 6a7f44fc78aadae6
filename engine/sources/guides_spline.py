# SPDX-License-Identifier: Apache-2.0
"""A few landmarks placed → all of the face follows by a thin-plate spline. Pure, any thread.

Source:
    Bookstein 1989, "Principal warps: thin-plate splines and the decomposition of deformations", IEEE TPAMI 11(6);
    regularised after Wahba 1990, "Spline Models for Observational Data".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face

__all__ = ["follow"]

Array = NDArray[np.float64]
_BEND = 2e-3  # regularisation of the spline: a point 3 % off moves its surroundings, but bends nothing


@functools.cache
def _kernel() -> Array:
    """Return the thin-plate kernel r² log r between all landmarks of the canonical face, (478, 478)."""
    xy = load_canonical_face().astype(np.float64)[:, :2]
    squared = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    kernel: Array = 0.5 * squared * np.log(np.maximum(squared, 1e-12))
    return kernel


def follow(placed: Mapping[int, Array], face: Array) -> Array:
    """Return the shape of the whole face, (478, 3): placed points where they were put, the others carried along."""
    known = np.array(sorted(placed))
    target = np.stack([placed[index] for index in known])
    kernel = _kernel()
    flat = np.column_stack([np.ones(len(face)), face[:, :2]])  # (478, 3): what no bending is needed for
    count = len(known)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel[np.ix_(known, known)] + _BEND * np.eye(count)
    system[:count, count:], system[count:, :count] = flat[known], flat[known].T
    offset = np.zeros((count + 3, 2))
    offset[:count] = (target - face[known])[:, :2]
    weights = np.linalg.solve(system, offset)
    shape = face.copy()
    shape[:, :2] += kernel[:, known] @ weights[:count] + flat @ weights[count:]
    shape[known] = target
    return shape
