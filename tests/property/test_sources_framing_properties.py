# SPDX-License-Identifier: Apache-2.0
"""Framing transforms hold for any box and any face."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry import keypoints_from_landmarks, landmarks_from_keypoints, to_px
from engine.sources.framing import FACE_HEIGHTS_PER_SIDE, SquareBox, cut_image, face_box
from engine.sources.ordering import farthest_first, order_pictures
from tests.helpers.source_faces import landmarks_at, make_keypoints, portrait_rgb

boxes = st.builds(SquareBox, st.integers(-500, 500), st.integers(-500, 500), st.integers(2, 3000))
RGB = portrait_rgb((90, 70))


@given(boxes, st.floats(-300, 900), st.floats(-300, 900), st.floats(20, 600))
@settings(deadline=None)
def test_landmarks_survive_the_round_trip(box, x, y, height):
    landmarks = landmarks_at((x, y), height)
    there = keypoints_from_landmarks(landmarks, box=box.box)
    back = landmarks_from_keypoints(there, box=box.box)
    np.testing.assert_allclose(back, landmarks, atol=1e-2)


@given(boxes)
@settings(deadline=None)
def test_box_corners_span_portrait_space(box):
    corners = np.array([[box.left_px - 0.5, box.top_px - 0.5, 0.0], [box.left_px + box.side_px - 0.5] * 2 + [0.0]])
    corners[1, 1] = box.top_px + box.side_px - 0.5
    np.testing.assert_allclose(keypoints_from_landmarks(corners, box=box.box)[:, :2], [[-1, -1], [1, 1]], atol=1e-5)


@given(st.floats(-500, 2000), st.floats(-500, 2000), st.floats(10, 1500), st.sampled_from([64, 256, 512]))
@settings(deadline=None)
def test_every_cut_face_is_as_large_and_in_the_middle(x, y, height, side_px):
    landmarks = landmarks_at((x, y), height)
    keypoints = keypoints_from_landmarks(landmarks, box=face_box(landmarks).box)
    low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
    slack = 2.5 / height  # boxes lie on whole pixels
    assert abs((high[1] - low[1]) - 2 / FACE_HEIGHTS_PER_SIDE) < slack
    assert np.abs(low + high).max() < slack * 2
    assert np.isfinite(to_px(keypoints, side_px=side_px)).all()


@given(st.integers(-120, 120), st.integers(-120, 120), st.integers(2, 260), st.sampled_from([16, 64]))
@settings(deadline=None)
def test_any_box_gives_a_full_square_within_the_pictures_range(left, top, side, out):
    cut = cut_image(RGB[..., 0], SquareBox(left, top, side), side_px=out)
    assert cut.shape == (out, out)
    assert cut.dtype == np.uint8
    if side >= out:  # averages never leave the range; cubic enlargement may overshoot a little
        assert cut.min() >= RGB[..., 0].min()
        assert cut.max() <= RGB[..., 0].max()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(deadline=None)
def test_farthest_first_picks_each_row_once(rows, count, seed):
    features = np.random.default_rng(seed).integers(0, 3, (rows, 2)).astype(float)  # with duplicates
    first = seed % rows
    picked = farthest_first(features, first=first, count=count)
    assert picked[0] == first
    assert len(picked) == len(set(picked)) == min(rows, count)


@given(st.permutations(range(5)))
@settings(deadline=None, max_examples=20)
def test_order_does_not_depend_on_the_order_given(permutation):
    faces = [
        make_keypoints(),
        make_keypoints(mouth=0.3),
        make_keypoints(yaw=0.6),
        make_keypoints(yaw=-0.4, smile=0.1),
        make_keypoints(eyes=0.0, pitch=0.2),
    ]
    order = order_pictures([faces[index] for index in permutation])
    assert [permutation[index] for index in order] == order_pictures(faces)
