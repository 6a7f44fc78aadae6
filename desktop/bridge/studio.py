# SPDX-License-Identifier: Apache-2.0
"""A source set being made, judged and repaired beside the running character. GUI thread.

The draft is an immutable value with its history; every step can be undone. Looking at pictures, picking frames from a
video, rebuilding and saving are `Jobs`; after each step the set is looked at again by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop.bridge.doorbell import Tasks
from desktop.bridge.draft_editor import DraftEditor
from desktop.bridge.jobs import Advance, Jobs
from desktop.bridge.open_set import (
    OpenSet,
    keep_unfinished,
    read_unfinished,
    unfinished_folder,
)
from desktop.bridge.shelf import free_set_name
from desktop.bridge.studio_views import Look
from engine.errors import PuppeteerError
from engine.sets.draft import DraftHistory, SetDraft, open_draft, tidy_name
from engine.sets.save import default_folder, save_draft
from engine.sources.library import describe_source_set, find_source_set
from engine.types import MAX_SOURCES

if TYPE_CHECKING:
    from engine.sets.make import Added
    from engine.sets.poses import Face

__all__ = ["Studio"]

SECONDS_BETWEEN = 1.5


class Studio(DraftEditor):
    """One set at a time.

    Signals:
        saved(str): the set of this name is in the library. added(list[str]): these pictures were.
    """

    saved = Signal(str)
    added = Signal(object)

    def __init__(self, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = Jobs(tasks, self)
        self.jobs.failed.connect(self.failed)
        self._looking: SetDraft | None = None

    @property
    def faces(self) -> list[Face]:
        """The faces of the pictures in use, as far as they were looked at."""
        verdicts = self._look.report.verdicts if self._look is not None else ()
        return [verdict.face for verdict in verdicts if verdict.enabled and verdict.face is not None]

    def edit(self, name: str) -> None:
        """Open a set from the library; one that ships with Bunraku as a copy."""

        def work(_advance: Advance) -> tuple[SetDraft, bool]:
            path = find_source_set(name)
            draft, copied = open_draft(path), describe_source_set(path).builtin
            if copied:
                title = f"{draft.manifest.title or draft.name} copy"
                draft = draft.described(name=free_set_name(tidy_name(f"{draft.name}_copy")), title=title)
            return draft, copied

        def done(found: tuple[SetDraft, bool]) -> None:
            draft, copied = found
            self._take(OpenSet(DraftHistory(draft), "" if copied else draft.name, None if copied else draft))
            if copied:
                self.told.emit(f"{name} ships with Bunraku and stays as it is; you are changing a copy.")

        self.jobs.begin(f"Opening {name}", work, done=done)

    def add(self, paths: Sequence[Path]) -> None:
        """Add pictures, folders of pictures, and the best frames of videos."""
        snapshot = self.draft

        def work(advance: Advance) -> Added:
            from desktop.bridge.studio_work import add_paths

            return add_paths(snapshot, paths, advance)

        words = f"Looking at {paths[0].name}" if len(paths) == 1 else f"Looking at {len(paths)} files"
        self.jobs.begin(words, work, done=lambda added: self._added(snapshot, added))

    def paste(self, image: QImage, *, name: str = "pasted") -> None:
        """Add a picture from the clipboard or from a camera."""
        snapshot = self.draft

        def work(advance: Advance) -> Added:
            from desktop.bridge.studio_work import add_image

            return add_image(snapshot, image, name, advance)

        self.jobs.begin("Looking at the picture", work, done=lambda added: self._added(snapshot, added))

    def test(self) -> None:
        """Rebuild every picture from the others."""
        draft, before = self.draft, self._look

        def work(advance: Advance) -> Look:
            from desktop.bridge.studio_work import rebuild

            return rebuild(draft, before, advance)

        self.jobs.begin("Rebuilding every picture from the others", work, done=self._looked)

    def save(self) -> None:
        """Write the set into the library, whole or not at all."""
        opened, draft = self._open, self.draft
        unusable = [entry.file for entry in draft.entries if entry.enabled and entry.file in self._faceless()]
        if unusable:
            words = "Switch it off, or place its landmarks by hand."
            self.told.emit(f"Not saved: no face was found in {', '.join(unusable)}. {words}")
            return
        name = opened.home or free_set_name(draft.name)

        def work(_advance: Advance) -> None:
            save_draft(draft.described(name=name), default_folder(name), replace=bool(opened.home))

        def done(_nothing: None) -> None:
            opened.home, opened.saved = name, draft
            self.shown.emit(self.view)
            self.saved.emit(name)

        self.jobs.begin(f"Saving {draft.manifest.title or name}", work, done=done)

    def render_between(self, out: Path) -> None:
        """Make a looping video of what lies between the saved set's pictures; nothing is left of one given up."""
        name, count = self._open.home, sum(entry.enabled for entry in self.draft.entries)

        def work(advance: Advance) -> Path:
            from desktop.bridge.studio_work import between

            return between(name, out, seconds=SECONDS_BETWEEN * count, advance=advance)

        done = f"Saved: {out}"
        self.jobs.begin(f"Rendering {out.name}", work, done=lambda _path: self.told.emit(done))

    def take_up(self) -> None:
        """Open what was not saved when the window was closed, if there is something."""
        if self.draft.entries or not unfinished_folder().exists():
            return

        def done(opened: OpenSet) -> None:
            self._take(opened)
            self.told.emit("Your unfinished character is back.")

        self.jobs.begin("Opening the unfinished character", lambda _advance: read_unfinished(), done=done)

    def close(self) -> None:
        """End what runs; what is not saved is kept for the next time.

        Raises:
            OutputUnwritable, DiskFull: it cannot be kept.
        """
        self.jobs.close()
        keep_unfinished(self._open)

    def _changed(self) -> None:
        super()._changed()
        self._look_again()

    def _look_again(self) -> None:
        """Look at the newest version, unless that is under way."""
        if self._looking is not None or (self._look is not None and self._look.draft is self.draft):
            return
        draft, before = self.draft, self._look
        self._looking = draft

        def work(advance: Advance) -> Look | PuppeteerError:
            from desktop.bridge.studio_work import look_at

            try:
                return look_at(draft, before, advance)
            except PuppeteerError as error:
                return error

        def done(found: Look | PuppeteerError) -> None:
            self._looking = None
            if isinstance(found, PuppeteerError):
                self.failed.emit(found)
            else:
                self._looked(found)

        self.jobs.begin("Looking at the set", work, done=done, quiet=True)

    def _looked(self, look: Look) -> None:
        if look.draft is self.draft or self._look is None or self._look.draft is not self.draft:
            self._look = look
        self.shown.emit(self.view)
        self._look_again()

    def _added(self, snapshot: SetDraft, added: Added) -> None:
        draft = added.draft
        if self.draft is not snapshot:  # changed meanwhile: what was found joins what is there now
            fresh = [draft.entry(file) for file in added.added]
            room = MAX_SOURCES - sum(entry.enabled for entry in self.draft.entries)
            entries = [
                (replace(entry, enabled=entry.enabled and place < room), draft.files[entry.file])
                for place, entry in enumerate(fresh)
            ]
            draft = self.draft.with_pictures(entries)
        before = {entry.file for entry in self.draft.entries}
        self._do(lambda _: draft)
        for skipped in added.skipped[:3]:
            self.told.emit(skipped.reason)
        if len(added.skipped) > 3:
            self.told.emit(f"{len(added.skipped) - 3} more files could not be used as they are.")
        self.added.emit([entry.file for entry in draft.entries if entry.file not in before])
