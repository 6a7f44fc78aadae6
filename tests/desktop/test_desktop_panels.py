# SPDX-License-Identifier: Apache-2.0
"""Every panel says what the user asked for and shows what it is told, by mouse and keyboard."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from desktop.bridge.library import SetCard, coverage_of, covered_kinds, model_names, read_cards
from desktop.bridge.outputs import Vcam, card
from desktop.figures import FigureMeter, Figures
from desktop.notice import Notice
from desktop.theme import DARK, LIGHT, Theme, contrast
from desktop.widgets.gallery import Gallery
from desktop.widgets.input_panel import CameraPanel, EnginePanel
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.notices import NoticeStack
from desktop.widgets.panels import BackgroundPanel, MotionPanel, OutputPanel
from desktop.widgets.parts import Section
from desktop.widgets.plots import PlotPane
from desktop.widgets.stage import Stage, fitted
from desktop.widgets.status import StateChip, StatusStrip
from desktop.widgets.transport import Transport
from desktop.widgets.vcam_help import VcamHelp
from desktop.words import Tone, chip_for
from engine.assets import asset_root
from engine.capture.base import CameraInfo
from engine.config import WATERMARK_CORNERS, MotionSettings, OutputSettings
from engine.errors import ShapeError
from engine.runtime.manifest import list_models
from engine.sources.library import describe_source_set
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats, Spread
from engine.types import MonitorView

LIVE = PipelineState(Phase.RUNNING)


def figures(*, warp_ms: float = 12.0, fps: float = 29.0) -> Figures:
    now = iter([0.0, 1.0])
    meter = FigureMeter(lambda: next(now))
    stages = {"track": Spread(8, 9, 9, 9), "warp": Spread(warp_ms, 0, 0, 9), "composite": Spread(2, 0, 0, 9)}
    age = {"preview": Spread(40, 55, 60, 9)}
    meter.measure(PipelineStats(), wanted_fps=30)
    stats = PipelineStats(stages, age, {"render": round(fps)}, {"capture": 2, "mp4": 1})
    return meter.measure(stats, wanted_fps=30)


def choose(box: QComboBox, text: str) -> None:
    """Choose as a user does: the list's own signal is sent."""
    index = box.findText(text)
    assert index >= 0, [box.itemText(i) for i in range(box.count())]
    box.setCurrentIndex(index)
    box.activated.emit(index)


# ---------------------------------------------------------------------------------------------------------- picture


def test_the_stage_refuses_everything_but_sealed_frames(qtbot: QtBot) -> None:
    stage = Stage()
    qtbot.addWidget(stage)
    raw = np.zeros((4, 4, 3), np.uint8)
    for wrong in (raw, MonitorView(raw), None):
        with pytest.raises(ShapeError, match="OutputFrame"):
            stage.show_frame(wrong)  # type: ignore[arg-type]
    assert stage.frame is None


def test_the_stage_shows_the_frame_and_keeps_its_aspect(qtbot: QtBot) -> None:
    stage = Stage()
    qtbot.addWidget(stage)
    stage.resize(600, 600)
    frame = card(OutputSettings(size_wh=(640, 360)), "A test")
    stage.show_frame(frame)
    shot = stage.grab().toImage()
    ground = shot.pixelColor(300, 20)
    middle = shot.pixelColor(300, 300)
    drawn = QColor(*(int(v) for v in frame.rgb[180, 320]))
    assert abs(middle.lightness() - drawn.lightness()) < 12
    assert ground != middle
    assert fitted(QSize(640, 360), QRectF(0, 0, 600, 600)) == QRectF(0, 131.25, 600, 337.5)
    assert fitted(QSize(), QRectF(0, 0, 10, 10)).isEmpty()


def test_words_over_the_stage_are_not_in_the_frame(qtbot: QtBot) -> None:
    stage = Stage()
    qtbot.addWidget(stage)
    stage.resize(640, 360)
    frame = card(OutputSettings(size_wh=(640, 360)), "A test")
    stage.show_frame(frame)
    before, pixels = stage.grab().toImage(), frame.rgb.copy()
    stage.show_words("3", "Look here")
    assert stage.grab().toImage() != before
    assert (frame.rgb == pixels).all()


def test_the_monitor_shows_points_and_clears(qtbot: QtBot) -> None:
    picture = MonitorPicture("Nothing")
    qtbot.addWidget(picture)
    picture.resize(280, 150)
    rgb = np.full((180, 320, 3), 90, np.uint8)
    points = np.full((478, 2), 90, np.float32)
    picture.show_view(MonitorView(rgb))
    plain = picture.grab().toImage()
    picture.show_view(MonitorView(rgb, landmarks=points, neutral=points + 20))
    assert picture.grab().toImage() != plain
    picture.say("Gone")
    assert picture.view is None


# --------------------------------------------------------------------------------------------------------- controls


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


# ----------------------------------------------------------------------------------------------------------- gallery


def cards() -> list[SetCard]:
    thumbnail = QImage(8, 8, QImage.Format.Format_RGB888)
    thumbnail.fill(QColor("red"))
    return [
        SetCard("amara", "Amara", "8 pictures", "hint", thumbnail),
        SetCard("broken", "Broken", "Cannot be used", "no picture", problem="no picture"),
        SetCard("otto", "Otto", "1 picture", "hint"),
    ]


def test_the_gallery_by_keyboard_and_mouse(qtbot: QtBot) -> None:
    gallery = Gallery()
    qtbot.addWidget(gallery)
    gallery.show_sets(cards())
    gallery.show_current("amara")
    assert gallery.names == ["amara", "otto"]
    gallery.setCurrentRow(2)
    with qtbot.waitSignal(gallery.chosen) as told:
        qtbot.keyClick(gallery, Qt.Key.Key_Return)
    assert told.args == ["otto"]
    with qtbot.assertNotEmitted(gallery.chosen):
        gallery.itemClicked.emit(gallery.item(1))
        gallery.itemClicked.emit(gallery.item(0))
    gallery.show_loading("otto")
    gallery.resize(236, 320)
    assert not gallery.grab().toImage().isNull()


def test_the_built_in_sets_have_thumbnails_and_badges(qapp: object) -> None:
    found = {each.name: each for each in read_cards()}
    amara = found["amara"]
    assert amara.thumbnail is not None
    assert not amara.thumbnail.isNull()
    assert amara.badge == "8 pictures\ncovers 96%"
    assert "turns, mouth, eyes; missing: brows up" in amara.hint
    assert amara.builtin


def test_coverage_is_what_the_pictures_show_and_not_what_they_are_called(tmp_path: Path) -> None:
    front = asset_root() / "source_sets" / "amara.bunraku"
    made = tmp_path / "liar.bunraku"
    (made / "cache").mkdir(parents=True)
    shutil.copy(front / "front.webp", made / "mouth_open_left.webp")
    assert coverage_of(describe_source_set(made)) is None, "nobody looked at it"
    for suffix in (".npz", ".matte.png"):
        shutil.copy(front / "cache" / f"front{suffix}", made / "cache" / f"mouth_open_left{suffix}")
    cover = coverage_of(describe_source_set(made))
    assert cover is not None
    assert covered_kinds(cover) == ()


def test_the_shipped_models_are_offered_by_what_they_are() -> None:
    offered = model_names()
    assert {name for _, name in offered} == set(list_models())
    assert ("Implicit Warping – lite, 256 px", "lite") in offered
    assert offered[0][0].startswith("Implicit Warping")


# ------------------------------------------------------------------------------------------------------------ status


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_text_can_be_read_in_both_themes(theme: Theme) -> None:
    for ground in (theme.ground, theme.panel, theme.well, theme.raised):
        for text in (theme.text, theme.soft):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for tone in (theme.good, theme.busy, theme.warn, theme.bad):
        assert contrast(tone, theme.panel) >= 4.5
    assert contrast(theme.on_accent, theme.accent) >= 4.5
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


def test_the_chip_says_state_and_reason(qtbot: QtBot) -> None:
    chip = StateChip()
    qtbot.addWidget(chip)
    chip.show_chip(chip_for(LIVE))
    assert chip.text() == "LIVE"
    assert chip.accessibleName() == "State: LIVE"
    chip.show_theme(LIGHT)
    assert LIGHT.good in chip.styleSheet()


def test_the_strip_names_the_bottleneck_and_the_figures(qtbot: QtBot) -> None:
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.show_figures(figures(warp_ms=70, fps=12))
    assert [name for name, _, _, limits in strip.bar.cells() if limits] == ["Warp"]
    assert "Warp takes 70 ms" in strip.advice.text()
    assert (strip.numbers["fps"].text(), strip.numbers["age"].text()) == ("12", "55 ms")
    assert (strip.numbers["drops"].text(), strip.numbers["delay"].text()) == ("3", "40 ms")
    assert "Warp 70 ms limits the rate" in strip.bar.accessibleDescription()
    strip.show_figures(None)
    assert strip.numbers["fps"].text() == "–"


def test_plots_draw_what_they_are_told(qtbot: QtBot) -> None:
    pane = PlotPane(DARK)
    qtbot.addWidget(pane)
    pane.show_figures(figures())
    qtbot.waitUntil(lambda: pane.complete, timeout=60_000)
    pane.show_figures(figures(fps=20))
    assert pane.points["fps"] == [29.0, 20.0]
    assert pane.points["Warp"] == [12.0, 12.0]
    pane.show_theme(LIGHT)


def test_notices_stack_without_repeating_and_close(qtbot: QtBot) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(600, 400)
    host.show()
    stack = NoticeStack(host)
    for text in ("one", "two", "one", "three", "four"):
        stack.show_notice(Notice(text, Tone.BAD))
    assert stack.texts == ["four", "three", "one"]
    for each in [w for w in stack.findChildren(QWidget, "notice") if not w.isHidden()]:
        each.closer.click()  # type: ignore[attr-defined]
    assert stack.texts == []
    assert stack.isHidden()


def test_the_help_copies_the_exact_command(qtbot: QtBot) -> None:
    page = VcamHelp([("Load it.", "sudo modprobe v4l2loopback")])
    qtbot.addWidget(page)
    copy = next(b for b in page.findChildren(QPushButton) if b.text() == "Copy")
    copy.click()
    assert QGuiApplication.clipboard().text() == "sudo modprobe v4l2loopback"
    with qtbot.waitSignal(page.test):
        page.test_button.click()
    assert not page.test_button.isEnabled()
    page.show_result("It works.")
    assert page.test_button.isEnabled()
    assert page.result.text() == "It works."


def test_the_microphone_is_a_choice_and_none_is_said(qtbot: QtBot) -> None:
    panel = OutputPanel()
    qtbot.addWidget(panel)
    panel.show_microphone("ALSA:Old")
    panel.show_microphones([("Headset", "ALSA:Headset")], "")
    assert panel.microphone.currentData() == "ALSA:Old"
    assert "not connected" in panel.microphone.currentText()
    with qtbot.waitSignal(panel.microphone_chosen) as chosen:
        choose(panel.microphone, "Headset")
    assert chosen.args == ["ALSA:Headset"]
    panel.show_microphone("")
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
