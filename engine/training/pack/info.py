# SPDX-License-Identifier: Apache-2.0
"""Tell what is in a pack: a table by split, group and kind, and a check of every file. Any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.training.pack.build import BuildReport
from engine.training.pack.files import Damaged, decode_frames, sha256_of
from engine.training.pack.format import PackManifest, StoredItem, read_manifest
from engine.training.pack.load import read_pack_landmarks

__all__ = ["PackCheck", "check_pack", "describe_build", "describe_pack"]

_COLUMNS = ("split", "group", "kind", "items", "frames", "tracked", "licence")


@dataclass(frozen=True, slots=True)
class PackCheck:
    """A pack's manifest and size, and what is wrong with its files: item → reason."""

    manifest: PackManifest
    size_bytes: int
    faults: dict[str, str]


def check_pack(
    pack: Path, *, decode: bool = True, advance: Callable[[int, int | None], None] = lambda _done, _total: None
) -> PackCheck:
    """Check every file of a pack against its manifest.

    Args:
        decode: count the frames too, not only the hashes. advance: called with (items done, items in all).
    Raises:
        PackInvalid: no such pack, another version, or manifest or landmarks are damaged.
    """
    manifest = read_manifest(pack)
    read_pack_landmarks(pack, [item.frames for item in manifest.items])
    faults: dict[str, str] = {}
    for done, item in enumerate(manifest.items):
        advance(done, len(manifest.items))
        reason = _fault(pack, item, decode=decode)
        if reason:
            faults[f"{item.split}/{item.label}"] = reason
    return PackCheck(manifest, _size_bytes(pack), faults)


def _fault(pack: Path, item: StoredItem, *, decode: bool) -> str:
    """Return what is wrong with an item's files; nothing where they are as they should be."""
    for file, digest, grey in ((item.file, item.sha256, False), (item.matte_file, item.matte_sha256, True)):
        try:
            data = (pack / file).read_bytes()
            if sha256_of(data) != digest:
                return f"{file} is damaged: its hash is not the one in the manifest"
            count = sum(1 for _ in decode_frames(data, kind=item.kind, grey=grey)) if decode else item.frames
        except OSError as error:
            return f"{file} cannot be read: {error.strerror or error}"
        except Damaged as error:
            return f"{file}: {error}"
        if count != item.frames:
            return f"{file} holds {count} frames, the manifest says {item.frames}"
    return ""


def describe_pack(check: PackCheck) -> str:
    """Return the table and the faults as text."""
    manifest = check.manifest
    items, frames = len(manifest.items), sum(item.frames for item in manifest.items)
    lines = [_table(manifest), "", f"{items} items, {frames} frames, {check.size_bytes / 1e6:.1f} MB"]
    lines += [f"damaged: {name}: {reason}" for name, reason in check.faults.items()]
    lines.append(
        f"{len(check.faults)} of {items} items are damaged" if check.faults else "every file is as it should be"
    )
    return "\n".join(lines)


def describe_build(out: Path, report: BuildReport) -> str:
    """Return what a build gave as text."""
    manifest = report.manifest
    items, frames = len(manifest.items), sum(item.frames for item in manifest.items)
    lines = [
        _table(manifest),
        "",
        f"{out}: {items} items ({report.made} made now), {frames} frames, {_size_bytes(out) / 1e6:.1f} MB",
        f"landmarks are stored with a mean error of {report.landmark_error_px:.3f} px",
        f"{len(manifest.skipped)} sources were left out" + (":" if manifest.skipped else ""),
        *(f"  {name}: {reason}" for name, reason in manifest.skipped.items()),
    ]
    return "\n".join(lines)


def _table(manifest: PackManifest) -> str:
    rows: dict[tuple[str, str, str], list[StoredItem]] = {}
    for item in manifest.items:
        rows.setdefault((item.split, item.group, item.kind), []).append(item)
    cells = [_COLUMNS]
    for (split, group, kind), items in rows.items():
        counts = (len(items), sum(i.frames for i in items), sum(i.tracked for i in items))
        cells.append((split, group, kind, *(str(count) for count in counts), items[0].licence))
    widths = [max(len(row[k]) for row in cells) for k in range(len(_COLUMNS))]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in cells)


def _padded(row: Iterable[str], widths: list[int]) -> Iterable[str]:
    return (text.ljust(width) for text, width in zip(row, widths, strict=True))


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
