# SPDX-License-Identifier: Apache-2.0
"""How much of a face is expression, when nobody has shown a neutral pose yet. Pure, any thread.

A shape differs from the average neutral face because of who the person is *and* what the face is doing. From the
statistics of both (see `engine/training/expression_basis.py`, which makes the file) the best linear estimate of the
second part alone is `basis.T @ (reader @ difference)`: a Wiener filter. On neutral pictures of unknown people it
leaves 0.03 of 0.07 canonical units; of a talking person's lip motion it keeps 80-100 %.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.assets import asset_path
from engine.types import LANDMARK_COUNT, freeze

__all__ = ["ExpressionBasis", "load_expression_basis"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ExpressionBasis:
    """neutral: (478, 3) average neutral shape. basis, reader: (K, 1434), coefficients of unit variance."""

    neutral: Array
    basis: Array
    reader: Array

    def estimate(self, shape: Array) -> Array:
        """Return the part of a shape that is expression; (478, 3) to (478, 3), canonical units."""
        coefficients = self.reader @ (shape - self.neutral).reshape(-1)
        part: Array = (coefficients @ self.basis).reshape(LANDMARK_COUNT, 3)
        return part


@functools.cache
def load_expression_basis() -> ExpressionBasis:
    """Load the shipped statistics, read-only.

    Raises:
        ModelFileMissing: the file is not there.
    """
    with np.load(asset_path("models", "expression_basis.npz"), allow_pickle=False) as file:
        parts = {name: freeze(file[name].astype(np.float64)) for name in ("neutral", "basis", "reader")}
    return ExpressionBasis(**parts)
