# SPDX-License-Identifier: Apache-2.0
"""The LivePortrait-shaped network: published sizes, operators every back-end has, the same picture in OpenVINO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.build.graph import ALLOWED_OPERATORS, save_graph, trace_graph
from engine.models.live_portrait import LivePortraitConfig, LivePortraitShaped, SpadeDecoder, WarpingNetwork

PUBLISHED_M = {"warp": 45.5, "decoder": 55.4}
TINY = LivePortraitConfig(
    side_px=64, keypoints=3, depth=4, volume=4, compressed=2, flow_width=4, flow_cap=16, flow_levels=2, width=16,
    blocks=1, hidden=8, last=8,
)  # fmt: skip
STEP = 1 / 255  # one 8-bit step of the picture on its [0, 1] scale


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> LivePortraitShaped:
    return LivePortraitShaped(TINY, seed=1).eval()


@pytest.mark.parametrize(("part", "network"), [("warp", WarpingNetwork), ("decoder", SpadeDecoder)])
def test_published_sizes(part: str, network: type[nn.Module]) -> None:
    with torch.device("meta"):
        built = network(LivePortraitConfig())
    millions = sum(parameter.numel() for parameter in built.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED_M[part], rel=0.02)


def test_picture_has_twice_the_side_and_depends_on_every_input(tiny: LivePortraitShaped) -> None:
    given = tiny.example(seed=2)
    with torch.no_grad():
        rgb = tiny(**given)
        assert rgb.shape == (1, 3, 2 * TINY.side_px, 2 * TINY.side_px)
        assert 0 <= rgb.min() < rgb.max() <= 1
        for name, tensor in given.items():
            other = tiny(**{**given, name: tensor + 0.2 * torch.randn_like(tensor)})
            assert (other - rgb).abs().max() > STEP, name


def test_the_volume_goes_where_the_keypoints_go(tiny: LivePortraitShaped) -> None:
    given, seen = tiny.example(), []
    # a ramp along x: what has moved to the right shows smaller values than before
    ramp = torch.linspace(-1, 1, TINY.volume_px).expand_as(given["volume"]).contiguous()
    network = tiny.warp
    network.flatten.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    shift = torch.tensor([0.5, 0.0, 0.0])
    with torch.no_grad():
        for volume in (given["volume"], ramp):
            network(volume, given["source"], given["source"])
        network(ramp, given["source"], given["source"] + shift)
    # channels of a voxel column stay together: (C, D·r, r) tall is (C·D, r, r) folded
    still, before, after = (x.reshape(1, TINY.volume, TINY.depth * TINY.volume_px, -1) for x in seen)
    assert torch.allclose(still, given["volume"], atol=1e-4)
    assert torch.allclose(before, ramp, atol=1e-4)
    assert (after <= ramp + 1e-4).all()
    assert (ramp - after).mean() > 0.1


def test_every_layer_takes_part(tiny: LivePortraitShaped) -> None:
    tiny(**tiny.example()).square().mean().backward()
    idle = [name for name, weight in tiny.named_parameters() if weight.grad is None]
    assert idle == []


def test_norm_is_drawn_from_the_features(tiny: LivePortraitShaped) -> None:
    spade = tiny.decoder.up[0].norms[0]  # type: ignore[union-attr, index]
    x, features = torch.randn(1, 2 * TINY.width, 32, 32), torch.randn(1, TINY.width, 16, 16)
    with torch.no_grad():
        hidden = F.relu(spade.shared[0](features.repeat_interleave(2, 2).repeat_interleave(2, 3)))  # type: ignore[operator, index]
        mean, deviation = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0).sqrt()
        expected = (x - mean) / deviation * (1 + spade.scale(hidden)) + spade.shift(hidden)  # type: ignore[operator]
        assert torch.allclose(spade(x, features), expected, atol=1e-3)


def test_same_seed_same_weights() -> None:
    one, same, other = (LivePortraitShaped(TINY, seed=seed).warp.compress[0].weight for seed in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_exports_with_4d_operators_and_openvino_equals_torch(tiny: LivePortraitShaped, tmp_path: Path) -> None:
    given = tiny.example(seed=3)
    path = tmp_path / "frame.onnx"
    proto = trace_graph(tiny, tuple(given.values()), inputs=list(given), outputs=["portrait"], shapes=None)
    save_graph(proto, path)
    graph = onnx.load(path).graph
    assert {node.op_type for node in graph.node} <= ALLOWED_OPERATORS | {"InstanceNormalization", "LeakyRelu"}
    rank = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input, *graph.output)}
    rank |= {x.name: len(x.dims) for x in graph.initializer}
    deep = {node.op_type for node in graph.node for name in (*node.input, *node.output) if rank.get(name, 0) > 4}
    assert deep <= {"Reshape", "Identity", "Shape"}, "five dimensions may only be folded"
    with torch.no_grad():
        expected = tiny(**given).numpy()
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({name: tensor.numpy() for name, tensor in given.items()})["portrait"]
    assert expected.std() > 10 * STEP, "a flat picture proves nothing"
    assert np.abs(found - expected).max() <= STEP
