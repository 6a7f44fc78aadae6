# SPDX-License-Identifier: Apache-2.0
"""`tensorrt` or `tensorrt_rtx`: the two libraries share one API, and the builder and the runner load it here."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from engine.errors import BackendUnavailable

__all__ = ["FLAVOURS", "RTX_KNOWN", "RTX_TARGETS", "load_library", "make_logger", "make_profiler"]

FLAVOURS = {"tensorrt_rtx": "rtx", "tensorrt": "tensorrt"}  # package -> extra that brings it
# GPUs that TensorRT for RTX builds our graphs for: RTX 30, 40 and 50 unless others are asked for. Of data-centre GPUs
# it knows none after sm80, and on sm75 (RTX 20) it has no products of float32 matrices, which geometry needs (1.7).
RTX_TARGETS = ("sm86", "sm89", "sm120")
RTX_KNOWN = ("sm80", *RTX_TARGETS, "sm121")

_log = logging.getLogger(__name__)


def load_library(flavour: str) -> Any:
    """Import `tensorrt` or `tensorrt_rtx`.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError) as error:
        raise BackendUnavailable(
            f"The back-end {flavour} needs its package, which cannot be imported ({error}).",
            hint=f"Run: pip install '.[{FLAVOURS[flavour]}]'",
        ) from error


def make_logger(library: Any, reports: list[str]) -> Any:
    """Return a logger for the library that adds its errors to `reports`."""

    class Logger(library.ILogger):  # type: ignore[misc]
        """Errors are kept for the message; all the rest is for the log file."""

        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (library.ILogger.Severity.ERROR, library.ILogger.Severity.INTERNAL_ERROR):
                reports.append(message.strip())
            else:
                _log.debug("%s", message)

    return Logger()


def make_profiler(library: Any) -> tuple[Any, dict[str, float]]:
    """Return a layer profiler for the library, and the milliseconds that it adds up by layer, in order."""
    sums: dict[str, float] = {}

    class Profiler(library.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            library.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            sums[layer_name] = sums.get(layer_name, 0.0) + ms

    return Profiler(), sums
