# SPDX-License-Identifier: Apache-2.0
"""Assembly: builds a `Renderer` or `Pipeline` from names and options, and runs whole jobs. Any one thread.

    assembly.py       source set, tracker, warper, compositor → Renderer, Pipeline
    offline.py        a driving file → an animated file, every frame
    sets.py           source sets made and judged with the real tracker and model
    demo.py           the built-in set driven by the built-in clip
    contact_sheet.py  driver and character side by side over time

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine.app.assembly import FaceAnalyser, build_pipeline, build_renderer, load_sources
    from engine.app.demo import demo_job
    from engine.app.offline import AnimateJob, Animation, animate

__all__ = [
    "AnimateJob",
    "Animation",
    "FaceAnalyser",
    "animate",
    "build_pipeline",
    "build_renderer",
    "demo_job",
    "load_sources",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AnimateJob": "offline",
        "Animation": "offline",
        "FaceAnalyser": "assembly",
        "animate": "offline",
        "build_pipeline": "assembly",
        "build_renderer": "assembly",
        "demo_job": "demo",
        "load_sources": "assembly",
    },
)
