# SPDX-License-Identifier: Apache-2.0
"""Posing an avatar: directions of turns, expressions, gaze; and the matrices behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidSetting, SourceUnreadable
from engine.training.render.avatar import MATERIALS, Avatar
from engine.training.render.loading import load_avatar
from engine.training.render.pose import EXPRESSIONS, Pose, blend_weights, expression_weights
from engine.training.render.transforms import (
    direction,
    head_rotation,
    orthographic,
    perspective,
    pivot,
    rotation_from_quaternion,
)
from tests.helpers.tiny_avatar import EYE_HEIGHT, GlbWriter, write_tiny_avatar

FRONT = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(write_tiny_avatar(tmp_path_factory.mktemp("avatar") / "tiny.glb"))


def eye_middle(avatar: Avatar, pose: Pose) -> np.ndarray:
    positions = avatar.posed(pose).positions
    return np.mean([positions[part].mean(axis=0) for part in avatar.eyes], axis=0)


def test_rotations_have_the_documented_signs() -> None:
    up = np.array([0.0, 1.0, 0.0])
    assert (head_rotation(yaw_deg=30) @ FRONT)[0] == pytest.approx(0.5)  # nose to the image right
    assert (head_rotation(pitch_deg=30) @ FRONT)[1] == pytest.approx(-0.5)  # nose down
    assert (head_rotation(roll_deg=30) @ up)[0] == pytest.approx(0.5)  # clockwise as seen


def test_quaternion_and_angles_agree() -> None:
    half = np.radians(40) / 2
    turned = rotation_from_quaternion((0.0, float(np.sin(half)), 0.0, float(np.cos(half))))
    np.testing.assert_allclose(turned, head_rotation(yaw_deg=40), atol=1e-12)


def test_pivot_keeps_its_centre() -> None:
    centre = np.array([1.0, 2.0, 3.0])
    matrix = pivot(centre, head_rotation(20, 30, 40))
    np.testing.assert_allclose((matrix @ np.append(centre, 1))[:3], centre)


def test_projections_put_edges_at_one() -> None:
    clip = perspective(90.0, 0.1, 10.0) @ np.array([2.0, 1.0, -2.0, 1.0])
    np.testing.assert_allclose(clip[:2] / clip[3], [1.0, 0.5])
    flat = orthographic(direction(0, 0), [0, 1, 0], 0.5, 2.0)
    np.testing.assert_allclose(flat @ np.array([0.5, 1.5, 2.0, 1.0]), [1, 1, -1, 1], atol=1e-12)


def test_avatar_holds_what_the_file_has(avatar: Avatar) -> None:
    assert [len(group.colour) for group in avatar.groups] == [256, 16]  # body, wig
    assert [group.two_sided for group in avatar.groups] == [False, True]
    assert list(avatar.targets) == ["MouthOpen"]
    np.testing.assert_allclose(avatar.controls.sum(axis=1), 1, atol=1e-6)
    for number, name in enumerate(MATERIALS):
        assert avatar.materials[:, number].max() == 1, name
    np.testing.assert_allclose(avatar.eye_centres[0], [0.033, EYE_HEIGHT, 0.075], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(avatar.normals, axis=1), 1, atol=0.02)


def test_head_turns_the_way_it_is_told(avatar: Avatar) -> None:
    rest = eye_middle(avatar, Pose())
    np.testing.assert_allclose(rest, [0, EYE_HEIGHT, 0.075], atol=2e-3)
    assert eye_middle(avatar, Pose(yaw_deg=30))[0] > 0.02
    assert eye_middle(avatar, Pose(pitch_deg=20))[1] < rest[1] - 0.01
    assert eye_middle(avatar, Pose(roll_deg=20))[0] > 0.01
    moved = eye_middle(avatar, Pose(shift_m=(0.01, 0.02, 0.03)))
    np.testing.assert_allclose(moved - rest, [0.01, 0.02, 0.03], atol=1e-5)


def test_shoulders_follow_only_a_little(avatar: Avatar) -> None:
    cloth = avatar.materials.sum(axis=1) == 0
    rest, turned = avatar.posed(Pose()).positions, avatar.posed(Pose(yaw_deg=30)).positions
    shift = np.linalg.norm(turned - rest, axis=1)
    assert 0 < shift[cloth].max() < 0.02
    still = avatar.posed(Pose(yaw_deg=30, chest_follow=0.0)).positions
    np.testing.assert_allclose(still[cloth], rest[cloth], atol=1e-6)


def test_gaze_turns_the_eyes_alone(avatar: Avatar) -> None:
    rest, aside = avatar.posed(Pose()).positions, avatar.posed(Pose(gaze_deg=(20, 0))).positions
    left = avatar.eyes[0]
    front = int(np.argmax(rest[left][:, 2]))
    assert (aside[left] - rest[left])[front, 0] > 0.003
    others = np.ones(len(rest), bool)
    for part in avatar.eyes:
        others[part] = False
    np.testing.assert_allclose(aside[others], rest[others], atol=1e-6)


def test_morph_target_moves_by_its_weight(avatar: Avatar) -> None:
    rest = avatar.posed(Pose()).positions
    half = avatar.posed(Pose(weights={"MouthOpen": 0.5, "NotInThisAvatar": 1.0})).positions
    moved = (half - rest)[:, 1]
    assert moved.min() == pytest.approx(-0.015, abs=1e-4)
    assert (np.abs(moved) < 1e-6).mean() > 0.5


def test_missing_joint_is_named(tmp_path: Path) -> None:
    writer = GlbWriter()
    writer.tree |= {"nodes": [{"name": "Root"}], "scenes": [{"nodes": [0]}]}
    with pytest.raises(SourceUnreadable, match="no joint 'Spine2'"):
        load_avatar(writer.write(tmp_path / "bare.glb"))


def test_expressions_blend_and_stay_in_range() -> None:
    mixed = expression_weights({"smile": 0.5, "MouthOpen": 0.25})
    assert mixed["LsmileClose"] == mixed["RsmileClose"] == pytest.approx(EXPRESSIONS["smile"]["LsmileClose"] / 2)
    assert mixed["MouthOpen"] == 0.25
    assert blend_weights(({"a": 0.8}, 1.0), ({"a": 0.8, "b": 1.0}, 0.5)) == {"a": 1.0, "b": 0.5}
    with pytest.raises(InvalidSetting, match="smile"):
        expression_weights({"smile": 2.0})
