# SPDX-License-Identifier: Apache-2.0
"""The path of keypoints between pictures, and its timing."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.geometry import angles_from_rotation
from engine.landmarks import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from engine.track.head import take_apart
from engine.track.keypoint_path import EASINGS, KeypointPath, ease
from tests.helpers.source_faces import make_keypoints


def eye_span(keypoints: np.ndarray) -> float:
    return float(keypoints[LEFT_EYE_CORNERS[0], 0] - keypoints[RIGHT_EYE_CORNERS[0], 0])


def test_the_path_goes_through_the_pictures() -> None:
    faces = [make_keypoints(yaw=y, mouth=m) for y, m in ((-0.4, 0.0), (0.3, 0.2), (0.0, 0.0))]
    path = KeypointPath(faces)
    assert path.segments == 2
    for place, face in enumerate(faces):
        assert np.array_equal(path.at(place), face.astype(np.float32))
        near = path.at(min(place + 1e-4, 2.0))
        assert np.abs(near - face).max() < 1e-3


def test_a_head_turns_instead_of_being_squashed() -> None:
    left, right = make_keypoints(yaw=-0.6), make_keypoints(yaw=0.6)
    middle = KeypointPath([left, right]).at(0.5)
    yaw, _, _ = angles_from_rotation(take_apart(middle)[0].rotation)
    assert abs(yaw) < 0.05
    straight = (left + right) / 2
    assert eye_span(middle) > 1.1 * eye_span(straight)  # as wide as a frontal face is
    assert eye_span(middle) == pytest.approx(eye_span(make_keypoints(yaw=0.0)), rel=0.05)


def test_a_loop_comes_back() -> None:
    faces = [make_keypoints(yaw=y) for y in (-0.3, 0.0, 0.3)]
    path = KeypointPath(faces, loop=True)
    assert path.segments == 3
    assert path.pair(2.5)[:2] == (2, 0)
    assert np.array_equal(path.at(3.0), path.at(0.0))


def test_passing_a_picture_is_smooth() -> None:
    path = KeypointPath([make_keypoints(yaw=y) for y in (-0.4, 0.1, 0.2)])
    before = path.at(1.0) - path.at(0.99)
    after = path.at(1.01) - path.at(1.0)
    assert np.linalg.norm(after - before) < 0.2 * np.linalg.norm(after)


@pytest.mark.parametrize("easing", EASINGS)
def test_timing_starts_and_ends_and_never_goes_back(easing: str) -> None:
    places = [ease(t, easing=easing, segments=3) for t in np.linspace(0, 1, 61)]
    assert places[0] == 0.0
    assert places[-1] == 3.0
    assert (np.diff(places) >= 0).all()


def test_in_out_rests_at_every_picture_and_smooth_only_at_the_ends() -> None:
    def speed(easing: str, at: float) -> float:
        return (ease(at + 1e-3, easing=easing, segments=2) - ease(at - 1e-3, easing=easing, segments=2)) / 2e-3

    assert speed("in-out", 0.5) < 0.1
    assert speed("smooth", 0.5) > 1.5
    assert ease(0.25, easing="smooth", segments=2, loop=True) == pytest.approx(0.5)  # a loop runs evenly


def test_one_picture_is_no_path() -> None:
    with pytest.raises(ShapeError):
        KeypointPath([make_keypoints()])
