# SPDX-License-Identifier: Apache-2.0
"""The window: pages, menu, shortcuts, opening and closing. What the pages show is wired by their presenters."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QByteArray, Qt, SignalInstance
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QMenu, QStackedWidget, QWidget

from desktop.bridge.cameras import CameraLook, CameraWatch
from desktop.bridge.comparison import CompareRun
from desktop.bridge.library import SetCard, backend_names, model_names, read_cards
from desktop.bridge.live_comparison import LiveComparing
from desktop.bridge.outputs import Vcam
from desktop.bridge.session import warm_up
from desktop.bridge.vcam import setup_help, try_virtual_camera
from desktop.controller import Controller
from desktop.housekeeping import Housekeeper
from desktop.settings import PROFILE_KEYS, AppSettings
from desktop.theme import Wardrobe, theme_named
from desktop.widgets.compare_page import ComparePage
from desktop.widgets.first_run import FirstRun
from desktop.widgets.live_page import LivePage
from desktop.widgets.live_presenter import LivePresenter
from desktop.widgets.settings_menu import SettingsMenu
from desktop.widgets.studio_door import StudioDoor
from desktop.widgets.vcam_help import VcamHelp
from desktop.words import error_words

__all__ = ["MainWindow"]


class MainWindow(QMainWindow):
    """Shows what the controller tells, and asks it for what the user wants."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.setWindowTitle("Bunraku")
        self.setMinimumSize(1060, 640)
        self.resize(1280, 800)
        self.controller = controller
        self._theme_name = ""
        self.wardrobe, self.house = Wardrobe(self), Housekeeper(self)
        self.menu = QMenu(self)
        self.watch = CameraWatch(controller.tasks, self)
        self.look = CameraLook(controller.tasks, self)
        self.settings_menu = SettingsMenu(controller, self)
        self.comparison = CompareRun(controller.tasks, self)
        self.comparing = LiveComparing(controller.run, controller.keeper, controller.shown, controller.tasks, self)
        self.result_look = CameraLook(controller.tasks, self, width_px=1280)
        self.live = LivePage(model_names(), backend_names())
        self.presenter = LivePresenter(self.live, controller, self)
        self.first_run = FirstRun(self.look)
        self.vcam_help = VcamHelp(setup_help())
        self.compare = ComparePage(self.comparison, self.result_look)
        self.pages = QStackedWidget()
        for page in (self.live, self.first_run):
            self.pages.addWidget(page)
        self.setCentralWidget(self.pages)
        self.door = StudioDoor(controller, self.live, self.pages, self.refresh_sets, self)
        self.menu.addAction("Copy diagnostics", self.copy_diagnostics)
        self.add_page(self.door.page, "New character…", on_shown=self.door.open_new)
        self.add_page(self.compare, "Compare models…")
        self.add_page(self.vcam_help, "Virtual camera set-up…")
        self.menu.addSeparator()
        self.settings_menu.add_to(self.menu)
        self.live.menu_button.setMenu(self.menu)
        self._wire()
        self._make_shortcuts()

    def add_page(self, page: QWidget, title: str, *, on_shown: Callable[[], None] = lambda: None) -> None:
        """Add a page with an entry in the menu; its signal `closed` leads back to the live page.

        Args:
            on_shown: called each time the menu's entry was chosen.
        """
        closed: SignalInstance = page.closed  # type: ignore[attr-defined]  # the one thing asked of a page
        closed.connect(lambda: self.pages.setCurrentWidget(self.live))
        self.pages.addWidget(page)
        self.menu.addAction(title, lambda: self.pages.setCurrentWidget(page)).triggered.connect(lambda: on_shown())

    def refresh_sets(self) -> None:
        """Read the source sets again: at the start, and whenever one was made, changed or removed."""
        self.controller.tasks.run("gallery", read_cards, done=self._show_sets, failed=self.controller.tell_error)

    def warm_up(self) -> None:
        """Load the libraries that the first start needs, and have garbage collections spare them from then on."""
        controller, output = self.controller, self.controller.settings.live.output
        controller.tasks.run(
            "warm up", lambda: warm_up(output), done=lambda _: self.house.set_aside(), failed=controller.tell_error
        )

    def begin(self) -> None:
        """Show what is, and the first-run page where it is the first run."""
        self.house.begin()
        settings = self.controller.settings
        if settings.window:
            self.restoreGeometry(QByteArray.fromBase64(settings.window.encode("ascii", "ignore")))
        for name, is_open in settings.panes.items():
            if name in self.live.sections:
                self.live.sections[name].set_open(is_open)
        if self.live.sections["plots"].is_open:
            self.presenter.open_plots()
        self.controller.greet()
        self.watch.begin()
        self.refresh_sets()
        if settings.virtual_camera:
            self.presenter.switch_vcam(True)
        if settings.accepted:
            self.live.transport.start_button.setFocus()
        else:
            self.pages.setCurrentWidget(self.first_run)
            self.first_run.begin()
        if not settings.accepted or self.live.sections["engine"].is_open:
            self.controller.engines.look()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the window, end everything."""
        panes = {name: section.is_open for name, section in self.live.sections.items()}
        self.controller.change(window=bytes(self.saveGeometry().toBase64().data()).decode("ascii"), panes=panes)
        self.watch.end()
        self.wardrobe.close()
        self.comparison.cancel()
        self.door.close()
        self.comparing.close()
        for look in (self.look, self.result_look):
            look.close()
        self.controller.close()
        self.house.close()
        super().closeEvent(event)

    def copy_diagnostics(self) -> None:
        """Put what a bug report needs on the clipboard."""
        QGuiApplication.clipboard().setText(self.presenter.diagnostics())
        self.controller.tell("Diagnostics copied. They hold no picture, no name and no folder.")

    def _wire(self) -> None:
        controller = self.controller
        controller.changed.connect(self._show_settings)
        controller.run.ended.connect(self.house.collect)
        for choice in (self.live.camera.choice, self.first_run):
            self.watch.changed.connect(choice.show_cameras)
        self.live.output.help_wanted.connect(lambda: self.pages.setCurrentWidget(self.vcam_help))
        self.first_run.camera_chosen.connect(lambda camera: controller.change(camera=camera))
        self.first_run.set_chosen.connect(controller.select_set)
        self.first_run.done.connect(self._accept)
        controller.engines.status.connect(
            lambda found: self.first_run.offer_build(bool(found.flavour and found.gpu and not found.built))
        )
        self.compare.wanted.connect(self._compare)
        self.compare.live_wanted.connect(self._compare_live)
        self.comparing.frame.connect(self.compare.show_frame)
        self.comparing.figures.connect(self.compare.show_figures)
        self.comparing.running_changed.connect(self.compare.show_live)
        self.comparing.failed.connect(lambda error: self.compare.say(error_words(error)))
        self.vcam_help.test.connect(self._test_vcam)

    def _make_shortcuts(self) -> None:
        transport, controller = self.live.transport, self.controller
        keys = {
            "F5": transport.start_button.click,
            "Ctrl+K": transport.vcam_button.click,
            "Ctrl+R": transport.record_button.click,
            "Ctrl+S": transport.snapshot_button.click,
            "Ctrl+N": transport.calibrate_button.click,
            "Ctrl+T": self.presenter.switch_theme,
            "F10": self.live.menu_button.showMenu,
            "Ctrl+Q": self.close,
        }
        for key, slot in keys.items():
            QShortcut(QKeySequence(key), self, slot)
        panic = QShortcut(QKeySequence("Esc, Esc"), self, controller.panic)
        panic.setContext(Qt.ShortcutContext.ApplicationShortcut)
        for number in PROFILE_KEYS:
            QShortcut(QKeySequence(str(number)), self, lambda number=number: self._use_profile(number))
            QShortcut(QKeySequence(f"Ctrl+{number}"), self, lambda number=number: controller.keep_profile(number))

    def _show_settings(self, settings: AppSettings) -> None:
        self.first_run.show_choice(settings.camera, settings.source_set)
        if settings.theme != self._theme_name:
            self._theme_name = settings.theme
            parts = [page for page in map(self.pages.widget, range(self.pages.count())) if page is not None]
            self.wardrobe.dress([*parts, self.menu], theme_named(settings.theme))
            self.live.show_theme(theme_named(settings.theme))

    def _show_sets(self, cards: list[SetCard]) -> None:
        self.live.gallery.show_sets(cards)
        self.first_run.show_sets(cards)
        usable = [card.name for card in cards if not card.problem]
        if usable and not self.controller.settings.source_set:
            self.controller.change(source_set=usable[0])

    def _use_profile(self, key: int) -> None:
        self.controller.use_profile(key, names=self.live.gallery.names)

    def _accept(self) -> None:
        self.controller.change(accepted=True)
        if self.first_run.build_wanted:
            self.controller.engines.begin(only_here=True)
        self.pages.setCurrentWidget(self.live)
        self.controller.start()

    def _compare_live(self, wanted: bool) -> None:
        if not wanted:
            self.comparing.end()
            return
        self.controller.start()
        if self.controller.running:
            self.comparing.begin()
        else:
            self.compare.say("Choose a camera and a character on the main page first.")

    def _compare(self, driver: str) -> None:
        settings = self.controller.settings
        self.comparison.begin(settings.source_set, driver, settings.recordings_folder)
        self.compare.show_begun()

    def _test_vcam(self) -> None:
        settings = self.controller.settings
        if self.controller.outputs.vcam_state is not Vcam.OFF:
            self.vcam_help.show_result("It is on already: look for it in the call program's list of cameras.")
            return
        self.controller.tasks.run(
            "test",
            lambda: try_virtual_camera(settings.live.output, settings.device),
            done=self.vcam_help.show_result,
            failed=lambda error: self.vcam_help.show_result(error_words(error)),
        )
