# SPDX-License-Identifier: Apache-2.0
"""What holds for any face, any pose and any camera."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import MotionSettings
from engine.geometry import (
    Similarity,
    angles_from_rotation,
    fit_similarity,
    rotation_from_angles,
    rotation_from_rotvec,
    rotvec_from_rotation,
    to_norm,
    to_px,
)
from engine.track.calibration import make_neutral
from engine.track.retarget import Retargeter
from tests.helpers.performers import Performer, motion_of

angle = st.floats(-1.2, 1.2)
small = st.floats(-0.4, 0.4)
CHARACTER = (Performer().landmarks() - np.array([320, 240, 0])) / 280


@given(angle, angle, st.floats(-3, 3))
def test_angles_round_trip(yaw: float, pitch: float, roll: float) -> None:
    rotation = rotation_from_angles(yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(angles_from_rotation(rotation), (yaw, pitch, roll), atol=1e-9)


@given(st.tuples(angle, angle, angle))
def test_rotvec_round_trip(rotvec: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(rotvec_from_rotation(rotation_from_rotvec(rotvec)), rotvec, atol=1e-9)


@given(st.integers(16, 4096), st.floats(-5000, 5000))
def test_norm_round_trip(side_px: int, x_px: float) -> None:
    assert abs(float(to_px(to_norm(x_px, side_px=side_px), side_px=side_px)) - x_px) < 1e-8


@given(
    st.sampled_from([2, 3]),
    st.floats(0.05, 20),
    st.tuples(angle, angle, angle),
    st.floats(-100, 100),
    st.integers(0, 99),
)
def test_similarity_is_recovered(
    size: int, scale: float, rotvec: tuple[float, float, float], x: float, seed: int
) -> None:
    rotation = rotation_from_rotvec((0, 0, rotvec[2]) if size == 2 else rotvec)[:size, :size]
    truth = Similarity(scale, rotation, np.full(size, x))
    points = np.random.default_rng(seed).normal(size=(12, size))
    found = fit_similarity(points, truth.apply(points))
    np.testing.assert_allclose(found.scale, scale, rtol=1e-9)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found.undo(truth.apply(points)), points, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.75, 1.35), st.floats(0.75, 1.35), st.floats(20, 300), st.floats(0, 2000), small, small, small)
def test_nobodys_neutral_changes_the_character(
    width: float, height: float, size_px: float, x_px: float, yaw: float, pitch: float, roll: float
) -> None:
    """Face shape, place in the frame, distance and the angle in which one sits: none of it leaks."""
    person = Performer(width=width, height=height, size_px=size_px, centre_px=(x_px, 300))
    landmarks = person.landmarks(yaw=yaw, pitch=pitch, roll=roll)
    query = Retargeter(CHARACTER, neutral=make_neutral(landmarks), smoothed=False).retarget(motion_of(landmarks))
    np.testing.assert_allclose(query.keypoints, CHARACTER, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3), st.floats(-800, 800), st.floats(0.2, 4), st.floats(0, 1),
    st.floats(0, 2),
)  # fmt: skip
def test_no_motion_throws_the_character_out_of_its_frame(
    yaw: float, pitch: float, roll: float, move_px: float, grow: float, motion: float, gain: float
) -> None:
    person = Performer()
    retargeter = Retargeter(
        CHARACTER,
        neutral=make_neutral(person.landmarks()),
        settings=MotionSettings(motion=motion, head=gain, mouth=gain, eyes=gain, brows=gain),
        smoothed=False,
    )
    wild = person.landmarks(yaw=yaw, pitch=pitch, roll=roll, move_px=(move_px, -move_px), grow=grow, jaw=0.3)
    keypoints = retargeter.retarget(motion_of(wild)).keypoints
    assert np.isfinite(keypoints).all()
    assert np.abs(keypoints[:, :2].mean(0)).max() < 0.6
