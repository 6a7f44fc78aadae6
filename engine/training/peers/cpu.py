# SPDX-License-Identifier: Apache-2.0
"""Networks through OpenVINO on the CPU, as the app runs them: exported, compiled for latency, fed in place."""

from __future__ import annotations

import gc
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from engine.build.graph import save_graph, trace_graph
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.training.peers.networks import Contender, Network, Part
from engine.training.peers.timing import Timed, TimedPart

__all__ = ["count_work", "open_cpu"]

_KERNEL_OPS = ("Convolution", "MatMul")  # where nearly all arithmetic is; their constants are the parameters


def open_cpu(name: str, contender: Contender, *, threads: int, precision: str, seed: int) -> Timed:
    """Build, export and compile a network.

    Our own model runs in the shipped runner, which keeps geometry in float32 whatever the precision; rivals run in one
    precision throughout, coordinates included, which only speed can bear.

    Args:
        threads: 0 for the machine's cores. precision: fp32 or bf16.
    Raises:
        BackendUnavailable: OpenVINO cannot compile it here.
        ModelFileMissing, ModelMismatch: a shipped model is damaged.
    """
    device = OpenVinoDevice("CPU", threads=threads)
    with tempfile.TemporaryDirectory(prefix="bunraku-peers-", ignore_cleanup_errors=True) as folder:
        network = contender.make(seed)
        if network.manifest is not None:
            return _open_ours(name, contender, network, Path(folder), device, threads=threads, precision=precision)
        files = [_export(part, Path(folder) / f"{part.name}.onnx") for part in network.parts]
        _release(network)
        opened = zip(network.parts, files, strict=True)
        parts = tuple(_open_part(name, part, file, device, precision=precision) for part, file in opened)
    return Timed(name, contender.words, parts, f"{device.description}, {precision}")


def _export(part: Part, path: Path) -> Path:
    proto = trace_graph(
        part.graph, tuple(part.feeds.values()), inputs=list(part.feeds), outputs=part.outputs, shapes=None
    )
    save_graph(proto, path)
    return path


def _release(network: Network) -> None:
    """Empty the weights: the files have them, and the exporter holds on to half a gigabyte of them."""
    for part in network.parts:
        for parameter in part.graph.parameters():
            parameter.data = torch.empty(0)
    gc.collect()


def _open_part(name: str, part: Part, path: Path, device: OpenVinoDevice, *, precision: str) -> TimedPart:
    manifest = ModelManifest(name=name, folder=path.parent, side_px=0, cache=(), files={})
    model = device.read(manifest, path.name)
    parameters, macs = count_work(model)
    settings = {"INFERENCE_PRECISION_HINT": "bf16"} if precision == "bf16" else {}
    request = device.compile(model, name=name, **settings).create_infer_request()
    feeds = {key: device.wrap(tensor.numpy()) for key, tensor in part.feeds.items()}
    return TimedPart(part.name, _clocked(lambda: device.infer(request, feeds)), parameters, macs)


def _open_ours(
    name: str,
    contender: Contender,
    network: Network,
    folder: Path,
    device: OpenVinoDevice,
    *,
    threads: int,
    precision: str,
) -> Timed:
    assert network.manifest is not None
    assert network.sources is not None
    manifest = network.manifest(folder)
    runner = OpenVinoRunner(manifest, threads=threads, precision=precision)
    rgba, keypoints = (tensor.numpy() for tensor in network.sources)
    sources = runner.encode(rgba, keypoints)
    (part,) = network.parts
    frame: dict[str, NDArray[Any]] = {key: tensor[0].numpy() for key, tensor in part.feeds.items()}
    inputs = FrameInputs(frame["keypoints"], frame["pick"], frame["log_stage"], frame["log_face"])
    shapes = {key: tuple(tensor.shape) for key, tensor in part.feeds.items()}
    parameters, macs = count_work(_reshaped(device, manifest, shapes))
    run = _clocked(lambda: runner.animate(sources, inputs))
    return Timed(name, contender.words, (TimedPart(part.name, run, parameters, macs),), runner.description)


def _reshaped(device: OpenVinoDevice, manifest: ModelManifest, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    model = device.read(manifest, "animate.onnx")
    known = {port.any_name for port in model.inputs}
    model.reshape({key: list(shape) for key, shape in shapes.items() if key in known})
    return model


def count_work(model: Any) -> tuple[int, int]:
    """Return the parameters and the multiply-adds per run of an OpenVINO model with fixed shapes.

    Convolutions and matrix products only; constants elsewhere, such as grids of coordinates, are not learned.
    """
    parameters = macs = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() not in _KERNEL_OPS:
            continue
        data, weights = (list(node.input(index).get_shape()) for index in (0, 1))
        out = math.prod(node.output(0).get_shape())
        if node.get_type_name() == "Convolution":
            macs += out * math.prod(weights[1:])  # (out, in, height, width)
        else:
            macs += out * data[-2 if node.get_attributes().get("transpose_a") else -1]
        if node.input_value(1).get_node().get_type_name() == "Constant":
            parameters += math.prod(weights)
    return parameters, macs


def _clocked(run: Callable[[], object]) -> Callable[[], int]:
    def timed() -> int:
        start_ns = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - start_ns

    return timed
