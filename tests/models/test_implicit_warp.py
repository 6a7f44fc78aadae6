# SPDX-License-Identifier: Apache-2.0
"""The model without training: a correct warp, in any order, for any number of pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.build.export import example_inputs
from engine.landmarks import LIPS_INNER_LOWER
from engine.models.config import SIZES, WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from tests.helpers.source_faces import make_keypoints

SMALL = WarpModelConfig(side_px=128, token_stride=8, width=8, value=16, learned=8, extra=4, blocks=1)
GEOMETRIC = WarpModelConfig(side_px=128, token_stride=8, decoder=False)


def model_of(config: WarpModelConfig) -> ImplicitWarp:
    torch.manual_seed(3)
    return ImplicitWarp(config).eval()


def psnr_db(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


@pytest.mark.parametrize("config", [SMALL, GEOMETRIC], ids=["decoder", "geometric"])
@pytest.mark.parametrize("count", [1, 3])
def test_shapes(config: WarpModelConfig, count: int) -> None:
    x = example_inputs(config, sources=count, picked=count)
    with torch.no_grad():
        out, pixels = model_of(config)(x["rgba"], x["source_keypoints"], x["keypoints"])
    assert out.shape == pixels.shape == (1, 4, 128, 128)
    assert torch.isfinite(out).all()


def test_untrained_driving_by_itself_returns_the_source() -> None:
    x = example_inputs(GEOMETRIC, sources=1, picked=1)
    with torch.no_grad():
        out, _ = model_of(GEOMETRIC)(x["rgba"], x["source_keypoints"], x["source_keypoints"][:, 0])
    assert psnr_db(out[..., 8:-8, 8:-8], x["rgba"][0, :, :, 8:-8, 8:-8]) > 35


def test_untrained_follows_a_shift() -> None:
    x = example_inputs(GEOMETRIC, sources=1, picked=1)
    shift_px = 6
    keypoints = x["source_keypoints"][:, 0] + torch.tensor([shift_px / 64, 0.0, 0.0])
    with torch.no_grad():
        out, _ = model_of(GEOMETRIC)(x["rgba"], x["source_keypoints"], keypoints)
    face = (slice(None), slice(None), slice(44, 84), slice(44, 84))
    still, moved = x["rgba"][0][face], torch.roll(x["rgba"][0], shift_px, -1)[face]
    assert psnr_db(out[face], moved) > psnr_db(out[face], still) + 6


def test_an_untrained_decoder_keeps_the_warped_pixels() -> None:
    x = example_inputs(SMALL, sources=2, picked=2)
    with torch.no_grad():
        out, pixels = model_of(SMALL)(x["rgba"], x["source_keypoints"], x["keypoints"])
    assert (out - pixels).abs().max() < 2 / 255


def test_the_best_fitting_picture_is_used_whatever_its_place() -> None:
    x = example_inputs(GEOMETRIC, sources=3, picked=3)
    model = model_of(GEOMETRIC)
    keypoints = x["source_keypoints"][:, 1] + 0.001
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        a, _ = model(x["rgba"], x["source_keypoints"], keypoints)
        b, _ = model(x["rgba"][:, order], x["source_keypoints"][:, order], keypoints)
    torch.testing.assert_close(a, b, atol=2e-3, rtol=0)  # a set has no order


def test_picking_all_equals_picking_none_in_particular() -> None:
    x = example_inputs(GEOMETRIC, sources=2, picked=2)
    model = model_of(GEOMETRIC)
    with torch.no_grad():
        cache = model.encode_sources(x["rgba"], x["source_keypoints"])
        swapped, _ = model.animate(x["keypoints"], cache, pick=torch.tensor([[1, 0]]))
        default, _ = model.animate(x["keypoints"], cache)
    torch.testing.assert_close(swapped, default, atol=2e-3, rtol=0)


def test_cheeks_follow_the_picture_that_draws_the_hair_and_an_open_mouth_may_come_from_another() -> None:
    """Cheeks of one view beside the ears of another leave a gap with the background in it."""
    front, side, open_mouth = (make_keypoints(**face) for face in ({}, {"yaw": 0.7}, {"mouth": 0.3}))
    red, blue = torch.ones(2, 4, 128, 128).unbind()
    red[1:3], blue[:2] = -1.0, -1.0
    rgba = torch.stack([red, blue])[None]
    model = model_of(GEOMETRIC)
    side_leads = torch.log(torch.tensor([[1e-3, 1.0]]))  # the stage, which knows of shifts, has already turned

    def share_of_front(first: np.ndarray, driving: np.ndarray, log_stage: torch.Tensor) -> torch.Tensor:
        sources = torch.from_numpy(np.stack([first, side]))[None]
        with torch.no_grad():
            cache = model.encode_sources(rgba, sources)
            out, _ = model.animate(torch.from_numpy(driving)[None], cache, log_stage=log_stage)
        return (out[0, 0] + 1) / 2

    def at(share: torch.Tensor, keypoints: np.ndarray, landmark: int) -> float:
        x, y = ((keypoints[landmark, :2] + 1) * 64).round().astype(int)
        return float(share[y, x])

    cheek, lip = 50, LIPS_INNER_LOWER[4]
    driving = make_keypoints(yaw=0.3)  # by its own pose, the face would rather be drawn by the front view
    front_leads = side_leads.flip(-1)
    assert at(share_of_front(front, driving, front_leads), driving, cheek) > 0.95
    assert at(share_of_front(front, driving, side_leads), driving, cheek) < 0.05
    driving = make_keypoints(yaw=0.3, mouth=0.3)
    share = share_of_front(open_mouth, driving, side_leads)
    assert at(share, driving, lip) > 0.7


def awake(model: ImplicitWarp) -> ImplicitWarp:
    """Give the parts that start at zero something to say, so that a gradient can pass them."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.abs().sum() > 0:
                parameter.normal_(std=0.05)
    return model


def test_gradients_reach_every_parameter() -> None:
    x = example_inputs(SMALL, sources=2, picked=2)
    torch.manual_seed(0)
    model = awake(ImplicitWarp(SMALL)).train()
    out, _ = model(x["rgba"], x["source_keypoints"], x["keypoints"])
    out.square().mean().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_frozen_geometry_keeps_its_numbers_and_teaches_the_rest() -> None:
    x = example_inputs(SMALL, sources=2, picked=2)
    torch.manual_seed(0)
    model = awake(ImplicitWarp(SMALL)).train()
    model.freeze_geometry()
    out, _ = model(x["rgba"], x["source_keypoints"], x["keypoints"])
    out.square().mean().backward()
    geometric = set(model.geometric_parameters())
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved == {name for name, _ in model.named_parameters()} - geometric


@pytest.mark.parametrize("off", ["geometry", "residual", "fine", "steer", "extra"])
def test_each_part_can_be_left_out(off: str) -> None:
    config = dataclasses.replace(SMALL, **{off: 0 if off == "extra" else False})
    x = example_inputs(config, sources=2, picked=2)
    out, _ = model_of(config)(x["rgba"], x["source_keypoints"], x["keypoints"])
    assert out.shape == (1, 4, 128, 128)
    assert torch.isfinite(out).all()


def test_the_sketch_moves_where_pixels_are_taken_but_not_on_the_face() -> None:
    x = example_inputs(SMALL, sources=1, picked=1)
    model = model_of(SMALL)
    turned = x["source_keypoints"][:, 0] * torch.tensor([0.5, 1.0, 1.0])  # fits no picture: it may be changed
    with torch.no_grad():
        _, before = model(x["rgba"], x["source_keypoints"], turned)
        model.sketch.steer.bias.copy_(torch.tensor([0.21, 0.0]))  # tanh(0.21) · 0.15: two pixels
        _, after = model(x["rgba"], x["source_keypoints"], turned)
    outside = (slice(None), slice(None), slice(100, 124), slice(8, 120))
    assert psnr_db(after[outside], torch.roll(before, -2, -1)[outside]) > psnr_db(after[outside], before[outside]) + 6
    inner = (slice(None), slice(None), slice(56, 72), slice(56, 72))
    assert psnr_db(after[inner], before[inner]) > 40


def test_hair_and_shoulders_of_a_still_head_stay_as_they_are_whatever_was_learned() -> None:
    x = example_inputs(SMALL, sources=1, picked=1)
    torch.manual_seed(1)
    model = awake(ImplicitWarp(SMALL)).eval()
    far = model.field(x["source_keypoints"][:, 0], torch.tensor([[0.0, 0.0, 0.28]])).on_face.reshape(16, 16) < 0.01
    outside = torch.nn.functional.interpolate(far[None, None].float(), size=128)[0, 0] > 0
    with torch.no_grad():
        still, pixels = model(x["rgba"], x["source_keypoints"], x["source_keypoints"][:, 0])
        moved, warped = model(x["rgba"], x["source_keypoints"], x["source_keypoints"][:, 0] + 0.2)
    assert outside.float().mean() > 0.2
    assert float((still - pixels).abs()[..., outside].mean()) < 0.02 * float(
        (moved - warped).abs()[..., outside].mean()
    )


def test_batches_agree_with_single_frames() -> None:
    x = example_inputs(GEOMETRIC, sources=2, picked=2)
    y = example_inputs(GEOMETRIC, sources=2, picked=2, seed=5)
    model = model_of(GEOMETRIC)
    pick = torch.tensor([[0, 1]])
    with torch.no_grad():
        one = [
            model.animate(z["keypoints"], model.encode_sources(z["rgba"], z["source_keypoints"]), pick=pick)[0]
            for z in (x, y)
        ]
        both = {k: torch.cat([x[k], y[k]]) for k in ("rgba", "source_keypoints", "keypoints")}
        cache = model.encode_sources(both["rgba"], both["source_keypoints"])
        two, _ = model.animate(both["keypoints"], cache, pick=pick.repeat(2, 1))
    torch.testing.assert_close(two, torch.cat(one), atol=1e-4, rtol=0)


def test_full_sizes_build() -> None:
    parameters = {name: sum(p.numel() for p in ImplicitWarp(config).parameters()) for name, config in SIZES.items()}
    assert parameters["lite-geometric"] < 1_000
    assert 500_000 < parameters["lite"] < 1_000_000
    assert parameters["full"] > 2 * parameters["lite"]


def test_rejects_impossible_grids() -> None:
    with pytest.raises(ValueError, match="token_stride"):
        WarpModelConfig(token_stride=16)
    with pytest.raises(ValueError, match="got 8 and 200"):
        WarpModelConfig(side_px=200)
