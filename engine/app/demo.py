# SPDX-License-Identifier: Apache-2.0
"""The demo: a built-in source set driven by the built-in clip, tracked for real."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from engine.app.offline import AnimateJob
from engine.assets import asset_root
from engine.config import LiveSettings, OutputSettings
from engine.errors import ModelFileMissing
from engine.sources import list_source_sets

__all__ = ["DEMO_NAME", "builtin_clip", "builtin_set", "demo_job"]

DEMO_NAME = "bunraku-demo"
_PREFERRED_SET = "amara"
_SIZE_WH = (512, 512)

Part = TypeVar("Part", str, Path)


def demo_job(
    folder: Path, *, source_set: str = "", sources: int | None = None, model: str = "lite", backend: str = "auto"
) -> AnimateJob:
    """Return the job that writes `bunraku-demo.mp4` and its contact sheet `bunraku-demo.png` into a folder.

    Args:
        source_set: name or path; empty means a built-in one.
    Raises:
        ModelFileMissing: clip or set is not there; the installation is damaged.
    """
    return AnimateJob(
        source_set=source_set or builtin_set(),
        driving=str(builtin_clip()),
        out=folder / f"{DEMO_NAME}.mp4",
        sheet=folder / f"{DEMO_NAME}.png",
        sources=sources,
        model=model,
        backend=backend,
        settings=LiveSettings(output=OutputSettings(size_wh=_SIZE_WH)),
    )


def builtin_clip() -> Path:
    """Return the driving clip that ships with Bunraku.

    Raises:
        ModelFileMissing: it is not there; the installation is damaged.
    """
    return _first(sorted((asset_root() / "clips").glob("*.mp4")), "driving clip", "clips")


def builtin_set() -> str:
    """Return the name of the built-in set that the demo shows.

    Raises:
        ModelFileMissing: no built-in set is there; the installation is damaged.
    """
    names = [info.name for info in list_source_sets() if info.builtin and not info.problem]
    return _PREFERRED_SET if _PREFERRED_SET in names else _first(names, "source set", "source_sets")


def _first(found: list[Part], what: str, folder: str) -> Part:
    if not found:
        raise ModelFileMissing(
            f"The {what} that ships with Bunraku is missing ({asset_root() / folder}).",
            hint="Install Bunraku again (python3 run.py).",
        )
    return found[0]
