# SPDX-License-Identifier: Apache-2.0
"""A draft → a set on disk, whole or not at all: written beside, then put in place by renaming. Any thread."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from engine.errors import DiskFull, OutputUnwritable, SourceSetExists, SourceSetInvalid
from engine.files import replacing
from engine.sets.draft import SetDraft, set_name
from engine.sources.library import SUFFIX, user_source_sets_dir
from engine.sources.manifest import dump_manifest
from engine.sources.store import SET_FILE

__all__ = ["ARCHIVE_SUFFIX", "default_folder", "save_draft", "write_archive"]

ARCHIVE_SUFFIX = f"{SUFFIX}.zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal sets give equal archives
_STORED = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".npz")  # compressed already


def default_folder(name: str) -> Path:
    """Return where a user's set of this name lives.

    Raises:
        SourceSetInvalid: it cannot be called that.
    """
    return user_source_sets_dir() / f"{set_name(name)}{SUFFIX}"


def save_draft(draft: SetDraft, folder: Path, *, replace: bool = False) -> Path:
    """Write a set's folder in one step and return it.

    Folders in it that are none of the set's business are kept. Until the last moment the old set stays as it was.

    Args:
        replace: take the place of a set that is there; without it that is refused.
    Raises:
        SourceSetExists: something is there already. SourceSetInvalid: the draft has no picture.
        OutputUnwritable, DiskFull: it cannot be written; nothing has changed.
    """
    if not draft.entries:
        raise SourceSetInvalid(f"Source set {draft.name} has no picture to save.", hint="Add one first.")
    if folder.exists() and not replace:
        what = f"There is a source set {draft.name} already."
        hint = f"Choose another name, or add to it with: bunraku set add {draft.name} … ({folder})"
        raise SourceSetExists(what, hint=hint, path=str(folder))
    scratch: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        _fill(scratch, draft)
        if folder.exists():
            _keep_foreign(folder, scratch)
        _swap(scratch, folder)
    except OSError as error:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise _unwritable(folder, error) from error
    return folder


def write_archive(draft: SetDraft, path: Path, *, replace: bool = False) -> Path:
    """Write a set as one zip, its folder inside, and return the path; the cache stays at home.

    Raises:
        SourceSetExists: the file is there already. OutputUnwritable, DiskFull: it cannot be written.
    """
    if path.exists() and not replace:
        what = f"The file {path.name} exists already."
        raise SourceSetExists(what, hint=f"Choose another name, or say --replace. ({path})", path=str(path))
    try:
        with replacing(path) as part, zipfile.ZipFile(part, "w") as archive:
            for name, data in _all_files(draft, cache=False).items():
                info = zipfile.ZipInfo(f"{draft.name}{SUFFIX}/{name}", _EPOCH)
                info.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, data)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _all_files(draft: SetDraft, *, cache: bool) -> dict[str, bytes]:
    extras = {name: data for name, data in draft.extras.items() if cache or not name.startswith("cache/")}
    return {SET_FILE: dump_manifest(draft.manifest), **draft.files, **extras}


def _fill(folder: Path, draft: SetDraft) -> None:
    folder.chmod(0o755)
    for name, data in _all_files(draft, cache=True).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _keep_foreign(folder: Path, scratch: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name != "cache" and not (scratch / path.name).exists():
            shutil.copytree(path, scratch / path.name, symlinks=True)


def _swap(scratch: Path, folder: Path) -> None:
    """Put the new folder in the old one's place; the old one comes back if that fails."""
    if not folder.exists():
        os.replace(scratch, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.replace(folder, old / folder.name)
    try:
        os.replace(scratch, folder)
    except OSError:
        os.replace(old / folder.name, folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> OutputUnwritable | DiskFull:
    from engine.sinks.base import is_disk_full

    if is_disk_full(error):
        what = f"The disk is full: source set {path.name} was not saved, and nothing has changed."
        return DiskFull(what, hint=f"Free some space, then save again. ({path})", path=str(path))
    what = f"Source set {path.name} cannot be saved: {error.strerror or error}."
    return OutputUnwritable(what, hint=f"Choose a folder that you may write to. ({path})", path=str(path))
