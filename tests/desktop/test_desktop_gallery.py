# SPDX-License-Identifier: Apache-2.0
"""The gallery shows what a set is, and is used by keyboard and mouse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from desktop.bridge import library
from desktop.bridge.library import SetCard, coverage_of, covered_kinds, model_names, read_cards
from desktop.widgets.gallery import Gallery
from engine.assets import asset_root
from engine.runtime.manifest import list_models
from engine.sources.library import describe_source_set


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


def test_a_card_is_read_again_when_a_file_of_the_set_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "mine.bunraku"
    shutil.copytree(asset_root() / "source_sets" / "amara.bunraku", made)
    monkeypatch.setattr(library, "list_source_sets", lambda: [describe_source_set(made)])
    (before,) = read_cards()
    assert read_cards()[0] is before
    for path in made.glob("*/*eyes_closed*"):
        path.unlink()
    (after,) = read_cards()
    assert after is not before


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
