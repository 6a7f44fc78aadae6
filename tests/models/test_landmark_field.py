# SPDX-License-Identifier: Apache-2.0
"""The rest space: same part of the person, same rest position, in every picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.assets import load_canonical_face
from engine.headpose import describe_head
from engine.models.landmark_field import FIELD_MAPS, LandmarkField, rest_frame

FACE = torch.from_numpy(load_canonical_face().copy())


def turned(yaw_deg: float, *, scale: float = 0.28, at: tuple[float, float] = (0.0, -0.1)) -> torch.Tensor:
    """The canonical face turned about the vertical axis, (1, 478, 3)."""
    a = np.deg2rad(yaw_deg)
    turn = torch.tensor([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]], dtype=torch.float32)
    return (FACE @ turn.T * scale + torch.tensor([*at, 0.0]))[None]


@pytest.fixture(scope="module")
def field() -> LandmarkField:
    return LandmarkField(tokens=32)


def test_landmarks_land_on_their_canonical_place(field: LandmarkField) -> None:
    keypoints = turned(20)
    rest = rest_frame(keypoints[:, None], field.solver)
    out = field(keypoints, rest)
    nearest = ((field.grid[:, None] - keypoints[0, None, :, :2]) ** 2).sum(-1).argmin(0)
    upper = FACE[:, 1] < 0.5
    gap = (out.rest[0, nearest, :2] - FACE[:, :2]).norm(dim=-1)[upper]
    token = 2 / 32 / 0.28  # a token's size in canonical units: landmarks lie anywhere inside their token
    assert gap.median() < token * 0.6


def test_same_part_same_rest_position_under_a_turn(field: LandmarkField) -> None:
    frontal, side = turned(0), turned(25)
    rest = rest_frame(torch.stack([frontal, side], 1), field.solver)
    one, two = field(frontal, rest).rest[0], field(side, rest).rest[0]
    # follow the landmarks of the cheek and the nose from one picture to the other through rest space
    for index in (1, 50, 280, 152):
        here = ((field.grid - frontal[0, index, :2]) ** 2).sum(-1).argmin()
        there = ((two[:, :2] - one[here, :2]) ** 2).sum(-1).argmin()
        # nearest token both ways: one token of error each
        assert (field.grid[there] - side[0, index, :2]).norm() < 2.2 * 2 / 32


def test_torso_stands_still_while_the_head_turns(field: LandmarkField) -> None:
    frontal, side = turned(0), turned(30)
    rest = rest_frame(torch.stack([frontal, side], 1), field.solver)
    bottom = field.grid[:, 1] > 0.9
    gap = (field(frontal, rest).rest - field(side, rest).rest)[0, bottom, :2].norm(dim=-1)
    assert gap.max() < 0.05


def test_shapes_and_maps(field: LandmarkField) -> None:
    keypoints = turned(5).repeat(3, 1, 1)
    out = field(keypoints, rest_frame(keypoints[:, None], field.solver))
    assert out.rest.shape == (3, 1024, 3)
    assert out.near.shape == (3, 1024, 478)
    assert field.maps(out).shape == (3, FIELD_MAPS, 32, 32)
    assert torch.isfinite(field.maps(out)).all()


def test_numpy_and_torch_mean_the_same_by_pose(field: LandmarkField) -> None:
    keypoints = turned(-17, scale=0.31)
    out = field(keypoints, rest_frame(keypoints[:, None], field.solver))
    head = describe_head(keypoints[0].numpy())
    np.testing.assert_allclose(out.pose[0].numpy(), head.pose, atol=1e-4)
    np.testing.assert_allclose(out.deform[0].numpy(), head.deform, atol=1e-4)
    assert float(out.scale[0]) == pytest.approx(head.scale, abs=1e-5)
