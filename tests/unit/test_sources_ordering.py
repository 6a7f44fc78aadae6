# SPDX-License-Identifier: Apache-2.0
"""The reference picture comes first, and every prefix of a set is useful."""

from __future__ import annotations

import numpy as np
import pytest

from engine.sources.ordering import describe_face, farthest_first, order_pictures
from tests.helpers.source_faces import make_keypoints

FACES = {
    "left": make_keypoints(yaw=-0.5),
    "smile": make_keypoints(smile=0.12),
    "shut": make_keypoints(eyes=0.0),
    "neutral": make_keypoints(),
    "open": make_keypoints(mouth=0.35),
    "right": make_keypoints(yaw=0.45),
    "up": make_keypoints(pitch=0.3),
}


def test_description_reads_pose_and_mouth():
    turned = describe_face(make_keypoints(yaw=0.4))
    assert abs(abs(turned[1]) - 0.4) < 1e-3
    nodding = describe_face(make_keypoints(pitch=0.3))
    assert abs(abs(nodding[0]) - 0.3) < 1e-3
    flat = describe_face(make_keypoints())
    assert describe_face(make_keypoints(mouth=0.3))[3] > flat[3] + 0.2
    assert describe_face(make_keypoints(smile=0.1))[4] > flat[4] + 0.05
    assert describe_face(make_keypoints(eyes=0.1))[5] < flat[5] * 0.4


def test_expression_does_not_depend_on_pose_scale_or_place():
    face = make_keypoints(mouth=0.2, smile=0.05)
    moved = make_keypoints(mouth=0.2, smile=0.05, yaw=0.5, pitch=-0.2) * 70 + np.float32(12)
    np.testing.assert_allclose(describe_face(moved)[3:], describe_face(face)[3:], atol=0.02)


@pytest.mark.parametrize("start", range(len(FACES)))
def test_neutral_frontal_picture_is_the_reference(start):
    names = list(FACES)[start:] + list(FACES)[:start]
    assert names[order_pictures([FACES[name] for name in names])[0]] == "neutral"


def test_short_prefixes_hold_what_matters():
    names = list(FACES)
    order = [names[index] for index in order_pictures([FACES[name] for name in names])]
    assert order[1] in ("open", "shut", "left", "right")
    assert "open" in order[:4]
    assert {"left", "right"} & set(order[:4])
    assert sorted(order) == sorted(names)


def test_one_and_none():
    assert order_pictures([]) == []
    assert order_pictures([FACES["left"]]) == [0]


def test_farthest_first_on_a_line():
    features = np.array([[0.0], [1.0], [10.0], [4.0], [10.0]])
    assert farthest_first(features, first=0, count=4) == [0, 2, 3, 1]
    assert farthest_first(features, first=1, count=9) == [1, 2, 3, 0, 4]
