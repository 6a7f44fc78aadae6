# SPDX-License-Identifier: Apache-2.0
"""Sets to and from other people: one zip out, and a stranger's file in, with nothing trusted. Any one thread.

A zip is judged before it is listed (`engine.sources.archive_safety`), read in memory and never unpacked as it is: the
set is taken apart into values (a checked set.toml, decoded pictures) and written anew, under names of our own making.
Whatever else the file holds stays behind.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from engine.errors import SourceSetEmpty, SourceSetInvalid
from engine.sets.draft import SetDraft, open_draft, set_name, tidy_name
from engine.sets.make import clean_picture
from engine.sets.save import ARCHIVE_SUFFIX, default_folder, save_draft, write_archive
from engine.sources.archive_safety import MAX_TOTAL_BYTES
from engine.sources.library import SourceSetInfo, describe_source_set
from engine.sources.manifest import PictureEntry
from engine.sources.picture import decode_picture

__all__ = ["MAX_PICTURES", "export_set", "import_set", "read_foreign"]

MAX_PICTURES = 64  # in a set, enabled or not
_MOST_WORK = 160_000_000  # pixels in all: sixteen photographs of 40 megapixels, or some five seconds of decoding

Advance = Callable[[int, int | None], None]


def export_set(path: Path, out: Path | None = None, *, replace: bool = False) -> Path:
    """Pack a set into one zip and return its path; `out` defaults to NAME.bunraku.zip in the present folder.

    Raises:
        SourceError: the set cannot be read, or the file exists. OutputUnwritable, DiskFull: it cannot be written.
    """
    draft = open_draft(path)
    files = {}
    for entry in draft.entries:
        files[entry.file], suffix = clean_picture(draft.files[entry.file], label=entry.file)
        if PurePosixPath(entry.file).suffix.lower() not in (suffix, ".jpeg" if suffix == ".jpg" else suffix):
            draft, files = _renamed(draft, files, entry, suffix)
    target = out if out is not None else Path.cwd() / f"{tidy_name(draft.name)}{ARCHIVE_SUFFIX}"
    return write_archive(replace_files(draft, files), target, replace=replace)


def replace_files(draft: SetDraft, files: dict[str, bytes]) -> SetDraft:
    """Return the draft with other bytes behind its names."""
    return replace(draft, files=files)


def import_set(
    path: Path,
    *,
    name: str | None = None,
    replace: bool = False,
    folder: Path | None = None,
    advance: Advance = lambda _done, _total: None,
) -> SourceSetInfo:
    """Take a stranger's set into the user's own.

    Args:
        name: what to call it; default: its own name, made fit. replace: take the place of a set of that name.
        folder: where sets are kept; default: the user's. advance: called with (pictures done, pictures in all);
            what it raises ends the import, and nothing has changed.
    Raises:
        SourceError: the file is no set, holds what no set holds, or one of its pictures cannot be used.
        OutputUnwritable, DiskFull: it cannot be saved.
    """
    draft = read_foreign(path, advance=advance)
    wanted = set_name(name) if name is not None else tidy_name(draft.name)
    draft = draft.described(name=wanted)
    target = default_folder(wanted) if folder is None else folder / default_folder(wanted).name
    save_draft(draft, target, replace=replace)
    return describe_source_set(target)


def read_foreign(path: Path, *, advance: Advance = lambda _done, _total: None) -> SetDraft:
    """Read a stranger's set into a draft of nothing but checked values.

    Raises:
        SourceError: see `import_set`.
    """
    if path.is_dir():
        _refuse_links(path)
    draft = open_draft(path)
    count = len(draft.entries)
    if not count:
        raise SourceSetEmpty(f"Source set {path.name} holds no picture.", hint=f"Ask for it again. ({path})")
    if count > MAX_PICTURES:
        what = f"Source set {path.name} lists too many pictures: expected at most {MAX_PICTURES}, got {count}."
        raise SourceSetInvalid(what, hint=f"Take some out. ({path})", path=str(path))
    if sum(len(data) for data in draft.files.values()) > MAX_TOTAL_BYTES:
        what = f"The pictures of source set {path.name} are too large: expected at most {MAX_TOTAL_BYTES >> 20} MiB."
        raise SourceSetInvalid(what, hint=f"Make them smaller. ({path})", path=str(path))
    work = sum(_work(data) for data in draft.files.values())
    if work > _MOST_WORK:
        figures = f"expected at most {_MOST_WORK // 10**6} million, got {work // 10**6}"
        what = f"The pictures of source set {path.name} have too many pixels: {figures}."
        hint = f"Make them smaller; 1024 x 1024 is plenty. ({path})"
        raise SourceSetInvalid(what, hint=hint, path=str(path))
    pictures: list[tuple[PictureEntry, bytes]] = []
    for done, entry in enumerate(draft.entries):
        advance(done, count)
        data = draft.files[entry.file]
        decode_picture(data, label=f"{path}/{entry.file}")  # all of it, so that what is saved can be used
        file = f"{tidy_name(PurePosixPath(entry.file).stem, fallback='picture')}{_suffix(data)}"
        pictures.append((replace(entry, file=file), data))
    advance(count, count)
    bare = SetDraft(replace(draft.manifest, pictures=()))
    return bare.with_pictures(pictures)


def _work(data: bytes) -> int:
    """Return how many pixels must be decoded; a JPEG is decoded smaller. 0 for no picture, which is told later."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.width) * int(image.height) // (4 if image.format in ("JPEG", "MPO") else 1)
    except Exception:  # noqa: BLE001 - `decode_picture` has a sentence for each of them
        return 0


def _suffix(data: bytes) -> str:
    """Return the suffix of what a picture's bytes really are."""
    with Image.open(io.BytesIO(data)) as image:
        kinds = {
            "PNG": ".png",
            "JPEG": ".jpg",
            "MPO": ".jpg",
            "WEBP": ".webp",
            "BMP": ".bmp",
            "TIFF": ".tif",
            "GIF": ".gif",
        }
        return kinds.get(image.format or "", ".img")


def _renamed(
    draft: SetDraft, files: dict[str, bytes], entry: PictureEntry, suffix: str
) -> tuple[SetDraft, dict[str, bytes]]:
    file = str(PurePosixPath(entry.file).with_suffix(suffix))
    entries = tuple(replace(e, file=file) if e.file == entry.file else e for e in draft.entries)
    files = {file if name == entry.file else name: data for name, data in files.items()}
    return replace(draft, manifest=replace(draft.manifest, pictures=entries)), files


def _refuse_links(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        if path.is_symlink():
            what = f"The folder {folder.name} holds a link: {path.name}."
            raise SourceSetInvalid(what, hint=f"Copy the file itself there. ({folder})", path=str(path))
