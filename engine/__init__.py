# SPDX-License-Identifier: Apache-2.0
"""Bunraku's engine: a face, tracked on a driving frame, animates a set of pictures of one character.

The façade. Names load on first use (PEP 562), so that `import engine` costs nothing and pulls no heavy module::

    from engine import build_renderer, open_camera

The synchronous core is `Renderer.render(frame) -> OutputFrame`; `Pipeline` adds threads around it. Data flow:
Frame → TrackedMotion → Query → WarpedPortrait → Composite → OutputFrame (`engine.types`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.app import build_pipeline, build_renderer
    from engine.capture import list_cameras, open_camera
    from engine.errors import PuppeteerError
    from engine.pipeline import Pipeline
    from engine.renderer import Renderer
    from engine.sinks.mp4 import Mp4Sink
    from engine.types import Frame, OutputFrame, SourceSet

__all__ = [
    "Frame",
    "Mp4Sink",
    "OutputFrame",
    "Pipeline",
    "PuppeteerError",
    "Renderer",
    "SourceSet",
    "build_pipeline",
    "build_renderer",
    "list_cameras",
    "open_camera",
]

_HOME = {
    "Frame": "engine.types",
    "Mp4Sink": "engine.sinks.mp4",
    "OutputFrame": "engine.types",
    "Pipeline": "engine.pipeline",
    "PuppeteerError": "engine.errors",
    "Renderer": "engine.renderer",
    "SourceSet": "engine.types",
    "build_pipeline": "engine.app",
    "build_renderer": "engine.app",
    "list_cameras": "engine.capture",
    "open_camera": "engine.capture",
}


def __getattr__(name: str) -> Any:
    """Import a façade name on first use."""
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'engine' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
