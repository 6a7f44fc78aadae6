# SPDX-License-Identifier: Apache-2.0
"""The convolutions of a decoder in 8-bit integers: quantised after training, judged, and kept only where they are good.

Weights are quantised per output channel, activations per tensor with the range seen on calibration frames
(Krishnamoorthi 2018, arXiv 1806.08342), written into the graph as QuantizeLinear/DequantizeLinear pairs, which OpenVINO
fuses. Only convolutions inside the manifest's islands are touched. onnxruntime's quantiser does the writing: NNCF's, on
the same frames and layers, came to 38.2 dB on the worst frame where this one has 43.5 (`lite-trained`, 2026-11-25).
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.build.calibration import RecordedFrame, feeds_of
from engine.build.graph import sha256_of
from engine.build.half import island_nodes
from engine.build.parity import LEAST_PSNR_DB, psnr_of
from engine.errors import BackendUnavailable, EngineBuildFailed, PrecisionLost
from engine.runtime.manifest import INT8_GRAPH, ModelManifest
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.training.peers.timing import Timed, TimedPart, measure, ratios_of

__all__ = ["Judged", "judge", "open_precisions", "quantise", "require_convolutions", "require_worth"]

_LEAST_CHANNELS = 8  # heads say where pixels are taken and what is added to them; they cost nothing
# It reads flow and features in one tensor, and one range for both rounds the flow: worst frame 35.6 dB, without 45.5.
_EXACT = ("sketch.at_quarter.0.0.weight",)


@dataclass(frozen=True, slots=True)
class Judged:
    """One precision of the decoder, against float32. psnr_db: the worst frame's. ratio: time by float32's, paired."""

    precision: str
    psnr_db: float
    median_psnr_db: float
    p50_ms: float
    ratio: float


def quantise(manifest: ModelManifest, frames: Sequence[RecordedFrame], *, products: bool = False) -> bytes:
    """Return the frame graph with quantised convolutions.

    Args:
        frames: what the ranges are taken from; training data only. products: quantise the geometry's products of
            matrices instead, to show what that costs; of no use otherwise.
    Raises:
        BackendUnavailable: onnxruntime or onnx is missing.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise BackendUnavailable(
            f"Quantising needs the packages onnx and onnxruntime, which cannot be imported ({error}).",
            hint="Run: pip install '.[train,test]'",
        ) from error

    path = manifest.folder / "animate.onnx"
    graph = onnx.load(str(path)).graph
    kind = "MatMul" if products else "Conv"
    nodes = graph.node if products else island_nodes(onnx, graph, manifest.islands)
    channels = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    chosen = [
        node.name
        for node in nodes
        if node.op_type == kind
        and (products or (channels[node.input[1]] >= _LEAST_CHANNELS and not node.input[1].endswith(_EXACT)))
    ]
    names = {tensor.name for tensor in graph.input}

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(frames)

        def get_next(self) -> dict[str, Any] | None:
            frame = next(self.left, None)
            return None if frame is None else {k: v for k, v in feeds_of(frame).items() if k in names}

    with tempfile.TemporaryDirectory(prefix="bunraku-int8-") as folder:
        out = Path(folder) / INT8_GRAPH
        quantize_static(
            str(path),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[kind],
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return out.read_bytes()


def require_convolutions(manifest: ModelManifest) -> None:
    """Raise EngineBuildFailed where a model has nothing that may be quantised."""
    if not manifest.islands:
        raise EngineBuildFailed(
            f"'{manifest.name}' has no convolutions that may run in 8-bit integers.",
            hint="Choose a model with a decoder, such as lite-trained.",
        )


def open_precisions(manifest: ModelManifest, int8_graph: bytes, folder: Path) -> dict[str, OpenVinoRunner]:
    """Open a model once per precision of its decoder: fp32, bf16 where the processor has it, int8.

    Args:
        folder: empty; the quantised model lies there while the runners live.
    """
    for name in manifest.files:
        (folder / name).write_bytes((manifest.folder / name).read_bytes())
    (folder / INT8_GRAPH).write_bytes(int8_graph)
    files = {**manifest.files, INT8_GRAPH: sha256_of(folder / INT8_GRAPH)}
    runners = {"fp32": OpenVinoRunner(manifest, precision="fp32")}
    if manifest.islands and OpenVinoDevice().computes_bf16:
        runners["bf16"] = OpenVinoRunner(manifest, precision="bf16")
    runners["int8"] = OpenVinoRunner(replace(manifest, folder=folder, files=files), precision="int8")
    return runners


def judge(runners: dict[str, OpenVinoRunner], frames: Sequence[RecordedFrame], *, rounds: int) -> list[Judged]:
    """Compare every precision's pictures and times with float32's, in turns in one run."""
    exact = [runners["fp32"].animate(frame.sources, frame.inputs).copy() for frame in frames]
    quality = {}
    for name, runner in runners.items():
        drawn = (runner.animate(frame.sources, frame.inputs) for frame in frames)
        quality[name] = [psnr_of(found, wanted) for found, wanted in zip(drawn, exact, strict=True)]
    networks = [
        Timed(name, "", (TimedPart("animate", _clocked(runner, frames)),), "") for name, runner in runners.items()
    ]
    samples = measure(networks, rounds=rounds, frames=len(frames))
    return [
        Judged(
            precision=name,
            psnr_db=min(quality[name]),
            median_psnr_db=float(np.median(quality[name])),
            p50_ms=float(np.median([cost.wall for cost in samples[name].frames([0])])) / 1e6,
            ratio=ratios_of(samples, name, [0], base="fp32")[0],
        )
        for name in runners
    ]


def require_worth(manifest: ModelManifest, rows: Sequence[Judged]) -> None:
    """Raise PrecisionLost where int8 is below `LEAST_PSNR_DB` on any frame, or no faster than the other precisions."""
    found = {row.precision: row for row in rows}
    int8 = found["int8"]
    if not int8.psnr_db >= LEAST_PSNR_DB:  # a NaN is not enough either
        raise PrecisionLost(
            f"'{manifest.name}' in int8 is {int8.psnr_db:.1f} dB from float32 on its worst frame, expected "
            f"{LEAST_PSNR_DB:.0f} dB or more.",
            hint="Nothing was written.",
        )
    rival = min((row for row in rows if row.precision != "int8"), key=lambda row: row.ratio)
    if int8.ratio >= rival.ratio:
        raise PrecisionLost(
            f"'{manifest.name}' in int8 takes {int8.ratio:.2f} of float32's time, {rival.precision} {rival.ratio:.2f}: "
            "it is no faster here.",
            hint="Nothing was written.",
        )


def _clocked(runner: OpenVinoRunner, frames: Sequence[RecordedFrame]) -> Any:
    """Return what draws the next frame, round and round, and gives the time it took, nanoseconds."""
    turn = itertools.cycle(frames)

    def timed() -> int:
        frame = next(turn)
        start_ns = time.perf_counter_ns()
        runner.animate(frame.sources, frame.inputs)
        return time.perf_counter_ns() - start_ns

    return timed
