# SPDX-License-Identifier: Apache-2.0
"""Keypoints taken apart into an affine pose and a rest: what changes which part, and what changes neither."""

from __future__ import annotations

import numpy as np
import pytest

from engine.assets import load_canonical_face
from engine.headpose import affine_solver, describe_head, expression_weights
from engine.landmarks import BROWS, EYES, LIPS, LIPS_INNER_LOWER, LIPS_INNER_UPPER
from tests.helpers.source_faces import FACE_RADIUS, make_keypoints


def test_the_canonical_face_has_no_deformation_and_an_upright_pose() -> None:
    head = describe_head(load_canonical_face())
    np.testing.assert_allclose(head.pose.reshape(3, 3), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(head.deform, 0, atol=1e-4)
    np.testing.assert_allclose(head.origin, 0, atol=1e-4)
    assert head.scale == pytest.approx(1.0, abs=1e-4)


def test_solver_finds_any_affine_map() -> None:
    affine = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    face = load_canonical_face()
    np.testing.assert_allclose(affine_solver() @ (face @ affine[:3] + affine[3]), affine, atol=1e-4)


@pytest.mark.parametrize(("size", "shift"), [(1.0, (0.3, -0.2)), (0.5, (0.0, 0.0)), (1.7, (-0.4, 0.1))])
def test_size_and_place_change_neither_pose_nor_deformation(size: float, shift: tuple[float, float]) -> None:
    keypoints = make_keypoints(yaw=0.3, mouth=0.2)
    a = describe_head(keypoints)
    b = describe_head((keypoints * size + np.array([*shift, 0.0])).astype(np.float32))
    np.testing.assert_allclose(b.pose, a.pose, atol=1e-4)
    np.testing.assert_allclose(b.deform, a.deform, atol=1e-4)
    assert b.scale == pytest.approx(a.scale * size, rel=1e-4)
    np.testing.assert_allclose(b.origin, a.origin * size + shift, atol=1e-4)


def test_turning_the_head_is_pose_and_not_deformation() -> None:
    front, turned = describe_head(make_keypoints()), describe_head(make_keypoints(yaw=0.5, pitch=0.2))
    assert np.abs(turned.deform).max() < 1e-3
    assert np.linalg.norm(turned.pose - front.pose) > 0.4
    assert front.scale == pytest.approx(FACE_RADIUS, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "moved"),
    [({"mouth": 0.3}, LIPS), ({"eyes": 0.0}, EYES)],
    ids=["open mouth", "closed eyes"],
)
def test_an_expression_is_deformation_and_not_pose(change: dict[str, float], moved: tuple[int, ...]) -> None:
    neutral, expressed = describe_head(make_keypoints()), describe_head(make_keypoints(**change))
    difference = np.linalg.norm(expressed.deform - neutral.deform, axis=1)
    largest = np.argsort(difference)[-6:]
    assert set(largest.tolist()) <= set(moved)
    # an opening mouth must not look like a nod: that is what the upper-face weights are for
    nod = np.linalg.norm(describe_head(make_keypoints(pitch=0.1)).pose - neutral.pose)
    assert np.linalg.norm(expressed.pose - neutral.pose) < 0.25 * nod


def test_deformation_measures_in_head_sizes() -> None:
    deform = describe_head(make_keypoints(mouth=0.3)).deform
    gap = deform[list(LIPS_INNER_LOWER), 1] - deform[list(LIPS_INNER_UPPER), 1]
    np.testing.assert_allclose(gap, 0.3, atol=0.01)


def test_lids_and_lips_count_more() -> None:
    weights = expression_weights()
    assert weights.shape == (478,)
    assert weights[list(EYES)].min() > weights[list(LIPS)].max() > weights[list(BROWS)].max() == 1.0


@pytest.mark.parametrize("shared", [affine_solver, expression_weights])
def test_shared_arrays_cannot_be_changed(shared: object) -> None:
    with pytest.raises(ValueError, match="read-only"):
        shared()[0] = 2.0  # type: ignore[operator]
