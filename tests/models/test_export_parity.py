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

from engine.build.export import ALLOWED_OPERATORS, cache_names, example_inputs, export_model
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.runtime import manifest as manifests
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import ModelManifest, list_models, load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.torch_runner import TorchRunner

FP32_STEPS = 2.0
BF16_STEPS = 4.0
STEP = 2 / 255  # one 8-bit step on the [-1, 1] scale


def manifest_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModelManifest:
    monkeypatch.setattr(manifests, "asset_root", lambda: folder.parents[1])
    return load_manifest(folder.name)


@pytest.fixture(scope="module")
def trained_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose decoder and learned logits do something, exported."""
    torch.manual_seed(11)
    model = ImplicitWarp(WarpModelConfig(side_px=128, width=16, value=32, learned=8, extra=8, blocks=1)).eval()
    model.finish.out.weight.data.normal_(std=0.05)
    model.finish.out.bias.data = torch.tensor([0.1, -0.1, 0.2])
    model.sketch.steer.weight.data.normal_(std=0.05)
    model.sketch.context.weight.data.normal_(std=0.05)
    folder = tmp_path_factory.mktemp("assets") / "models" / "small"
    export_model(model, folder)
    save_checkpoint(model, folder / "weights.safetensors")
    return folder


def frames(side_px: int, *, sources: int, picked: int) -> tuple[np.ndarray, np.ndarray, FrameInputs]:
    x = example_inputs(WarpModelConfig(side_px=side_px, decoder=False), sources=sources, picked=picked, seed=sources)
    n = {name: tensor[0].numpy() for name, tensor in x.items()}
    inputs = FrameInputs(n["keypoints"], n["pick"], n["log_stage"], n["log_face"])
    return n["rgba"], n["source_keypoints"], inputs


@pytest.mark.parametrize(("sources", "picked"), [(1, 1), (2, 2), (5, 2), (16, 2)])
def test_openvino_equals_torch_in_float32(
    trained_like: Path, sources: int, picked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_of(trained_like, monkeypatch)
    rgba, source_keypoints, inputs = frames(128, sources=sources, picked=picked)
    reference = TorchRunner(manifest)
    runner = OpenVinoRunner(manifest, precision="fp32")
    expected = reference.animate(reference.encode(rgba, source_keypoints), inputs)
    actual = runner.animate(runner.encode(rgba, source_keypoints), inputs)
    assert np.abs(actual - expected).max() <= FP32_STEPS * STEP


def test_openvino_with_a_bfloat16_decoder_stays_close(trained_like: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of(trained_like, monkeypatch)
    rgba, source_keypoints, inputs = frames(128, sources=3, picked=2)
    exact = OpenVinoRunner(manifest, precision="fp32")
    half = OpenVinoRunner(manifest, precision="bf16")
    assert half.description.endswith("bf16 decoder")
    a = exact.animate(exact.encode(rgba, source_keypoints), inputs)
    b = half.animate(half.encode(rgba, source_keypoints), inputs)
    assert np.abs(a - b).max() <= BF16_STEPS * STEP


def test_onnxruntime_equals_torch(trained_like: Path) -> None:
    model = load_checkpoint(trained_like / "weights.safetensors").eval()
    x = example_inputs(model.config, sources=4, picked=2, seed=4)
    with torch.no_grad():
        cache = model.encode_sources(x["rgba"], x["source_keypoints"])
        expected, _ = model.animate(
            x["keypoints"], cache, pick=x["pick"], log_stage=x["log_stage"], log_face=x["log_face"]
        )
    names = cache_names(model.config)
    encode = onnxruntime.InferenceSession(trained_like / "encode.onnx", providers=["CPUExecutionProvider"])
    animate = onnxruntime.InferenceSession(trained_like / "animate.onnx", providers=["CPUExecutionProvider"])
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


def test_exported_files_carry_no_machine_path(trained_like: Path) -> None:
    for file in ("encode.onnx", "animate.onnx"):
        content = (trained_like / file).read_bytes()
        assert str(Path(__file__).parents[2]).encode() not in content
        assert b"site-packages" not in content
