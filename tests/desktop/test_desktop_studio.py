# SPDX-License-Identifier: Apache-2.0
"""Making a character on the real engine: pictures in, judged, changed, undone, saved, shared; and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication, QImage
from pytestqt.qtbot import QtBot

from desktop.bridge import Tasks
from desktop.bridge.coach import Coach
from desktop.bridge.heat import HeatMap, SourceColour
from desktop.bridge.jobs import Advance, Jobs
from desktop.bridge.library import read_cards
from desktop.bridge.open_set import unfinished_folder
from desktop.bridge.shelf import Shelf
from desktop.bridge.studio import Studio
from desktop.bridge.studio_views import Consent, Crop
from desktop.widgets.main_window import MainWindow
from engine.assets import asset_root
from engine.errors import SourceSetInvalid
from engine.sets.save import default_folder
from engine.sources.library import describe_source_set, list_source_sets
from engine.state import Phase
from engine.types import OutputFrame
from tests.helpers.desktop_scene import Scene
from tests.helpers.scripted import make_source_set

WAIT_MS = 240_000
SETS = asset_root() / "source_sets"
JUN = SETS / "jun.bunraku"
WindowMaker = Callable[..., MainWindow]


@pytest.fixture
def tasks(qtbot: QtBot) -> Iterator[Tasks]:
    made = Tasks()
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def studio(tasks: Tasks) -> Iterator[Studio]:
    made = Studio(tasks)
    yield made
    made.jobs.close()
    made.deleteLater()


def settled(studio: Studio, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not studio.jobs.busy and studio.view.looked, timeout=WAIT_MS)


# ------------------------------------------------------------------------------------------------------------- jobs


def test_jobs_run_in_order_with_progress_and_go_on_after_an_error(tasks: Tasks, qtbot: QtBot) -> None:
    jobs, done, failed = Jobs(tasks), list[object](), list[object]()
    shown: list[tuple[str, int, int]] = []
    jobs.progress.connect(lambda *said: shown.append(said))
    jobs.failed.connect(failed.append)

    def count(advance: Advance) -> int:
        advance(3, 4)
        return 7

    def fail(_advance: Advance) -> None:
        raise SourceSetInvalid("It is broken.")

    jobs.begin("first", count, done=done.append)
    jobs.begin("quiet", lambda _: "looked", done=done.append, quiet=True)
    jobs.begin("second", fail, done=done.append)
    assert jobs.busy
    with qtbot.waitSignal(jobs.idle, timeout=WAIT_MS):
        jobs.begin("third", lambda _: "end", done=done.append)
    qtbot.waitUntil(lambda: len(done) == 3, timeout=WAIT_MS)
    assert done == [7, "end", "looked"], "what is quiet waits for the others"
    assert [str(error) for error in failed] == ["It is broken."]
    assert {words for words, _, _ in shown} == {"first", "second", "third"}
    jobs.deleteLater()


def test_a_cancelled_job_leaves_nothing_and_what_waits_goes_too(tasks: Tasks, qtbot: QtBot) -> None:
    jobs, done, begun = Jobs(tasks), list[object](), threading.Event()
    go_on = threading.Event()

    def long_work(advance: Advance) -> str:
        begun.set()
        go_on.wait(60)
        advance(1, None)
        return "never"

    jobs.begin("long", long_work, done=done.append)
    jobs.begin("waiting", lambda _: "never", done=done.append)
    assert begun.wait(60)
    with qtbot.waitSignals([jobs.cancelled, jobs.idle], timeout=WAIT_MS):
        jobs.cancel()
        go_on.set()
    assert done == []
    jobs.deleteLater()


# ----------------------------------------------------------------------------------------------------------- studio


@pytest.mark.slow
def test_pictures_are_judged_changed_undone_and_saved(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    told: list[str] = []
    studio.told.connect(told.append)
    studio.add([JUN / "front.webp", JUN / "mouth_open.webp", JUN / "left.webp", broken])
    settled(studio, qtbot)
    view = studio.view
    assert [each.file for each in view.pictures] == ["front.webp", "mouth_open.webp", "left.webp"]
    assert any("broken.png is not a picture Bunraku can read" in text for text in told)
    assert view.coverage is not None
    assert {key: files for key, _, files in view.coverage.expressions}["mouth_open"] == ("mouth_open.webp",)
    assert any("eyes closed" in what for what, _ in view.coverage.holes)
    assert all(each.image is not None and each.box is not None for each in view.pictures)
    assert [each.file for each in view.pictures if each.reference] == ["front.webp"]

    studio.switch("mouth_open.webp", False)
    studio.crop("left.webp", Crop(0.5, 0.5, 0.9))
    settled(studio, qtbot)
    assert studio.view.coverage is not None
    assert any("mouth open" in what for what, _ in studio.view.coverage.holes)
    studio.undo()
    studio.undo()
    assert studio.view.pictures[1].enabled
    assert not studio.view.pictures[2].by_hand
    studio.redo()
    assert not studio.view.pictures[1].enabled
    studio.undo()

    studio.entitle("Jun  Two")
    studio.set_consent(Consent("synthetic", source="Bunraku", licence="CC0"))
    studio.make_reference("mouth_open.webp")
    assert (studio.view.name, studio.view.title, studio.view.consent_lacks) == ("jun_two", "Jun Two", ())
    with qtbot.waitSignal(studio.saved, timeout=WAIT_MS) as saved:
        studio.save()
    assert saved.args == ["jun_two"]
    assert not studio.view.unsaved
    info = describe_source_set(default_folder("jun_two"))
    assert (info.count, info.consent.kind, info.pictures[0]) == (3, "synthetic", "mouth_open.webp")
    assert "jun_two" in {card.name for card in read_cards()}

    studio.remove("left.webp")
    assert studio.view.unsaved
    with qtbot.waitSignal(studio.saved, timeout=WAIT_MS):
        studio.save()
    assert describe_source_set(default_folder("jun_two")).count == 2


@pytest.mark.slow
def test_each_picture_is_rebuilt_from_the_others(studio: Studio, qtbot: QtBot) -> None:
    studio.add([JUN / "front.webp", JUN / "smile.webp"])
    settled(studio, qtbot)
    studio.test()
    qtbot.waitUntil(lambda: not studio.jobs.busy, timeout=WAIT_MS)
    front = studio.view.pictures[0]
    assert front.rebuilt is not None
    assert 10 < front.rebuilt_db < 40
    studio.crop("smile.webp", Crop(0.5, 0.5, 0.95))
    settled(studio, qtbot)
    assert studio.view.pictures[0].rebuilt is not None, "one more change does not throw the figures away"


@pytest.mark.slow
def test_a_video_of_what_lies_between_the_pictures(
    studio: Studio, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.bridge.studio.SECONDS_BETWEEN", 0.1)
    studio.add([JUN / "front.webp", JUN / "left.webp"])
    settled(studio, qtbot)
    with qtbot.waitSignal(studio.saved, timeout=WAIT_MS):
        studio.save()
    out = tmp_path / "turn.mp4"
    with qtbot.waitSignal(studio.told, timeout=WAIT_MS) as told:
        studio.render_between(out)
    assert told.args == [f"Saved: {out}"]
    with av.open(str(out)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6
    monkeypatch.setattr("desktop.bridge.studio.SECONDS_BETWEEN", 20)
    gone = tmp_path / "gone.mp4"
    studio.render_between(gone)
    qtbot.waitUntil(gone.exists, timeout=WAIT_MS)
    with qtbot.waitSignal(studio.jobs.cancelled, timeout=WAIT_MS):
        studio.jobs.cancel()
    assert not gone.exists()


@pytest.mark.slow
def test_what_is_added_while_the_set_changes_joins_what_is_there(studio: Studio, qtbot: QtBot) -> None:
    studio.add([JUN / "front.webp"])
    settled(studio, qtbot)
    studio.add([JUN / "smile.webp"])
    studio.entitle("Changed meanwhile")
    settled(studio, qtbot)
    assert [each.file for each in studio.view.pictures] == ["front.webp", "smile.webp"]
    assert studio.view.title == "Changed meanwhile"


@pytest.mark.slow
def test_a_picture_without_a_face_waits_for_its_landmarks(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    from desktop.bridge.guides import start_guides

    blank = QImage(320, 320, QImage.Format.Format_RGB888)
    blank.fill(Qt.GlobalColor.darkCyan)
    told: list[str] = []
    studio.told.connect(told.append)
    studio.paste(blank, name="robot")
    settled(studio, qtbot)
    assert not studio.view.pictures[0].enabled
    studio.switch("robot.png", True)
    assert "Place its landmarks by hand" in told[-1]
    assert not studio.view.pictures[0].enabled
    studio.guide("robot.png", start_guides((320, 320)))
    settled(studio, qtbot)
    robot = studio.view.pictures[0]
    assert robot.enabled
    assert robot.has_face
    assert robot.box is not None
    studio.guide("robot.png", None)
    settled(studio, qtbot)
    with qtbot.assertNotEmitted(studio.saved):
        studio.save()
    assert "Not saved" in told[-1]


@pytest.mark.slow
def test_what_is_not_saved_comes_back_after_a_restart(tasks: Tasks, qtbot: QtBot) -> None:
    first = Studio(tasks)
    first.add([JUN / "front.webp"])
    settled(first, qtbot)
    first.entitle("Half done")
    first.close()
    assert unfinished_folder().exists()
    second = Studio(tasks)
    second.take_up()
    qtbot.waitUntil(lambda: bool(second.view.pictures), timeout=WAIT_MS)
    assert (second.view.title, second.view.unsaved, second.view.existing) == ("Half done", True, False)
    assert not second.draft.extras
    with qtbot.waitSignal(second.saved, timeout=WAIT_MS):
        second.save()
    second.close()
    assert not unfinished_folder().exists()
    assert (default_folder("half_done") / "set.toml").exists()
    for each in (first, second):
        each.deleteLater()


def test_another_set_is_opened_and_undo_brings_the_unsaved_one_back(studio: Studio, qtbot: QtBot) -> None:
    told: list[str] = []
    studio.told.connect(told.append)
    studio.edit("otto")
    qtbot.waitUntil(lambda: bool(studio.view.pictures), timeout=WAIT_MS)
    assert studio.view.name == "otto_copy", "what ships stays as it is"
    assert "stays as it is" in told[-1]
    studio.begin_new()
    assert not studio.view.pictures
    assert "Undo brings it back" in told[-1]
    studio.undo()
    assert len(studio.view.pictures) == 8
    studio.edit("nobody")
    with qtbot.waitSignal(studio.failed, timeout=WAIT_MS) as failed:
        pass
    assert "nobody" in str(failed.args[0])
    assert len(studio.view.pictures) == 8


# ------------------------------------------------------------------------------------------------------------ shelf


@pytest.mark.slow
def test_sets_are_copied_packed_taken_in_deleted_and_brought_back(tasks: Tasks, qtbot: QtBot, tmp_path: Path) -> None:
    jobs = Jobs(tasks)
    shelf, told, failed = Shelf(jobs), list[str](), list[object]()
    shelf.told.connect(told.append)
    jobs.failed.connect(failed.append)

    def wait() -> None:
        qtbot.waitUntil(lambda: not jobs.busy, timeout=WAIT_MS)

    shelf.duplicate("otto")
    wait()
    copies = [info.name for info in list_source_sets() if info.name.startswith("otto_copy")]
    name = copies[-1]
    out = tmp_path / "otto.bunraku.zip"
    shelf.export(name, out)
    wait()
    assert out.stat().st_size > 10_000
    shelf.take_in(out)
    wait()
    assert f"{name}_2" in told[-1], "under a name that is free"
    shelf.delete(f"{name}_2")
    wait()
    assert f"{name}_2" not in {info.name for info in list_source_sets()}
    assert shelf.can_restore
    shelf.restore()
    wait()
    assert f"{name}_2" in {info.name for info in list_source_sets()}
    assert not shelf.can_restore
    shelf.delete("otto")
    wait()
    assert "ships with Bunraku" in str(failed[-1])
    junk = tmp_path / "junk.bunraku"
    junk.write_bytes(b"PK\x03\x04 junk")
    shelf.take_in(junk)
    wait()
    assert "junk" in str(failed[-1])
    jobs.deleteLater()


# ------------------------------------------------------------------------------------------------------------ coach


@pytest.fixture
def coach(qtbot: QtBot) -> Iterator[Coach]:
    """A coach whose camera shows one picture over and over."""
    made = Coach(lambda: str(JUN / "front.webp"))
    yield made
    made.close()
    assert not made.running
    made.deleteLater()


@pytest.mark.slow
def test_the_coach_takes_a_front_view_and_asks_for_more(coach: Coach, qtbot: QtBot) -> None:
    said: list[object] = []
    coach.said.connect(said.append)
    with qtbot.waitSignal(coach.taken, timeout=WAIT_MS) as taken:
        coach.begin([])
    image, key = taken.args
    assert key == "front"
    assert image.width() >= 256
    qtbot.waitUntil(lambda: said[-1].target not in ("", "front"), timeout=WAIT_MS)  # type: ignore[attr-defined]
    asked = said[-1].target  # type: ignore[attr-defined]
    coach.skip()
    qtbot.waitUntil(lambda: asked not in said[-1].missing, timeout=WAIT_MS)  # type: ignore[attr-defined]
    with qtbot.waitSignal(coach.taken, timeout=WAIT_MS) as taken:
        coach.take_now()
    assert taken.args[1] == "webcam"


def test_a_coach_without_a_camera_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    coach = Coach(lambda: "")
    with qtbot.waitSignal(coach.failed) as failed:
        coach.begin([])
    assert "No camera is chosen" in failed.args[0]
    gone = Coach(lambda: str(tmp_path / "gone.mp4"))
    with qtbot.waitSignal(gone.failed, timeout=WAIT_MS) as failed:
        gone.begin([])
    assert "does not exist" in failed.args[0]
    for each in (coach, gone):
        each.close()
        each.deleteLater()


# ----------------------------------------------------------------------------------------------------------- window


@pytest.mark.slow
def test_a_character_from_a_drop_to_the_gallery(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window()
    door, page = window.door, window.door.page
    door.bar.new.click()
    assert window.pages.currentWidget() is page
    assert not page.save.isEnabled()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(JUN / "front.webp"))])
    at, none = QPoint(400, 300), Qt.KeyboardModifier.NoModifier
    page.dropEvent(QDropEvent(at, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, none))
    qtbot.waitUntil(lambda: not door.studio.jobs.busy and len(page.pictures.files) == 1, timeout=WAIT_MS)
    image = QImage(str(SETS / "jun.bunraku" / "smile.webp"))
    QGuiApplication.clipboard().setImage(image)
    qtbot.keyClick(page.pictures, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(page.pictures.files) == 2 and door.studio.view.looked, timeout=WAIT_MS)
    QGuiApplication.clipboard().setText("no picture")
    page.add_pasted.click()
    assert "The clipboard holds no picture" in page.notices.texts[0]
    page.save.click()
    assert "Give the character a name first." in page.notices.texts[0]
    page.title.setText("Dropped")
    with qtbot.waitSignal(door.studio.saved, timeout=WAIT_MS):
        page.save.click()
    qtbot.waitUntil(lambda: "dropped" in window.live.gallery.names, timeout=WAIT_MS)
    assert window.controller.settings.source_set == "dropped", "what was made is shown"
    qtbot.keyClick(page.pictures, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert door.studio.view.can_redo
    page.back.click()
    assert window.pages.currentWidget() is window.live


def test_every_control_of_the_studio_has_a_name_and_takes_the_keyboard(open_window: WindowMaker) -> None:
    from tests.desktop.test_desktop_window import _CONTROLS

    window = open_window()
    pages = (window.door.page, window.door.coach_page, window.door.guide_page, window.door.bar)
    controls = [w for page in pages for w in page.findChildren(_CONTROLS[0])]
    for kind in _CONTROLS[1:]:
        controls += [w for page in pages for w in page.findChildren(kind)]
    controls = [w for w in controls if w.metaObject().className() not in ("QScrollBar", "QComboBoxListView")]
    assert len(controls) > 40
    assert not [w for w in controls if not w.accessibleName()], [type(w) for w in controls if not w.accessibleName()]
    assert not [w.accessibleName() for w in controls if not w.focusPolicy() & Qt.FocusPolicy.TabFocus]


# --------------------------------------------------------------------------------------------------------- heat map


def test_a_model_that_cannot_tell_where_pixels_come_from_says_so(scene: Scene, qtbot: QtBot) -> None:
    heat = HeatMap()
    legends: list[list[SourceColour]] = []
    heat.shown.connect(legends.append)
    scene.controller.run.opened.connect(heat.follow)
    scene.go_live()
    session = scene.controller.run.session
    assert session is not None
    session.pipeline.command(lambda renderer: renderer.set_source_set(make_source_set("two")))
    heat.apply()
    scene.feed()
    scene.until(lambda: bool(legends) and bool(legends[-1]))
    assert len({each.colour for each in legends[-1]}) == len(legends[-1])
    with qtbot.waitSignal(heat.failed, timeout=WAIT_MS) as failed:
        heat.switch(True)
        scene.feed()
    assert "no map of the pictures" in str(failed.args[0])
    assert not heat.wanted
    scene.stop()
    heat.follow(None)
    assert legends[-1] == []
    heat.close()
    heat.deleteLater()


@pytest.mark.slow
def test_the_heat_map_changes_the_picture_and_back(open_window: WindowMaker, qtbot: QtBot) -> None:
    window = open_window("--camera", str(SETS / "otto.bunraku" / "front.webp"))
    door, frames = window.door, list[OutputFrame]()
    window.controller.frame.connect(frames.append)
    qtbot.keyClick(window.live, Qt.Key.Key_H, Qt.KeyboardModifier.ControlModifier)  # before anything runs
    window.controller.start()

    def saturation() -> float:
        if not frames or window.controller.current.phase is not Phase.RUNNING:
            return -1.0
        middle = frames[-1].rgb[300:420, 560:720].astype(float)
        return float((middle[..., 2] - middle[..., 0]).mean())

    qtbot.waitUntil(lambda: saturation() > 2, timeout=WAIT_MS)  # the first colours are blue; a face is not
    assert door.heat_panel.switch.isChecked()
    qtbot.waitUntil(lambda: door.heat_panel.legend.accessibleName().startswith("Colours: front"), timeout=WAIT_MS)
    door.heat_panel.switch.click()
    qtbot.waitUntil(lambda: saturation() < -5, timeout=WAIT_MS)
