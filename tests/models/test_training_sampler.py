# SPDX-License-Identifier: Apache-2.0
"""Batches: the same for a seed and step, shared out without loss, true to how the app takes pictures apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.errors import InvalidSetting
from engine.landmarks import flip_permutation
from engine.training.augment import JointChange, SmoothWarp, change_colours, move_jointly
from engine.training.batch import Batch
from engine.training.layers import complete_backdrops, end_at_top, over, separate_person
from engine.training.sampler import Sampler
from engine.warp import layers as app
from engine.warp.plates import make_backdrops
from tests.helpers.small_pack import SIDE_PX, small_split


def joint(count: int, **changes: torch.Tensor) -> JointChange:
    """Return a change that changes nothing but what is named."""
    still = JointChange(
        flip=torch.zeros(count, dtype=torch.bool),
        turn=torch.zeros(count),
        zoom=torch.ones(count),
        shift=torch.zeros(count, 2),
        colour=torch.eye(3).expand(count, -1, -1),
        bright=torch.zeros(count, 3),
    )
    return still._replace(**changes)


def test_the_same_step_draws_the_same_and_another_another() -> None:
    a, b = (Sampler(small_split(), seed=3).draw(7, batch=4) for _ in range(2))
    for name, x, y in zip(Batch._fields, a, b, strict=True):
        torch.testing.assert_close(x, y, atol=0, rtol=0, msg=name)
    other = Sampler(small_split(), seed=3).draw(8, batch=4)
    assert other.truth.shape != a.truth.shape or not torch.equal(other.truth, a.truth)


def test_the_parts_of_two_processes_are_the_batch_of_one() -> None:
    sampler = Sampler(small_split(), seed=1)
    whole = sampler.draw(2, batch=4)
    parts = [sampler.draw(2, batch=4, rank=rank, world=2) for rank in (0, 1)]
    for name, x, *pieces in zip(Batch._fields, whole, *parts, strict=True):
        torch.testing.assert_close(torch.cat(pieces), x, atol=1e-5, rtol=0, msg=name)


def test_shapes_and_ranges() -> None:
    batch = Sampler(small_split(), sources=3).draw(0, batch=2)
    assert batch.rgb.shape == (2, 3, 3, SIDE_PX, SIDE_PX)
    assert batch.rgba.shape == (2, 3, 4, SIDE_PX, SIDE_PX)
    assert batch.source_keypoints.shape == (2, 3, 478, 3)
    assert batch.truth.shape == batch.backdrop.shape == (2, 3, SIDE_PX, SIDE_PX)
    assert all(bool(torch.isfinite(x).all()) for x in batch)
    assert max(float(x.abs().max()) for x in (batch.rgb, batch.rgba, batch.truth)) <= 1.001


def test_judging_changes_nothing() -> None:
    split = small_split(stills=0)
    batch = Sampler(split, sources=1, augment=False).draw(0, batch=3)
    known = torch.from_numpy(split.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    for picture in batch.truth:
        assert min(float((picture - frame).abs().max()) for frame in known) < 1e-5


def test_a_still_becomes_pictures_that_differ_over_one_ground() -> None:
    sampler = Sampler(small_split(clips=0, stills=2), sources=2, seed=5)
    batch = sampler.draw(0, batch=2)
    assert float((batch.rgb[:, 0] - batch.rgb[:, 1]).abs().mean()) > 0.01
    together = over(batch.rgba.flatten(0, 1), batch.backdrop.repeat_interleave(2, 0))
    torch.testing.assert_close(together, batch.rgb.flatten(0, 1), atol=1e-5, rtol=0)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InvalidSetting, match="no clip with more than 6 frames"):
        Sampler(small_split(stills=0), sources=6)
    with pytest.raises(InvalidSetting, match="batch of 3 cannot be shared by 2"):
        Sampler(small_split()).draw(0, batch=3, world=2)


def test_pictures_are_taken_apart_as_the_app_does() -> None:
    split = small_split(clips=1, frames=3, stills=0)
    alpha = split.mattes.copy()
    expected_backdrops = make_backdrops(split.frames, alpha)
    app.end_at_top(alpha)
    expected = app.separate_person(split.frames, alpha, expected_backdrops)

    rgb = torch.from_numpy(split.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    matte = torch.from_numpy(split.mattes)[:, None].float() / 255
    backdrops = complete_backdrops(rgb[None], matte[None])[0]
    person = separate_person(rgb, end_at_top(matte), backdrops)
    steps = (backdrops.permute(0, 2, 3, 1).numpy() + 1) * 127.5
    assert np.abs(steps[0] - expected_backdrops[0]).mean() < 3.0  # gaps are filled in another way
    steps = (person.permute(0, 2, 3, 1).numpy() + 1) * 127.5
    assert np.abs(steps - expected.astype(np.float32)).mean() < 1.5


def test_flipping_moves_picture_and_landmarks_alike() -> None:
    split = small_split(clips=1, frames=2, stills=0)
    rgb = torch.from_numpy(split.frames).permute(0, 3, 1, 2).float()
    keypoints = torch.from_numpy(split.keypoints)
    pictures, points = move_jointly(rgb, keypoints, joint(1, flip=torch.ones(1, dtype=torch.bool)))
    torch.testing.assert_close(pictures, rgb.flip(-1), atol=1e-3, rtol=0)
    mirrored = keypoints[:, torch.from_numpy(flip_permutation().copy())] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(points, mirrored)


def dot(at: torch.Tensor, side: int) -> torch.Tensor:
    """A picture (1, 1, side, side) with a soft dot."""
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    return torch.exp(-((axis[None] - at[0]) ** 2 + (axis[:, None] - at[1]) ** 2) / 0.003)[None, None]


def centre_of(picture: torch.Tensor) -> torch.Tensor:
    axis = (torch.arange(picture.shape[-1]) + 0.5) / picture.shape[-1] * 2 - 1
    mass = picture[0, 0] / picture.sum()
    return torch.stack([(mass.sum(0) * axis).sum(), (mass.sum(1) * axis).sum()])


def test_turning_and_zooming_move_picture_and_landmarks_alike() -> None:
    at = torch.tensor([0.3, -0.2])
    change = joint(1, turn=torch.tensor([0.4]), zoom=torch.tensor([1.3]), shift=torch.tensor([[0.05, -0.1]]))
    keypoints = torch.cat([at, torch.zeros(1)]).expand(1, 478, 3)
    picture, points = move_jointly(dot(at, 128), keypoints, change)
    torch.testing.assert_close(centre_of(picture), points[0, 0, :2], atol=0.01, rtol=0)


def test_smooth_warps_move_picture_and_landmarks_alike() -> None:
    at = torch.tensor([0.1, 0.15])
    keypoints = torch.randn(1, 478, 3, generator=torch.Generator().manual_seed(2)) * 0.1
    keypoints[0, 0, :2] = at
    warp = SmoothWarp.draw(1, torch.Generator().manual_seed(4))
    picture, points = warp.apply(dot(at, 128), keypoints)
    torch.testing.assert_close(centre_of(picture), points[0, 0, :2], atol=0.015, rtol=0)
    assert float((points[0, 0, :2] - at).abs().max()) > 0.02


def test_colours_change_for_a_whole_sample() -> None:
    rgb = torch.zeros(4, 3, 2, 2)
    change = joint(2, bright=torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]))
    out = change_colours(rgb, change)
    torch.testing.assert_close(out[:2, :, 0, 0], torch.tensor([[0.1, 0.2, 0.3]] * 2))
    assert not out[2:].any()


def test_sources_of_a_sample_come_from_one_item() -> None:
    split = small_split(clips=3, stills=0)
    marked = dataclasses.replace(split, frames=np.zeros_like(split.frames))
    for item in marked.items:
        marked.frames[item.start : item.stop] = 60 * (1 + int(item.name[-1]))
    batch = Sampler(marked, sources=4, augment=False).draw(1, batch=4)
    for sources, truth in zip(batch.rgb, batch.truth, strict=True):
        assert float(sources.std()) < 1e-6
        assert float(sources.mean()) == pytest.approx(float(truth.mean()))
