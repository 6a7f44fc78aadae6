# SPDX-License-Identifier: Apache-2.0
"""Saves pictures of the window in every state: `python -m tests.helpers.desktop_shots FOLDER [STATE…]`.

The states are real: the engine runs on the built-in clip and set. Two sizes, dark and light; QT_SCALE_FACTOR=2 gives
them as a screen of double density shows them. STATE: save only those whose names contain one of these words.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QStyleFactory

from desktop.app import make_window, parse_args
from desktop.settings import AppSettings, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.state import TRACKING_LOST, Phase

__all__ = ["main"]

_SIZES = ((1280, 800), (1920, 1080))
_PATIENCE_S = 300.0
_WANTED: list[str] = []


def _until(done: Callable[[], bool], *, timeout_s: float = _PATIENCE_S) -> None:
    ends_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > ends_s:
            raise TimeoutError("the state to be shown did not come")
        QCoreApplication.processEvents()
        time.sleep(0.01)


def _linger(seconds: float) -> None:
    ends_s = time.monotonic() + seconds
    _until(lambda: time.monotonic() > ends_s)


def _shoot(window: MainWindow, folder: Path, state: str) -> None:
    if _WANTED and not any(word in state for word in _WANTED):
        return
    for size in _SIZES:
        for theme in ("dark", "light"):
            window.resize(*size)
            window.controller.change(theme=theme)
            _linger(0.3)
            name = folder / f"{state}-{size[0]}x{size[1]}-{theme}.png"
            if not window.grab().save(str(name)):
                raise OSError(f"not saved: {name}")
            print(name, flush=True)


def _spread_panels(window: MainWindow) -> None:
    """Fold what is usually open and open what is usually folded; a build is under way."""
    for name, section in window.live.sections.items():
        if name != "plots" and section.is_open != (name in ("output", "engine")):
            section.head.click()
    window.live.engine.show_building(True)
    window.live.engine.show_progress(0.42, "about 5 s left")
    _linger(3)


def main(folder: Path) -> None:
    """Go through the states and save them."""
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication([])
    app.setStyle(QStyleFactory.create("Fusion"))
    with tempfile.TemporaryDirectory() as place:
        settings = Path(place) / "desktop.json"
        save_app_settings(AppSettings(camera="demo", source_set="amara", recordings=place), settings)
        window = make_window(parse_args(["--settings", str(settings)]))
        window.begin()
        window.show()
        controller = window.controller
        _until(lambda: window.first_run.picture.view is not None and bool(window.live.gallery.names))
        _shoot(window, folder, "1-first-run-camera")
        window.first_run.next.click()
        _shoot(window, folder, "2-first-run-character")
        window.first_run.next.click()
        window.first_run.accept.setChecked(True)
        _shoot(window, folder, "3-first-run-statement")
        window.pages.setCurrentWidget(window.live)
        _shoot(window, folder, "4-off")
        window.first_run.done.emit()
        _until(lambda: controller.current.phase is Phase.RUNNING)
        _linger(8)
        _shoot(window, folder, "5-live")
        window.live.camera.switch.setChecked(True)
        window.live.sections["plots"].head.click()
        controller.record(True)
        _until(lambda: controller.outputs.recording_path is not None)
        _linger(5)
        _shoot(window, folder, "6-live-plots-camera-recording")
        window.live.sections["plots"].head.click()
        controller.record(False)
        controller.calibrate()
        _shoot(window, folder, "7-calibrating")
        controller.calibration.cancel()
        controller.panic()
        _until(lambda: controller.current.phase is Phase.DEGRADED)
        _shoot(window, folder, "8-hidden")
        controller.show_again()
        controller.change(camera="synthetic")
        _until(lambda: TRACKING_LOST in controller.current.reasons)
        _linger(2)
        _shoot(window, folder, "9-no-face")
        _spread_panels(window)
        _shoot(window, folder, "12-panels-output-model")
        controller.change(camera="demo")
        window.pages.setCurrentWidget(window.compare)
        window.compare.live.click()
        _until(lambda: "fv2v" in window.compare.state.text())
        _shoot(window, folder, "13-compare-live")
        window.compare.back.click()
        window.live.transport.vcam_button.click()
        controller.change(camera=str(Path(place) / "gone.mp4"))
        _until(lambda: controller.current.phase is Phase.FAILED)
        _shoot(window, folder, "10-failed")
        window.pages.setCurrentWidget(window.vcam_help)
        _shoot(window, folder, "11-virtual-camera")
        window.close()
    window.deleteLater()
    app.sendPostedEvents(None, QEvent.Type.DeferredDelete)


if __name__ == "__main__":
    _WANTED.extend(sys.argv[2:])
    main(Path(sys.argv[1]))
