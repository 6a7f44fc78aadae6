# SPDX-License-Identifier: Apache-2.0
"""The sink that a file's name asks for: .mp4, .webm, .mov, or a folder of PNGs. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import InvalidSetting
from engine.sinks.alpha_video import MovSink, WebmSink
from engine.sinks.base import BaseSink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import PngSink

__all__ = ["keeps_alpha", "open_file_sink"]

_VIDEO: dict[str, type[Mp4Sink]] = {".mp4": Mp4Sink, ".webm": WebmSink, ".mov": MovSink}
_WHAT = "a .mp4, a .webm or .mov (these keep a transparent background), or a folder for PNG pictures (so does this)"


def keeps_alpha(path: Path) -> bool:
    """Whether an output of this name can have a transparent background."""
    return path.suffix.lower() != ".mp4"


def open_file_sink(
    path: Path,
    *,
    fps: float,
    transparent: bool = False,
    live: bool = False,
    notes: Mapping[str, str] | None = None,
) -> BaseSink:
    """Open the output that a name asks for; a name without a suffix is a folder of PNGs.

    Args:
        transparent: the frames have a transparent background. live, notes: as `Mp4Sink`; PNG pictures have no notes.
    Raises:
        InvalidSetting: an unknown kind of file, or one that cannot keep the transparency that is asked for.
        OutputUnwritable: the file cannot be created.
    """
    suffix = path.suffix.lower()
    if transparent and not keeps_alpha(path):
        raise InvalidSetting(
            f"An MP4 has no transparency, and the background is to be transparent ({path}).",
            hint="Write a .webm, a .mov or a folder of PNGs, or choose another background.",
            path=str(path),
        )
    if suffix in _VIDEO:
        return _VIDEO[suffix](path, fps, live=live, notes=notes)
    if suffix:
        raise InvalidSetting(f"The output must be {_WHAT}; got {path.name}.", name="out", value=str(path))
    return PngSink(path)
