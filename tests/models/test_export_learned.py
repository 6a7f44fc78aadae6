# SPDX-License-Identifier: Apache-2.0
"""Learned-keypoint models: torch = onnxruntime = OpenVINO for any number of pictures, operators every back-end knows.

The bound is one 8-bit step of the picture on the [-1, 1] scale; measured: below a fiftieth of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from numpy.typing import NDArray

from engine.build.__main__ import main
from engine.build.export_learned import FILES
from engine.build.graph import ALLOWED_OPERATORS, sha256_of
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.learned_motion import LearnedMotion
from engine.models.registry import MODELS

SIDE, STEP = 64, 2 / 255
FEW = {"detector_levels": 2, "motion_px": 16, "blocks": 1}
TINY = {
    "fomm": {**FEW, "motion_levels": 1, "width": 16},
    "fv2v": {
        **FEW, "keypoints": 4, "detector_rises": 1, "pose_px": 32, "pose_width": 8, "pose_blocks": (0,),
        "appearance_width": 16, "depth": 4, "volume": 4, "flow_px": 8, "flow_depth": 2, "flow_width": 4,
        "flow_levels": 1, "compressed": 2, "width": 16,
    },
    "implicit_warp_paper": {
        **FEW, "keypoints": 4, "map_px": 16, "map_levels": 2, "learned": 16, "value": 32, "extra": 4,
    },
}  # fmt: skip


class Exported(NamedTuple):
    model: LearnedMotion
    folder: Path
    manifest: dict[str, Any]


@pytest.fixture(scope="module", params=tuple(TINY))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny model whose zeroed heads do something, through the command line."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    kind = MODELS[request.param]
    model = kind.model(replace(kind.sizes["small"], side_px=SIDE, **TINY[request.param])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    weights = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_checkpoint(model, weights)
    folder = tmp_path_factory.mktemp("models") / request.param
    half = request.param == "fomm"  # what is exported is what the halved weights say: the parity below sees it
    assert main([str(weights), str(folder), *(["--half"] if half else [])]) == 0
    size = (folder / "weights.safetensors").stat().st_size
    assert (size < 0.6 * weights.stat().st_size) == half
    return Exported(
        load_checkpoint(folder / "weights.safetensors").eval(),
        folder,
        json.loads((folder / "manifest.json").read_text()),
    )  # type: ignore[arg-type]


def reference(model: LearnedMotion, rgb: torch.Tensor, driving: torch.Tensor) -> dict[str, Mapping[str, NDArray[Any]]]:
    """What torch makes of it, step by step."""

    def arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
        return {name: tensor.numpy() for name, tensor in tensors.items()}

    with torch.no_grad():
        sources = {name: t[None] for name, t in model.detect(rgb[0]).items()}
        motion, cache = model.detect(driving), model.encode_sources(rgb, sources)
        portrait = model.animate(motion, cache)
    return {
        "sources": arrays(sources),
        "motion": arrays(motion),
        "cache": arrays(cache),
        "portrait": {"portrait": portrait.numpy()},
    }


@pytest.mark.parametrize("sources", [1, 2, 5])
def test_onnxruntime_and_openvino_equal_torch(exported: Exported, sources: int) -> None:
    model, folder, manifest = exported
    generator = torch.Generator().manual_seed(sources)
    rgb = torch.rand(1, sources, 3, SIDE, SIDE, generator=generator) * 2 - 1
    driving = torch.rand(1, 3, SIDE, SIDE, generator=generator) * 2 - 1
    expected = reference(model, rgb, driving)
    steps = (
        ("detect.onnx", {"rgb": driving.numpy()}, expected["motion"]),
        ("encode.onnx", {"rgb": rgb.numpy(), **expected["sources"]}, expected["cache"]),
        ("animate.onnx", {**expected["motion"], **expected["cache"]}, expected["portrait"]),
    )
    core = openvino.Core()
    assert list(manifest["motion"]) == list(expected["motion"])
    assert manifest["cache"] == list(expected["cache"])
    for file, feeds, wanted in steps:
        session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
        for name, array in zip(wanted, session.run(list(wanted), dict(feeds)), strict=True):
            assert np.abs(array - wanted[name]).max() <= STEP, f"onnxruntime, {file}, {name}"
        compiled = core.compile_model(folder / file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = compiled(dict(feeds))
        for name in wanted:
            assert np.abs(found[name] - wanted[name]).max() <= STEP, f"OpenVINO, {file}, {name}"


@pytest.mark.parametrize("file", FILES)
def test_graphs_hold_standard_4d_operators_only(exported: Exported, file: str) -> None:
    model = onnx.load(exported.folder / file)
    graph = model.graph
    assert {opset.domain for opset in model.opset_import} == {""}
    assert {node.op_type for node in graph.node} <= ALLOWED_OPERATORS
    rank = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input, *graph.output)}
    rank |= {x.name: len(x.dims) for x in graph.initializer}
    deep = {node.op_type for node in graph.node for name in (*node.input, *node.output) if rank.get(name, 0) > 4}
    assert deep <= {"Reshape", "Identity", "Shape"}, "five dimensions may only be folded"
    content = (exported.folder / file).read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_manifest_names_tensors_and_hashes(exported: Exported) -> None:
    model, folder, manifest = exported
    assert manifest["model"] == model.name
    assert manifest["config"]["side_px"] == SIDE
    assert {name: tuple(shape) for name, shape in manifest["motion"].items()} == model.motion_shapes
    assert manifest["files"] == {name: sha256_of(folder / name) for name in FILES}
