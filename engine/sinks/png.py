# SPDX-License-Identifier: Apache-2.0
"""Writes every frame as a numbered PNG, signed, that says that it is synthetic; transparent where frames are."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

from engine.cv import cv2
from engine.errors import DiskFull, SigningFailed
from engine.files import write_whole
from engine.provenance.signing import sign_png
from engine.sinks.base import BaseSink, is_disk_full, require_output_frame, straight_alpha, unwritable
from engine.types import OutputFrame

__all__ = ["PROVENANCE", "PngSink", "png_bytes"]

_log = logging.getLogger(__name__)

PROVENANCE = "AI-generated puppet, Bunraku"
_COMPRESSION = 3  # a third of the time of the default and files a few per cent larger
_HEADER_BYTES = 8 + 25  # signature and IHDR, after which text chunks may come


class PngSink(BaseSink):
    """Writes `frame_000001.png`, `frame_000002.png`, … into a folder.

    Raises:
        OutputUnwritable: the folder cannot be made.
    """

    name = "png"
    keeps_every_frame = True

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.count = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def send(self, frame: OutputFrame) -> None:
        """Write one picture.

        Raises:
            DiskFull: no room; the pictures written before are whole, this one is removed.
            OutputUnwritable: the folder was taken away.
        """
        require_output_frame(frame)
        path = self.folder / f"frame_{self.count + 1:06d}.png"
        try:
            write_whole(path, png_bytes(frame))
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"The disk is full after {self.count} pictures ({self.folder}).",
                    hint="Free some space and start again; the pictures written so far are whole.",
                    path=str(self.folder),
                ) from error
            raise unwritable(path, error) from error
        self.count += 1


def png_bytes(frame: OutputFrame) -> bytes:
    """Return the frame as a PNG file's bytes, signed and with the provenance note.

    A picture that cannot be signed is returned without a signature, and the log says why.
    """
    bgr = cv2.cvtColor(straight_alpha(frame), cv2.COLOR_RGB2BGR if frame.alpha is None else cv2.COLOR_RGBA2BGRA)
    encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])[1].tobytes()
    noted = encoded[:_HEADER_BYTES] + _text_chunk("Comment", PROVENANCE) + encoded[_HEADER_BYTES:]
    try:
        return sign_png(noted, frame.seal)
    except SigningFailed as error:
        _log.warning("The picture is complete and marked, but not signed: %s", error)
        return noted


def _text_chunk(keyword: str, text: str) -> bytes:
    """Return a PNG tEXt chunk (PNG specification, 11.3.4.3)."""
    body = b"tEXt" + keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
