# SPDX-License-Identifier: Apache-2.0
"""State, figures, plots and notices: what is going on, in words that can be read in both themes."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from desktop.figures import FigureMeter, Figures
from desktop.notice import Notice
from desktop.theme import DARK, LIGHT, Theme, Wardrobe, contrast
from desktop.widgets.notices import NoticeStack
from desktop.widgets.parts import ElidedLabel
from desktop.widgets.plots import PlotPane
from desktop.widgets.status import StateChip, StatusStrip
from desktop.widgets.vcam_help import VcamHelp
from desktop.words import Tone, chip_for
from engine.state import Phase, PipelineState
from engine.stats import PipelineStats, Spread

LIVE = PipelineState(Phase.RUNNING)


def figures(*, warp_ms: float = 12.0, fps: float = 29.0) -> Figures:
    now = iter([0.0, 1.0])
    meter = FigureMeter(lambda: next(now))
    stages = {"track": Spread(8, 9, 9, 9), "warp": Spread(warp_ms, 0, 0, 9), "composite": Spread(2, 0, 0, 9)}
    age = {"preview": Spread(40, 55, 60, 9)}
    meter.measure(PipelineStats(), wanted_fps=30)
    stats = PipelineStats(stages, age, {"render": round(fps)}, {"capture": 2, "mp4": 1})
    return meter.measure(stats, wanted_fps=30)


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


def test_the_strip_keeps_its_height_whatever_it_says(qtbot: QtBot) -> None:
    strip = StatusStrip()
    qtbot.addWidget(strip)
    layout = strip.layout()
    assert layout is not None
    for width in (1000, 560):
        strip.show_figures(None)
        before = layout.heightForWidth(width)
        strip.show_figures(figures(warp_ms=70, fps=12))
        assert layout.heightForWidth(width) == before


def test_a_long_reason_ends_with_an_ellipsis_and_is_told_whole(qtbot: QtBot) -> None:
    line = ElidedLabel("soft")
    qtbot.addWidget(line)
    line.resize(120, 20)
    line.show_text("the camera is gone; it is opened again as soon as it answers")
    assert line.text().endswith("…")
    assert line.accessibleDescription() == line.whole == line.toolTip()
    line.resize(2000, 20)
    line.show_text("the camera is gone")
    assert line.text() == "the camera is gone"


def test_the_part_that_is_seen_is_dressed_at_once_and_the_others_soon(qtbot: QtBot) -> None:
    seen, hidden = QWidget(), QWidget()
    qtbot.addWidget(seen)
    qtbot.addWidget(hidden)
    seen.show()
    wardrobe = Wardrobe()
    wardrobe.dress([hidden, seen], LIGHT)
    assert LIGHT.accent in seen.styleSheet()
    assert not hidden.styleSheet()
    qtbot.waitUntil(lambda: LIGHT.accent in hidden.styleSheet())
    wardrobe.dress([hidden, seen], DARK)
    wardrobe.close()
