# SPDX-License-Identifier: Apache-2.0
"""The heat map's graph answers what the attention of the shipped weights does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from engine.build.export import ALLOWED_OPERATORS, example_inputs
from engine.models.checkpoint import load_checkpoint
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import SHARES_GRAPH, list_models, load_manifest
from engine.runtime.openvino_shares import SourceShares

NAMES = ("keypoints", "pick", "log_stage", "log_face")


@pytest.mark.parametrize("name", [name for name in list_models() if not load_manifest(name).learned])
def test_the_heat_maps_graph_is_the_attention_of_the_weights(name: str) -> None:
    manifest = load_manifest(name)
    model = load_checkpoint(manifest.folder / "weights.safetensors").eval()
    x = example_inputs(model.config, sources=5, picked=2, seed=5)
    with torch.no_grad():
        weight = model.attention_weight(
            x["keypoints"], x["source_keypoints"], pick=x["pick"], log_stage=x["log_stage"], log_face=x["log_face"]
        )
    expected = torch.nn.functional.interpolate(weight, size=manifest.side_px, mode="bilinear")[0].numpy()
    inputs = FrameInputs(*(x[key][0].numpy() for key in NAMES))
    shares = SourceShares(manifest).shares(x["source_keypoints"][0].numpy(), inputs)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-4)
    np.testing.assert_allclose(shares[..., inputs.pick].transpose(2, 0, 1), expected, atol=2e-3)
    assert expected.min() < 0.3 < 0.7 < expected.max(), "both pictures are to be seen"


@pytest.mark.parametrize("name", [name for name in list_models() if not load_manifest(name).learned])
def test_the_heat_maps_graph_has_standard_operators_and_no_path(name: str) -> None:
    path = load_manifest(name).folder / SHARES_GRAPH
    assert {node.op_type for node in onnx.load(path).graph.node} <= ALLOWED_OPERATORS
    assert b"site-packages" not in path.read_bytes()
