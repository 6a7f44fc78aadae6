# SPDX-License-Identifier: Apache-2.0
"""Torch module -> ONNX file, and the manifest beside it: what all models' exports have in common.

Standard operators only, opset 18. The files depend on nothing but the weights: no machine's paths, no versions.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

__all__ = ["ALLOWED_OPERATORS", "MANIFEST_FORMAT", "OPSET", "save_graph", "sha256_of", "trace_graph", "write_manifest"]

OPSET = 18
MANIFEST_FORMAT = 1

# What TensorRT, OpenVINO and onnxruntime all run natively; a test holds the exported graphs to it.
ALLOWED_OPERATORS = frozenset(
    """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv Cos DepthToSpace Div Equal
    Exp Expand Flatten Floor Gather Gemm GlobalAveragePool GridSample Identity Less Log MatMul Max Min Mul Neg Pow
    Range Reciprocal ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape
    Resize Shape Sigmoid Sin Slice Softmax SpaceToDepth Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where
    """.split()  # noqa: SIM905 - a list of sixty quoted names is harder to read
)


def trace_graph(
    graph: nn.Module,
    args: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: tuple[Any, ...] | None,
) -> onnx.ModelProto:
    """Export a module; the nodes still say which module they come from (`save_graph` removes that).

    Args:
        graph: takes flat tensors. args: example inputs. inputs, outputs: tensor names. shapes: dynamic dimensions per
            input, in the structure of the module's arguments; None: all are fixed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        program = torch.onnx.export(
            graph.eval(),
            args,
            opset_version=OPSET,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def save_graph(proto: onnx.ModelProto, path: Path) -> None:
    """Remove what is not the model's from a graph, in place, check it and write it."""
    proto.producer_version = ""  # the files must not change with the exporter's build
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces carry paths of the exporting machine
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    onnx.checker.check_model(proto)
    onnx.save_model(proto, str(path))


def write_manifest(folder: Path, manifest: dict[str, Any], *, card: str = "") -> None:
    """Write manifest.json, and card.md if there is a text for it."""
    if card:
        (folder / "card.md").write_text(card, encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return a file's hash, as a manifest has it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
