# SPDX-License-Identifier: Apache-2.0
"""The two builders, `tensorrt` 10 or 11 and `tensorrt_rtx`, as far as they differ.

    tensorrt       builds for the GPU at hand and times kernels on it; those times are kept in a timing cache
    tensorrt_rtx   builds for named GPUs without any; it times nothing, so there is no timing cache: what it still has
                   to compile on the user's GPU goes into the runner's cache (`engine.runtime.runtime_cache`)

Types come from the graph in both (strong typing: a flag in TensorRT 10, the only way in 11 and in RTX). TF32 is on by
default in both and is switched off: geometric logits lose whole units in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import BackendUnavailable, EngineBuildFailed, InvalidSetting
from engine.runtime.cuda import CudaDevice
from engine.runtime.tensorrt_library import FLAVOURS, RTX_TARGETS, load_library, make_logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Flavour", "Network", "TimingCache", "load_flavour"]

_MAJORS = ("10", "11")  # of tensorrt; tensorrt_rtx counts from 1


@dataclass(frozen=True, slots=True)
class Network:
    """A parsed graph. It holds the parser too, which owns the weights."""

    builder: Any
    network: Any
    parser: Any
    reports: list[str]

    @property
    def layer_count(self) -> int:
        """Layers that the parser made of the graph."""
        return int(self.network.num_layers)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One builder library. name: `tensorrt` or `tensorrt_rtx`. trt: the module."""

    name: str
    trt: Any

    @property
    def version(self) -> str:
        """The library's version, e.g. `1.7.1.116`."""
        return str(self.trt.__version__)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds without a GPU."""
        return self.name == "tensorrt_rtx"

    def architectures(self, targets: Sequence[str] | None) -> tuple[str, ...]:
        """Return the GPUs to build for: those asked for, or `RTX_TARGETS`, or the one at hand.

        Raises:
            BackendUnavailable: `tensorrt` finds no GPU here. InvalidSetting: it is asked for another one.
        """
        if self.ahead_of_time:
            return tuple(targets or RTX_TARGETS)
        try:
            here = CudaDevice().architecture
        except BackendUnavailable as error:
            raise BackendUnavailable(
                f"TensorRT builds for the GPU it runs on. {error.message}",
                hint="Run it on the machine with the GPU, or build for RTX GPUs: "
                "python build_engines.py --flavour tensorrt_rtx",
            ) from error
        if targets and tuple(targets) != (here,):
            raise InvalidSetting(
                f"TensorRT builds for the GPU it runs on: that is {here}, asked for {','.join(targets)}.",
                hint="Leave --target out, or use --flavour tensorrt_rtx.",
            )
        return (here,)

    def parse(self, graph: bytes, *, name: str) -> Network:
        """Let the library read a graph.

        Args:
            name: for messages, e.g. the file's path.
        Raises:
            EngineBuildFailed: an operator is not supported; the message names the node and the reason.
            BackendUnavailable: the library does not start.
        """
        reports: list[str] = []
        logger = make_logger(self.trt, reports)
        try:
            builder = self.trt.Builder(logger)
        except (TypeError, RuntimeError) as error:  # its factory gives nothing, e.g. where `tensorrt` finds no driver
            raise BackendUnavailable(
                f"{self.name} {self.version} does not start: {'; '.join(reports) or error}.",
                hint="Check the driver: bunraku doctor",
            ) from error
        network = builder.create_network(1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = self.trt.OnnxParser(network, logger)
        if not parser.parse(graph):
            faults = [parser.get_error(index) for index in range(parser.num_errors)]
            said = [f"node {x.node_name()} ({x.node_operator()}): {x.desc()}" for x in faults]
            raise self.refusal("; ".join(said or reports), name)
        return Network(builder, network, parser, reports)

    def make_config(self, network: Network, architectures: Sequence[str]) -> Any:
        """Return the builder's configuration, without profiles."""
        config = network.builder.create_builder_config()
        config.clear_flag(self.trt.BuilderFlag.TF32)
        if self.ahead_of_time:
            config.num_compute_capabilities = len(architectures)
            for index, target in enumerate(architectures):
                config.set_compute_capability(getattr(self.trt.ComputeCapability, target.upper()), index)
        return config

    def refusal(self, reason: str, name: str) -> EngineBuildFailed:
        """Return the error for a graph that the library does not take."""
        return EngineBuildFailed(
            f"{self.name} {self.version} refuses the graph: {reason or 'no reason given'}: {name}.",
            hint=f"Install the version this program was written for: pip install '.[{FLAVOURS[self.name]}]'",
        )


class TimingCache:
    """Kernel times of earlier builds on this kind of GPU; for `tensorrt` alone, does nothing otherwise.

    A file that the library does not accept, e.g. one of another version, is replaced.
    """

    def __init__(self, flavour: Flavour, folder: Path, architectures: Sequence[str]) -> None:
        self.path = folder / f"{flavour.name}-{flavour.version}" / f"{'-'.join(architectures)}.timing"
        self._used = not flavour.ahead_of_time

    def attach(self, config: Any) -> None:
        """Let a build use what is known."""
        if not self._used:
            return
        known = self.path.read_bytes() if self.path.is_file() else b""
        for data in dict.fromkeys((known, b"")):
            cache = config.create_timing_cache(data)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return

    def read(self, config: Any) -> bytes:
        """Return what is known after a build; nothing where there is no cache."""
        cache = config.get_timing_cache() if self._used else None
        return bytes(cache.serialize()) if cache is not None else b""


def load_flavour(name: str) -> Flavour:
    """Import a builder.

    Raises:
        BackendUnavailable: it is not installed, or a version that this program does not know.
    """
    flavour = Flavour(name, load_library(name))
    if not flavour.ahead_of_time and flavour.version.split(".")[0] not in _MAJORS:
        raise BackendUnavailable(
            f"TensorRT {flavour.version} is installed, this program builds with {' and '.join(_MAJORS)}.",
            hint="Run: pip install '.[tensorrt]'",
        )
    return flavour
