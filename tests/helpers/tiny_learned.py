# SPDX-License-Identifier: Apache-2.0
"""Models with learned keypoints small enough to write by hand, whose answers a test can work out.

    detect:  every motion tensor is a constant plus the picture's mean colour (red, green, blue, red, …, along the
             last axis); rotations are the constant alone
    encode:  keeps the pictures
    animate: the mean of the source pictures, brightened by the mean of the first motion tensor

The mean colour stands in for motion: a brighter driving picture moves the keypoints, and the output shows by how
much. No driving pixel can reach the output.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from engine.runtime.manifest import LEARNED_MOTION

__all__ = ["POINTS", "SIDE_PX", "base_motion", "write_learned_model"]

SIDE_PX = 64
POINTS = 4
_SHAPES = {
    "position": (POINTS, 2),
    "jacobian": (POINTS, 2, 2),
    "canonical": (POINTS, 3),
    "rotation": (3, 3),
    "translation": (3,),
    "expression": (POINTS, 3),
    "strength": (POINTS,),
}


def base_motion(kind: str) -> dict[str, np.ndarray]:
    """Return the constants of the detector: what it finds on a picture of mean colour zero (mid-grey)."""
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
    base = {
        "position": square,
        "jacobian": np.tile(np.eye(2, dtype=np.float32), (POINTS, 1, 1)),
        "canonical": np.concatenate([square, np.zeros((POINTS, 1), np.float32)], 1),
        "rotation": np.eye(3, dtype=np.float32),
        "translation": np.zeros(3, np.float32),
        "expression": np.zeros((POINTS, 3), np.float32),
        "strength": np.full(POINTS, 0.5, np.float32),
    }
    return {name: base[name] for name in LEARNED_MOTION[kind]}


def write_learned_model(folder: Path, kind: str = "fomm", *, lacks: str = "") -> Path:
    """Write a model folder with graphs and manifest, and return it.

    Args:
        lacks: a motion tensor that the detector does not give, although the manifest promises it.
    """
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_detector(kind, lacks), str(folder / "detect.onnx"))
    onnx.save(_encoder(kind), str(folder / "encode.onnx"))
    onnx.save(_animator(kind), str(folder / "animate.onnx"))
    manifest = {
        "format": 1,
        "model": kind,
        "config": {"side_px": SIDE_PX},
        "motion": {name: list(_SHAPES[name]) for name in LEARNED_MOTION[kind]},
        "cache": ["pictures"],
        "opset": 18,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.onnx")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _detector(kind, lacks):
    from onnx import helper, numpy_helper

    nodes = [helper.make_node("ReduceMean", ["rgb", "over"], ["mean"], keepdims=0)]  # (1, 3)
    constants = [numpy_helper.from_array(np.array([2, 3], np.int64), "over")]
    names = [name for name in LEARNED_MOTION[kind] if name != lacks]
    for name in names:
        shape = _SHAPES[name]
        constants.append(numpy_helper.from_array(base_motion(kind)[name][None], f"{name}_base"))
        index = np.zeros(1, np.int64) if name == "strength" else np.arange(shape[-1]) % 3
        constants.append(numpy_helper.from_array(index, f"{name}_index"))
        weight = np.array(0.0 if name == "rotation" else 1.0, np.float32)
        constants.append(numpy_helper.from_array(weight, f"{name}_weight"))
        target = np.array([1] * len(shape) + [len(index)], np.int64)
        constants.append(numpy_helper.from_array(target, f"{name}_shape"))
        nodes += [
            helper.make_node("Gather", ["mean", f"{name}_index"], [f"{name}_colour"], axis=1),
            helper.make_node("Reshape", [f"{name}_colour", f"{name}_shape"], [f"{name}_row"]),
            helper.make_node("Mul", [f"{name}_row", f"{name}_weight"], [f"{name}_shift"]),
            helper.make_node("Add", [f"{name}_base", f"{name}_shift"], [name]),
        ]
    outputs = [_tensor(name, (1, *_SHAPES[name])) for name in names]
    return _model(nodes, [_tensor("rgb", (1, 3, SIDE_PX, SIDE_PX))], outputs, constants)


def _encoder(kind):
    from onnx import helper

    motions = [_tensor(name, (1, "N", *_SHAPES[name])) for name in LEARNED_MOTION[kind]]
    pictures = (1, "N", 3, SIDE_PX, SIDE_PX)
    nodes = [helper.make_node("Identity", ["rgb"], ["pictures"])]
    return _model(nodes, [_tensor("rgb", pictures), *motions], [_tensor("pictures", pictures)], [])


def _animator(kind):
    from onnx import helper, numpy_helper

    first = LEARNED_MOTION[kind][0]
    if kind == "fv2v":
        first = "expression"
    nodes = [
        helper.make_node("ReduceMean", ["pictures", "sources"], ["average"], keepdims=0),
        helper.make_node("ReduceMean", [first], ["brightness"], keepdims=0),
        helper.make_node("Add", ["average", "brightness"], ["portrait"]),
    ]
    inputs = [
        *(_tensor(name, (1, *_SHAPES[name])) for name in LEARNED_MOTION[kind]),
        _tensor("pictures", (1, "N", 3, SIDE_PX, SIDE_PX)),
    ]
    axis = numpy_helper.from_array(np.array([1], np.int64), "sources")
    return _model(nodes, inputs, [_tensor("portrait", (1, 3, SIDE_PX, SIDE_PX))], [axis])


def _tensor(name, shape):
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(nodes, inputs, outputs, constants):
    from onnx import checker, helper

    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    return model
