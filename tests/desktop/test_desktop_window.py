# SPDX-License-Identifier: Apache-2.0
"""The window: keyboard, names for screen readers, first run, settings, comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLineEdit, QListView, QWidget
from pytestqt.qtbot import QtBot

from desktop.bridge.comparison import compared_models
from desktop.settings import AppSettings, save_app_settings
from desktop.widgets.main_window import MainWindow
from desktop.widgets.vcam_help import VcamHelp
from engine.assets import asset_root
from engine.config import LiveSettings, OutputSettings
from engine.types import OutputFrame
from engine.watermark.gate import has_mark
from tests.helpers.desktop_scene import FakeVcam

WAIT_MS = 240_000
WindowMaker = Callable[..., MainWindow]
_CONTROLS = (QAbstractButton, QAbstractSlider, QComboBox, QLineEdit, QListView)


def controls_of(window: MainWindow) -> list[QWidget]:
    pages = (window.live, window.first_run, window.vcam_help, window.compare)
    found = [w for page in pages for w in page.findChildren(QWidget) if isinstance(w, _CONTROLS)]
    return [w for w in found if w.metaObject().className() not in ("QScrollBar", "QComboBoxListView")]


def test_every_control_has_a_name_and_takes_the_keyboard(open_window: WindowMaker) -> None:
    window = open_window()
    controls = controls_of(window)
    assert len(controls) > 40
    nameless = [w for w in controls if not w.accessibleName() and w.objectName() != "qt_spinbox_lineedit"]
    assert not nameless, nameless
    unreachable = [w.accessibleName() for w in controls if not w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert not unreachable


def test_tab_reaches_every_control_that_is_shown(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window()
    window.live.gallery.setFocus()
    visited: list[QWidget] = []
    for _ in range(80):
        focused = window.focusWidget()
        if focused in visited:
            break
        visited.append(focused)
        qtbot.keyClick(focused, Qt.Key.Key_Tab)
    shown = [w for w in controls_of(window) if w.isVisibleTo(window) and w.isEnabled()]
    missed = [w.accessibleName() for w in shown if w not in visited]
    assert not missed
    names = [w.accessibleName() for w in visited]
    assert names[:4] == ["Source sets", "New character", "Edit character", "More for characters"]
    assert names[4:6] == ["Start", "Virtual camera off"]


def test_escape_twice_hides_from_anywhere(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window()
    for start in (window.live.gallery, window.live.camera.person, window.live.motion.sliders["head"].slider):
        start.setFocus()
        qtbot.keyClick(start, Qt.Key.Key_Escape)
        assert not window.controller.hidden
        qtbot.keyClick(start, Qt.Key.Key_Escape)
        assert window.controller.hidden
        window.controller.show_again()


def test_quick_keys_choose_sets(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window()
    names = window.live.gallery.names
    window.live.gallery.setFocus()
    qtbot.keyClick(window.live.gallery, Qt.Key.Key_3)
    assert window.controller.settings.source_set == names[2]
    qtbot.keyClick(window.live.gallery, Qt.Key.Key_9, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(window.live.gallery, Qt.Key.Key_1)
    qtbot.keyClick(window.live.gallery, Qt.Key.Key_9)
    assert window.controller.settings.source_set == names[2]


def test_the_first_run_asks_for_consent_before_anything_starts(
    open_window: WindowMaker, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file.unlink()
    window = open_window()
    started: list[bool] = []
    monkeypatch.setattr(window.controller, "start", lambda: started.append(True))
    page = window.first_run
    assert window.pages.currentWidget() is page
    assert not page.next.isEnabled(), "no camera yet"
    page.camera_chosen.emit("synthetic")
    page.next.click()
    assert page.steps.currentIndex() == 1
    page.set_chosen.emit("otto")
    page.next.click()
    assert not page.next.isEnabled(), "not agreed yet"
    page.accept.setChecked(True)
    page.next.click()
    assert started == [True]
    assert window.pages.currentWidget() is window.live
    assert window.controller.settings.accepted
    assert (window.controller.settings.camera, window.controller.settings.source_set) == ("synthetic", "otto")


def test_a_live_thumbnail_shows_in_the_first_step(open_window: WindowMaker, settings_file: Path, qtbot: QtBot) -> None:
    settings_file.unlink()
    window = open_window("--camera", "synthetic")
    qtbot.waitUntil(lambda: window.first_run.picture.view is not None, timeout=WAIT_MS)
    window.first_run.camera_chosen.emit(str(settings_file.with_name("gone.mp4")))
    qtbot.waitUntil(lambda: "does not exist" in window.first_run.picture._empty_text, timeout=WAIT_MS)


def test_a_corrupt_settings_file_gives_one_notice(open_window: WindowMaker, settings_file: Path) -> None:
    settings_file.write_text("{", encoding="utf-8")
    window = open_window()
    assert window.presenter.diagnostics().count("defaults are used") == 1
    assert len(list(settings_file.parent.glob("*unreadable*"))) == 1


def test_choices_window_and_panes_come_back(open_window: WindowMaker, settings_file: Path, qtbot: QtBot) -> None:
    window = open_window()
    window.resize(1060, 700)  # the offscreen screen is small
    window.live.sections["plots"].head.click()
    qtbot.waitUntil(lambda: window.live.plots is not None, timeout=WAIT_MS)
    window.live.motion.changed.emit("mouth", 1.25)
    window.live.theme_button.click()
    window.close()
    again = open_window()
    assert again.controller.settings.live.motion.mouth == 1.25
    assert again.controller.settings.theme == "light"
    assert again.live.sections["plots"].is_open
    assert (again.width(), again.height()) == (1060, 700)


def test_settings_move_and_reset(open_window: WindowMaker, tmp_path: Path) -> None:
    window = open_window()
    window.controller.change_motion(head=0.25)
    window.settings_menu.export_to(tmp_path / "out.json")
    window.settings_menu.reset()
    assert window.controller.settings.live.motion.head == 1.0
    window.settings_menu.import_from(tmp_path / "out.json")
    assert window.controller.settings.live.motion.head == 0.25
    assert window.live.motion.sliders["head"].value == 0.25
    (tmp_path / "bad.json").write_text(json.dumps({"version": 99}), encoding="utf-8")
    window.settings_menu.import_from(tmp_path / "bad.json")
    assert "newer Bunraku" in window.live.notices.texts[0]
    assert window.controller.settings.live.motion.head == 0.25


def test_a_reset_leaves_this_machine_alone_and_a_page_can_be_added(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window()
    window.controller.change(microphone="ALSA:Headset", device="/dev/video9", virtual_camera=True, theme="light")
    window.settings_menu.reset()
    now = window.controller.settings
    assert (now.microphone, now.device, now.virtual_camera) == ("ALSA:Headset", "/dev/video9", True)
    assert (now.theme, now.accepted, now.source_set) == ("dark", True, "amara")

    shown: list[bool] = []
    page = VcamHelp([])
    window.add_page(page, "Another page…", on_shown=lambda: shown.append(True))
    next(action for action in window.menu.actions() if action.text() == "Another page…").trigger()
    assert window.pages.currentWidget() is page
    assert shown == [True]
    page.back.click()
    assert window.pages.currentWidget() is window.live


def test_diagnostics_hold_figures_but_no_folder(open_window: WindowMaker, tmp_path: Path) -> None:
    window = open_window("--camera", str(tmp_path / "secret.mp4"))
    window.copy_diagnostics()
    text = QGuiApplication.clipboard().text()
    assert "State: idle" in text
    assert "PySide6-Essentials" in text
    assert "secret" not in text
    assert str(tmp_path) not in text


@pytest.mark.slow
def test_models_are_compared_side_by_side(
    open_window: WindowMaker, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.bridge.comparison.COMPARED_S", 0.1)
    window = open_window()
    page = window.compare
    window.pages.setCurrentWidget(page)
    with qtbot.waitSignal(window.comparison.done, timeout=WAIT_MS) as done:
        page.demo.click()
        assert window.comparison.running
        assert not page.demo.isEnabled()
    assert str(done.args[0]) in page.state.text()
    assert page.demo.isEnabled()
    qtbot.waitUntil(lambda: page.picture.view is not None, timeout=WAIT_MS)
    with av.open(str(done.args[0])) as video:
        stream = video.streams.video[0]
        assert stream.width / stream.height > (len(compared_models()) + 1) * 0.6
    page.back.click()
    assert window.pages.currentWidget() is window.live


@pytest.mark.slow
def test_models_are_compared_live_and_panic_covers_that_too(
    open_window: WindowMaker, settings_file: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from desktop.bridge import outputs_owner

    driver = asset_root() / "source_sets" / "otto.bunraku" / "front.webp"
    live = LiveSettings(output=OutputSettings(size_wh=(320, 180), fps=5))
    save_app_settings(
        AppSettings(str(driver), "amara", accepted=True, recordings=str(tmp_path), live=live), settings_file
    )
    sent: list[OutputFrame] = []

    class Spy(FakeVcam):
        def send(self, frame: OutputFrame) -> None:
            super().send(frame)
            sent.append(frame)

    monkeypatch.setattr(outputs_owner, "open_virtual_camera", lambda output, _device: Spy(output.size_wh))
    window = open_window()
    page, controller = window.compare, window.controller
    window.presenter.switch_vcam(True)
    window.pages.setCurrentWidget(page)
    shown: list[OutputFrame] = []
    window.comparing.frame.connect(shown.append)
    page.live.click()
    assert page.live.text() == "Stop comparing"
    assert not page.demo.isEnabled()
    qtbot.waitUntil(lambda: "fv2v" in page.state.text(), timeout=WAIT_MS)
    height, width = shown[-1].rgb.shape[:2]
    assert width / height > 3.5, "sources, you, three models"
    assert page.stage.frame is shown[-1]
    assert has_mark(shown[-1].rgb)

    controller.panic()
    assert shown[-1].rgb.shape[:2] == (180, 320), "the holding card, at once"
    hidden = len(shown)
    count = len(sent)
    qtbot.waitUntil(lambda: len(sent) > count + 3, timeout=WAIT_MS)
    assert len(shown) == hidden, "nothing comes after"
    controller.show_again()
    qtbot.waitUntil(lambda: len(shown) > hidden, timeout=WAIT_MS)

    page.back.click()
    assert not window.comparing.running
    assert {frame.rgb.shape for frame in sent} == {(180, 320, 3)}, "the comparison went to no output"
    window.close()


@pytest.mark.slow
def test_a_comparison_can_be_cancelled_and_leaves_no_file(
    open_window: WindowMaker, tmp_path: Path, qtbot: QtBot
) -> None:
    window = open_window()
    window.compare.demo.click()
    with qtbot.waitSignal(window.comparison.cancelled, timeout=WAIT_MS):
        window.compare.cancel.click()
    assert window.compare.state.text() == "Cancelled."
    assert not list(tmp_path.glob("*.mp4"))
