# SPDX-License-Identifier: Apache-2.0
"""Cut an OpenVINO model at islands of convolutions, so that they can run in half precision and the rest cannot.

The parts run one after another: exact, island, exact, island, … Each reads what earlier parts, or the frame, made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openvino as ov
from openvino import opset13

from engine.runtime.manifest import Island

__all__ = ["Part", "split_model"]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a model. half: whether it is an island. inputs, outputs: tensor names."""

    model: ov.Model
    half: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def split_model(model: ov.Model, islands: Sequence[Island]) -> list[Part]:
    """Return the parts of a model in the order in which they run; tensors keep their names.

    Args:
        model: shapes already set; it is taken apart and must not be used afterwards.
        islands: in order; each lies between tensors that it reads and tensors that it makes.
    Raises:
        KeyError: the model has no tensor of such a name.
    """
    place = _places(model, islands)
    crossing: dict[int, dict[str, Any]] = {}  # part -> name -> parameter
    made: dict[int, dict[str, Any]] = {}  # part -> name -> output
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant":
            continue
        at = place[node.get_friendly_name()]
        for output in node.outputs():
            for consumer in sorted(output.get_target_inputs(), key=lambda i: i.get_node().get_friendly_name()):
                there = place[consumer.get_node().get_friendly_name()]
                if there == at:
                    continue
                name = _name(output)
                if node.get_type_name() != "Parameter":
                    made.setdefault(at, {})[name] = output
                known = crossing.setdefault(there, {})
                if name not in known:
                    parameter = opset13.parameter(output.get_partial_shape(), output.get_element_type(), name=name)
                    parameter.output(0).set_names({name})
                    known[name] = parameter
                consumer.replace_source_output(known[name].output(0))
    return [_part(model, at, place, made.get(at, {}), crossing.get(at, {})) for at in range(max(place.values()) + 1)]


def _part(model: ov.Model, at: int, place: dict[str, int], made: dict[str, Any], read: dict[str, Any]) -> Part:
    results = [r for r in model.get_results() if place[r.get_friendly_name()] == at]
    outputs = [_name(r.input_value(0)) for r in results]
    for name, output in made.items():
        result = opset13.result(output)
        result.output(0).set_names({name})
        results.append(result)
        outputs.append(name)
    own = [p for p in model.get_parameters() if place[p.get_friendly_name()] == at]
    inputs = (*[_name(p.output(0)) for p in own], *read)
    # A copy: constants may be shared with other parts, and compiling changes what it is given.
    part = ov.Model(results, [*own, *read.values()], f"part {at}").clone()
    return Part(part, at % 2 == 1, inputs, tuple(outputs))


def _places(model: ov.Model, islands: Sequence[Island]) -> dict[str, int]:
    """Return the number of the part that every node belongs to: 2i + 1 in island i, even numbers between them."""
    inside = {name: 2 * index + 1 for index, island in enumerate(islands) for name in _members(model, island)}
    place: dict[str, int] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if name in inside:
            place[name] = inside[name]
            continue
        before = [place[i.get_source_output().get_node().get_friendly_name()] for i in node.inputs()]
        # after an island comes the next exact part; a result belongs to what it ends
        step = 0 if node.get_type_name() == "Result" else 1
        place[name] = max((b + step if b % 2 else b for b in before), default=0)
    return place


def _members(model: ov.Model, island: Island) -> set[str]:
    """Return the nodes between an island's inputs and outputs; constants are nobody's."""
    ends = {_name(_output(model, name)) for name in island.inputs}
    found: set[str] = set()
    todo = [_output(model, name) for name in island.outputs]
    while todo:
        output = todo.pop()
        node = output.get_node()
        name = node.get_friendly_name()
        if name in found or _name(output) in ends or node.get_type_name() in ("Constant", "Parameter"):
            continue
        found.add(name)
        todo.extend(i.get_source_output() for i in node.inputs())
    return found


def _name(output: Any) -> str:
    names = sorted(output.get_names())
    if names:
        return str(names[0])
    name = f"{output.get_node().get_friendly_name()}:{output.get_index()}"
    output.set_names({name})
    return name


def _output(model: ov.Model, name: str) -> Any:
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if name in output.get_names():
                return output
    raise KeyError(name)
