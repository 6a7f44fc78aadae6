# SPDX-License-Identifier: Apache-2.0
"""Cut an OpenVINO model in two at named tensors, so that each part can have its own precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import openvino as ov
from openvino import opset13

__all__ = ["split_model"]


def split_model(model: ov.Model, names: Sequence[str]) -> tuple[ov.Model, ov.Model]:
    """Return the part up to the named tensors and the part after them; the tensors keep their names in both.

    Args:
        model: shapes already set; it is taken apart and must not be used afterwards.
        names: tensors that together separate the inputs from the outputs.
    """
    head, tail = model.clone(), model
    results = []
    for name in names:
        result = opset13.result(_output(head, name))
        result.output(0).set_names({name})
        results.append(result)
    before = ov.Model(results, head.get_parameters(), "exact")

    parameters = []
    for name in names:
        output = _output(tail, name)
        parameter = opset13.parameter(output.get_partial_shape(), output.get_element_type())
        for consumer in output.get_target_inputs():
            consumer.replace_source_output(parameter.output(0))
        parameter.output(0).set_names({name})
        parameters.append(parameter)
    after = ov.Model(tail.get_results(), parameters, "decoder")
    return before, after


def _output(model: ov.Model, name: str) -> Any:
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if name in output.get_names():
                return output
    raise KeyError(name)
