# SPDX-License-Identifier: Apache-2.0
"""The wires between the studio's page and the studio: what is there is shown, what the user wants is asked for."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop.bridge.studio import Studio
from desktop.bridge.studio_views import PictureView, StudioView
from desktop.notice import Notice
from desktop.widgets.studio_page import EMPTY, StudioPage
from desktop.words import Tone, error_words

__all__ = ["StudioPresenter"]


class StudioPresenter(QObject):
    """Joins a page and a studio.

    Signals:
        guides_wanted(str): the user wants to place this picture's landmarks by hand.
    """

    guides_wanted = Signal(str)

    def __init__(self, page: StudioPage, studio: Studio, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.page, self.studio = page, studio
        self._view: StudioView = studio.view
        self._wire_shown()
        self._wire_asked()
        self._show(self._view)

    def _wire_shown(self) -> None:
        page, studio = self.page, self.studio
        studio.shown.connect(self._show)
        studio.told.connect(lambda text: self._tell(text, Tone.WARN))
        studio.failed.connect(lambda error: self._tell(error_words(error), Tone.BAD))
        studio.saved.connect(lambda name: self._tell(f"Saved. {name} is in the gallery.", Tone.GOOD))
        studio.added.connect(lambda files: page.pictures.pick(files[0]) if files else None)
        studio.jobs.progress.connect(page.show_progress)
        studio.jobs.idle.connect(lambda: page.show_progress("", 0, 0))
        studio.jobs.cancelled.connect(lambda words: self._tell(f"{words}: cancelled.", Tone.QUIET))

    def _wire_asked(self) -> None:
        page, studio = self.page, self.studio
        page.files_given.connect(studio.add)
        page.image_given.connect(self._paste)
        page.undo.connect(studio.undo)
        page.redo.connect(studio.redo)
        page.save.clicked.connect(self._save)
        page.between_wanted.connect(studio.render_between)
        page.fresh.clicked.connect(studio.begin_new)
        page.cancel.clicked.connect(studio.jobs.cancel)
        for part in (page.pictures, page.picture):
            part.switched.connect(studio.switch)
            part.removed.connect(studio.remove)
            part.referred.connect(studio.make_reference)
        page.pictures.moved.connect(studio.move)
        page.pictures.picked.connect(self._look_at)
        page.picture.uncropped.connect(lambda file: studio.crop(file, None))
        page.picture.guides_wanted.connect(self.guides_wanted)
        page.picture.test_wanted.connect(studio.test)
        page.crop.cropped.connect(studio.crop)
        page.coverage.picked.connect(page.pictures.pick)
        page.colours.clicked.connect(studio.match_colours)
        page.automatic.clicked.connect(self._order)
        page.title.editingFinished.connect(lambda: studio.entitle(page.title.text()))
        page.consent.changed.connect(studio.set_consent)

    def _show(self, view: StudioView) -> None:
        self._view, page = view, self.page
        title = view.title or ("New character" if not view.existing else view.name)
        page.heading.setText(title)
        count, on = len(view.pictures), sum(picture.enabled for picture in view.pictures)
        state = "saved" if view.existing and not view.unsaved else "not saved yet" if view.unsaved else ""
        words = [
            f"{on} of {count} pictures in use" if count else "",
            state,
            "" if view.looked or not count else "looking…",
        ]
        page.saying.setText(" · ".join(word for word in words if word))
        page.between.setEnabled(view.existing and not view.unsaved and on > 1)
        page.fresh.setEnabled(bool(count))
        page.undo_button.setEnabled(view.can_undo)
        page.redo_button.setEnabled(view.can_redo)
        page.save.setEnabled(bool(on) and (view.unsaved or not view.existing))
        page.colours.setChecked(view.colour_match)
        page.automatic.setChecked(not view.keeps_order)
        page.picture.test.setEnabled(on > 1)
        if page.title.text() != view.title:
            page.title.setText(view.title)
        page.name.setText(f"Saved as {view.name}" if view.existing else f"Will be saved as {view.name}")
        page.consent.show_note(view.consent, view.consent_lacks)
        page.coverage.show_set(view)
        page.pictures.show_pictures(view.pictures)

    def _look_at(self, file: str) -> None:
        picture = self._picture(file)
        self.page.crop.show_picture(picture, EMPTY if not self._view.pictures else "")
        self.page.picture.show_picture(picture)
        self.page.coverage.map.mark(file)

    def _picture(self, file: str) -> PictureView | None:
        return next((picture for picture in self._view.pictures if picture.file == file), None)

    def _paste(self, image: QImage) -> None:
        if image.isNull():
            self._tell("The clipboard holds no picture and no file. Copy one, then paste it here.", Tone.WARN)
        else:
            self.studio.paste(image)

    def _order(self, automatic: bool) -> None:
        if automatic:
            self.studio.order_automatically()
        elif self._view.pictures:
            reference = next((p.file for p in self._view.pictures if p.reference), self._view.pictures[0].file)
            self.studio.make_reference(reference)

    def _save(self) -> None:
        if not self.page.title.text().strip():
            self._tell("Give the character a name first.", Tone.WARN)
            self.page.title.setFocus()
            return
        self.studio.entitle(self.page.title.text())
        self.studio.save()

    def _tell(self, text: str, tone: Tone) -> None:
        self.page.notices.show_notice(Notice(text, tone))
