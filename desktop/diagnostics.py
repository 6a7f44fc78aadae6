# SPDX-License-Identifier: Apache-2.0
"""What a bug report needs, as text: versions, choices, state and figures; no picture, no name, no folder."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import qVersion

from desktop.figures import Figures
from desktop.settings import AppSettings
from engine.state import PipelineState

__all__ = ["diagnostics"]

_PACKAGES = ("bunraku", "PySide6-Essentials", "mediapipe", "openvino", "numpy", "opencv-contrib-python", "av")


def diagnostics(
    settings: AppSettings, state: PipelineState, *, engine: str, vcam: str, figures: Figures | None, notices: list[str]
) -> str:
    """Return the text that "Copy diagnostics" copies."""
    camera = settings.camera if settings.camera.startswith("camera:") or "/" not in settings.camera else "a file"
    output, motion = settings.live.output, settings.live.motion
    lines = [
        f"Bunraku on Python {platform.python_version()}, {platform.platform(terse=True)}, Qt {qVersion()}",
        "Packages: " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        f"State: {state}",
        f"Engine: {engine or 'not loaded'}; model {settings.model}, back-end {settings.backend}",
        f"Camera: {camera or 'none'}; source set: {settings.source_set or 'none'}",
        f"Output: {output.size_wh[0]}x{output.size_wh[1]} at {output.fps:g} fps; virtual camera {vcam}",
        f"Motion: {motion}",
    ]
    if figures is not None:
        stats = figures.stats
        lines.append(f"Rate: {figures.fps:.1f} of {figures.wanted_fps:g} fps; limit: {figures.limit or 'none'}")
        lines += [
            f"  {name}: p50 {spread.p50_ms:.1f}, p95 {spread.p95_ms:.1f}, p99 {spread.p99_ms:.1f} ms"
            for name, spread in stats.stages.items()
        ]
        lines += [f"  age at {name}: p50 {s.p50_ms:.1f}, p95 {s.p95_ms:.1f} ms" for name, s in stats.frame_age.items()]
        lines.append("  skipped: " + ", ".join(f"{name} {count}" for name, count in stats.dropped.items()))
    lines += ["Notices:", *(f"  {text}" for text in notices)] if notices else []
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
