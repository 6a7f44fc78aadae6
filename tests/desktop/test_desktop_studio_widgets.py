# SPDX-License-Identifier: Apache-2.0
"""The studio's widgets: each says what the user asked for and shows what it is told, by mouse and keyboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from desktop.bridge.guides import GuidePoints, mesh_of, move_all, start_guides
from desktop.bridge.heat import SourceColour
from desktop.bridge.studio_views import EXPRESSIONS, Consent, CoverageView, Crop, Flag, PictureView, StudioView
from desktop.widgets.coach_page import CoachPage
from desktop.widgets.consent_form import ConsentForm, consent_words
from desktop.widgets.coverage_map import CoverageMap
from desktop.widgets.crop_view import CropView
from desktop.widgets.gallery_bar import GalleryBar
from desktop.widgets.guide_canvas import GuideCanvas
from desktop.widgets.guide_page import GuidePage
from desktop.widgets.heat_panel import HeatPanel
from desktop.widgets.judge_panel import CoveragePanel, PicturePanel
from desktop.widgets.picture_list import PictureList, flag_words

SIZE = (300, 400)


def picture(file: str = "front.png", **values: object) -> PictureView:
    image = QImage(*SIZE, QImage.Format.Format_RGB888)
    image.fill(QColor("#806040"))
    plain = PictureView(file, True, False, False, image=image, box=Crop(0.5, 0.5, 0.6), words=("front", "neutral"))
    return replace(plain, **values)  # type: ignore[arg-type]


def coverage(**shown: tuple[str, ...]) -> CoverageView:
    heads = [[() for _ in range(5)] for _ in range(3)]
    heads[1][2] = ("front.png", "smile.png")  # type: ignore[assignment]
    return CoverageView(
        tuple(tuple(row) for row in heads),
        tuple((key, words, shown.get(key, ())) for key, words in EXPRESSIONS),
        (("No picture with the eyes closed: every blink will be drawn with stretched lids.", "Close your eyes."),),
        0.5,
    )


def a_set(*pictures: PictureView, **values: object) -> StudioView:
    plain = StudioView("mia", "Mia", Consent(), ("kind",), pictures, coverage(), (), False, False, looked=True)
    return replace(plain, **values)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ consent


def test_the_consent_form_asks_for_what_a_note_of_its_kind_needs(qtbot: QtBot) -> None:
    form = ConsentForm()
    qtbot.addWidget(form)
    form.show()
    assert not any(field.isVisible() for field in form.fields.values())
    assert "before this character can go to the virtual camera" in form.verdict.text()
    with qtbot.waitSignal(form.changed) as told:
        form.kind.chosen.emit("consented")
    form.show_note(told.args[0], told.args[0].missing())
    assert [name for name, field in form.fields.items() if field.isVisible()] == ["who", "how", "until"]
    assert "who it is and how they agreed and until when" in form.verdict.text()
    qtbot.keyClicks(form.fields["who"], "A. Person")
    with qtbot.waitSignal(form.changed) as told:
        form.fields["who"].editingFinished.emit()
    assert told.args[0].who == "A. Person"
    assert told.args[0].when, "the day they agreed"


def test_a_date_that_is_none_is_said_and_not_taken(qtbot: QtBot) -> None:
    form = ConsentForm()
    qtbot.addWidget(form)
    form.show_note(Consent("consented", who="A", how="b"), ("until",))
    form.fields["until"].setText("next year")
    with qtbot.assertNotEmitted(form.changed):
        form.fields["until"].editingFinished.emit()
    assert "2027-01-31" in form.verdict.text()
    form.fields["until"].setText("2031-01-31")
    with qtbot.waitSignal(form.changed) as told:
        form.fields["until"].editingFinished.emit()
    assert told.args[0].missing() == ()
    form.show_note(told.args[0], ())
    assert form.verdict.text() == "This character may go to the virtual camera."
    assert consent_words(()) == ""


# ------------------------------------------------------------------------------------------------- list of pictures


@pytest.fixture
def pictures(qtbot: QtBot) -> PictureList:
    made = PictureList()
    qtbot.addWidget(made)
    made.resize(300, 400)
    made.show()
    made.show_pictures(tuple(picture(f"{name}.png") for name in ("front", "left", "smile")))
    return made


def test_pictures_are_switched_moved_and_removed_by_keys(qtbot: QtBot, pictures: PictureList) -> None:
    pictures.setFocus()
    pictures.setCurrentRow(1)
    with qtbot.waitSignal(pictures.switched) as told:
        qtbot.keyClick(pictures, Qt.Key.Key_Space)
    assert told.args == ["left.png", False]
    with qtbot.waitSignal(pictures.moved) as told:
        qtbot.keyClick(pictures, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert told.args == ["left.png", 2]
    with qtbot.waitSignal(pictures.referred) as told:
        qtbot.keyClick(pictures, Qt.Key.Key_R)
    assert told.args == ["left.png"]
    with qtbot.waitSignal(pictures.removed) as told:
        qtbot.keyClick(pictures, Qt.Key.Key_Delete)
    assert told.args == ["left.png"]


def test_a_click_on_the_box_switches_and_one_beside_it_looks(qtbot: QtBot, pictures: PictureList) -> None:
    row = pictures.visualItemRect(pictures.item(2))
    with qtbot.waitSignal(pictures.switched) as told:
        qtbot.mouseClick(pictures.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(row.left() + 18, row.center().y()))
    assert told.args == ["smile.png", False]
    with qtbot.assertNotEmitted(pictures.switched):
        qtbot.mouseClick(pictures.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(row.left() + 160, row.center().y()))
    assert pictures.current == "smile.png"


def test_what_is_looked_at_stays_so_and_the_rest_is_said(qtbot: QtBot, pictures: PictureList) -> None:
    pictures.pick("smile.png")
    flagged = picture("smile.png", flags=(Flag("duplicate", "It shows the same as front.png."),), enabled=False)
    with qtbot.waitSignal(pictures.picked) as told:
        pictures.show_pictures((flagged, picture("front.png", reference=True, rebuilt_db=21.5)))
    assert told.args == ["smile.png"]
    said = pictures.item(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "smile.png. off" in said
    assert "duplicate" in said
    assert "reference" in pictures.item(1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert flag_words(flagged) == "duplicate"
    assert not pictures.grab().toImage().isNull()
    pictures.show_pictures(())
    assert pictures.current == ""


# ------------------------------------------------------------------------------------------------------------ crops


def test_the_crop_is_set_by_keys_wheel_and_mouse(qtbot: QtBot) -> None:
    view = CropView()
    qtbot.addWidget(view)
    view.resize(316, 416)  # the picture fills it at its own size
    view.show()
    view.show_picture(picture())
    with qtbot.waitSignal(view.cropped) as told:
        qtbot.keyClick(view, Qt.Key.Key_Right)
    assert told.args[1].x > 0.5
    with qtbot.waitSignal(view.cropped) as told:
        qtbot.keyClick(view, "-")
    assert told.args[1].size < 0.6
    view.show_picture(picture())
    corner = view._rect().bottomRight().toPoint()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=corner)
    qtbot.mouseMove(view, corner + QPoint(20, 20))
    view.show_picture(picture(box=Crop(0.1, 0.1, 0.1)))  # what comes in meanwhile does not pull it away
    with qtbot.waitSignal(view.cropped) as told:
        qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=corner + QPoint(20, 20))
    assert told.args[1].size == pytest.approx(0.6 + 40 / 300, abs=0.02)
    assert (told.args[1].x, told.args[1].y) == (0.5, 0.5)


def test_a_crop_stays_within_what_a_set_allows(qtbot: QtBot) -> None:
    view = CropView()
    qtbot.addWidget(view)
    view.show_picture(picture(box=Crop(0.99, 0.5, 2.95)))
    for _ in range(5):
        qtbot.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
        qtbot.keyClick(view, "+")
    assert view.box == Crop(1.0, 0.5, 3.0)
    view.show_picture(None, "Drop pictures here")
    with qtbot.assertNotEmitted(view.cropped):
        qtbot.keyClick(view, Qt.Key.Key_Left)
    assert not view.grab().toImage().isNull()


# ---------------------------------------------------------------------------------------------------------- judging


def test_the_coverage_map_leads_to_the_pictures(qtbot: QtBot) -> None:
    shown = CoverageMap()
    qtbot.addWidget(shown)
    shown.resize(280, 240)
    shown.show()
    shown.show_coverage(coverage(smile=("smile.png",)))
    assert "Missing: Front, relaxed, Mouth open" in shown.accessibleDescription()
    shown.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right):
        qtbot.keyClick(shown, key)
    with qtbot.waitSignal(shown.picked) as told:
        qtbot.keyClick(shown, Qt.Key.Key_Return)
    assert told.args == ["front.png"]
    shown.mark("front.png")
    with qtbot.waitSignal(shown.picked) as told:
        qtbot.keyClick(shown, Qt.Key.Key_Return)
    assert told.args == ["smile.png"], "the next one in the same cell"
    place = next(rect for rect, words, _ in shown._cells if words == "Smile").center()
    with qtbot.waitSignal(shown.picked) as told:
        qtbot.mouseClick(shown, Qt.MouseButton.LeftButton, pos=place)
    assert told.args == ["smile.png"]
    shown.show_coverage(None)
    with qtbot.assertNotEmitted(shown.picked):
        qtbot.mouseClick(shown, Qt.MouseButton.LeftButton, pos=place)


def test_holes_are_told_in_plain_words(qtbot: QtBot) -> None:
    panel = CoveragePanel()
    qtbot.addWidget(panel)
    panel.show_set(a_set(picture()))
    assert "every blink will be drawn with stretched lids" in panel.holes.text()
    assert "Close your eyes." in panel.holes.text()
    assert "50%" in panel.score.text()
    panel.show_set(a_set(coverage=None))
    assert panel.holes.text() == "No picture yet."


def test_a_pictures_panel_says_why_and_what_the_others_make_of_it(qtbot: QtBot) -> None:
    panel = PicturePanel()
    qtbot.addWidget(panel)
    panel.show()
    rebuilt = picture(notes="front, neutral; nearest to 15% of the video", rebuilt_db=22.4, by_hand=True)
    rebuilt = replace(rebuilt, portrait=rebuilt.image, rebuilt=rebuilt.image, flags=(Flag("small", "It is small."),))
    panel.show_picture(rebuilt)
    assert "nearest to 15% of the video" in panel.words.text()
    assert panel.words.text().count("front, neutral") == 1
    assert "It is small." in panel.flags.text()
    assert "22.4 decibels" in panel.pair.accessibleName()
    for part, signal in ((panel.refer, panel.referred), (panel.uncrop, panel.uncropped), (panel.remove, panel.removed)):
        with qtbot.waitSignal(signal) as told:
            part.click()
        assert told.args == ["front.png"]
    with qtbot.waitSignal(panel.switched) as told:
        panel.used.click()
    assert told.args == ["front.png", False]
    panel.show_picture(picture())
    assert not panel.pair.isVisible()
    panel.show_picture(None)
    assert not panel.isVisible()


# -------------------------------------------------------------------------------------------------------- landmarks


def test_a_dragged_guide_point_takes_the_mesh_with_it(qtbot: QtBot) -> None:
    canvas = GuideCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(500, 500)
    canvas.show()
    start = start_guides(SIZE)
    canvas.show_picture(picture().image or QImage(), start, anew=True)
    before, at = mesh_of(start, SIZE), canvas._on_screen("chin").toPoint()
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseMove(canvas, at + QPoint(0, 40))
    with qtbot.waitSignal(canvas.placed) as told:
        qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=at + QPoint(0, 40))
    moved: GuidePoints = told.args[0]
    assert canvas.selected == "chin"
    assert moved.points["chin"][1] > start.points["chin"][1] + 0.03
    assert {name for name in moved.points if moved.points[name] != start.points[name]} == {"chin"}
    after = mesh_of(moved, SIZE)
    assert after[152, 1] > before[152, 1] + 0.02, "the chin's landmark follows"
    assert np.abs(after - before)[:, 1].mean() > 0.002, "and its surroundings"


def test_guide_points_are_moved_by_keys_and_all_together(qtbot: QtBot) -> None:
    canvas = GuideCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(500, 500)
    start = start_guides(SIZE)
    canvas.show_picture(picture().image or QImage(), start, anew=True)
    qtbot.keyClick(canvas, Qt.Key.Key_PageDown)
    assert canvas.selected == "right_eye_top"
    with qtbot.waitSignal(canvas.placed) as told:
        qtbot.keyClick(canvas, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert told.args[0].points["right_eye_top"][1] < start.points["right_eye_top"][1]
    with qtbot.waitSignal(canvas.placed) as told:
        qtbot.keyClick(canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert all(told.args[0].points[name][0] > start.points[name][0] for name in start.points)
    where = canvas._where().width()
    qtbot.keyClick(canvas, "+")
    assert canvas._where().width() > where
    with qtbot.waitSignal(canvas.placed):
        qtbot.keyClick(canvas, "]")
    assert not canvas.grab().toImage().isNull()


def test_all_points_turn_about_their_middle_whatever_the_pictures_shape() -> None:
    start = start_guides(SIZE)
    there = move_all(start, SIZE, turn_deg=30, scale=2.0, by=(0.1, -0.1))
    pixels = {name: np.array(place) * SIZE for name, place in start.points.items()}
    moved = {name: np.array(place) * SIZE for name, place in there.points.items()}
    before = pixels["left_eye_outer"] - pixels["right_eye_outer"]
    after = moved["left_eye_outer"] - moved["right_eye_outer"]
    assert np.linalg.norm(after) == pytest.approx(2 * np.linalg.norm(before))
    turn = np.degrees(np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0]))
    assert turn == pytest.approx(30), "clockwise on the screen, whose y runs down"


def test_a_point_that_cannot_lie_there_is_refused_in_words(qtbot: QtBot) -> None:
    canvas = GuideCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(400, 400)
    start = start_guides(SIZE)
    canvas.show_picture(picture().image or QImage(), start, anew=True)
    with qtbot.waitSignal(canvas.refused) as told:
        canvas._shift("right_eye_outer", QPointF(400, 0))
    assert "right eye" in told.args[0]
    assert canvas.guides == start


def test_the_guide_page_copies_a_start_to_the_next_picture(qtbot: QtBot) -> None:
    page = GuidePage()
    qtbot.addWidget(page)
    page.resize(900, 700)
    placed = start_guides(SIZE)
    page.show_set(a_set(picture("a.png", guides=placed), picture("b.png", has_face=False)))
    page.open("a.png")
    assert "by hand" in page.name.text()
    with qtbot.waitSignal(page.guided) as told:
        page.copy.click()
    assert told.args == ["b.png", placed]
    assert page.file == "b.png"
    page.show_set(a_set(picture("a.png", guides=placed), picture("b.png", has_face=False)))
    assert "template" in page.name.text()
    page.automatic.setChecked(False)
    with qtbot.waitSignal(page.guided) as told:
        page.yaw.slider.setValue(150)
    assert told.args[1].yaw_deg == 30
    with qtbot.waitSignal(page.closed):
        page.show_set(a_set())


# --------------------------------------------------------------------------------------------------- the live page's


def test_the_heat_panel_lists_the_pictures_with_their_colours(qtbot: QtBot) -> None:
    panel = HeatPanel()
    qtbot.addWidget(panel)
    panel.resize(280, 300)
    panel.show()
    assert not panel.legend.isVisible()
    panel.show_sources([SourceColour("front", "#0072b2", picture().image or QImage())])
    assert panel.legend.isVisible()
    assert "front #0072b2" in panel.legend.accessibleName()
    with qtbot.waitSignal(panel.switched) as told:
        qtbot.keyClick(panel.switch, Qt.Key.Key_Space)
    assert told.args == [True]
    assert panel.legend.grab().toImage().pixelColor(3, 20) == QColor("#0072b2")


def test_the_coach_page_says_what_is_there_and_what_comes(qtbot: QtBot) -> None:
    page = CoachPage()
    qtbot.addWidget(page)
    page.begin()
    page.show_advice("Close your eyes.", 0.4, ("eyes_closed", "up"), hold=False)
    page.show_taken("smile")
    states = page.targets.states
    assert (states["eyes_closed"], states["up"], states["smile"], states["left"]) == (
        "now",
        "to come",
        "taken",
        "there",
    )
    assert page.ask.text() == "Close your eyes."
    assert page.nearness.value() == 40
    page.say("The camera is gone.")
    assert page.picture._empty_text == "The camera is gone."
    page.show()
    with qtbot.waitSignal(page.hidden):
        page.hide()


def test_the_bar_under_the_gallery_offers_what_can_be_done(qtbot: QtBot) -> None:
    now = [("amara", True)]
    bar = GalleryBar(lambda: now[0], can_restore=lambda: False)
    qtbot.addWidget(bar)
    bar.menu.aboutToShow.emit()
    assert (bar.duplicate.isEnabled(), bar.delete.isEnabled(), bar.restore.isEnabled()) == (True, False, False)
    now[0] = ("mia", False)
    bar.menu.aboutToShow.emit()
    assert bar.delete.isEnabled()
    with qtbot.waitSignal(bar.edit_wanted) as told:
        bar.edit.click()
    assert told.args == ["mia"]
    now[0] = ("", True)
    with qtbot.assertNotEmitted(bar.edit_wanted):
        bar.edit.click()
