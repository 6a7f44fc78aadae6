# SPDX-License-Identifier: Apache-2.0
"""Transforms, fits and rotations against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.geometry import (
    Box,
    angles_from_rotation,
    apply_transform,
    fit_similarity,
    keypoints_from_landmarks,
    landmarks_from_keypoints,
    portrait_from_frame,
    rotation_from_angles,
    rotation_from_rotvec,
    rotvec_from_rotation,
    scale_rotation,
    square_around,
    to_norm,
    to_px,
)


def test_norm_counts_pixel_centres() -> None:
    np.testing.assert_allclose(to_norm([0, 255], side_px=256), [1 / 256 - 1, 1 - 1 / 256])
    np.testing.assert_allclose(to_px([-1, 1], side_px=256), [-0.5, 255.5])


def test_portrait_maps_edges_to_edges_and_agrees_with_keypoints() -> None:
    box = Box(centre_x_px=99.5, centre_y_px=49.5, side_px=40.0)
    corners = np.array([[box.left_px, box.top_px], [99.5, 49.5]])
    np.testing.assert_allclose(
        apply_transform(portrait_from_frame(box, side_px=256), corners), [[-0.5, -0.5], [127.5, 127.5]]
    )
    point = np.array([[110.0, 40.0, 3.0]])
    in_portrait = apply_transform(portrait_from_frame(box, side_px=256), point[:, :2])
    keypoints = keypoints_from_landmarks(point, box=box)
    np.testing.assert_allclose(to_norm(in_portrait, side_px=256), keypoints[:, :2], atol=1e-6)
    assert keypoints[0, 2] == pytest.approx(3 / 20)
    np.testing.assert_allclose(landmarks_from_keypoints(keypoints, box=box), point, atol=1e-5)


def test_square_around_takes_the_height_and_drops() -> None:
    box = square_around(np.array([[10.0, 20, 0], [30, 60, 0]]), margin=2.0, drop=0.1)
    assert (box.centre_x_px, box.centre_y_px, box.side_px) == (20, 48, 80)
    with pytest.raises(ShapeError):
        square_around(np.zeros((0, 2)))


def test_yaw_looks_right_pitch_looks_up_roll_is_clockwise() -> None:
    nose, ear = np.array([0, 0, -1.0]), np.array([1.0, 0, 0])
    assert (rotation_from_angles(yaw_rad=0.3) @ nose)[0] > 0.2
    assert (rotation_from_angles(pitch_rad=0.3) @ nose)[1] < -0.2
    assert (rotation_from_angles(roll_rad=0.3) @ ear)[1] > 0.2  # y is down: clockwise on screen


def test_rotvec_of_a_half_turn_and_of_nothing() -> None:
    half = np.diag([-1.0, 1.0, -1.0])
    np.testing.assert_allclose(np.abs(rotvec_from_rotation(half)), [0, np.pi, 0], atol=1e-9)
    np.testing.assert_allclose(rotvec_from_rotation(np.eye(3)), 0)
    np.testing.assert_allclose(rotation_from_rotvec([0, 0, np.pi / 2]) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotvec_from_rotation(rotation_from_rotvec([1e-9, 0, 0])), [1e-9, 0, 0], atol=1e-15)


def test_scaled_rotation_keeps_its_axis() -> None:
    turn = rotation_from_angles(yaw_rad=0.4)
    np.testing.assert_allclose(angles_from_rotation(scale_rotation(turn, 0.5)), (0.2, 0, 0), atol=1e-12)
    np.testing.assert_allclose(scale_rotation(turn, 0.0), np.eye(3), atol=1e-12)


def test_fit_never_mirrors() -> None:
    points = np.random.default_rng(0).normal(size=(8, 3))
    assert np.linalg.det(fit_similarity(points, points * (-1, 1, 1)).rotation) == pytest.approx(1)


def test_fit_ignores_points_without_weight() -> None:
    points = np.random.default_rng(0).normal(size=(8, 2))
    moved = points * 2 + (3, 4)
    moved[0] += 100
    fit = fit_similarity(points, moved, weights=np.array([0, *[1.0] * 7]))
    np.testing.assert_allclose([fit.scale, *fit.translation], [2, 3, 4])


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4, 4), (4, 4)), ((2, 3), (2, 3))])
def test_fit_rejects_bad_shapes(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ShapeError):
        fit_similarity(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_transform_rejects_homogeneous_points() -> None:
    with pytest.raises(ShapeError):
        apply_transform(np.eye(3), np.zeros((4, 3)))
