# SPDX-License-Identifier: Apache-2.0
"""A set that is open in the studio, and how it outlives a window that is closed before it was saved. Any one thread."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from engine.sets.draft import DraftHistory, SetDraft, open_draft
from engine.sets.save import save_draft
from engine.sources.library import user_source_sets_dir
from engine.sources.manifest import SetManifest

__all__ = ["NEW_NAME", "OpenSet", "empty_draft", "keep_unfinished", "read_unfinished", "unfinished_folder"]

NEW_NAME = "my_character"
_HOME = "home.txt"  # beside an unfinished set: the name it has in the library


@dataclass(slots=True, eq=False)
class OpenSet:
    """A set that is open. home: its name in the library, empty for a new one. saved: the version that lies there."""

    history: DraftHistory
    home: str = ""
    saved: SetDraft | None = None

    @property
    def unsaved(self) -> bool:
        """Whether it holds what the library does not."""
        return bool(self.history.draft.entries) and self.history.draft is not self.saved


def empty_draft() -> SetDraft:
    """Return a set without pictures."""
    return SetDraft(SetManifest(NEW_NAME, ()))


def unfinished_folder() -> Path:
    """Return where a set lies that was not saved when the window was closed."""
    return user_source_sets_dir().parent / "unfinished.bunraku"


def keep_unfinished(opened: OpenSet) -> None:
    """Keep what is not saved for the next time; forget what was kept once it is saved.

    Raises:
        OutputUnwritable, DiskFull: it cannot be written.
    """
    draft, folder = opened.history.draft, unfinished_folder()
    if opened.unsaved:
        kept = replace(draft, extras={**draft.extras, _HOME: opened.home.encode("ascii")})
        save_draft(kept, folder, replace=True)
    elif folder.exists() and draft.entries:
        shutil.rmtree(folder, ignore_errors=True)


def read_unfinished() -> OpenSet:
    """Return what was kept.

    Raises:
        SourceError: it cannot be read.
    """
    draft = open_draft(unfinished_folder())
    home = draft.extras.get(_HOME, b"").decode("ascii", "ignore")
    draft = replace(draft, extras={name: data for name, data in draft.extras.items() if name != _HOME})
    return OpenSet(DraftHistory(draft), home)
