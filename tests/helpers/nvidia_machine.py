# SPDX-License-Identifier: Apache-2.0
"""A machine with an NVIDIA GPU, as far as the runtime can tell, and engine files where it looks for them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from engine.build.profiles import RANGE
from engine.runtime import cuda as cuda_module
from engine.runtime import nvidia
from engine.runtime.engine_file import EngineKey, default_folder, describe_record, engine_path, record_path
from engine.runtime.manifest import load_manifest
from tests.helpers.host_cuda import HostCuda, make_library

__all__ = ["NvidiaMachine"]

MANIFEST = load_manifest("lite")


class NvidiaMachine:
    """A machine with an NVIDIA GPU, a driver and both libraries, as a test changes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cuda = HostCuda()
        self.library_options: dict[str, Any] = {}
        self.installed = {"tensorrt_rtx"}
        self.driver = True
        real = importlib.util.find_spec

        def find_spec(package: str, *rest: Any) -> Any:
            return package in self.installed or None if package.startswith("tensorrt") else real(package, *rest)

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(cuda_module, "load_cuda", lambda: self.cuda)
        monkeypatch.setattr(nvidia, "has_driver", lambda: self.driver)
        graph = MANIFEST.folder / "animate.onnx"
        monkeypatch.setattr(nvidia, "load_library", lambda _: make_library(self.cuda, graph, **self.library_options))

    def build(self, *architectures: str, data: bytes = b"an engine", **changes: str) -> Path:
        """Put an engine where the runtime looks for it."""
        facts = {
            "model": "lite",
            "graph": "animate",
            "graph_sha256": MANIFEST.files["animate.onnx"],
            "flavour": "tensorrt_rtx",
            "version": "1.0",
            "precision": "fp32",
            "profile": RANGE.name,
        }
        key = EngineKey(**{**facts, **changes}, architectures=architectures)
        path = engine_path(default_folder(), key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        record_path(path).write_text(describe_record(key, b"an engine"))
        return path
