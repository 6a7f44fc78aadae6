# SPDX-License-Identifier: Apache-2.0
"""torch = ONNX = OpenVINO, for any number of pictures, and the operators every back-end knows.

Bounds are in 8-bit steps of the picture: 2/255 in float32 (measured: 0.01). With the decoder in bfloat16 and the
geometry exact, 4/255 (measured: below 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from engine.build.export import ALLOWED_OPERATORS, cache_names, example_inputs
from engine.models.checkpoint import load_checkpoint
from engine.models.config import WarpModelConfig
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import ModelManifest, list_models, load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.torch_runner import TorchRunner
from tests.helpers.small_export import SMALL

FP32_STEPS = 2.0
BF16_STEPS = 4.0
STEP = 2 / 255  # one 8-bit step on the [-1, 1] scale


@pytest.fixture(scope="module")
def reference(small_model: ModelManifest) -> TorchRunner:
    return TorchRunner(small_model)


@pytest.fixture(scope="module")
def exact(small_model: ModelManifest) -> OpenVinoRunner:
    return OpenVinoRunner(small_model, precision="fp32")


def frames(side_px: int, *, sources: int, picked: int) -> tuple[np.ndarray, np.ndarray, FrameInputs]:
    x = example_inputs(WarpModelConfig(side_px=side_px, decoder=False), sources=sources, picked=picked, seed=sources)
    n = {name: tensor[0].numpy() for name, tensor in x.items()}
    inputs = FrameInputs(n["keypoints"], n["pick"], n["log_stage"], n["log_face"])
    return n["rgba"], n["source_keypoints"], inputs


@pytest.mark.parametrize(("sources", "picked"), [(1, 1), (2, 2), (5, 2), (16, 2)])
def test_openvino_equals_torch_in_float32(
    reference: TorchRunner, exact: OpenVinoRunner, sources: int, picked: int
) -> None:
    rgba, source_keypoints, inputs = frames(SMALL.side_px, sources=sources, picked=picked)
    expected = reference.animate(reference.encode(rgba, source_keypoints), inputs)
    actual = exact.animate(exact.encode(rgba, source_keypoints), inputs)
    assert np.abs(actual - expected).max() <= FP32_STEPS * STEP


def test_openvino_with_a_bfloat16_decoder_stays_close(small_model: ModelManifest, exact: OpenVinoRunner) -> None:
    rgba, source_keypoints, inputs = frames(SMALL.side_px, sources=3, picked=2)
    half = OpenVinoRunner(small_model, precision="bf16")
    assert half.description.endswith("bf16 decoder")
    a = exact.animate(exact.encode(rgba, source_keypoints), inputs)
    b = half.animate(half.encode(rgba, source_keypoints), inputs)
    assert np.abs(a - b).max() <= BF16_STEPS * STEP


def test_onnxruntime_equals_torch(small_folder: Path) -> None:
    model = load_checkpoint(small_folder / "weights.safetensors").eval()
    x = example_inputs(model.config, sources=4, picked=2, seed=4)
    with torch.no_grad():
        cache = model.encode_sources(x["rgba"], x["source_keypoints"])
        expected, _ = model.animate(
            x["keypoints"], cache, pick=x["pick"], log_stage=x["log_stage"], log_face=x["log_face"]
        )
    names = cache_names(model.config)
    encode = onnxruntime.InferenceSession(small_folder / "encode.onnx", providers=["CPUExecutionProvider"])
    animate = onnxruntime.InferenceSession(small_folder / "animate.onnx", providers=["CPUExecutionProvider"])
    feeds = {"rgba": x["rgba"].numpy(), "keypoints": x["source_keypoints"].numpy()}
    encoded = dict(zip(names, encode.run(list(names), feeds), strict=True))
    frame = {name: x[name].numpy() for name in ("keypoints", "pick", "log_stage", "log_face", "rgba")}
    (actual,) = animate.run(None, {**encoded, **frame})
    assert np.abs(actual - expected.numpy()).max() <= FP32_STEPS * STEP


@pytest.mark.parametrize("name", [name for name in list_models() if not load_manifest(name).learned])
def test_shipped_models_match_their_weights(name: str) -> None:
    manifest = load_manifest(name)
    rgba, source_keypoints, inputs = frames(manifest.side_px, sources=4, picked=2)
    reference, runner = TorchRunner(manifest), OpenVinoRunner(manifest, precision="fp32")
    expected = reference.animate(reference.encode(rgba, source_keypoints), inputs)
    actual = runner.animate(runner.encode(rgba, source_keypoints), inputs)
    assert np.abs(actual - expected).max() <= FP32_STEPS * STEP


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("file", ["encode.onnx", "animate.onnx"])
def test_shipped_graphs_hold_standard_operators_only(name: str, file: str) -> None:
    graph = onnx.load(load_manifest(name).folder / file)
    assert {opset.domain for opset in graph.opset_import} == {""}
    assert {node.op_type for node in graph.graph.node} <= ALLOWED_OPERATORS
    five_d = [i.name for i in graph.graph.value_info if len(i.type.tensor_type.shape.dim) > 5]
    assert five_d == []


def test_exported_files_carry_no_machine_path(small_folder: Path) -> None:
    for file in ("encode.onnx", "animate.onnx"):
        content = (small_folder / file).read_bytes()
        assert str(Path(__file__).parents[2]).encode() not in content
        assert b"site-packages" not in content
