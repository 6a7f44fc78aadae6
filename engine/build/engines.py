# SPDX-License-Identifier: Apache-2.0
"""ONNX -> engine files, for `tensorrt` and `tensorrt_rtx` alike. Runs on the main thread; Ctrl-C leaves no file.

Of a model only the graphs that run once a frame are built: pictures are encoded once a set, by OpenVINO.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.build.artefacts import probe_folder, write_bytes, write_engine
from engine.build.flavour import TimingCache
from engine.build.half import halve_graph
from engine.build.profiles import RANGE, ProfilePlan, add_profiles
from engine.build.progress import Phases, make_monitor, run_stoppable
from engine.runtime.engine_file import EngineKey, find_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.build.flavour import Flavour
    from engine.runtime.manifest import ModelManifest

__all__ = ["FRAME_GRAPHS", "EngineFile", "build_engine", "engine_key", "exact_graph", "frame_graphs", "read_graph"]

FRAME_GRAPHS = ("detect", "animate")


@dataclass(frozen=True, slots=True)
class EngineFile:
    """A built engine. fresh: made just now, not found. mended: the fault of the file that it replaces, if any."""

    path: Path
    size_bytes: int
    fresh: bool
    mended: str = ""


def frame_graphs(manifest: ModelManifest) -> tuple[str, ...]:
    """Return the stems of a model's graphs that run once a frame, in order."""
    return tuple(graph for graph in FRAME_GRAPHS if f"{graph}.onnx" in manifest.files)


def read_graph(manifest: ModelManifest, graph: str) -> bytes:
    """Return a graph with its precision written into it.

    Raises:
        BackendUnavailable, EngineBuildFailed: see `halve_graph`.
    """
    return halve_graph(manifest.folder / f"{graph}.onnx", manifest.islands if graph == "animate" else ())


def exact_graph(manifest: ModelManifest, graph: str) -> bool:
    """Return whether `read_graph` leaves the graph in float32."""
    return not manifest.islands or graph != "animate"


def engine_key(
    manifest: ModelManifest, graph: str, flavour: Flavour, *, architectures: Sequence[str], plan: ProfilePlan = RANGE
) -> EngineKey:
    """Return everything that an engine depends on."""
    return EngineKey(
        model=manifest.name,
        graph=graph,
        graph_sha256=manifest.files[f"{graph}.onnx"],
        flavour=flavour.name,
        version=flavour.version,
        architectures=tuple(architectures),
        precision="fp32" if exact_graph(manifest, graph) else "fp16",
        profile=plan.name,
    )


def build_engine(
    manifest: ModelManifest,
    graph: str,
    folder: Path,
    *,
    flavour: Flavour,
    architectures: Sequence[str],
    plan: ProfilePlan = RANGE,
    report: Callable[[str, float], None] = lambda phase, part: None,
) -> EngineFile:
    """Build a graph's engine, or return the one that is there.

    Args:
        manifest: of a model whose files have been verified. graph: one of `frame_graphs`.
        architectures: see `Flavour.architectures`. report: told how far the build is; see `Phases`.
    Raises:
        EngineBuildFailed: the library refuses the graph, or the build fails; the message carries its words.
        BackendUnavailable: a package is missing, or the library does not start.
        OutputUnwritable, DiskFull: the file cannot be written; found out before the build where that is possible.
        KeyboardInterrupt: the build was stopped.
    """
    key = engine_key(manifest, graph, flavour, architectures=architectures, plan=plan)
    found = find_engine(folder, key)
    if found is not None and not found.fault:
        return EngineFile(found.path, found.size_bytes, fresh=False)
    name = str(manifest.folder / f"{graph}.onnx")
    network = flavour.parse(read_graph(manifest, graph), name=name)
    probe_folder(folder)
    config = flavour.make_config(network, architectures)
    add_profiles(network.builder, network.network, config, plan)
    times = TimingCache(flavour, folder, architectures)
    times.attach(config)
    stop = threading.Event()
    config.progress_monitor = monitor = make_monitor(flavour.trt, Phases(report), stop)
    data = run_stoppable(lambda: network.builder.build_serialized_network(network.network, config), stop)
    del monitor  # the library keeps no reference of its own, so it has to live until here
    if data is None:
        raise flavour.refusal("; ".join(network.reports), name)
    path = write_engine(folder, key, bytes(data))
    if known := times.read(config):
        write_bytes(times.path, known)
    return EngineFile(path, path.stat().st_size, fresh=True, mended=found.fault if found else "")
