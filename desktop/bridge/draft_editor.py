# SPDX-License-Identifier: Apache-2.0
"""A source set open for editing: every step gives a new immutable draft, and can be undone. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from desktop.bridge.open_set import NEW_NAME, OpenSet, empty_draft
from desktop.bridge.shelf import free_set_name
from desktop.bridge.studio_views import Consent, Crop, Look, StudioView, show
from engine.errors import PuppeteerError
from engine.sets.draft import DraftHistory, SetDraft, tidy_name
from engine.sources.guides import GuidePoints
from engine.types import MAX_SOURCES

__all__ = ["DraftEditor"]

NO_FACE = "no face found"  # what `engine.sets.make` notes of a picture that it added switched off


class DraftEditor(QObject):
    """One set at a time.

    Signals:
        shown(StudioView): what it is now. told(str): a word to the user. failed(BaseException): something could not be
        done; nothing has changed.
    """

    shown = Signal(object)
    told = Signal(str)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._open = OpenSet(DraftHistory(empty_draft()))
        self._shelved: list[OpenSet] = []
        self._look: Look | None = None

    @property
    def draft(self) -> SetDraft:
        """The present version."""
        return self._open.history.draft

    @property
    def view(self) -> StudioView:
        """What it is now."""
        opened = self._open
        return show(
            opened.history.draft,
            self._look,
            can_undo=opened.history.can_undo or bool(self._shelved),
            can_redo=opened.history.can_redo,
            unsaved=opened.unsaved,
            home=opened.home,
        )

    def begin_new(self) -> None:
        """Start an empty set; undo goes back to what was there."""
        self._take(OpenSet(DraftHistory(empty_draft())))

    def switch(self, file: str, enabled: bool) -> None:
        """Switch a picture on or off; a set takes no more than sixteen."""
        if enabled and not self._has_room():
            self.told.emit(f"A set takes {MAX_SOURCES} pictures. Switch another one off first.")
            self.shown.emit(self.view)
        elif enabled and file in self._faceless():
            self.told.emit(f"No face was found in {file}. Place its landmarks by hand, then it can be used.")
            self.shown.emit(self.view)
        elif self.draft.entry(file).enabled != enabled:
            self._do(lambda draft: draft.switched(file, enabled))

    def remove(self, file: str) -> None:
        """Take a picture out."""
        self._do(lambda draft: draft.without(file))

    def move(self, file: str, place: int) -> None:
        """Put a picture at another place; the first one in use is the reference."""
        files = [entry.file for entry in self.draft.entries]
        place = max(0, min(place, len(files) - 1))
        if files.index(file) != place:
            self._do(lambda draft: draft.moved(file, place))

    def make_reference(self, file: str) -> None:
        """Measure the others from this picture."""
        self._do(lambda draft: draft.switched(file, True).moved(file, 0))

    def order_automatically(self) -> None:
        """Let the engine choose the reference."""
        self._do(lambda draft: draft.ordered_automatically())

    def crop(self, file: str, box: Crop | None) -> None:
        """Set a portrait's box by hand; None lets the engine choose."""
        if self.draft.entry(file).crop != box:
            self._do(lambda draft: draft.cropped(file, box))

    def guide(self, file: str, guides: GuidePoints | None) -> None:
        """Place a picture's landmarks by hand, which puts it to use; None lets the tracker look."""
        entry = self.draft.entry(file)
        if guides == entry.guides:
            return

        def step(draft: SetDraft) -> SetDraft:
            draft = draft.guided(file, guides)
            if entry.guides is None and entry.notes == NO_FACE:
                draft = draft.annotated(file, "").switched(file, self._has_room())
            return draft

        self._do(step)

    def match_colours(self, wanted: bool) -> None:
        """Take every picture's light to that of the reference, or leave it."""
        if wanted != self.draft.manifest.colour_match:
            self._do(lambda draft: draft.with_colour_match(wanted))

    def entitle(self, title: str) -> None:
        """Give the character another title; a new set's name follows."""
        title = " ".join(title.split())[:80]
        if title == self.draft.manifest.title:
            return
        texts = {"title": title}
        if not self._open.home:
            texts["name"] = free_set_name(tidy_name(title, fallback=NEW_NAME))
        self._do(lambda draft: draft.described(**texts))

    def set_consent(self, consent: Consent) -> None:
        """Say by whose leave the pictures are used."""
        if consent != self.draft.consent:
            self._do(lambda draft: draft.with_consent(consent))

    def undo(self) -> None:
        """Take the last step back; at the first, go back to the set that was open before."""
        if self._open.history.can_undo or not self._shelved:
            self._open.history.undo()
        else:
            self._open, self._look = self._shelved.pop(), None
        self._changed()

    def redo(self) -> None:
        """Take the last undo back."""
        self._open.history.redo()
        self._changed()

    def _take(self, opened: OpenSet) -> None:
        if self._open.unsaved:
            self._shelved.append(self._open)
            title = self.draft.manifest.title or "The character before"
            self.told.emit(f"{title} was not saved. Undo brings it back.")
        self._open, self._look = opened, None
        self._changed()

    def _faceless(self) -> set[str]:
        """Return the pictures that a character cannot be made of, as far as they were looked at."""
        if self._look is None:
            return set()
        faceless = {verdict.file for verdict in self._look.report.verdicts if verdict.face is None}
        return {entry.file for entry in self.draft.entries if entry.file in faceless and entry.guides is None}

    def _has_room(self) -> bool:
        return sum(entry.enabled for entry in self.draft.entries) < MAX_SOURCES

    def _do(self, step: Callable[[SetDraft], SetDraft]) -> None:
        try:
            self._open.history.do(step(self.draft))
        except PuppeteerError as error:
            self.failed.emit(error)
        self._changed()

    def _changed(self) -> None:
        self.shown.emit(self.view)
