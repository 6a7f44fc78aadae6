# SPDX-License-Identifier: Apache-2.0
"""`animate.onnx` -> one engine file for NVIDIA RTX GPUs, built ahead of time: no GPU and no driver are needed.

TensorRT for RTX stores what all the named architectures share and finishes the work on the user's GPU. One file for
three of them is as large as a file for one (8.3 MB for `lite`) and takes as long (4 s on two cores, 2026-11), so all
targets go into one file. float32, as exported. Runs on the main thread; Ctrl-C leaves no file.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from engine.errors import BackendUnavailable, DiskFull, OutputUnwritable
from engine.types import MAX_SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.runtime.manifest import ModelManifest

__all__ = ["PICKED", "TARGETS", "EngineFile", "build_engine", "default_folder", "engine_path", "load_builder"]

TARGETS = ("sm86", "sm89", "sm120")  # RTX 30, 40 and 50; the library knows no data-centre architecture after sm80
PICKED = 2  # pictures a frame looks at; fixed, so that everything after the choice has a fixed shape
_USUAL_SOURCES = 4  # what the engine is tuned for, within 1 to MAX_SOURCES
_PICKED_INPUTS = ("pick", "log_stage", "log_face")
_GRAPH = "animate.onnx"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineFile:
    """A built engine. fresh: made just now, not found."""

    path: Path
    size_bytes: int
    fresh: bool


def default_folder() -> Path:
    """Return where engines are kept: they can be made again, so they belong to the cache."""
    return user_cache_path("bunraku", appauthor=False) / "engines"


def load_builder() -> Any:
    """Import TensorRT for RTX.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    try:
        import tensorrt_rtx
    except ImportError as error:
        raise BackendUnavailable(
            f"Building needs the package tensorrt_rtx, which cannot be imported ({error}).",
            hint="Run: pip install '.[rtx]'  (95 MB; needs no GPU)",
        ) from error
    return tensorrt_rtx


def engine_path(manifest: ModelManifest, folder: Path, *, targets: Sequence[str], version: str) -> Path:
    """Return a file name that changes with everything the engine depends on, so that an old one is never taken."""
    graph = manifest.files[_GRAPH][:12]
    return folder / f"tensorrt_rtx-{version}" / f"{manifest.name}.{'-'.join(targets)}.{graph}.engine"


def build_engine(manifest: ModelManifest, folder: Path, *, targets: Sequence[str] = TARGETS) -> EngineFile:
    """Build a model's engine, or return the one that is there.

    Args:
        manifest: of a model whose files have been verified. targets: some of `TARGETS`.
    Raises:
        BackendUnavailable: the library is missing or refuses the graph; the message names the node and the reason.
        OutputUnwritable, DiskFull: the file cannot be written.
    """
    trt = load_builder()
    path = engine_path(manifest, folder, targets=targets, version=trt.__version__)
    if path.is_file():
        return EngineFile(path, path.stat().st_size, fresh=False)
    data = _serialize(trt, manifest.folder / _GRAPH, targets)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        kind = DiskFull if error.errno == errno.ENOSPC else OutputUnwritable
        raise kind(f"Cannot write the engine: {error}.", hint="Choose another folder with --out.") from error
    return EngineFile(path, path.stat().st_size, fresh=True)


def _serialize(trt: Any, graph: Path, targets: Sequence[str]) -> memoryview:
    reports: list[str] = []
    logger = _make_logger(trt, reports)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        faults = [parser.get_error(i) for i in range(parser.num_errors)]
        raise _refusal(graph, "; ".join(f"node {x.node_name()} ({x.node_operator()}): {x.desc()}" for x in faults))
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network))
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index)
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise _refusal(graph, "; ".join(reports))
    return memoryview(data)


def _refusal(graph: Path, reason: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"TensorRT for RTX refuses the graph: {reason or 'no reason given'}: {graph}.",
        hint="Install the version this program was written for: pip install '.[rtx]'",
    )


def _profile(builder: Any, network: Any) -> Any:
    """Fix K at PICKED and leave N between 1 and MAX_SOURCES, for every input that has one of them."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape:
            counts = [PICKED] * 3 if tensor.name in _PICKED_INPUTS else [1, _USUAL_SOURCES, MAX_SOURCES]
            profile.set_shape(tensor.name, *(tuple(count if x == -1 else x for x in shape) for count in counts))
    return profile


def _make_logger(trt: Any, reports: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Errors are kept for the message; all the rest is for the log file."""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                reports.append(message.strip())
            else:
                _log.debug("%s", message)

    return Logger()
