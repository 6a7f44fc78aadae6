# SPDX-License-Identifier: Apache-2.0
"""The rest space: same part of the person, same rest position, in every picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.assets import load_canonical_face
from engine.headpose import describe_head
from engine.models.landmark_field import FIELD_MAPS, LandmarkField

FACE = torch.from_numpy(load_canonical_face().copy())


def turned(yaw_deg: float, *, scale: float = 0.28, at: tuple[float, float] = (0.0, -0.1)) -> torch.Tensor:
    """The canonical face turned about the vertical axis, (1, 478, 3)."""
    a = np.deg2rad(yaw_deg)
    turn = torch.tensor([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]], dtype=torch.float32)
    return (FACE @ turn.T * scale + torch.tensor([*at, 0.0]))[None]


@pytest.fixture(scope="module")
def field() -> LandmarkField:
    return LandmarkField(tokens=32).requires_grad_(False)


def test_landmarks_land_on_their_canonical_place(field: LandmarkField) -> None:
    keypoints = turned(20)
    rest = field.rest_frame(keypoints[:, None])
    out = field(keypoints, rest)
    nearest = ((field.grid[:, None] - keypoints[0, None, :, :2]) ** 2).sum(-1).argmin(0)
    upper = FACE[:, 1] < 0.5
    gap = (out.rest[0, nearest, :2] - FACE[:, :2]).norm(dim=-1)[upper]
    token = 2 / 32 / 0.28  # a token's size in canonical units: landmarks lie anywhere inside their token
    assert gap.median() < token * 0.6


def test_same_part_same_rest_position_under_a_turn(field: LandmarkField) -> None:
    frontal, side = turned(0), turned(25)
    rest = field.rest_frame(torch.stack([frontal, side], 1))
    one, two = field(frontal, rest).rest[0], field(side, rest).rest[0]
    # follow the landmarks of the cheek and the nose from one picture to the other through rest space
    for index in (1, 50, 280, 152):
        here = ((field.grid - frontal[0, index, :2]) ** 2).sum(-1).argmin()
        there = ((two[:, :2] - one[here, :2]) ** 2).sum(-1).argmin()
        # nearest token both ways: one token of error each
        assert (field.grid[there] - side[0, index, :2]).norm() < 2.2 * 2 / 32


def test_torso_stands_still_while_the_head_turns_about_its_joint(field: LandmarkField) -> None:
    frontal, side = turned(0), turned(30)
    # turned() turns about the face; a neck keeps its foot
    side[..., 0] -= 0.28 * field.joint_z * np.sin(np.deg2rad(30))
    rest = field.rest_frame(frontal[:, None])
    bottom = field.grid[:, 1] > 0.9
    gap = (field(frontal, rest).rest - field(side, rest).rest)[0, bottom, :2].norm(dim=-1)
    assert gap.max() < 0.1


def test_torso_goes_along_with_a_head_that_moves_away(field: LandmarkField) -> None:
    here, there = turned(0), turned(0, at=(0.2, -0.1))
    rest = field.rest_frame(here[:, None])
    corner = -1  # the lowest token at the side: torso alone
    way = (field(here, rest).rest - field(there, rest).rest)[0, corner, 0] * 0.28
    assert float(way) == pytest.approx(0.2 * float(field.follow_x), abs=0.01)


def test_hair_stays_where_a_head_hardly_differs_from_the_picture_shown(field: LandmarkField) -> None:
    picture = turned(0)
    rest = field.rest_frame(picture[:, None])
    shown = field.solver @ picture
    shown[:, 3, 2] = 0
    top = (field.grid - torch.tensor([0.0, -0.9])).norm(dim=-1).argmin()

    def way(shift: float, shown: torch.Tensor | None) -> float:
        moved = turned(0, at=(shift, -0.1))
        return float((field(picture, rest).rest - field(moved, rest, shown).rest)[0, top, 0])

    assert way(0.002, shown) < 0.2 * way(0.002, None)
    assert way(0.2, shown) > 0.95 * way(0.2, None)  # a real movement is followed


def test_shapes_and_maps(field: LandmarkField) -> None:
    keypoints = turned(5).repeat(3, 1, 1)
    out = field(keypoints, field.rest_frame(keypoints[:, None]))
    assert out.rest.shape == (3, 1024, 3)
    assert out.near.shape == (3, 1024, 478)
    assert field.maps(out).shape == (3, FIELD_MAPS, 32, 32)
    assert torch.isfinite(field.maps(out)).all()


def test_numpy_and_torch_mean_the_same_by_pose(field: LandmarkField) -> None:
    keypoints = turned(-17, scale=0.31)
    out = field(keypoints, field.rest_frame(keypoints[:, None]))
    head = describe_head(keypoints[0].numpy())
    np.testing.assert_allclose(out.pose[0].numpy(), head.pose, atol=1e-4)
    np.testing.assert_allclose(out.deform[0].numpy(), head.deform, atol=1e-4)
    assert float(out.scale[0]) == pytest.approx(head.scale, abs=1e-5)
