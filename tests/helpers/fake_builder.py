# SPDX-License-Identifier: Apache-2.0
"""A stand-in for TensorRT's builder that counts its work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.build import engines
from engine.build import flavour as flavours
from engine.runtime.manifest import ModelManifest

__all__ = ["ARCHITECTURES", "FakeBuilder", "build", "install"]

ARCHITECTURES = ("sm86", "sm89", "sm120")


class FakeBuilder:
    """A builder that counts its work: `tensorrt_rtx`, or `tensorrt`, as far as `engine.build` sees it.

    during: called in the middle of every build, with what asks whether to go on.
    """

    class ILogger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, WARNING=2)

    class IProgressMonitor:
        pass

    class ComputeCapability:
        SM86, SM89, SM120 = "86", "89", "120"

    BuilderFlag = SimpleNamespace(TF32="tf32")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=3)

    def __init__(
        self,
        *,
        version: str = "1.2.3",
        faults: int = 0,
        fails: bool = False,
        during: Callable[[Callable[[], bool]], None] | None = None,
    ) -> None:
        self.inputs = {"keypoints": (1, 478, 3), "pick": (1, -1), "rgba": (1, -1, 4, 8, 8)}
        self.__version__ = version
        self.faults, self.fails, self.during = faults, fails, during
        self.shapes: list[dict[str, list[tuple[int, ...]]]] = []
        self.targets: list[str] = []
        self.cleared: list[str] = []
        self.known_times: list[bytes] = []
        self.network_flags = self.builds = 0

    def Builder(self, logger: object) -> FakeBuilder:
        self.logger = logger
        return self

    def create_network(self, flags: int) -> FakeBuilder:
        self.network_flags = flags
        return self

    def OnnxParser(self, network: object, logger: object) -> SimpleNamespace:
        fault = SimpleNamespace(node_name=lambda: "warp_7", node_operator=lambda: "GridSample", desc=lambda: "no 5-D")
        return SimpleNamespace(
            parse=lambda graph: not self.faults, num_errors=self.faults, get_error=lambda index: fault
        )

    num_layers = 7

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> SimpleNamespace:
        name = list(self.inputs)[index]
        return SimpleNamespace(name=name, shape=self.inputs[name])

    def create_optimization_profile(self) -> SimpleNamespace:
        self.shapes.append({})
        return SimpleNamespace(set_shape=lambda name, *shapes: self.shapes[-1].update({name: list(shapes)}))

    def create_timing_cache(self, data: bytes) -> bytes | None:
        return None if data == b"of another version" else data

    def set_timing_cache(self, cache: bytes, *, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.known_times.append(cache)
        return True

    def create_builder_config(self) -> SimpleNamespace:
        return SimpleNamespace(
            add_optimization_profile=lambda profile: None,
            set_compute_capability=lambda target, index: self.targets.insert(index, target),
            clear_flag=self.cleared.append,
            create_timing_cache=self.create_timing_cache,
            set_timing_cache=self.set_timing_cache,
            get_timing_cache=lambda: SimpleNamespace(serialize=lambda: self.known_times[-1] + b"+"),
        )

    def build_serialized_network(self, network: object, config: SimpleNamespace) -> bytes | None:
        self.builds += 1
        config.progress_monitor.phase_start("Building engine", None, 2)
        if self.during is not None:
            self.during(lambda: config.progress_monitor.step_complete("Building engine", 0))
        goes_on = config.progress_monitor.step_complete("Building engine", 0)
        config.progress_monitor.phase_finish("Building engine")
        if self.fails:
            self.logger.log(1, " out of memory \n")  # type: ignore[attr-defined]
            self.logger.log(2, "only a warning")  # type: ignore[attr-defined]
        return b"engine" if goes_on and not self.fails else None


def install(monkeypatch: pytest.MonkeyPatch, **options: Any) -> FakeBuilder:
    fake = FakeBuilder(**options)
    monkeypatch.setattr(flavours, "load_library", lambda name: fake)
    return fake


def build(model: ModelManifest, folder: Path, *, flavour: str = "tensorrt_rtx", **options: Any) -> engines.EngineFile:
    options.setdefault("architectures", ARCHITECTURES)
    return engines.build_engine(model, "animate", folder, flavour=flavours.load_flavour(flavour), **options)
