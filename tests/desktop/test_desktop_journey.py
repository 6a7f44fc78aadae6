# SPDX-License-Identifier: Apache-2.0
"""Journeys on the real engine with the built-in set and a file camera; a picture of the window is saved in every state.

The pictures go to the folder that BUNRAKU_SHOTS names, else to the test's own. On a display (`xvfb-run -a env
QT_QPA_PLATFORM=xcb …`) the window is a real one, otherwise offscreen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

import engine.capture
from desktop.settings import AppSettings, load_app_settings, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.assets import asset_root
from engine.config import LiveSettings, OutputSettings
from engine.state import CAMERA_LOST, Phase
from engine.types import OutputFrame
from engine.watermark.gate import has_mark
from tests.helpers.plugged_camera import PluggedCamera

WAIT_MS = 240_000
WindowMaker = Callable[..., MainWindow]
DRIVER = asset_root() / "source_sets" / "otto.bunraku" / "front.webp"


class Journey:
    """A window, what it showed and said, and the pictures of its states."""

    def __init__(self, window: MainWindow, qtbot: QtBot, folder: Path) -> None:
        self.window, self.qtbot, self.folder = window, qtbot, folder
        self.controller, self.page = window.controller, window.live
        self.frames: list[OutputFrame] = []
        self.said: list[str] = []
        self.sets: list[str] = []
        self.shots: list[Path] = []
        self.controller.frame.connect(self.frames.append)
        self.controller.notice.connect(lambda notice: self.said.append(notice.text))
        self.controller.set_shown.connect(self.sets.append)
        card = self.page.stage.frame
        assert card is not None
        self._card = card.rgb.astype(int)

    def until(self, done: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(done, timeout=WAIT_MS)

    def frames_pass(self, count: int) -> None:
        wanted = len(self.frames) + count
        self.until(lambda: len(self.frames) >= wanted)

    @property
    def shows_character(self) -> bool:
        """Whether what is on the stage is far from a holding card."""
        frame = self.page.stage.frame
        return frame is not None and float(np.abs(frame.rgb.astype(int) - self._card).mean()) > 12

    def shoot(self, state: str) -> None:
        """Save the window as it is, and check that it is no blank."""
        path = self.folder / f"journey-{len(self.shots) + 1:02d}-{state}.png"
        assert self.window.grab().save(str(path))
        picture = QImage(str(path)).convertToFormat(QImage.Format.Format_Grayscale8)
        grey = np.frombuffer(picture.constBits(), np.uint8)
        assert grey.std() > 8, f"a blank window: {path}"
        self.shots.append(path)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> PluggedCamera:
    made = PluggedCamera(engine.capture.open_camera)
    monkeypatch.setattr(engine.capture, "open_camera", made.open)
    return made


@pytest.fixture
def journey(
    plug: PluggedCamera, open_window: WindowMaker, settings_file: Path, tmp_path: Path, qtbot: QtBot
) -> Journey:
    live = LiveSettings(output=OutputSettings(size_wh=(320, 180), fps=10))
    save_app_settings(
        AppSettings(str(DRIVER), "amara", accepted=True, recordings=str(tmp_path), live=live), settings_file
    )
    folder = Path(os.environ.get("BUNRAKU_SHOTS", tmp_path / "shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return Journey(open_window(), qtbot, folder)


@pytest.mark.slow
def test_a_journey_from_start_to_quit(journey: Journey, plug: PluggedCamera, settings_file: Path, qtbot: QtBot) -> None:
    window, controller, page = journey.window, journey.controller, journey.page
    journey.shoot("off")

    page.transport.start_button.click()
    assert page.chip.text() == "OPENING"
    journey.shoot("opening")
    journey.until(lambda: journey.shows_character)
    journey.until(lambda: "openvino" in controller.description)
    journey.shoot("live")

    calibration = controller.calibration
    calibration.step_ms, calibration.answer_ms = 50, WAIT_MS  # short to count, and patient with a busy machine
    ends: list[object] = []
    calibration.accepted.connect(ends.append)
    calibration.rejected.connect(ends.append)
    page.transport.calibrate_button.click()
    journey.shoot("calibrating")
    journey.until(lambda: bool(ends))
    assert isinstance(ends[0], float), ends
    assert 0 < ends[0] <= 1
    assert "Neutral pose taken and kept" in journey.said[-1]
    journey.shoot("calibrated")

    as_amara = page.stage.frame
    assert as_amara is not None
    qtbot.keyClick(page.stage, Qt.Key.Key_2)
    second = page.gallery.names[1]
    journey.until(lambda: journey.sets[-1:] == [second])
    journey.frames_pass(2)
    assert np.abs(journey.frames[-1].rgb.astype(int) - as_amara.rgb.astype(int)).mean() > 3, "another character"
    journey.shoot("another-set")

    plug.plugged = False
    journey.until(lambda: CAMERA_LOST in controller.current.reasons)
    assert page.chip.text() == "RECOVERING"
    journey.until(lambda: not journey.shows_character)  # held, faded, then the card
    journey.shoot("camera-lost")
    plug.plugged = True
    journey.until(lambda: controller.current.phase is Phase.RUNNING and journey.shows_character)
    journey.shoot("recovered")

    page.transport.record_button.click()
    journey.until(lambda: controller.outputs.recording_path is not None)
    journey.frames_pass(4)
    journey.shoot("recording")
    with qtbot.waitSignal(controller.outputs.saved, timeout=WAIT_MS) as saved:
        page.transport.record_button.click()

    qtbot.keyClick(page.stage, Qt.Key.Key_Escape)
    qtbot.keyClick(page.stage, Qt.Key.Key_Escape)
    assert page.chip.text() == "HIDDEN"
    assert not journey.shows_character, "at once"
    journey.frames_pass(2)
    assert not journey.shows_character, "and from the engine too"
    journey.shoot("hidden")
    page.transport.panic_button.click()
    journey.until(lambda: journey.shows_character)

    page.transport.start_button.click()
    journey.until(lambda: controller.current.phase is Phase.IDLE)
    journey.shoot("stopped")
    window.close()
    with av.open(str(saved.args[0])) as recording:
        assert sum(1 for _ in recording.decode(video=0)) >= 2
    assert all(has_mark(frame.rgb) for frame in journey.frames)
    assert load_app_settings(settings_file).settings.source_set == second
    assert not [text for text in journey.said if "unexpected" in text], journey.said
    assert len({path.read_bytes() for path in journey.shots}) == len(journey.shots) == 11, "every state looks different"
