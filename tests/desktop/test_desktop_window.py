# SPDX-License-Identifier: Apache-2.0
"""The window: keyboard, names for screen readers, first run, settings, and one journey on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLineEdit, QListView, QWidget
from pytestqt.qtbot import QtBot

from desktop.bridge.comparison import compared_models
from desktop.settings import AppSettings, load_app_settings, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.assets import asset_root
from engine.config import LiveSettings, OutputSettings
from engine.state import Phase
from engine.types import OutputFrame
from engine.watermark.gate import has_mark

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
    assert [text for text in window.live.notices.texts if "defaults are used" in text]
    assert len(list(settings_file.parent.glob("*unreadable*"))) == 1


def test_choices_window_and_panes_come_back(open_window: WindowMaker, settings_file: Path) -> None:
    window = open_window()
    window.resize(1060, 700)  # the offscreen screen is small
    window.live.sections["plots"].head.click()
    assert window.live.plots is not None
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


def test_diagnostics_hold_figures_but_no_folder(open_window: WindowMaker, tmp_path: Path) -> None:
    window = open_window("--camera", str(tmp_path / "secret.mp4"))
    window.copy_diagnostics()
    text = QGuiApplication.clipboard().text()
    assert "State: idle" in text
    assert "PySide6-Essentials" in text
    assert "secret" not in text
    assert str(tmp_path) not in text


@pytest.mark.slow
def test_a_journey_on_the_real_engine(
    open_window: WindowMaker, settings_file: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    """Start, be the character, switch the set, record, hide, show, stop, quit; nothing raw is ever shown."""
    driver = asset_root() / "source_sets" / "otto.bunraku" / "front.webp"
    live = LiveSettings(output=OutputSettings(size_wh=(320, 180), fps=10))
    save_app_settings(
        AppSettings(str(driver), "amara", accepted=True, recordings=str(tmp_path), live=live), settings_file
    )
    window = open_window()
    controller, page = window.controller, window.live
    frames: list[OutputFrame] = []
    notices: list[str] = []
    shown: list[str] = []
    controller.frame.connect(frames.append)
    controller.notice.connect(lambda notice: notices.append(notice.text))
    controller.set_shown.connect(shown.append)
    card = page.stage.frame
    assert card is not None

    def character_is_shown() -> bool:
        now = page.stage.frame
        assert now is not None
        return float(np.abs(now.rgb.astype(int) - card.rgb.astype(int)).mean()) > 12

    page.transport.start_button.click()
    assert page.chip.text() == "OPENING"
    qtbot.waitUntil(character_is_shown, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "openvino" in controller.description, timeout=WAIT_MS)
    as_amara = page.stage.frame

    qtbot.keyClick(page.stage, Qt.Key.Key_2)
    second = page.gallery.names[1]
    qtbot.waitUntil(lambda: shown[-1:] == [second], timeout=WAIT_MS)
    count = len(frames)
    qtbot.waitUntil(lambda: len(frames) > count + 1, timeout=WAIT_MS)
    assert as_amara is not None
    assert np.abs(frames[-1].rgb.astype(int) - as_amara.rgb.astype(int)).mean() > 3, "another character"

    page.transport.record_button.click()
    qtbot.waitUntil(lambda: controller.outputs.recording_path is not None, timeout=WAIT_MS)
    count = len(frames)
    qtbot.waitUntil(lambda: len(frames) > count + 3, timeout=WAIT_MS)
    with qtbot.waitSignal(controller.outputs.saved, timeout=WAIT_MS) as saved:
        page.transport.record_button.click()

    qtbot.keyClick(page.stage, Qt.Key.Key_Escape)
    qtbot.keyClick(page.stage, Qt.Key.Key_Escape)
    assert page.chip.text() == "HIDDEN"
    assert not character_is_shown(), "at once"
    count = len(frames)
    qtbot.waitUntil(lambda: len(frames) > count + 1, timeout=WAIT_MS)
    assert not character_is_shown(), "and from the engine too"
    page.transport.panic_button.click()
    qtbot.waitUntil(character_is_shown, timeout=WAIT_MS)

    page.transport.start_button.click()
    qtbot.waitUntil(lambda: controller.current.phase is Phase.IDLE, timeout=WAIT_MS)
    window.close()
    with av.open(str(saved.args[0])) as recording:
        assert sum(1 for _ in recording.decode(video=0)) >= 2
    assert all(has_mark(frame.rgb) for frame in frames[1:])
    assert load_app_settings(settings_file).settings.source_set == second
    assert not [text for text in notices if "unexpected" in text], notices


@pytest.mark.slow
def test_models_are_compared_side_by_side(
    open_window: WindowMaker, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.bridge.comparison.COMPARED_S", 0.2)
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
def test_a_comparison_can_be_cancelled_and_leaves_no_file(
    open_window: WindowMaker, tmp_path: Path, qtbot: QtBot
) -> None:
    window = open_window()
    window.compare.demo.click()
    with qtbot.waitSignal(window.comparison.cancelled, timeout=WAIT_MS):
        window.compare.cancel.click()
    assert window.compare.state.text() == "Cancelled."
    assert not list(tmp_path.glob("*.mp4"))
