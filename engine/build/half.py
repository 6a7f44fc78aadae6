# SPDX-License-Identifier: Apache-2.0
"""Write the precision into an ONNX graph: the manifest's islands in float16, everything else in float32 as it was.

TensorRT 11 and TensorRT for RTX take types from the graph alone, and TensorRT 10 is told to do so too. Geometric logits
reach ±3000 and coordinates need a fraction of a pixel, so only what the manifest names may be halved: convolutions
after the warp. A tensor is cast where it enters an island and where something outside reads it; inputs and outputs of
the whole graph stay float32, so that every back-end is fed alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import BackendUnavailable, EngineBuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from engine.runtime.manifest import Island

__all__ = ["HALF_OPERATORS", "halve_graph", "island_nodes"]

# Operators whose float16 result is as good as their input. No sampling along coordinates, no long sums.
HALF_OPERATORS = frozenset(
    """
    Add AveragePool Clip Concat Conv DepthToSpace Div Gemm Identity Max MaxPool Min Mul Neg Relu Reshape Resize Sigmoid
    Slice SpaceToDepth Split Squeeze Sub Tanh Transpose Unsqueeze
    """.split()  # noqa: SIM905 - a list of quoted names is harder to read
)
_FLOAT, _FLOAT16 = 1, 10  # onnx.TensorProto
_KEEPS_FLOAT = {"Resize": (1, 2)}  # inputs that the standard wants in float32: region and scales
_SUFFIX = "_half"


def halve_graph(path: Path, islands: Sequence[Island]) -> bytes:
    """Return an ONNX file's graph with its islands in float16; the file's own bytes where there are none.

    Raises:
        BackendUnavailable: the package `onnx` is missing. EngineBuildFailed: an island is not in the graph, holds an
            operator that is not known to be safe, or a weight that float16 cannot hold.
    """
    if not islands:
        return path.read_bytes()
    try:
        import onnx
    except ImportError as error:
        raise BackendUnavailable(
            f"Writing half precision into a graph needs the package onnx, which cannot be imported ({error}).",
            hint="Run: pip install '.[rtx]'  (or '.[tensorrt]')",
        ) from error
    proto = onnx.load(str(path))
    try:
        _Halver(onnx, proto.graph).halve(islands)
        onnx.checker.check_model(proto)
    except (ValueError, KeyError, onnx.checker.ValidationError) as error:
        raise EngineBuildFailed(
            f"The islands of half precision do not fit the graph: {error}: {path}.",
            hint="Export the model again: python -m engine.build WEIGHTS FOLDER",
        ) from error
    data: bytes = proto.SerializeToString()
    return data


def island_nodes(onnx: Any, graph: Any, islands: Sequence[Island]) -> list[Any]:
    """Return a graph's nodes that lie in islands, in the graph's order.

    Raises:
        KeyError, ValueError: as `halve_graph` finds them.
    """
    halver = _Halver(onnx, graph)
    inside = {id(node) for island in islands for node in halver.members(island)}
    return [node for node in graph.node if id(node) in inside]


class _Halver:
    """One conversion. It changes the graph in place."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.maker = {name: node for node in graph.node for name in node.output}
        self.constants = {x.name: x for x in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        self.types = {x.name: x.type.tensor_type.elem_type for x in (*graph.value_info, *graph.input, *graph.output)}
        self.types |= {name: x.data_type for name, x in self.constants.items()}
        self.half: dict[str, str] = {}  # tensor -> its float16 double
        self.weights: list[Any] = []

    def halve(self, islands: Sequence[Island]) -> None:
        members = {id(node) for island in islands for node in self.members(island)}
        outside = {x.name for x in self.graph.output}
        outside |= {name for node in self.graph.node if id(node) not in members for name in node.input}
        nodes: list[Any] = []
        for node in self.graph.node:
            if id(node) not in members:
                nodes.append(node)
                continue
            made = [name for name in node.output if self._is_float(name)]
            if made:
                self._halve_inputs(node, nodes)
                self.half |= {name: name + _SUFFIX for name in made}
                node.output[:] = [self.half.get(name, name) for name in node.output]
            nodes.append(node)
            nodes += [self._cast(self.half[name], name, _FLOAT) for name in made if name in outside]
        self._write(nodes, outside)

    def members(self, island: Island) -> Iterable[Any]:
        """Return the nodes between an island's inputs and its outputs; constants are nobody's."""
        for name in (*island.inputs, *island.outputs):
            if name not in self.types and name not in self.maker:
                raise KeyError(f"there is no tensor {name}")
        seen, todo = set(island.inputs), list(island.outputs)
        found: dict[int, Any] = {}
        while todo:
            name = todo.pop()
            node = self.maker.get(name)
            if name in seen or node is None or node.op_type == "Constant":
                continue
            seen.add(name)
            touches = any(self._is_float(x) for x in (*node.input, *node.output))
            if touches and node.op_type not in HALF_OPERATORS:
                raise ValueError(f"node {node.name} is a {node.op_type}, which has to stay in float32")
            found[id(node)] = node
            todo += node.input
        return found.values()

    def _is_float(self, name: str) -> bool:
        return bool(name) and self.types.get(name) == _FLOAT

    def _halve_inputs(self, node: Any, nodes: list[Any]) -> None:
        """Let a node read float16; casts that this needs go before it."""
        kept = _KEEPS_FLOAT.get(node.op_type, ())
        for index, name in enumerate(node.input):
            if index in kept or not self._is_float(name):
                continue
            if name not in self.half:
                self.half[name] = name + _SUFFIX
                if name in self.constants:
                    self.weights.append(self._halve_constant(name))
                else:
                    nodes.append(self._cast(name, self.half[name], _FLOAT16))
            node.input[index] = self.half[name]

    def _halve_constant(self, name: str) -> Any:
        import numpy as np

        exact = self.onnx.numpy_helper.to_array(self.constants[name])
        if exact.size and np.abs(exact).max() > np.finfo(np.float16).max:
            raise ValueError(f"weight {name} is too large for float16")
        return self.onnx.numpy_helper.from_array(exact.astype(np.float16), self.half[name])

    def _cast(self, source: str, target: str, kind: int) -> Any:
        return self.onnx.helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind)

    def _write(self, nodes: list[Any], outside: set[str]) -> None:
        """Put the nodes in place, with the shapes of the new tensors, and without weights that nobody reads now."""
        graph = self.graph
        read = {name for node in nodes for name in node.input} | outside
        known = {x.name: x for x in (*graph.value_info, *graph.input, *graph.output)}
        made = {name for node in nodes for name in node.output}
        info = [x for x in graph.value_info if x.name in made]
        for name, double in self.half.items():
            if name in known and double in made:
                value = self.onnx.ValueInfoProto()
                value.CopyFrom(known[name])
                value.name, value.type.tensor_type.elem_type = double, _FLOAT16
                info.append(value)
        weights = [x for x in graph.initializer if x.name in read] + self.weights
        for field, items in ((graph.node, nodes), (graph.value_info, info), (graph.initializer, weights)):
            copies = [type(item).FromString(item.SerializeToString()) for item in items]
            del field[:]
            field.extend(copies)
