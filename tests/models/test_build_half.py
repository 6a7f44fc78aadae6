# SPDX-License-Identifier: Apache-2.0
"""Precision written into a graph: the islands in float16, geometry in float32, and a picture that stays the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.build import flavour as flavours
from engine.build import parity
from engine.build.engines import build_engine, engine_key, read_graph
from engine.build.export import export_model
from engine.build.half import halve_graph
from engine.errors import EngineBuildFailed, PrecisionLost
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.runtime import manifest as manifests
from engine.runtime.manifest import Island, ModelManifest, load_manifest


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    """A small model whose decoder does something, exported."""
    torch.manual_seed(11)
    model = ImplicitWarp(WarpModelConfig(side_px=128, width=8, value=16, learned=8, extra=4, blocks=1)).eval()
    model.finish.out.weight.data.normal_(std=0.05)
    model.sketch.steer.weight.data.normal_(std=0.05)
    folder = tmp_path_factory.mktemp("assets") / "models" / "small"
    export_model(model, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "asset_root", lambda: folder.parents[1])
        return load_manifest("small")


def types_in(graph: onnx.GraphProto) -> dict[str, int]:
    types = {x.name: x.type.tensor_type.elem_type for x in (*graph.value_info, *graph.input, *graph.output)}
    return {**types, **{x.name: x.data_type for x in graph.initializer}}


def test_islands_are_half_and_geometry_is_exact(decoded: ModelManifest) -> None:
    before = onnx.load(str(decoded.folder / "animate.onnx")).graph
    after = onnx.load_from_string(read_graph(decoded, "animate")).graph
    assert [(x.name, x.type) for x in after.input] == [(x.name, x.type) for x in before.input]
    assert [(x.name, x.type) for x in after.output] == [(x.name, x.type) for x in before.output]
    types = types_in(after)
    kinds: dict[str, set[int]] = {}
    for node in after.node:
        if node.op_type != "Cast":
            kinds.setdefault(node.op_type, set()).add(types[node.output[0]])
    for name in ("Conv", "Gemm", "Tanh"):  # learned layers in the frame graph are the decoder's
        assert TensorProto.FLOAT16 in kinds[name]
    for name in ("GridSample", "MatMul", "Exp", "Softmax", "ReduceSum", "ReduceMax", "Sqrt", "Sin", "Cos", "Log"):
        assert TensorProto.FLOAT16 not in kinds.get(name, set()), name
    decoder = {x.name for x in before.initializer if x.name.startswith(("model.sketch", "model.finish"))}
    weights = {x.name for x in after.initializer if x.data_type == TensorProto.FLOAT16}
    assert {name + "_half" for name in decoder if name.endswith("weight")} <= weights
    assert not any(name.startswith(("model.attention", "model.field")) for name in weights)
    casts = [node for node in after.node if node.op_type == "Cast" and "_half" in node.output[0] + node.input[0]]
    ends = sum(len(island.inputs) + len(island.outputs) for island in decoded.islands)
    assert 2 <= len(casts) <= ends  # only where a tensor enters or leaves an island


def test_the_picture_stays_the_same(decoded: ModelManifest) -> None:
    rows = parity.measure_parity(decoded)
    assert {row.library for row in rows} == {"openvino", "onnxruntime"}
    assert {row.precision for row in rows} == {"fp16"}
    assert all(row.psnr_db >= 60 and 0 < row.mean_diff <= row.max_diff < 0.02 for row in rows)
    parity.require_parity(decoded, rows)


@pytest.mark.parametrize("psnr_db", [37.9, float("nan")])
def test_a_picture_that_does_not_is_an_error(psnr_db: float) -> None:
    row = parity.Parity("portrait", "onnxruntime", "fp16", 0.3, 0.01, psnr_db)
    with pytest.raises(PrecisionLost, match=r"Output portrait of 'lite' in fp16 .* expected 38 dB"):
        parity.require_parity(load_manifest("lite"), [row])


def test_a_model_without_islands_is_left_alone() -> None:
    manifest = replace(load_manifest("lite"), islands=())
    assert read_graph(manifest, "animate") == (manifest.folder / "animate.onnx").read_bytes()


def test_rtx_reads_and_builds_it(decoded: ModelManifest, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (pip install '.[rtx]')")
    rtx = flavours.load_flavour("tensorrt_rtx")
    engine = build_engine(decoded, "animate", tmp_path, flavour=rtx, architectures=("sm89",))
    assert engine.fresh
    assert ".fp16." in engine.path.name
    assert engine_key(decoded, "animate", rtx, architectures=("sm89",)).precision == "fp16"


def toy(folder: Path, operator: str = "Relu", weight: float = 1.5) -> Path:
    """x -> exp -> (× weight -> operator) -> y, beside a shape that nobody may halve; the island is in brackets."""
    nodes = [
        helper.make_node("Exp", ["x"], ["hot"]),
        helper.make_node("Mul", ["hot", "weight"], ["scaled"]),
        helper.make_node(operator, ["scaled"], ["small"]),
        helper.make_node("Resize", ["small", "", "scales"], ["big"], mode="nearest"),
        helper.make_node("Add", ["big", "weight"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 8])
    inner = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 4]) for n in ("hot", "scaled", "small")]
    inner.append(helper.make_tensor_value_info("big", TensorProto.FLOAT, [1, 1, 8, 8]))
    constants = [
        numpy_helper.from_array(np.full((1, 1, 1, 1), weight, np.float32), "weight"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]
    graph = helper.make_graph(nodes, "toy", [x], [y], constants, value_info=inner)
    path = folder / "animate.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def test_what_the_standard_wants_exact_stays_exact(tmp_path: Path) -> None:
    graph = onnx.load_from_string(halve_graph(toy(tmp_path), [Island(("hot",), ("big",))])).graph
    types = types_in(graph)
    assert types["scales"] == TensorProto.FLOAT
    assert types["weight"] == TensorProto.FLOAT  # the last sum still reads it
    assert types["weight_half"] == types["scaled_half"] == types["big_half"] == TensorProto.FLOAT16
    assert [node.op_type for node in graph.node] == ["Exp", "Cast", "Mul", "Relu", "Resize", "Cast", "Add"]


def test_islands_that_touch_hand_over_in_half(tmp_path: Path) -> None:
    islands = [Island(("hot",), ("small",)), Island(("small",), ("big",))]
    graph = onnx.load_from_string(halve_graph(toy(tmp_path), islands)).graph
    assert [node.op_type for node in graph.node] == ["Exp", "Cast", "Mul", "Relu", "Resize", "Cast", "Add"]


@pytest.mark.parametrize(
    ("operator", "weight", "island", "says"),
    [
        ("Sqrt", 1.0, Island(("hot",), ("big",)), "is a Sqrt, which has to stay in float32"),
        ("Relu", 1e6, Island(("hot",), ("big",)), "weight weight is too large for float16"),
        ("Relu", 1.0, Island(("cold",), ("big",)), "there is no tensor cold"),
    ],
)
def test_an_island_that_does_not_fit_is_refused(
    operator: str, weight: float, island: Island, says: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineBuildFailed, match=says):
        halve_graph(toy(tmp_path, operator, weight), [island])
