# SPDX-License-Identifier: Apache-2.0
"""What holds for every test of the window: offscreen, settings of its own, and nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.app import make_window, parse_args
from desktop.bridge import session as sessions
from desktop.controller import Controller
from desktop.settings import AppSettings, Loaded, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.config import OutputSettings
from tests.helpers.desktop_scene import Scene
from tests.helpers.scripted import SIZE_WH

__all__: list[str] = []

WindowMaker = Callable[..., MainWindow]


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("bunraku-")}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(qapp: QApplication) -> Iterator[None]:
    """Fail a test that leaves a window, a thread of ours or a running timer."""
    widgets_before = set(map(id, QApplication.topLevelWidgets()))
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    gc.freeze()  # what lives on is not looked at again: all the libraries, a tenth of a second after every test
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not _threads(), f"threads left: {_threads()}"
    left = [w for w in QApplication.topLevelWidgets() if id(w) not in widgets_before and not w.isHidden()]
    assert not left, f"windows left: {left}"
    ours = [timer for timer in qapp.findChildren(QTimer) if timer.isActive()]
    assert not ours, f"timers left: {ours}"


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """A settings file of somebody who has been here before."""
    path = tmp_path / "desktop.json"
    save_app_settings(AppSettings(camera="demo", source_set="amara", accepted=True, recordings=str(tmp_path)), path)
    return path


@pytest.fixture
def open_window(qtbot: QtBot, settings_file: Path) -> Iterator[WindowMaker]:
    """Return a function that opens the window; it is closed after the test, and its timers are checked."""
    opened: list[MainWindow] = []

    def make(*args: str) -> MainWindow:
        window = make_window(parse_args(["--settings", str(settings_file), *args]))
        opened.append(window)
        window.begin()
        with qtbot.waitExposed(window):
            window.show()
        window.activateWindow()
        qtbot.waitUntil(lambda: bool(window.live.gallery.names), timeout=60_000)
        return window

    yield make
    for window in opened:
        window.close()
        running = [t for t in window.findChildren(QTimer) if t.isActive() and _is_ours(t, window)]
        assert not running, f"timers left running in the closed window: {running}"
        window.controller.deleteLater()
        window.deleteLater()


@pytest.fixture
def controller(qtbot: QtBot, settings_file: Path, tmp_path: Path) -> Iterator[Controller]:
    """A controller without a window."""
    made = Controller(Loaded(AppSettings(camera="demo", source_set="amara", recordings=str(tmp_path))), settings_file)
    yield made
    made.close()
    assert not [timer for timer in made.findChildren(QTimer) if timer.isActive()]
    made.deleteLater()


@pytest.fixture
def scene(controller: Controller, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(controller, qtbot)
    monkeypatch.setattr(sessions, "open_session", made.open)
    live = controller.settings.live
    # Long silence counts as none: these tests feed the camera frame by frame.
    waits = replace(live.pipeline, stall_s=60)
    controller.change(live=replace(live, output=OutputSettings(size_wh=SIZE_WH), pipeline=waits))
    return made


def _is_ours(timer: QObject, window: MainWindow) -> bool:
    """Qt's own widgets keep timers too; ours belong to the window's helpers and to notices."""
    return timer.parent() in (window.watch, window.look, window.controller, *window.controller.children())
