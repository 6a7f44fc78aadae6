# SPDX-License-Identifier: Apache-2.0
"""What figures were measured on: processor, memory, library versions; and writing them as JSON. Any thread."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import OutputUnwritable

__all__ = ["describe_machine", "peak_rss_mb", "write_json"]

_LIBRARIES = (
    "bunraku",
    "numpy",
    "mediapipe",
    "opencv-contrib-python",
    "openvino",
    "av",
    "torch",
    "tensorrt",
    "tensorrt_rtx",
)
_MIB = 2**20


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, system, Python, library versions and the date."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "usable_cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 0,
        "memory_mb": _memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def peak_rss_mb() -> float:
    """Return the most memory this process has held so far, in MiB; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write a report.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        what = f"The report cannot be written: {error.strerror or error} ({path})."
        raise OutputUnwritable(what, hint="Choose another folder.", path=str(path)) from error


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_mb() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _MIB)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0
