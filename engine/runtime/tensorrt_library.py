# SPDX-License-Identifier: Apache-2.0
"""`tensorrt` or `tensorrt_rtx`: the two libraries share one API, and the builder and the runner load it here."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from engine.errors import BackendUnavailable

__all__ = ["FLAVOURS", "load_library", "make_logger"]

FLAVOURS = {"tensorrt_rtx": "rtx", "tensorrt": "tensorrt"}  # package -> extra that brings it

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
