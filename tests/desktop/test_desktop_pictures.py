# SPDX-License-Identifier: Apache-2.0
"""The big picture takes sealed frames alone; the monitor is for the performer."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from desktop.bridge.outputs import card
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.stage import Stage, fitted
from engine.config import OutputSettings
from engine.errors import ShapeError
from engine.types import MonitorView


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
