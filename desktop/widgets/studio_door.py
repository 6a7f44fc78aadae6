# SPDX-License-Identifier: Apache-2.0
"""The studio's place in the window: its page, the buttons under the gallery, and what follows a save."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QWidget

from desktop.bridge.coach import Coach
from desktop.bridge.heat import HeatMap
from desktop.bridge.shelf import Shelf
from desktop.bridge.studio import Studio
from desktop.controller import Controller
from desktop.notice import Notice
from desktop.settings import AppSettings
from desktop.theme import theme_named
from desktop.widgets.coach_page import CoachPage
from desktop.widgets.gallery_bar import GalleryBar
from desktop.widgets.guide_page import GuidePage
from desktop.widgets.heat_panel import HeatPanel
from desktop.widgets.live_page import LivePage
from desktop.widgets.studio_page import StudioPage
from desktop.widgets.studio_presenter import StudioPresenter
from desktop.words import Tone, error_words
from engine.errors import PuppeteerError

if TYPE_CHECKING:
    from desktop.bridge.coach_eye import CoachView

__all__ = ["StudioDoor"]

_log = logging.getLogger(__name__)


class StudioDoor(QObject):
    """Adds the studio to a window.

    Args:
        pages: where its page is shown. reload: reads the gallery again.
    """

    def __init__(
        self,
        controller: Controller,
        live: LivePage,
        pages: QStackedWidget,
        reload: Callable[[], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._controller, self._live, self._pages, self._reload = controller, live, pages, reload
        self.studio = Studio(controller.tasks, self)
        self.shelf = Shelf(self.studio.jobs, self)
        self.page = StudioPage()
        self.presenter = StudioPresenter(self.page, self.studio, self)
        self.bar = GalleryBar(self._current, can_restore=lambda: self.shelf.can_restore)
        live.add_below_gallery(self.bar)
        self.heat = HeatMap(self)
        self.heat_panel = HeatPanel()
        live.add_panel("sources", "Where pixels come from", self.heat_panel)
        self.coach = Coach(lambda: controller.settings.camera, self)
        self.coach_page = CoachPage()
        self.guide_page = GuidePage()
        for each in (self.coach_page, self.guide_page):
            pages.addWidget(each)
        self._wire()
        self._wire_heat()
        self._wire_coach()
        self._wire_guides()
        QShortcut(QKeySequence("Ctrl+H"), parent, lambda: self._switch_heat(not self.heat.wanted))
        shortcut = QShortcut(QKeySequence("Ctrl+Shift+N"), parent, self.open_new)
        shortcut.setAutoRepeat(False)

    def open(self) -> None:
        """Show the studio with what it holds."""
        self._pages.setCurrentWidget(self.page)
        self.page.add_files.setFocus()

    def open_new(self) -> None:
        """Show the studio with an empty set, or with the one that is not saved yet."""
        if self.studio.view.pictures and not self.studio.view.unsaved:
            self.studio.begin_new()
        elif not self.studio.view.pictures:
            self.studio.take_up()
        self.open()

    def edit(self, name: str) -> None:
        """Show a set of the library in the studio."""
        self.studio.edit(name)
        self.open()

    def close(self) -> None:
        """End what runs, and keep what is not saved."""
        self.heat.close()
        self.coach.close()
        try:
            self.studio.close()
        except PuppeteerError as error:
            _log.warning("The unfinished character could not be kept: %s", error)

    def _wire(self) -> None:
        controller, bar, shelf = self._controller, self.bar, self.shelf
        controller.frame.connect(self.page.stage.show_frame)
        controller.changed.connect(self._show_settings)
        bar.new_wanted.connect(self.open_new)
        bar.edit_wanted.connect(self.edit)
        bar.duplicate_wanted.connect(shelf.duplicate)
        bar.delete_wanted.connect(shelf.delete)
        bar.restore_wanted.connect(shelf.restore)
        bar.export_wanted.connect(shelf.export)
        bar.import_wanted.connect(shelf.take_in)
        shelf.changed.connect(lambda _name: self._reload())
        shelf.deleting.connect(self._leave_set)
        shelf.told.connect(lambda text: controller.tell(text, Tone.GOOD))
        self.studio.failed.connect(self._tell_where_seen)
        self.studio.saved.connect(self._saved)

    def _wire_heat(self) -> None:
        run, heat = self._controller.run, self.heat
        run.opened.connect(heat.follow)
        run.ending.connect(lambda: heat.follow(None))
        self._controller.set_shown.connect(lambda _name: heat.apply())
        heat.shown.connect(self.heat_panel.show_sources)
        heat.failed.connect(self._refuse_heat)
        self.heat_panel.switched.connect(self._switch_heat)

    def _switch_heat(self, wanted: bool) -> None:
        self.heat.switch(wanted)
        self.heat_panel.show_switch(wanted)

    def _refuse_heat(self, error: BaseException) -> None:
        self.heat_panel.show_switch(False)
        self._controller.tell_error(error)

    def _wire_coach(self) -> None:
        run, coach, page = self._controller.run, self.coach, self.coach_page
        run.opening.connect(lambda: coach.follow(None, opening=True))
        run.opened.connect(coach.follow)
        run.ending.connect(lambda: coach.follow(None, opening=True))
        run.ended.connect(lambda: coach.follow(None, opening=run.restarting))
        self.page.coach.clicked.connect(self.open_coach)
        page.closed.connect(self.open)
        page.hidden.connect(coach.end)
        page.skip.connect(coach.skip)
        page.take.connect(coach.take_now)
        coach.seen.connect(page.picture.show_view)
        coach.said.connect(self._show_advice)
        coach.taken.connect(self._keep_taken)
        coach.failed.connect(page.say)

    def _wire_guides(self) -> None:
        page, studio = self.guide_page, self.studio
        studio.shown.connect(page.show_set)
        studio.failed.connect(lambda error: page.notices.show_notice(Notice(error_words(error), Tone.BAD)))
        self.presenter.guides_wanted.connect(self.open_guides)
        page.guided.connect(studio.guide)
        page.undo.connect(studio.undo)
        page.redo.connect(studio.redo)
        page.closed.connect(self.open)
        page.canvas.refused.connect(lambda why: page.notices.show_notice(Notice(why, Tone.WARN)))

    def open_guides(self, file: str) -> None:
        """Show the landmark editor with this picture."""
        self.guide_page.show_set(self.studio.view)
        self._pages.setCurrentWidget(self.guide_page)
        self.guide_page.open(file)

    def open_coach(self) -> None:
        """Show the coach; it asks for what the set lacks."""
        self.coach_page.begin()
        self._pages.setCurrentWidget(self.coach_page)
        self.coach.begin(self.studio.faces)

    def _show_advice(self, view: CoachView) -> None:
        self.coach_page.show_advice(view.text, view.progress, view.missing, hold=view.hold)

    def _keep_taken(self, image: QImage, key: str) -> None:
        self.coach_page.show_taken(key)
        self.studio.paste(image, name=key)

    def _current(self) -> tuple[str, bool]:
        card = self._live.gallery.current_card
        return (card.name, card.builtin) if card is not None else ("", True)

    def _saved(self, name: str) -> None:
        self._reload()
        characters = self._controller.characters
        characters.select(name, again=self._controller.settings.source_set == name)

    def _leave_set(self, name: str) -> None:
        others = [each for each in self._live.gallery.names if each != name]
        if self._controller.settings.source_set == name and others:
            self._controller.select_set(others[0])

    def _tell_where_seen(self, error: BaseException) -> None:
        if self._pages.currentWidget() is not self.page:
            self._controller.tell_error(error)

    def _show_settings(self, settings: AppSettings) -> None:
        theme = theme_named(settings.theme)
        self.page.show_theme(theme)
        self.guide_page.notices.show_theme(theme)
