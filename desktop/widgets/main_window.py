# SPDX-License-Identifier: Apache-2.0
"""The window: pages, shortcuts, menu, and the wires between widgets and controller."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QMainWindow, QMenu, QStackedWidget

from desktop.cameras import CameraLook, CameraWatch
from desktop.comparison import CompareRun
from desktop.controller import Controller, Notice
from desktop.diagnostics import diagnostics
from desktop.figures import Figures
from desktop.library import SetCard, model_names, read_cards
from desktop.outputs import Vcam, try_virtual_camera
from desktop.settings import PROFILE_KEYS, AppSettings
from desktop.theme import apply_theme, theme_named
from desktop.widgets.compare_page import ComparePage
from desktop.widgets.first_run import FirstRun
from desktop.widgets.live_page import LivePage
from desktop.widgets.settings_menu import SettingsMenu
from desktop.widgets.vcam_help import VcamHelp
from desktop.words import Tone, chip_for, error_words
from engine.config import MotionSettings
from engine.runtime.select import BACKENDS
from engine.state import PipelineState

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
        self._figures: Figures | None = None
        self._notices: deque[str] = deque(maxlen=10)
        self.watch = CameraWatch(controller.tasks, self)
        self.look = CameraLook(controller.tasks, self)
        self.settings_menu = SettingsMenu(controller, self)
        self.live = LivePage(model_names(), list(BACKENDS))
        self.first_run = FirstRun(self.look)
        self.vcam_help = VcamHelp()
        self.comparison = CompareRun(controller.tasks, self)
        self.result_look = CameraLook(controller.tasks, self, width_px=1280)
        self.compare = ComparePage(self.comparison, self.result_look)
        self.pages = QStackedWidget()
        for page in (self.live, self.first_run, self.vcam_help, self.compare):
            self.pages.addWidget(page)
        self.setCentralWidget(self.pages)
        self._wire_controller()
        self._wire_live()
        self._wire_pages()
        self._make_menu()
        self._make_shortcuts()

    def begin(self) -> None:
        """Show what is, and the first-run page where it is the first run."""
        settings = self.controller.settings
        if settings.window:
            self.restoreGeometry(QByteArray.fromBase64(settings.window.encode("ascii", "ignore")))
        for name, is_open in settings.panes.items():
            if name in self.live.sections:
                self.live.sections[name].set_open(is_open)
        if self.live.sections["plots"].is_open:
            self.live.open_plots(theme_named(settings.theme))
        self.controller.greet()
        self.watch.begin()
        self.controller.tasks.run("gallery", read_cards, done=self._show_sets, failed=self.controller.tell_error)
        if settings.virtual_camera:
            self._switch_vcam(True)
        if settings.accepted:
            self.live.transport.start_button.setFocus()
        else:
            self.pages.setCurrentWidget(self.first_run)
            self.first_run.begin()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the window, end everything."""
        panes = {name: section.is_open for name, section in self.live.sections.items()}
        self.controller.change(window=bytes(self.saveGeometry().toBase64().data()).decode("ascii"), panes=panes)
        self.watch.end()
        self.comparison.cancel()
        for look in (self.look, self.result_look):
            look.close()
        self.controller.close()
        super().closeEvent(event)

    def _wire_controller(self) -> None:
        controller, live = self.controller, self.live
        controller.frame.connect(live.stage.show_frame)
        controller.monitor.connect(live.camera.picture.show_view)
        controller.state.connect(self._show_state)
        controller.figures.connect(self._show_figures)
        controller.notice.connect(self._show_notice)
        controller.changed.connect(self._show_settings)
        controller.set_loading.connect(live.gallery.show_loading)
        controller.outputs.vcam.connect(live.transport.show_vcam)
        controller.outputs.vcam.connect(self._remember_vcam)
        controller.outputs.recording.connect(live.transport.show_recording)
        controller.outputs.saved.connect(lambda path: controller.tell(f"Recording saved: {path}", Tone.GOOD))
        calibration = controller.calibration
        calibration.counting.connect(self._show_countdown)
        calibration.accepted.connect(self._show_calibrated)
        calibration.rejected.connect(self._show_rejected)
        calibration.cancelled.connect(lambda: live.stage.show_words(""))
        self.watch.changed.connect(live.camera.choice.show_cameras)
        self.watch.changed.connect(self.first_run.show_cameras)

    def _wire_live(self) -> None:
        controller, live, transport = self.controller, self.live, self.live.transport
        live.gallery.chosen.connect(controller.select_set)
        transport.start.connect(controller.start)
        transport.stop.connect(controller.stop)
        transport.vcam.connect(self._switch_vcam)
        transport.record.connect(controller.record)
        transport.snapshot.connect(controller.snapshot)
        transport.calibrate.connect(controller.calibrate)
        transport.panic.connect(controller.panic)
        transport.show_again.connect(controller.show_again)
        live.camera.choice.camera_chosen.connect(lambda camera: controller.change(camera=camera))
        live.camera.person_chosen.connect(lambda person: controller.change(person=person))
        live.camera.watch.connect(controller.watch_performer)
        live.engine.model_chosen.connect(lambda model: controller.change(model=model))
        live.engine.backend_chosen.connect(lambda backend: controller.change(backend=backend))
        live.motion.changed.connect(lambda name, value: controller.change_motion(**{name: value}))
        live.motion.mirrored.connect(lambda on: controller.change_output(mirrored=on))
        live.motion.reset.connect(self._reset_motion)
        live.background.chosen.connect(lambda value: controller.change_output(background=value))
        live.background.picture_chosen.connect(controller.choose_background)
        live.output.changed.connect(lambda name, value: controller.change_output(**{name: value}))
        live.output.folder_chosen.connect(lambda path: controller.change(recordings=str(path)))
        live.output.help_wanted.connect(lambda: self.pages.setCurrentWidget(self.vcam_help))
        live.theme_button.clicked.connect(self._switch_theme)
        live.sections["plots"].toggled.connect(self._toggle_plots)

    def _wire_pages(self) -> None:
        controller = self.controller
        self.first_run.camera_chosen.connect(lambda camera: controller.change(camera=camera))
        self.first_run.set_chosen.connect(controller.select_set)
        self.first_run.done.connect(self._accept)
        for page in (self.compare, self.vcam_help):
            page.closed.connect(lambda: self.pages.setCurrentWidget(self.live))
        self.compare.wanted.connect(self._compare)
        self.vcam_help.test.connect(self._test_vcam)

    def _make_menu(self) -> None:
        menu = QMenu(self)
        menu.addAction("Copy diagnostics", self.copy_diagnostics)
        menu.addAction("Compare models…", lambda: self.pages.setCurrentWidget(self.compare))
        menu.addAction("Virtual camera set-up…", lambda: self.pages.setCurrentWidget(self.vcam_help))
        menu.addSeparator()
        self.settings_menu.add_to(menu)
        self.live.menu_button.setMenu(menu)

    def _make_shortcuts(self) -> None:
        transport, controller = self.live.transport, self.controller
        keys = {
            "F5": transport.start_button.click,
            "Ctrl+K": transport.vcam_button.click,
            "Ctrl+R": transport.record_button.click,
            "Ctrl+S": transport.snapshot_button.click,
            "Ctrl+N": transport.calibrate_button.click,
            "Ctrl+T": self._switch_theme,
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

    # --------------------------------------------------------------------------------------------------- shown here

    def _show_state(self, state: PipelineState) -> None:
        chip = chip_for(state)
        self.live.chip.show_chip(chip)
        self.live.reason.setText(chip.reason)
        self.live.reason.setToolTip(chip.reason)
        self.live.transport.show_state(state, running=self.controller.running, hidden=self.controller.hidden)
        self.live.engine.show_description(self.controller.description)
        if not state.live and self._figures is not None:
            self._figures = None
            self.live.status.show_figures(None)

    def _show_figures(self, figures: Figures) -> None:
        self._figures = figures
        self.live.status.show_figures(figures)
        if self.live.plots is not None and self.live.sections["plots"].is_open:
            self.live.plots.show_figures(figures)

    def _show_notice(self, notice: Notice) -> None:
        if notice.tone in (Tone.WARN, Tone.BAD):
            self._notices.append(notice.text)
        self.live.notices.show_notice(notice)

    def _show_settings(self, settings: AppSettings) -> None:
        live, output = self.live, settings.live.output
        live.camera.show_settings(settings.camera, settings.person)
        live.engine.show_settings(settings.model, settings.backend)
        live.motion.show_settings(settings.live.motion, mirrored=output.mirrored)
        live.background.show_settings(output.background)
        live.output.show_settings(output, settings.recordings_folder)
        live.gallery.show_current(settings.source_set)
        self.first_run.show_choice(settings.camera, settings.source_set)
        if settings.theme != self._theme_name:
            self._theme_name = settings.theme
            app = QApplication.instance()
            assert isinstance(app, QApplication)
            apply_theme(app, theme_named(settings.theme))
            live.show_theme(theme_named(settings.theme))

    def _show_sets(self, cards: list[SetCard]) -> None:
        self.live.gallery.show_sets(cards)
        self.first_run.show_sets(cards)
        usable = [card.name for card in cards if not card.problem]
        if usable and not self.controller.settings.source_set:
            self.controller.change(source_set=usable[0])

    def _show_countdown(self, left: int) -> None:
        calm = "Look into the camera with a relaxed face, mouth closed, eyes open."
        self.live.stage.show_words(str(left) if left else "Hold still", calm)

    def _show_calibrated(self, quality: float) -> None:
        verdict = "very good" if quality > 0.75 else "good" if quality > 0.45 else "usable; a calmer face is better"
        self.live.stage.show_words("")
        self.controller.tell(f"Neutral pose taken and kept: {quality * 100:.0f} %, {verdict}.", Tone.GOOD)

    def _show_rejected(self, reason: str) -> None:
        self.live.stage.show_words("")
        self.controller.tell(reason, Tone.WARN)

    # --------------------------------------------------------------------------------------------------- asked for

    def copy_diagnostics(self) -> None:
        """Put what a bug report needs on the clipboard."""
        text = diagnostics(
            self.controller.settings,
            self.controller.current,
            engine=self.controller.description,
            vcam=self.controller.outputs.vcam_state.value,
            figures=self._figures,
            notices=[*self._notices],
        )
        QGuiApplication.clipboard().setText(text)
        self.controller.tell("Diagnostics copied. They hold no picture, no name and no folder.")

    def _use_profile(self, key: int) -> None:
        self.controller.use_profile(key, names=self.live.gallery.names)

    def _switch_vcam(self, wanted: bool) -> None:
        self.controller.outputs.set_vcam(wanted, self.controller.settings)

    def _remember_vcam(self, state: Vcam, _device: str) -> None:
        if state in (Vcam.ON, Vcam.OFF):
            self.controller.change(virtual_camera=state is Vcam.ON)

    def _switch_theme(self) -> None:
        self.controller.change(theme="light" if self._theme_name == "dark" else "dark")

    def _toggle_plots(self, is_open: bool) -> None:
        if is_open:
            self.live.open_plots(theme_named(self._theme_name))

    def _reset_motion(self) -> None:
        motion = MotionSettings()
        self.controller.change_motion(**{name: getattr(motion, name) for name in self.live.motion.sliders})

    def _accept(self) -> None:
        self.controller.change(accepted=True)
        self.pages.setCurrentWidget(self.live)
        self.controller.start()

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
