# SPDX-License-Identifier: Apache-2.0
"""Say something else in a finished MP4 than was known when it was begun. Any thread.

An encoder's library writes a recording's metadata with its first frame, when nobody knows which characters will be
shown later. A finished recording keeps its index (`moov`) at the end: a new one with other notes is put behind it, and
only then the old one is named `free`, so that a file that is cut off in between still plays.

Source:
    ISO/IEC 14496-12 (boxes, `moov`, `udta`, `meta`) and Apple's QuickTime File Format for `ilst` and its `data` boxes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

__all__ = ["rewrite_notes"]

_KEYS = {"description": b"desc", "copyright": b"cprt"}  # as libavformat writes them
_QUICKTIME_COPYRIGHT = b"\xa9cpy"  # of a MOV, which has no description
_LONGEST_QUICKTIME = 65_535
_TEXT = 1  # type of a `data` box: UTF-8
_HEADER = 8
_LONGEST_INDEX = 1 << 28


def rewrite_notes(path: Path, notes: Mapping[str, str]) -> bool:
    """Replace notes that a finished MP4 has; return whether it could be done.

    Args:
        notes: "description" and "copyright" → text. What the file does not have yet is not added; a MOV has no
            description.
    Raises:
        OSError: the file cannot be written; it plays as before.
    """
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        place = _last_index(file.fileno(), end)
        if place is None:
            return False
        at, size = place
        file.seek(at)
        index = file.read(size)
        changed = _replaced(index, (b"moov", b"udta", b"meta", b"ilst"), notes)
        if changed == index:
            return False
        try:
            file.seek(end)
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
        file.seek(at + 4)
        file.write(b"free")
    return True


def _last_index(descriptor: int, end: int) -> tuple[int, int] | None:
    """Return where the index lies and how long it is; None unless it is the file's last box."""
    at = 0
    while at + _HEADER <= end:
        size, kind = struct.unpack(">I4s", os.pread(descriptor, _HEADER, at))
        if size == 1:
            (size,) = struct.unpack(">Q", os.pread(descriptor, 8, at + _HEADER))
        size = size or end - at
        if size < _HEADER:
            return None
        if kind == b"moov" and at + size == end and size < _LONGEST_INDEX:
            return at, size
        at += size
    return None


def _replaced(box: bytes, way: tuple[bytes, ...], notes: Mapping[str, str]) -> bytes:
    """Return a box with the notes replaced that lie on the way down from it."""
    kind, body = box[4:_HEADER], box[_HEADER:]
    if kind == _QUICKTIME_COPYRIGHT and "copyright" in notes:
        text = notes["copyright"].encode()[:_LONGEST_QUICKTIME]
        return _box(kind, struct.pack(">H", len(text)) + body[2:4] + text)  # the language stays
    if not way:
        text_of = {_KEYS[name]: text for name, text in notes.items() if name in _KEYS}
        return _item(kind, text_of[kind]) if kind in text_of else box
    if kind != way[0]:
        return box
    skip = 4 if kind == b"meta" else 0  # version and flags
    children = [_replaced(child, way[1:], notes) for child in _children(body[skip:])]
    return _box(kind, body[:skip] + b"".join(children))


def _children(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at + _HEADER <= len(body):
        (size,) = struct.unpack_from(">I", body, at)
        if size < _HEADER:  # 64-bit sizes and what goes on to the end do not occur inside an index
            break
        found.append(body[at : at + size])
        at += size
    return [*found, body[at:]] if at < len(body) else found


def _item(kind: bytes, text: str) -> bytes:
    return _box(kind, _box(b"data", struct.pack(">II", _TEXT, 0) + text.encode()))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", _HEADER + len(body), kind) + body
