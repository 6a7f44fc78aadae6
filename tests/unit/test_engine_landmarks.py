# SPDX-License-Identifier: Apache-2.0
"""The landmark groups: partners, mirror images, and agreement with MediaPipe's own connection sets."""

from __future__ import annotations

import numpy as np
import pytest

from engine import landmarks as groups
from engine.assets import load_canonical_face
from engine.landmarks import flip_permutation, region_weights

_TUPLES = [name for name in groups.__all__ if isinstance(getattr(groups, name), tuple) and name != "REGIONS"]


@pytest.mark.parametrize("name", _TUPLES)
def test_groups_hold_distinct_valid_points(name: str) -> None:
    points = getattr(groups, name)
    if isinstance(points[0], tuple):  # of both sides, each with groups of its own
        points = [point for side in points for group in side for point in group]
    assert len(set(points)) == len(points)
    assert all(0 <= point < 478 for point in points)


def test_flip_is_an_involution_that_swaps_the_sides() -> None:
    flip = flip_permutation()
    assert (flip[flip] == np.arange(478)).all()
    for right, left in (
        (groups.RIGHT_UPPER_LID, groups.LEFT_UPPER_LID),
        (groups.RIGHT_LOWER_LID, groups.LEFT_LOWER_LID),
        (groups.RIGHT_BROW, groups.LEFT_BROW),
        (groups.RIGHT_EYE_CORNERS, groups.LEFT_EYE_CORNERS),
    ):
        assert flip[list(right)].tolist() == list(left)
    assert set(flip[list(groups.RIGHT_IRIS)]) == set(groups.LEFT_IRIS)
    assert flip[list(groups.LIPS_INNER_UPPER)].tolist() == list(groups.LIPS_INNER_UPPER)[::-1]
    assert set(flip[list(groups.RIGID)]) == set(groups.RIGID)


def test_rows_face_each_other_on_the_canonical_face() -> None:
    face = load_canonical_face()
    for upper, lower in (
        (groups.RIGHT_UPPER_LID, groups.RIGHT_LOWER_LID),
        (groups.LEFT_UPPER_LID, groups.LEFT_LOWER_LID),
        (groups.LIPS_INNER_UPPER, groups.LIPS_INNER_LOWER),
        (groups.LIPS_OUTER_UPPER, groups.LIPS_OUTER_LOWER),
    ):
        assert (face[list(upper), 1] <= face[list(lower), 1] + 1e-3).all()  # y is down
        assert np.abs(face[list(upper), 0] - face[list(lower), 0]).max() < 0.08
    assert face[groups.LEFT_EYE_CORNERS[0], 0] > 0 > face[groups.RIGHT_EYE_CORNERS[0], 0]


def test_groups_are_mediapipes_own() -> None:
    from mediapipe.python.solutions import face_mesh_connections as theirs

    for ours, connections in (
        (groups.LIPS, theirs.FACEMESH_LIPS),
        (groups.LEFT_EYE, theirs.FACEMESH_LEFT_EYE),
        (groups.RIGHT_EYE, theirs.FACEMESH_RIGHT_EYE),
        (groups.LEFT_BROW, theirs.FACEMESH_LEFT_EYEBROW),
        (groups.RIGHT_BROW, theirs.FACEMESH_RIGHT_EYEBROW),
        (groups.FACE_OVAL, theirs.FACEMESH_FACE_OVAL),
        (groups.LEFT_IRIS[1:], theirs.FACEMESH_LEFT_IRIS),
        (groups.RIGHT_IRIS[1:], theirs.FACEMESH_RIGHT_IRIS),
    ):
        assert set(ours) == {point for edge in connections for point in edge}


def test_regions_share_every_point_and_own_their_features() -> None:
    weights = region_weights()
    assert weights.shape == (3, 478)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    for row, points in enumerate(((*groups.EYES, *groups.IRISES), groups.LIPS, groups.BROWS)):
        assert (weights[row, list(points)] == 1).all()
    assert weights[1, groups.CHIN] == 1
    np.testing.assert_allclose(weights[:, flip_permutation()], weights, atol=0.02)
