# SPDX-License-Identifier: Apache-2.0
"""Write engine files so that a half one never lies there, and print what lies there."""

from __future__ import annotations

import errno
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import DiskFull, OutputUnwritable
from engine.files import write_whole
from engine.runtime.engine_file import (
    ENGINE_FOLDER_VARIABLE,
    EngineKey,
    EngineRecord,
    build_command,
    describe_record,
    engine_path,
    record_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.runtime.manifest import ModelManifest

__all__ = ["probe_folder", "stale_reason", "stale_sentence", "table_lines", "write_bytes", "write_engine"]

_ELSEWHERE = f"choose another folder with --out, and set {ENGINE_FOLDER_VARIABLE} to it, so that the app looks there."


def probe_folder(folder: Path) -> None:
    """Find out before a long build whether its result could be written.

    Raises:
        OutputUnwritable, DiskFull: it could not.
    """
    with _sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write_engine(folder: Path, key: EngineKey, data: bytes) -> Path:
    """Write an engine and its record; return the engine's path.

    Raises:
        OutputUnwritable, DiskFull: it cannot be written; no new file is left.
    """
    path = engine_path(folder, key)
    write_bytes(path, data)
    try:
        write_bytes(record_path(path), describe_record(key, data).encode())
    except BaseException:  # Ctrl-C too: an engine without its record is of no use
        path.unlink(missing_ok=True)
        raise
    return path


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none.

    Raises:
        OutputUnwritable, DiskFull: it cannot be written.
    """
    with _sentences(path):
        write_whole(path, data)


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(
                f"The disk is full: the engine cannot be written: {path}.",
                hint=f"Free some space, or {_ELSEWHERE}",
            ) from error
        raise OutputUnwritable(
            f"Cannot write the engine: {error.strerror or error}: {path}.",
            hint=_ELSEWHERE[0].upper() + _ELSEWHERE[1:],
        ) from error


def stale_reason(record: EngineRecord, manifests: Mapping[str, ModelManifest], versions: Mapping[str, str]) -> str:
    """Return why nothing would load a file, to be put after its name; empty for one that is good or unknown.

    Args:
        manifests: by model. versions: of the libraries that are installed, by flavour.
    """
    key = record.key
    if record.fault or key is None:
        return record.fault
    manifest = manifests.get(key.model)
    if manifest is not None and manifest.files.get(f"{key.graph}.onnx") != key.graph_sha256:
        return f"is stale: {key.graph}.onnx of '{key.model}' has changed since"
    installed = versions.get(key.flavour, key.version)
    if installed != key.version:
        return f"is stale: it was built with {key.flavour} {key.version}, and {installed} is installed"
    return ""


def table_lines(rows: Iterable[tuple[EngineRecord, str]]) -> list[str]:
    """Return a table of engines, one line each after the heading; nothing for no rows.

    Args:
        rows: engines, and what is wrong with each.
    """
    cells = [("model", "graph", "library", "GPUs", "precision", "pictures", "MB", "state")]
    for record, fault in rows:
        key, state = record.key, fault.removeprefix("is ") or "good"
        size = f"{record.size_bytes / 1e6:.1f}"
        if key is None:
            cells.append((record.path.name, "", record.path.parent.name, "", "", "", size, state))
        else:
            library = f"{key.flavour} {key.version}"
            gpus = ",".join(key.architectures)
            cells.append((key.model, key.graph, library, gpus, key.precision, key.profile, size, state))
    if len(cells) == 1:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def stale_sentence(record: EngineRecord, fault: str) -> str:
    """Return what is wrong with an engine and what mends it: built again, a damaged file is replaced, no other is."""
    key = record.key
    command = build_command(key.model, key.flavour) if key else "python build_engines.py"
    replaced = record.fault and key is not None
    what_to_do = f"Run: {command}" if replaced else f"Delete it and run: {command}"
    return f"{record.path.name} {fault}. {what_to_do}  ({record.path})"
