# SPDX-License-Identifier: Apache-2.0
"""One OpenVINO device: opened, described, and its errors turned into sentences. What both OpenVINO runners share."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engine.errors import BackendUnavailable, InferenceFailed, ModelMismatch
from engine.runtime.manifest import ModelManifest

__all__ = ["OpenVinoDevice", "is_npu"]

_NEEDS = {
    "GPU": "An Intel GPU needs its compute driver (on Debian and Ubuntu: apt install intel-opencl-icd)",
    "NPU": "An NPU needs an Intel Core Ultra and its driver (github.com/intel/linux-npu-driver)",
}
_MAX_THREADS = 8  # beyond this the 32×32 token grid splits too finely to gain


class OpenVinoDevice:
    """A device that compiles and runs graphs in float32, for latency.

    Args:
        name: OpenVINO device name, e.g. CPU, GPU, GPU.1, NPU.
        threads: CPU threads; 0 takes the machine's cores up to 8.

    Raises:
        BackendUnavailable: no such device, or its driver does not start.
    """

    def __init__(self, name: str = "CPU", *, threads: int = 0) -> None:
        self.name = name
        self._threads = threads or min(_usable_cores(), _MAX_THREADS)
        self._core = _core()
        available = self._core.available_devices
        if name.split(".")[0] not in {each.split(".")[0] for each in available}:
            raise BackendUnavailable(
                f"OpenVINO has no device '{name}' here; it sees: {', '.join(available) or 'none'}.",
                hint=f"{_NEEDS.get(name.split('.')[0], 'Check the name')}; or use --backend openvino (CPU).",
            )
        try:
            self.computes_bf16 = "BF16" in self._core.get_property(name, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError as error:  # a device number that is not there, or a driver that does not start
            raise BackendUnavailable(
                f"OpenVINO cannot use '{name}': {_last_line(error)}", hint="Use --backend openvino (CPU)."
            ) from error
        self._settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if name.startswith(("CPU", "GPU")):
            self._settings["INFERENCE_PRECISION_HINT"] = "f32"
        if name.startswith("CPU"):
            self._settings["INFERENCE_NUM_THREADS"] = self._threads

    @property
    def description(self) -> str:
        """Back-end, version and device, e.g. `openvino 2026.4 on CPU (2 threads)`."""
        version = ".".join(ov.__version__.split("-")[0].split(".")[:2])
        place = f"{self.name} ({self._threads} threads)" if self.name == "CPU" else self.name
        return f"openvino {version} on {place}"

    def read(
        self, manifest: ModelManifest, file: str, *, shapes: Mapping[str, Sequence[int]] | None = None
    ) -> ov.Model:
        """Read one graph of a model.

        Args:
            shapes: of inputs that are open in the file.
        Raises:
            ModelMismatch: the file is damaged or gone, or cannot take these shapes.
        """
        path = manifest.folder / file
        try:
            model = self._core.read_model(path)
            if shapes:
                model.reshape({name: list(shape) for name, shape in shapes.items()})
            return model
        except RuntimeError as error:  # the graphs are read when first needed: a file may have gone since
            raise ModelMismatch(
                f"OpenVINO cannot read {file} of '{manifest.name}': {_last_line(error)}: {path}.",
                hint="Install Bunraku again (python3 run.py).",
            ) from error

    def compile(self, model: ov.Model, *, name: str, key: str = "", **settings: str) -> Any:
        """Compile a graph of the model called `name`; `settings` win over the device's own.

        Args:
            key: of this graph in this shape. On a CPU, one that is in use or was a moment ago is shared, which a
                runner that takes the place of a broken one gains from: all state is in the requests. One from longer
                ago is imported from what the first compilation made, in a third of the time.

        Raises:
            BackendUnavailable: the device cannot compile it.
        """
        wanted = {**self._settings, **settings}
        known = (self.name, key, tuple(sorted(wanted.items()))) if key and self.name == "CPU" else None
        try:
            shared = _in_use.get(known)
            if shared is not None:
                _recent.append(shared)
                return shared
            if known in _compiled:
                compiled = self._core.import_model(io.BytesIO(_compiled[known]), self.name, wanted)
            else:
                compiled = self._core.compile_model(model, self.name, wanted)
                if known is not None and len(_compiled) < _MOST_COMPILED:
                    exported = io.BytesIO()
                    compiled.export_model(exported)
                    _compiled[known] = exported.getvalue()
            if known is not None:
                _in_use[known] = compiled
                _recent.append(compiled)
            return compiled
        except RuntimeError as error:
            raise BackendUnavailable(
                f"OpenVINO cannot compile '{name}' for {self.name}: {_last_line(error)}",
                hint="Use --backend openvino (CPU).",
            ) from error

    def infer(self, request: Any, feeds: Mapping[str, Any]) -> None:
        """Run an infer request; tensors are read in place, arrays are copied.

        Raises:
            InferenceFailed: the device failed, or a feed does not fit.
        """
        with self._failures():
            _feed(request, feeds)
            request.infer()

    def start(self, request: Any, feeds: Mapping[str, Any]) -> None:
        """Begin what `infer` does and return; `wait` must follow. Raises as `infer`."""
        with self._failures():
            _feed(request, feeds)
            request.start_async()

    def wait(self, request: Any) -> None:
        """Wait for a request that was started. Raises as `infer`."""
        with self._failures():
            request.wait()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise InferenceFailed(
                f"OpenVINO failed on {self.name}: {_last_line(error)}", hint="Restart the run."
            ) from error

    @staticmethod
    def wrap(array: NDArray[Any]) -> ov.Tensor:
        """Wrap an array once, so that OpenVINO reads it in place, frame after frame, without a copy."""
        return ov.Tensor(np.ascontiguousarray(array), shared_memory=True)


def _feed(request: Any, feeds: Mapping[str, Any]) -> None:
    for name, value in feeds.items():
        request.set_tensor(name, value if isinstance(value, ov.Tensor) else ov.Tensor(np.ascontiguousarray(value)))


# Of this process only, a few MB each: nothing on disk that could be stale, or somebody else's.
_compiled: dict[Any, bytes] = {}
_in_use: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()
# A set's encoder, and its frame graph for one picture and for two: after the last run ended they hold on to 70 MB of
# the model lite, and a run that is mended after a loss, or begun again, has its model in a third of the time.
_recent: deque[Any] = deque(maxlen=3)
_MOST_COMPILED = 8


def is_npu(name: str) -> bool:
    """Whether a device name means a neural processor, which computes in half precision alone."""
    return name.split(".")[0] == "NPU"


@functools.cache
def _core() -> ov.Core:
    """The one core of this process; it is never let go.

    Its CPU plugin gives the thread that opens it a stack for signal handlers and frees that stack with itself. Freed
    from another thread, the first one is left with a stack that is gone, and its next Ctrl-C is a segmentation fault.
    """
    return ov.Core()


def _usable_cores() -> int:
    """Cores this process may use: containers and `taskset` allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _last_line(error: BaseException) -> str:
    """OpenVINO's own words: before them stand the places in its source that they passed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
