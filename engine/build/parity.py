# SPDX-License-Identifier: Apache-2.0
"""How far a frame graph with its precision written in is from the exported one: figures per output and library.

The reference is the exported graph in float32 through OpenVINO. OpenVINO computes float16 weights in float32;
onnxruntime rounds the result of every node as well, which is nearest to what a GPU does.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.assets import load_canonical_face
from engine.build.engines import exact_graph, read_graph
from engine.errors import PrecisionLost
from engine.runtime.base import PICKED
from engine.runtime.openvino_device import OpenVinoDevice
from engine.runtime.openvino_encoder import SourceEncoder
from engine.runtime.openvino_learned import OpenVinoLearnedRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.runtime.manifest import ModelManifest

    Tensors = Mapping[str, NDArray[Any]]

__all__ = ["LEAST_PSNR_DB", "Parity", "measure_parity", "psnr_of", "require_parity"]

LEAST_PSNR_DB = 38.0  # below this a difference can be seen
_PEAK = 2.0  # pictures are in [-1, 1]
_GRAPH = "animate"
_SOURCES, _COARSE_PX = 4, 16


@dataclass(frozen=True, slots=True)
class Parity:
    """One output through one library. max_diff, mean_diff: absolute, on the scale [-1, 1]. psnr_db: inf if equal."""

    output: str
    library: str
    precision: str
    max_diff: float
    mean_diff: float
    psnr_db: float


def measure_parity(manifest: ModelManifest, *, seed: int = 0) -> list[Parity]:
    """Run one made-up frame through the exported graph and through the one that engines are built from.

    Raises:
        BackendUnavailable, EngineBuildFailed: see `halve_graph`. ModelMismatch, InferenceFailed: a graph cannot run.
    """
    device, feeds = OpenVinoDevice(), _example_feeds(manifest, np.random.default_rng(seed))
    reference = _run_openvino(device, manifest, feeds)
    graph = read_graph(manifest, _GRAPH)
    precision = "fp32" if exact_graph(manifest, _GRAPH) else "fp16"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{_GRAPH}.onnx").write_bytes(graph)
        found = {"openvino": _run_openvino(device, replace(manifest, folder=Path(folder)), feeds)}
    exact = _run_onnxruntime(graph, feeds)
    if exact is not None:
        found["onnxruntime"] = exact
    return [
        _compare(output, library, precision, tensors[output], expected)
        for library, tensors in found.items()
        for output, expected in reference.items()
    ]


def require_parity(manifest: ModelManifest, rows: list[Parity]) -> None:
    """Raise PrecisionLost, naming the worst output, if one of them is below `LEAST_PSNR_DB`."""
    worst = min(rows, key=lambda row: row.psnr_db)
    if not worst.psnr_db >= LEAST_PSNR_DB:  # a NaN is no parity either
        raise PrecisionLost(
            f"Output {worst.output} of '{manifest.name}' in {worst.precision} is {worst.psnr_db:.1f} dB from the exact "
            f"one through {worst.library}, expected {LEAST_PSNR_DB:.0f} dB or more.",
            hint="Do not use its engines; export the model again with smaller islands.",
        )


def psnr_of(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the PSNR of pictures in [-1, 1] in dB; inf if they are equal, NaN if one holds a NaN."""
    mean_square = float(np.square(found.astype(np.float64) - expected.astype(np.float64)).mean())
    return float("inf") if mean_square == 0 else float(10 * np.log10(_PEAK**2 / mean_square))


def _compare(output: str, library: str, precision: str, found: NDArray[Any], expected: NDArray[Any]) -> Parity:
    error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    return Parity(output, library, precision, float(error.max()), float(error.mean()), psnr_of(found, expected))


def _run_openvino(device: OpenVinoDevice, manifest: ModelManifest, feeds: Tensors) -> dict[str, NDArray[Any]]:
    shapes = {name: array.shape for name, array in feeds.items()}
    request = device.compile(
        device.read(manifest, f"{_GRAPH}.onnx", shapes=shapes), name=manifest.name
    ).create_infer_request()
    device.infer(request, feeds)
    ports = request.get_compiled_model().outputs
    return {port.any_name: np.array(request.get_tensor(port).data, np.float32) for port in ports}


def _run_onnxruntime(graph: bytes, feeds: Tensors) -> dict[str, NDArray[Any]] | None:
    """Run a graph; None where onnxruntime is not installed: it comes with the extra `test`."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that a graph does not read
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def _example_feeds(manifest: ModelManifest, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return everything that a frame graph reads: smooth noise for pictures, the canonical face for landmarks."""
    if manifest.learned:
        runner = OpenVinoLearnedRunner(manifest)
        sources, _ = runner.encode(_smooth_noise(rng, (_SOURCES, 3), manifest.side_px))
        motion = runner.detect(_smooth_noise(rng, (3,), manifest.side_px))
        cache = {name: np.array(tensor.data) for name, tensor in sources.tensors.items()}
        return {**cache, **{name: motion[name][None] for name in manifest.motion}}
    face = load_canonical_face() * np.float32(0.28)
    shift = rng.uniform(0, 0.1, (_SOURCES, 1, 3)) + rng.normal(0, 0.004, (_SOURCES, *face.shape))
    rgba = _smooth_noise(rng, (_SOURCES, 4), manifest.side_px)
    encoder = SourceEncoder(manifest, OpenVinoDevice())
    cache = encoder.encode(rgba, (face + shift).astype(np.float32))
    log_share = np.log(np.array([[0.7, 0.3]], np.float32))
    return {
        **cache,
        "keypoints": (face + 0.03 + rng.normal(0, 0.004, face.shape)).astype(np.float32)[None],
        "pick": np.arange(PICKED)[None],
        "log_stage": log_share,
        "log_face": log_share,
    }


def _smooth_noise(rng: np.random.Generator, leading: tuple[int, ...], side_px: int) -> NDArray[np.float32]:
    """Return pictures (…, R, R) in [-1, 1] without hard edges: coarse noise, interpolated along both axes."""
    coarse = rng.uniform(-1, 1, (*leading, _COARSE_PX, _COARSE_PX))
    at = np.linspace(0, _COARSE_PX - 1, side_px)
    low = np.minimum(at.astype(int), _COARSE_PX - 2)
    part = at - low
    wide = coarse[..., low] * (1 - part) + coarse[..., low + 1] * part
    full = wide[..., low, :] * (1 - part[:, None]) + wide[..., low + 1, :] * part[:, None]
    return np.ascontiguousarray(full, np.float32)
