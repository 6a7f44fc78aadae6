# SPDX-License-Identifier: Apache-2.0
"""Outputs that the window opens and closes: virtual camera, recording, snapshot. Functions for task threads; no Qt."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import OutputSettings
from engine.files import write_whole
from engine.sinks.base import unwritable
from engine.types import OutputFrame

if TYPE_CHECKING:
    from engine.sinks.mp4 import Mp4Sink
    from engine.sinks.virtual_camera import VirtualCameraSink

__all__ = ["HIDDEN", "OPENING", "Vcam", "card", "free_name", "open_recording", "open_virtual_camera", "save_snapshot"]


HIDDEN, OPENING = "Back in a moment", "Opening"
"""Reasons on the window's own cards."""


class Vcam(enum.Enum):
    """Where the virtual camera is."""

    OFF = "off"
    OPENING = "opening"
    ON = "on"
    CLOSING = "closing"


def card(output: OutputSettings, reason: str, *, at_ns: int = 0) -> OutputFrame:
    """Return the watermarked holding card in the output's size and style."""
    from engine.watermark.gate import holding_card

    return holding_card(
        output.size_wh, reason, at_ns=at_ns, corner=output.watermark_corner, style=output.watermark_style
    )


def open_virtual_camera(output: OutputSettings, device: str) -> VirtualCameraSink:
    """Open the virtual camera; takes up to fifteen seconds.

    Raises:
        VirtualCameraMissing, VirtualCameraBusy, FormatRejected, OutputUnwritable: with what to do.
    """
    from engine.sinks.virtual_camera import VirtualCameraSink

    return VirtualCameraSink(*output.size_wh, output.fps, device=device or None, card=card(output, "Starting"))


def open_recording(
    folder: Path, output: OutputSettings, microphone: str = "", *, notes: Mapping[str, str] | None = None
) -> Mp4Sink:
    """Open an MP4 named after the moment, with the sound of a microphone where one is named.

    Args:
        notes: what its metadata says of the character.

    Raises:
        OutputUnwritable: the folder cannot be written. MicrophoneMissing: the microphone cannot be opened; no file is
        made.
    """
    from engine.sinks.mp4 import Mp4Sink

    if not microphone:
        return Mp4Sink(free_name(folder, "mp4"), fps=output.fps, live=True, notes=notes)
    from engine.capture.microphone import open_microphone

    sound = open_microphone(microphone)
    try:
        return Mp4Sink(free_name(folder, "mp4"), fps=output.fps, live=True, sound=sound, notes=notes)
    except BaseException:
        sound.close()
        raise


def save_snapshot(folder: Path, frame: OutputFrame) -> Path:
    """Write one frame as a PNG named after the moment, and return its path.

    Raises:
        OutputUnwritable: the folder cannot be written.
    """
    from engine.sinks.png import png_bytes

    path = free_name(folder, "png")
    try:
        write_whole(path, png_bytes(frame))
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def free_name(folder: Path, suffix: str, *, stem: str = "bunraku") -> Path:
    """Return a file name made of the moment that is not taken yet."""
    stem = time.strftime(f"{stem}-%Y-%m-%d-%H%M%S")
    path, number = folder / f"{stem}.{suffix}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.{suffix}", number + 1
    return path
