# SPDX-License-Identifier: Apache-2.0
"""What is done to whole sets of the library: duplicate, delete, export, import. GUI thread; the work is `Jobs`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Signal

from desktop.bridge.jobs import Advance, Jobs
from engine.errors import OutputUnwritable, SourceSetInvalid
from engine.sets.draft import SetDraft, open_draft, tidy_name
from engine.sets.save import ARCHIVE_SUFFIX, default_folder, save_draft
from engine.sources.library import describe_source_set, find_source_set, list_source_sets, user_source_sets_dir

__all__ = ["ARCHIVE_SUFFIX", "Shelf", "free_set_name"]


@dataclass(frozen=True, slots=True, eq=False)
class _Deleted:
    draft: SetDraft
    folder: Path


class Shelf(QObject):
    """Changes the library.

    Signals:
        changed(str): the library is another one now; the name of the set that came, empty where one went.
        told(str): a word to the user. deleting(str): this set goes now; whoever uses it takes another.
    """

    changed = Signal(str)
    told = Signal(str)
    deleting = Signal(str)

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._deleted: list[_Deleted] = []

    @property
    def can_restore(self) -> bool:
        """Whether something was deleted since the window opened."""
        return bool(self._deleted)

    def duplicate(self, name: str) -> None:
        """Make a copy, which can be changed though the first ships with Bunraku."""

        def work(_advance: Advance) -> str:
            draft = open_draft(find_source_set(name))
            title = f"{draft.manifest.title or draft.name} copy"
            draft = draft.described(name=free_set_name(tidy_name(f"{draft.name}_copy")), title=title)
            save_draft(draft, default_folder(draft.name))
            return draft.name

        self._jobs.begin(f"Copying {name}", work, done=lambda made: self._came(made, f"Copied as {made}."))

    def delete(self, name: str) -> None:
        """Take a set of the user's out of the library; it can be brought back."""

        def work(_advance: Advance) -> _Deleted:
            path = find_source_set(name)
            if describe_source_set(path).builtin:
                what = f"{name} ships with Bunraku and cannot be deleted."
                raise SourceSetInvalid(what, hint="Only your own characters can.", name=name)
            deleted = _Deleted(open_draft(path), path)
            _throw_away(path)
            return deleted

        def done(deleted: _Deleted) -> None:
            self._deleted.append(deleted)
            self.deleting.emit(name)
            self.changed.emit("")
            self.told.emit(f"{name} is deleted. Characters → Bring back restores it.")

        self._jobs.begin(f"Deleting {name}", work, done=done)

    def restore(self) -> None:
        """Bring back what was deleted last."""
        if not self._deleted:
            return
        deleted = self._deleted[-1]

        def done(_folder: object) -> None:
            self._deleted.remove(deleted)
            self._came(deleted.draft.name, f"{deleted.draft.name} is back.")

        folder = default_folder(deleted.draft.name)
        self._jobs.begin("Bringing it back", lambda _advance: save_draft(deleted.draft, folder), done=done)

    def export(self, name: str, out: Path) -> None:
        """Pack a set into one file for somebody else."""

        def work(_advance: Advance) -> Path:
            from engine.sets.share import export_set

            return export_set(find_source_set(name), out, replace=True)  # the dialog has asked

        self._jobs.begin(f"Packing {name}", work, done=lambda path: self.told.emit(f"Exported: {path}"))

    def take_in(self, path: Path) -> None:
        """Take a stranger's set into the library, under a name that is free."""

        def work(advance: Advance) -> str:
            from engine.sets.share import read_foreign

            draft = read_foreign(path, advance=advance)
            name = free_set_name(tidy_name(draft.name))
            save_draft(draft.described(name=name), default_folder(name))
            return name

        self._jobs.begin(f"Reading {path.name}", work, done=lambda made: self._came(made, f"Imported as {made}."))

    def _came(self, name: str, words: str) -> None:
        self.changed.emit(name)
        self.told.emit(words)


def free_set_name(name: str) -> str:
    """Return a name that no set of the library has."""
    taken = {info.name for info in list_source_sets()}
    number, free = 2, name
    while free in taken or default_folder(free).exists():
        free, number = f"{name[:60]}_{number}", number + 1
    return free


def _throw_away(path: Path) -> None:
    """Move a set to the system's trash, or where there is none into a folder beside the library."""
    if QFile(str(path)).moveToTrash():
        return
    removed = user_source_sets_dir().parent / "removed_sets"
    try:
        removed.mkdir(parents=True, exist_ok=True)
        os.replace(path, removed / f"{time.time_ns()}-{path.name}")
    except OSError as error:
        what = f"The set {path.name} cannot be deleted: {error.strerror or error}."
        raise OutputUnwritable(what, hint=f"Check its permissions. ({path})", path=str(path)) from error
