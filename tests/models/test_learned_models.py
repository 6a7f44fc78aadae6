# SPDX-License-Identifier: Apache-2.0
"""FOMM, fv2v and the paper's implicit warping: shapes, sets of pictures, gradients, published sizes, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.fomm import Fomm, inverse_2x2
from engine.models.fv2v import posed_keypoints
from engine.models.fv2v_motion import rotation_from
from engine.models.learned_motion import LearnedMotion
from engine.models.registry import MODELS
from engine.models.volume import SliceConv, resize_places, sample_volume, slice_grid, tall

SIDE = 64
NAMES = ("fomm", "fv2v", "implicit_warp_paper")
TINY = {
    "fomm": {"detector_levels": 2, "motion_levels": 2, "width": 16, "blocks": 1},
    "fv2v": {
        "keypoints": 4, "detector_levels": 2, "detector_rises": 1, "pose_px": 32, "pose_width": 8,
        "pose_blocks": (0, 1), "appearance_width": 16, "depth": 4, "volume": 4, "flow_px": 8, "flow_depth": 2,
        "flow_width": 4, "flow_levels": 1, "compressed": 2, "width": 16, "blocks": 1,
    },
    "implicit_warp_paper": {
        "keypoints": 4, "detector_levels": 2, "map_px": 16, "map_levels": 2, "learned": 16, "value": 32, "extra": 4,
        "blocks": 1,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name: str, **options: object) -> LearnedMotion:
    """A tiny model whose zeroed heads do something."""
    torch.manual_seed(5)
    kind = MODELS[name]
    model = kind.model(replace(kind.sizes["small"], side_px=SIDE, motion_px=16, **{**TINY[name], **options}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model  # type: ignore[return-value]


def pictures(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(*shape, 3, 8, 8, generator=generator) * 2 - 1
    smooth = F.interpolate(coarse.flatten(0, -4), size=(SIDE, SIDE), mode="bicubic").clamp(-1, 1)
    return smooth.reshape(*shape, 3, SIDE, SIDE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_shapes_of_motion_cache_and_portrait(name: str, sources: int) -> None:
    model = make(name).eval()
    made = model(pictures(2, sources), pictures(2, seed=1))
    assert made.output.shape == (2, 3, SIDE, SIDE)
    assert made.output.abs().max() <= 1
    for key, shape in model.motion_shapes.items():
        assert made.driving[key].shape == (2, *shape)
        assert made.sources[key].shape == (2, sources, *shape)
    cache = model.encode_sources(pictures(2, sources), made.sources)
    assert not set(cache) & set(model.motion_shapes), "the exported graph takes both"


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_sources_does_not_matter(name: str) -> None:
    model = make(name).eval()
    rgb, driving = pictures(1, 3), pictures(1, seed=1)
    order = [0, 2, 1] if name == "fv2v" else [2, 0, 1]  # fv2v takes the canonical keypoints from the first
    with torch.no_grad():
        a, b = model(rgb, driving).output, model(rgb[:, order], driving).output
    assert (a - b).abs().max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_every_source_counts(name: str) -> None:
    model = make(name).eval()
    rgb, driving = pictures(1, 2), pictures(1, seed=1)
    with torch.no_grad():
        before = model(rgb, driving).output
        rgb[:, 1] = pictures(1, seed=9)
        after = model(rgb, driving).output
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = make(name).train()
    output = model(pictures(2, 2), pictures(2, seed=1)).output
    (output * pictures(2, seed=2)).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize(("name", "millions"), [("fomm", 59.8), ("fv2v", 118.8), ("implicit_warp_paper", 50.2)])
def test_full_sizes_have_the_published_widths(name: str, millions: float) -> None:
    """59.8 M is the sum of the FOMM authors' networks; the others are held to what the cards say."""
    kind = MODELS[name]
    with torch.device("meta"):
        model = kind.model(kind.sizes["full"])
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_say_which_model_they_hold(name: str, tmp_path: Path) -> None:
    model = make(name).eval()
    save_checkpoint(model, tmp_path / "w.safetensors")
    again = load_checkpoint(tmp_path / "w.safetensors").eval()
    assert type(again) is type(model)
    assert again.config == model.config
    rgb, driving = pictures(1, 2), pictures(1, seed=1)
    with torch.no_grad():
        assert torch.equal(again(rgb, driving).output, model(rgb, driving).output)


@pytest.mark.parametrize("model", [Fomm()], ids=["fomm"])
def test_an_untrained_flow_follows_the_keypoints(model: Fomm) -> None:
    """All keypoints shifted alike shift what is near them, and leave the far background where it is."""
    model.eval()
    grid = model.motion.grid
    position = torch.rand(1, 10, 2, generator=torch.Generator().manual_seed(2)) * 0.6 - 0.3
    one = torch.eye(2).expand(1, 10, 2, 2)
    source = {"position": position + torch.tensor([0.1, 0.0]), "jacobian": one}
    with torch.no_grad():
        flow, _ = model.motion({"position": position, "jacobian": one}, source, torch.zeros(1, 3, 64, 64))
    offset = (flow.reshape(-1, 2) - grid)[:, 0]
    near = (grid - position[0, 0]).norm(dim=-1).argmin()
    assert offset[near] == pytest.approx(0.1, abs=0.01)
    assert (flow.reshape(-1, 2) - grid)[:, 1].abs().max() < 1e-5


@pytest.mark.parametrize("depth", [1, 3, 16])
def test_the_4d_volume_sampler_is_torchs_5d_one(depth: int) -> None:
    generator = torch.Generator().manual_seed(depth)
    volume = torch.randn(2, 3, depth, 6, 7, generator=generator, requires_grad=True)
    at = (torch.rand(2, 4, 9, 3, generator=generator) * 2.6 - 1.3).requires_grad_()  # some lie outside
    expected = F.grid_sample(volume, at[:, None], align_corners=False, padding_mode="border")[:, :, 0]
    actual = sample_volume(volume.flatten(2, 3), at, depth=depth)
    assert (actual - expected).abs().max() < 1e-4
    pull = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(actual, (volume, at), pull), torch.autograd.grad(expected, (volume, at), pull), strict=True
    ):
        assert (a - b).abs().max() < 1e-3


def test_slice_convolution_is_a_3d_convolution() -> None:
    layer = SliceConv(3, 4, depth=5, factorised=False)
    x = torch.randn(2, 3, 5, 6, 7)
    kernel = layer.deep.weight.reshape(4, 3, 3, 3, 3).transpose(1, 2)  # (out, slice, in, …) -> (out, in, slice, …)
    expected = F.conv3d(x, kernel, layer.deep.bias, padding=1)
    actual = layer(x.transpose(1, 2).flatten(0, 1)).reshape(2, 5, 4, 6, 7).transpose(1, 2)
    assert (actual - expected).abs().max() < 1e-5
    assert torch.equal(tall(x.transpose(1, 2).flatten(0, 1), 5), x.flatten(2, 3))


def test_resized_places_keep_a_shift() -> None:
    shift = torch.tensor([0.1, -0.2, 0.3])
    coarse = slice_grid(2, 4)[None] + shift
    assert torch.allclose(resize_places(coarse, size=(2, 4), to=(8, 16)), slice_grid(8, 16)[None] + shift, atol=1e-6)


def test_small_matrices() -> None:
    matrix = torch.randn(7, 2, 2)
    assert torch.allclose(inverse_2x2(matrix) @ matrix, torch.eye(2).expand(7, 2, 2), atol=1e-3)
    assert inverse_2x2(torch.zeros(1, 2, 2)).isfinite().all()
    rotation = rotation_from(torch.randn(7, 6))
    assert torch.allclose(rotation.transpose(1, 2) @ rotation, torch.eye(3).expand(7, 3, 3), atol=1e-4)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(7), atol=1e-4)
    canonical, shift = torch.randn(7, 5, 3), torch.randn(7, 3)
    posed = posed_keypoints(canonical, rotation, shift, torch.zeros(7, 5, 3))
    assert torch.allclose(posed[:, 2], (rotation @ canonical[:, 2, :, None])[..., 0] + shift, atol=1e-5)
