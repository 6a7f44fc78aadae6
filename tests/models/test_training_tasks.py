# SPDX-License-Identifier: Apache-2.0
"""The implicit-warp task: it chooses as the app does, learns on a fixed batch, and says what it cannot make."""

from __future__ import annotations

import pytest
import torch

from engine.errors import InvalidSetting
from engine.training.cross import round_trip_loss, transfer_motion
from engine.training.losses import texture_loss
from engine.training.sampler import Sampler
from engine.training.tasks import make_task
from engine.training.tasks.implicit_warp import ImplicitWarpTask, choose_sources
from engine.warp.selection import SelectionSettings
from tests.helpers.small_pack import small_split

TINY = {"side_px": 64, "width": 8, "value": 16, "learned": 8, "extra": 4}


def test_the_fitting_picture_is_chosen_among_several() -> None:
    batch = Sampler(small_split(stills=0), sources=3, augment=False).draw(0, batch=2)
    same = batch._replace(keypoints=batch.source_keypoints[:, 1])
    picks = choose_sources(same, SelectionSettings())
    assert picks.pick.shape == (2, 2)
    assert picks.pick[:, 0].tolist() == [1, 1]


def test_geometry_comes_from_the_shipped_model() -> None:
    task = make_task("implicit_warp", options=TINY)
    assert isinstance(task, ImplicitWarpTask)
    assert float(task.model.field.log_bandwidth.std()) > 0  # tuned, unlike a fresh model's
    assert all(not p.requires_grad for p in task.model.geometric_parameters().values())


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    task = make_task("implicit_warp", options=TINY)
    batch = Sampler(small_split(side_px=64), sources=2, seed=2).draw(0, batch=2)

    def judge() -> float:
        task.eval()
        with torch.no_grad():
            return float(sum(task(batch).losses.values()))

    before = judge()
    optimiser = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], 3e-4)
    for _ in range(20):
        task.train()
        optimiser.zero_grad()
        sum(task(batch).losses.values(), torch.zeros(())).backward()
        optimiser.step()
    assert judge() < 0.8 * before  # seen: 0.57


@pytest.mark.parametrize("options", [{"geometry": False}, {"fine": False}, {"extra": 0}, {"residual": False}])
def test_every_ablation_can_be_trained(options: dict[str, object]) -> None:
    task = make_task("implicit_warp", options={**TINY, **options}).train()
    outcome = task(Sampler(small_split(side_px=64), sources=1).draw(0, batch=1))
    sum(outcome.losses.values(), torch.zeros(())).backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in task.model.parameters())


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(InvalidSetting, match="no model 'gan'"):
        make_task("gan")
    with pytest.raises(InvalidSetting, match="no size 'huge'"):
        make_task("implicit_warp", size="huge")
    with pytest.raises(InvalidSetting, match="cannot be made") as caught:
        make_task("implicit_warp", options={"depth": 3})
    assert "key_stride" in caught.value.hint


def test_motion_without_change_leaves_the_character_as_it_is() -> None:
    split = small_split(stills=0)
    a, b = (torch.from_numpy(split.keypoints[[i]]) for i in (0, 7))
    torch.testing.assert_close(transfer_motion(b, b, a), a, atol=1e-3, rtol=0)
    torch.testing.assert_close(transfer_motion(b, a, a), b, atol=1e-3, rtol=0)


def test_a_character_driven_by_another_comes_back_as_itself() -> None:
    task = make_task("implicit_warp", options=TINY)
    assert isinstance(task, ImplicitWarpTask)
    batch = Sampler(small_split(side_px=64, stills=0), sources=1, augment=False).draw(0, batch=2)
    with torch.no_grad():
        honest = float(round_trip_loss(task.model, batch))
        other = batch._replace(rgb=batch.rgb.roll(1, 0))  # as if it came back as the driver
        leaked = float(round_trip_loss(task.model, other))
    assert honest < 0.5 * leaked


def test_texture_minds_how_much_detail_there_is_and_not_where() -> None:
    generator = torch.Generator().manual_seed(0)
    sharp = torch.rand(1, 3, 64, 64, generator=generator)
    moved = sharp.roll((3, 5), (2, 3))
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1, count_include_pad=False)
    assert float(texture_loss(sharp, sharp)) == 0
    assert float(texture_loss(moved, sharp)) < 0.2 * float(texture_loss(blurred, sharp))
