# SPDX-License-Identifier: Apache-2.0
"""Where a source set's files come from: a folder, a zip of one, or loose pictures, all read the same way.

Nothing is ever unpacked to disk, so a hostile zip cannot write anywhere. Any thread.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from engine.errors import SourceSetInvalid, SourceSetMissing
from engine.sources.archive_safety import check_archive_file, check_members
from engine.sources.picture import MAX_FILE_BYTES, read_picture_bytes, unreadable

__all__ = ["SET_FILE", "ArchiveStore", "FolderStore", "LooseStore", "SetStore", "open_store"]

SET_FILE = "set.toml"


class SetStore(Protocol):
    """Read-only files of one source set, addressed by relative names with forward slashes."""

    path: Path
    default_name: str

    def names(self) -> Sequence[str]:
        """Return the names of all files, sorted."""
        ...

    def label(self, name: str) -> str:
        """Return what to call a file in messages."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises SourceUnreadable."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class FolderStore:
    """A source set's folder. Only its top level and `cache/` are looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.default_name = _plain_name(path.resolve())

    def names(self) -> Sequence[str]:
        top = (p.name for p in self.path.iterdir() if p.is_file())
        cache = self.path / "cache"
        cached = (f"cache/{p.name}" for p in cache.iterdir() if p.is_file()) if cache.is_dir() else ()
        return sorted([*top, *cached])

    def label(self, name: str) -> str:
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        return read_picture_bytes(self.path / _inside(name, self.path))

    def close(self) -> None:
        """Nothing is held open."""


class ArchiveStore:
    """A zip of a source set's folder, with or without that folder as the zip's only top-level entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.default_name = _plain_name(path)
        try:
            check_archive_file(path)
            self._zip = zipfile.ZipFile(path)
        except SourceSetInvalid:
            raise
        except Exception as error:
            # A broken directory makes zipfile raise BadZipFile, UnicodeDecodeError, struct.error, NotImplementedError …
            what = (
                f"Source set {path.name} is neither a folder, a picture nor a zip Bunraku can read: {_one_line(error)}"
            )
            raise SourceSetInvalid(what, hint=f"Pack the folder again. ({path})", path=str(path)) from error
        try:
            check_members(self._zip.infolist(), path)
        except SourceSetInvalid:
            self._zip.close()
            raise
        members = [m.filename for m in self._zip.infolist() if not m.is_dir()]
        self._prefix = _common_folder(members)
        self._members = {m.removeprefix(self._prefix): m for m in members if m.startswith(self._prefix)}

    def names(self) -> Sequence[str]:
        return sorted(self._members)

    def label(self, name: str) -> str:
        return f"{self.path}/{self._prefix}{name}"

    def read(self, name: str) -> bytes:
        label = self.label(name)
        if name not in self._members:
            raise unreadable(label, "does not exist in the zip", "Check the name.")
        try:
            with self._zip.open(self._members[name]) as file:
                # The limit is on what comes out, so a zip bomb stops here too.
                return file.read(MAX_FILE_BYTES + 1)
        except Exception as error:
            # zlib.error, BadZipFile, EOFError, struct.error …: whatever a damaged member makes zipfile raise
            raise unreadable(label, f"cannot be unpacked: {_one_line(error)}", "Pack the folder again.") from error

    def close(self) -> None:
        self._zip.close()


class LooseStore:
    """Pictures picked one by one; their order is kept."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.path = paths[0].parent if paths else Path()
        self.default_name = paths[0].stem if len(paths) == 1 else "pictures"
        # Two folders may hold a picture of the same name.
        self._paths = {f"{index:04d}/{path.name}": path for index, path in enumerate(paths)}

    def names(self) -> Sequence[str]:
        return list(self._paths)

    def label(self, name: str) -> str:
        return str(self._paths[name])

    def read(self, name: str) -> bytes:
        return read_picture_bytes(self._paths[name])

    def close(self) -> None:
        """Nothing is held open."""


def open_store(path: Path) -> SetStore:
    """Return the store behind a path: a folder, a zip, or a single picture.

    Raises:
        SourceSetMissing: nothing is there.
        SourceSetInvalid: a zip that cannot be read.
    """
    if path.is_dir():
        return FolderStore(path)
    if not path.exists():
        what = f"Source set {path.name} does not exist."
        raise SourceSetMissing(what, hint=f"List the known ones with: bunraku set list ({path})", path=str(path))
    if path.suffix.lower() in (".bunraku", ".zip") or zipfile.is_zipfile(path):
        return ArchiveStore(path)
    return LooseStore([path])


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(".zip").removesuffix(".bunraku") or "set"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _inside(name: str, root: Path) -> str:
    """Refuse names that lead out of the set's folder."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        what = f"{SET_FILE} names a picture outside its own folder: {name}."
        raise SourceSetInvalid(what, hint=f"Copy the picture into the folder. ({root})", path=str(root))
    return name


def _common_folder(members: Sequence[str]) -> str:
    """Return the folder with set.toml, else the only top-level folder, else nothing; ends in a slash."""
    holders = sorted((m for m in members if m.split("/")[-1] == SET_FILE), key=lambda m: m.count("/"))
    if holders:
        return holders[0].removesuffix(SET_FILE)
    tops = {m.split("/")[0] + "/" if "/" in m else "" for m in members if not m.startswith("__MACOSX/")}
    return tops.pop() if len(tops) == 1 else ""
