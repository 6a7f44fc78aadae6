# SPDX-License-Identifier: Apache-2.0
"""Whether a zip may be opened at all: nothing of a stranger's file is unpacked, or even listed, before these checks.

A set's zip is small and plain: some forty stored or deflated files in one folder. Whatever else a zip can be (a bomb,
a path out of its folder, a link, an encrypted or a 64-bit archive) is refused with a sentence. Any thread.

Source:
    PKWARE APPNOTE.TXT 6.3.10, 4.3.12 (central directory), 4.3.15 and 4.3.16 (its ends), 4.4.4 (flags).
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from engine.errors import SourceSetInvalid
from engine.sources.picture import MAX_FILE_BYTES

__all__ = ["MAX_ARCHIVE_BYTES", "MAX_MEMBERS", "MAX_TOTAL_BYTES", "check_archive_file", "check_members"]

MAX_ARCHIVE_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20  # unpacked
MAX_MEMBERS = 2000  # a set has some 40 files; this only stops a mistaken archive of a whole disk
_MAX_RATIO, _RATIO_FROM = 200, 2**20  # pictures are compressed already and do not shrink
_MAX_DIRECTORY_BYTES = 2**20
_MAX_NAME = 200
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR_64, _LOCATOR_64_BYTES = b"PK\x06\x07", 20
_ENCRYPTED = 0x1


def check_archive_file(path: Path) -> None:
    """Look at the file's size and at the end of its directory, before `zipfile` reads that directory into memory.

    Raises:
        SourceSetInvalid: too large, no zip, or a directory far larger than a set's.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise _refused(path, f"is too large: expected at most {MAX_ARCHIVE_BYTES >> 20} MiB, got {size >> 20} MiB")
    with path.open("rb") as file:
        tail_bytes = min(size, _END_BYTES + 2**16 + _LOCATOR_64_BYTES)
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
    end = tail.rfind(_END)
    if end < 0 or end + _END_BYTES > len(tail):
        what = f"Source set {path.name} is neither a folder, a picture nor a zip Bunraku can read: its end is missing."
        raise SourceSetInvalid(what, hint=f"Pack the folder again, or download it again. ({path})", path=str(path))
    members, directory_bytes = struct.unpack_from("<HI", tail, end + 10)
    if tail[max(0, end - _LOCATOR_64_BYTES) : end].startswith(_LOCATOR_64):
        raise _refused(path, "is a 64-bit zip, which no set needs")
    if members > MAX_MEMBERS:
        raise _refused(path, f"has too many files: expected at most {MAX_MEMBERS}, got {members}")
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise _refused(path, f"has a directory of {directory_bytes >> 20} MiB: expected at most 1 MiB")


def check_members(infos: Sequence[zipfile.ZipInfo], path: Path) -> None:
    """Look at what the zip's directory says of its members.

    Raises:
        SourceSetInvalid: a member that no set has; the message names it.
    """
    if any(not info.filename for info in infos):
        raise _refused(path, "holds a file without a name")
    files = [info for info in infos if not info.is_dir()]
    if len(files) > MAX_MEMBERS:
        raise _refused(path, f"has too many files: expected at most {MAX_MEMBERS}, got {len(files)}")
    seen: set[str] = set()
    for info in infos:
        _check_name(info, path)
        _check_kind(info, path)
        folded = info.filename.casefold()
        if folded in seen:
            raise _refused(path, f"holds {_shown(info)} twice")
        seen.add(folded)
    for info in files:
        if info.file_size > MAX_FILE_BYTES:
            what = f"{info.file_size >> 20} MiB: expected at most {MAX_FILE_BYTES >> 20} MiB"
            raise _refused(path, f"holds {_shown(info)} of {what}")
        if info.file_size > max(_RATIO_FROM, _MAX_RATIO * info.compress_size):
            what = f"{max(1, info.compress_size)} to {info.file_size} bytes: expected at most {_MAX_RATIO} times"
            raise _refused(path, f"holds {_shown(info)}, which unpacks from {what}")
    total = sum(info.file_size for info in files)
    if total > MAX_TOTAL_BYTES:
        raise _refused(path, f"unpacks to {total >> 20} MiB: expected at most {MAX_TOTAL_BYTES >> 20} MiB")
    packed = sum(info.compress_size for info in files)
    if packed > path.stat().st_size:  # members that lie over each other
        raise _refused(path, f"is damaged: its {path.stat().st_size} bytes claim to hold {packed}")


def _check_name(info: zipfile.ZipInfo, path: Path) -> None:
    name = info.orig_filename if isinstance(info.orig_filename, str) else info.filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\\" in name or ":" in name:
        raise _refused(path, f"names a file outside its own folder: {_shown(info)}")
    if len(name) > _MAX_NAME or not name.isprintable():
        raise _refused(path, f"has a file name that no set has: {_shown(info)}")


def _check_kind(info: zipfile.ZipInfo, path: Path) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise _refused(path, f"is encrypted ({_shown(info)})", "Pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(path, f"is packed in an unusual way ({_shown(info)}): expected stored or deflated")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(path, f"holds a link or a device: {_shown(info)}")


def _shown(info: zipfile.ZipInfo) -> str:
    return ascii(info.orig_filename[:80]) if isinstance(info.orig_filename, str) else "a member"


def _refused(path: Path, what: str, hint: str = "Pack only the set's own folder.") -> SourceSetInvalid:
    return SourceSetInvalid(f"Source set {path.name} {what}.", hint=f"{hint} ({path})", path=str(path))
