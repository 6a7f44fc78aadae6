# SPDX-License-Identifier: Apache-2.0
"""Every panel says what the user asked for and shows what it is told, by mouse and keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from desktop.bridge.outputs import Vcam
from desktop.widgets.input_panel import CameraPanel, EnginePanel
from desktop.widgets.panels import BackgroundPanel, MotionPanel, OutputPanel
from desktop.widgets.parts import Section
from desktop.widgets.transport import Transport
from engine.capture.base import CameraInfo
from engine.config import WATERMARK_CORNERS, MotionSettings, OutputSettings
from engine.state import Phase, PipelineState

LIVE = PipelineState(Phase.RUNNING)


def choose(box: QComboBox, text: str) -> None:
    """Choose as a user does: the list's own signal is sent."""
    index = box.findText(text)
    assert index >= 0, [box.itemText(i) for i in range(box.count())]
    box.setCurrentIndex(index)
    box.activated.emit(index)


@pytest.mark.parametrize(("name", "key", "value"), [("motion", Qt.Key.Key_Home, 0.0), ("head", Qt.Key.Key_End, 2.0)])
def test_motion_sliders_work_by_keyboard(qtbot: QtBot, name: str, key: Qt.Key, value: float) -> None:
    panel = MotionPanel()
    qtbot.addWidget(panel)
    panel.show_settings(MotionSettings(), mirrored=False)
    with qtbot.waitSignal(panel.changed) as told:
        qtbot.keyClick(panel.sliders[name].slider, key)
    assert told.args == [name, value]


def test_showing_settings_tells_nobody(qtbot: QtBot) -> None:
    panel = MotionPanel()
    qtbot.addWidget(panel)
    with qtbot.assertNotEmitted(panel.changed), qtbot.assertNotEmitted(panel.mirrored):
        panel.show_settings(MotionSettings(motion=0.25, head=1.5, steadiness=0.1), mirrored=True)
    assert panel.sliders["head"].value == pytest.approx(1.5)
    assert panel.mirror.isChecked()
    with qtbot.waitSignal(panel.mirrored) as told:
        qtbot.keyClick(panel.mirror, Qt.Key.Key_Space)
    assert told.args == [False]


def test_the_background_panel(qtbot: QtBot) -> None:
    panel = BackgroundPanel()
    qtbot.addWidget(panel)
    for text, value in (("Green screen", "green"), ("A colour", "#20242c"), ("The character's own", "source")):
        with qtbot.waitSignal(panel.chosen) as told:
            choose(panel.kind, text)
        assert told.args == [value]
        panel.show_settings(value)
    panel.show_settings("#ff0000")
    assert not panel.colour.isHidden()
    panel.show_settings("/pictures/beach.png")
    assert not panel.picture.isHidden()
    assert panel.kind.currentText() == "A picture"


def test_the_output_panel_offers_no_way_without_a_watermark(qtbot: QtBot) -> None:
    panel = OutputPanel()
    qtbot.addWidget(panel)
    panel.show_settings(OutputSettings(size_wh=(800, 600)), Path("videos"))
    assert panel.size_choice.currentText() == "800 × 600"
    assert panel.corner.count() == len(WATERMARK_CORNERS)
    for box, text, expected in (
        (panel.size_choice, "640 × 480", ["size_wh", (640, 480)]),
        (panel.rate, "24 fps", ["fps", 24.0]),
        (panel.corner, "Bottom left", ["watermark_corner", "bottom-left"]),
        (panel.style_choice, "Light", ["watermark_style", "light"]),
    ):
        with qtbot.waitSignal(panel.changed) as told:
            choose(box, text)
        assert told.args == expected
    with qtbot.waitSignal(panel.help_wanted):
        panel.help_button.click()


def test_the_camera_panel(qtbot: QtBot) -> None:
    panel = CameraPanel()
    qtbot.addWidget(panel)
    panel.show_settings("", "me")
    assert panel.choice.currentText() == "Choose a camera…"
    panel.choice.show_cameras([CameraInfo("usb-cam", "Fine Cam")])
    with qtbot.waitSignal(panel.choice.camera_chosen) as told:
        choose(panel.choice, "Fine Cam")
    assert told.args == ["camera:usb-cam"]
    panel.show_settings("camera:usb-cam", "me")
    assert panel.choice.currentText() == "Fine Cam"
    panel.choice.show_cameras([])
    assert panel.choice.currentText() == "usb-cam (not connected)", "what was chosen stays, and says so"
    assert panel.picture.isHidden(), "off by default"
    with qtbot.waitSignal(panel.watch) as told:
        panel.switch.setChecked(True)
    assert told.args == [True]
    panel.person.setText("  Ada ")
    with qtbot.waitSignal(panel.person_chosen) as told:
        panel.person.editingFinished.emit()
    assert told.args == ["Ada"]


def test_the_engine_panel(qtbot: QtBot) -> None:
    panel = EnginePanel([("Small", "lite"), ("Large", "lite-512")], ["auto", "openvino"])
    qtbot.addWidget(panel)
    panel.show_settings("lite", "auto")
    assert panel.model.currentText() == "Small"
    with qtbot.waitSignal(panel.model_chosen) as told:
        choose(panel.model, "Large")
    assert told.args == ["lite-512"]
    with qtbot.waitSignal(panel.backend_chosen) as told:
        choose(panel.backend, "openvino")
    assert told.args == ["openvino"]
    panel.show_settings("mine", "auto")
    assert panel.model.currentText() == "mine"


def test_the_transport(qtbot: QtBot) -> None:
    bar = Transport()
    qtbot.addWidget(bar)
    assert not bar.record_button.isEnabled(), "nothing to record before the start"
    with qtbot.waitSignal(bar.start):
        bar.start_button.click()
    bar.show_state(LIVE, running=True, hidden=False)
    for button, signal in (
        (bar.start_button, bar.stop),
        (bar.snapshot_button, bar.snapshot),
        (bar.calibrate_button, bar.calibrate),
        (bar.panic_button, bar.panic),
        (bar.record_button, bar.record),
        (bar.vcam_button, bar.vcam),
    ):
        with qtbot.waitSignal(signal):
            button.click()
    bar.show_state(LIVE, running=True, hidden=True)
    with qtbot.waitSignal(bar.show_again):
        bar.panic_button.click()
    bar.show_recording(Path("take.mp4"))
    assert "take.mp4" in bar.record_button.toolTip()
    bar.show_recording(None)
    assert not bar.record_button.isChecked()
    bar.show_vcam(Vcam.OPENING, "")
    assert not bar.vcam_button.isEnabled()
    bar.show_vcam(Vcam.ON, "/dev/video9")
    assert bar.vcam_button.isChecked()
    assert "/dev/video9" in bar.vcam_button.toolTip()


def test_a_section_folds(qtbot: QtBot) -> None:
    body = QWidget()
    section = Section("Motion", body)
    qtbot.addWidget(section)
    with qtbot.waitSignal(section.toggled) as told:
        qtbot.keyClick(section.head, Qt.Key.Key_Space)
    assert told.args == [False]
    assert body.isHidden()


def test_the_microphone_is_a_choice_and_none_is_said(qtbot: QtBot) -> None:
    panel = OutputPanel()
    qtbot.addWidget(panel)
    panel.show_microphone("ALSA:Old")
    panel.show_microphones([("Headset", "ALSA:Headset")], "")
    assert panel.microphone.currentData() == "ALSA:Old"
    assert "not connected" in panel.microphone.currentText()
    assert panel.meter.isHidden(), "nothing to listen to"
    panel.show_microphone("ALSA:Headset")
    assert not panel.meter.isHidden()
    panel.show_sound_failure("It is used by another program.")
    assert panel.meter.isHidden()
    panel.show_microphones([("Headset", "ALSA:Headset")], "")
    assert not panel.meter.isHidden(), "another look, another chance"
    panel.show_microphone("ALSA:Old")
    with qtbot.waitSignal(panel.microphone_chosen) as chosen:
        choose(panel.microphone, "Headset")
    assert chosen.args == ["ALSA:Headset"]
    panel.show_microphone("")
    assert panel.meter.isHidden()
    panel.show_microphones([], "No microphone is connected.")
    assert panel.microphone.currentText() == "No sound"
    assert any(w.text() == "No microphone is connected." for w in panel.findChildren(QLabel))


def test_the_virtual_camera_is_a_choice_where_there_are_several(qtbot: QtBot) -> None:
    panel = OutputPanel()
    qtbot.addWidget(panel)
    panel.show_device("/dev/video8")
    panel.show_devices([("Bunraku (/dev/video9)", "/dev/video9")])
    assert panel.device.currentText() == "/dev/video8 (not there)"
    with qtbot.waitSignal(panel.device_chosen) as chosen:
        choose(panel.device, "Bunraku (/dev/video9)")
    assert chosen.args == ["/dev/video9"]
