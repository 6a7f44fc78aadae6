# SPDX-License-Identifier: Apache-2.0
"""Build a pack: make every planned item, then compress the landmarks and write the manifest. Offline.

Resumable: next to the pack, `PACK.work/` holds each finished item's landmarks and what became of it. A build that was
killed goes on after the last finished item and ends in the same bytes; a finished one whose work folder was kept can
be given more clips or stills. An item counts as finished once its record is there, and that is written last.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DriverError, OutputUnwritable, PackInvalid, SourceError
from engine.evaluation.protocol import Instruments
from engine.training.pack.files import sha256_of, write_bytes, write_frames, writing
from engine.training.pack.format import (
    LANDMARKS,
    MANIFEST,
    SPLITS,
    PackManifest,
    StoredGroup,
    StoredItem,
    read_manifest,
    write_manifest,
)
from engine.training.pack.landmarks import fit_landmarks
from engine.training.pack.licences import NOT_STATED, find_licence
from engine.training.pack.make import Maker
from engine.training.pack.plan import PlannedItem, make_plan
from engine.training.pack.settings import PackSettings

__all__ = ["BuildReport", "build_pack", "work_folder"]

log = logging.getLogger(__name__)

_TOOLS = ("mediapipe", "opencv-contrib-python", "av", "numpy", "moderngl")
_BROKEN = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """made: items made by this run; reused: finished before. skipped: source → reason. landmark_error_px: mean."""

    manifest: PackManifest
    made: int
    reused: int
    landmark_error_px: float


@dataclass(frozen=True, slots=True, eq=False)
class _Record:
    """A finished item: what the manifest will say (None where it was skipped, with the reason), and its landmarks."""

    item: StoredItem | None
    reason: str
    keypoints: NDArray[np.float32]
    tracked: NDArray[np.bool_]


def work_folder(out: Path) -> Path:
    """Return where a pack's unfinished build is kept."""
    return out.with_name(out.name + ".work")


def build_pack(
    sources: Path,
    out: Path,
    *,
    settings: PackSettings,
    instruments: Instruments,
    keep_work: bool = False,
    advance: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> BuildReport:
    """Build a pack, or finish one that was begun.

    Args:
        sources: folder with train/ and dev/, see `engine.training.pack.plan`.
        keep_work: leave the work folder, so that the same pack can be made larger later.
        advance: called with (items done, items in all).
    Raises:
        SourceUnreadable: no such source folder, or an empty one. PackInvalid: not one source can be used.
        DiskFull, OutputUnwritable: the pack cannot be written; finished items are kept.
        BackendUnavailable: avatars cannot be drawn on this machine.
    """
    plan = make_plan(sources, settings)
    _claim(out)
    licences = {(item.split, item.group): find_licence(sources, item.split, item.group) for item in plan}
    maker = Maker(settings, instruments)
    records: list[_Record] = []
    made = 0
    try:
        for done, item in enumerate(plan):
            advance(done, len(plan))
            record = _finished(item, out, settings)
            if record is None:
                licence = licences[item.split, item.group].name
                record = _make(item, maker, out, settings, licence=licence, sources=sources)
                made += 1
            if record.item is None:
                log.warning("Left out of the pack: %s: %s", item.label, record.reason)
            records.append(record)
        advance(len(plan), len(plan))
    finally:
        maker.close()
    stored = [record.item for record in records if record.item is not None]
    if not stored:
        reason = next(record.reason for record in records)
        what = f"None of the {len(plan)} sources can be used; the first one says: {reason}"
        raise PackInvalid(what, path=str(sources))
    error_px = _write_landmarks(out, records, side_px=settings.side_px)
    groups = []
    for (split, group), licence in licences.items():
        if licence.name == NOT_STATED:
            log.warning("No licence is stated for %s/%s: expected a LICENSE file or a row in README.md", split, group)
        file = f"licences/{split}-{group}.txt" if licence.text else ""
        if file:
            write_bytes(out / file, licence.text.encode())
        groups.append(StoredGroup(split, group, licence.origin, licence.name, file))
    skipped = {i.label: r.reason for i, r in zip(plan, records, strict=True) if r.item is None}
    manifest = PackManifest(
        settings.side_px, settings.fps, settings.seed, asdict(settings), _tools(), tuple(groups), tuple(stored), skipped
    )
    with writing(out / MANIFEST):
        write_manifest(out, manifest)
        _remove_strays(out, manifest)
        if not keep_work:
            shutil.rmtree(work_folder(out), ignore_errors=True)
    return BuildReport(manifest, made, len(plan) - made, error_px)


def _claim(out: Path) -> None:
    """Make the pack's folder; refuse one with other things in it, as files that are no part of the pack go."""
    if out.is_dir() and any(out.iterdir()) and not work_folder(out).is_dir():
        try:
            read_manifest(out)
        except PackInvalid as error:
            what = f"The folder is not empty and holds no pack: {out}."
            raise OutputUnwritable(what, hint="Name a new folder.", path=str(out)) from error
    with writing(out):
        work_folder(out).mkdir(parents=True, exist_ok=True)
        out.mkdir(parents=True, exist_ok=True)
        (out / ".gitignore").write_text("*\n", "utf-8")


def _make(
    item: PlannedItem, maker: Maker, out: Path, settings: PackSettings, *, licence: str, sources: Path
) -> _Record:
    """Make one item, write its files and then its record."""
    nothing = np.zeros((0, 478, 3), np.float32), np.zeros(0, bool)
    try:
        made = maker.make(item)
    except (DriverError, SourceError) as error:
        # One bad file must not cost all the others; it is named in the manifest.
        record = _Record(None, str(error), *nothing)
        _write_record(item, record, out, settings)
        return record
    stored = StoredItem(
        name=item.name,
        split=item.split,
        group=item.group,
        kind=item.kind,
        frames=len(made.frames),
        tracked=int(made.tracked.sum()),
        fps=made.fps,
        matte=made.matte,
        source=item.source.relative_to(sources).as_posix(),
        licence=licence,
        sha256="",
        matte_sha256="",
    )
    digest = write_frames(out / stored.file, made.frames, fps=made.fps)
    matte_digest = write_frames(out / stored.matte_file, made.mattes, fps=made.fps)
    stored = StoredItem(**{**asdict(stored), "sha256": digest, "matte_sha256": matte_digest})
    record = _Record(stored, "", made.keypoints, made.tracked)
    _write_record(item, record, out, settings)
    return record


def _record_path(item: PlannedItem, out: Path) -> Path:
    return work_folder(out) / item.split / item.group / f"{item.name}.npz"


def _write_record(item: PlannedItem, record: _Record, out: Path, settings: PackSettings) -> None:
    about: dict[str, Any] = {"fingerprint": settings.fingerprint(), "reason": record.reason, "item": None}
    if record.item is not None:
        about["item"] = asdict(record.item)
    buffer = io.BytesIO()
    np.savez(buffer, about=np.array(json.dumps(about)), keypoints=record.keypoints, tracked=record.tracked)
    write_bytes(_record_path(item, out), buffer.getvalue())


def _finished(item: PlannedItem, out: Path, settings: PackSettings) -> _Record | None:
    """Return an item's record where it was finished with the same settings and its files are as they were."""
    try:
        with np.load(io.BytesIO(_record_path(item, out).read_bytes()), allow_pickle=False) as data:
            about = json.loads(str(data["about"]))
            if about["fingerprint"] != settings.fingerprint():
                return None
            stored = None if about["item"] is None else StoredItem(**about["item"])
            record = _Record(stored, about["reason"], data["keypoints"], data["tracked"])
        if stored is not None:
            digests = [sha256_of((out / file).read_bytes()) for file in (stored.file, stored.matte_file)]
            if digests != [stored.sha256, stored.matte_sha256]:
                return None
    except _BROKEN:  # not there, or cut off in the middle: the item is simply made
        return None
    return record


def _write_landmarks(out: Path, records: list[_Record], *, side_px: int) -> float:
    """Write landmarks.npz and return the mean error of a coordinate in pixels."""
    keypoints = np.concatenate([record.keypoints for record in records])
    tracked = np.concatenate([record.tracked for record in records])
    packed = fit_landmarks(keypoints, tracked)
    write_bytes(out / LANDMARKS, packed.to_bytes())
    off = np.abs(packed.basis.expand(packed.coefficients[tracked]) - keypoints[tracked])
    return float(off[..., :2].mean()) * side_px / 2


def _remove_strays(out: Path, manifest: PackManifest) -> None:
    """Remove clips and stills that an earlier, larger build of this pack left behind."""
    wanted = {out / file for item in manifest.items for file in (item.file, item.matte_file)}
    for split in SPLITS:
        for path in sorted((out / split).rglob("*")):
            if path.is_file() and path not in wanted and path.suffix in (".mp4", ".jpg", ".part"):
                path.unlink()


def _tools() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
