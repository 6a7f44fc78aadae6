# SPDX-License-Identifier: Apache-2.0
"""Settings: written whole, read back, never in the way."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desktop.settings import (
    AppSettings,
    Profile,
    export_settings,
    import_settings,
    load_app_settings,
    save_app_settings,
)
from engine.config import LiveSettings, MotionSettings, OutputSettings
from engine.errors import InvalidSetting, PuppeteerError

FULL = AppSettings(
    camera="camera:usb-1",
    source_set="amara",
    person="Änne",
    live=LiveSettings(motion=MotionSettings(head=1.5), output=OutputSettings(size_wh=(640, 480), background="#102030")),
    theme="light",
    accepted=True,
    window="AAAA",
    panes={"plots": True},
    profiles={1: Profile("otto", MotionSettings(mouth=0.5), "green"), 9: Profile("jun")},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "desktop.json"


def test_what_is_saved_is_read_back(path: Path) -> None:
    save_app_settings(FULL, path)
    loaded = load_app_settings(path)
    assert loaded.settings == FULL
    assert loaded.notice == ""
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_no_file_means_defaults_without_a_word(path: Path) -> None:
    assert load_app_settings(path).settings == AppSettings()
    assert load_app_settings(path).notice == ""


def test_hidden_is_a_moments_choice(path: Path) -> None:
    save_app_settings(replace(FULL, live=replace(FULL.live, blanked=True)), path)
    assert not load_app_settings(path).settings.live.blanked


def broken(**changes: Any) -> str:
    return json.dumps({"version": 1, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        '{"theme": "dark"}',
        broken(version=2),
        broken(version=True),
        broken(theme="pink"),
        broken(colour="red"),
        broken(accepted="yes"),
        broken(camera=3),
        broken(live=[]),
        broken(live={"motion": {"head": 99}}),
        broken(live={"motion": []}),
        broken(live={"output": {"size_wh": [1, 2]}}),
        broken(profiles={"0": {"source_set": "amara"}}),
        broken(profiles={"1": {"motion": {}}}),
        broken(profiles={"1": {"source_set": "amara", "background": "#xyz"}}),
    ],
)
def test_a_broken_file_gives_defaults_and_is_kept(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    loaded = load_app_settings(path)
    assert loaded.settings == AppSettings()
    (kept,) = path.parent.iterdir()
    assert kept.name in loaded.notice
    assert kept.read_text(encoding="utf-8") == text
    assert load_app_settings(path).notice == "", "told once"


def test_a_file_of_other_bytes_is_kept_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe\x00{")
    assert "defaults" in load_app_settings(path).notice


def test_two_broken_files_are_both_kept(path: Path) -> None:
    path.parent.mkdir()
    for text in ("one", "two"):
        path.write_text(text, encoding="utf-8")
        load_app_settings(path)
    assert sorted(each.read_text(encoding="utf-8") for each in path.parent.iterdir()) == ["one", "two"]


def test_a_failed_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_app_settings(FULL, path)

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InvalidSetting, match="No space left"):
        save_app_settings(AppSettings(), path)
    monkeypatch.undo()
    assert load_app_settings(path).settings == FULL
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_export_leaves_out_what_is_this_machines_own(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    export_settings(FULL, out)
    here = AppSettings(camera="camera:other", window="BBBB", accepted=False)
    read = import_settings(out, current=here)
    assert (read.camera, read.window, read.accepted) == ("camera:other", "BBBB", False)
    assert (read.live, read.profiles, read.theme) == (FULL.live, FULL.profiles, FULL.theme)
    assert "usb-1" not in out.read_text(encoding="utf-8")


def test_a_broken_import_raises_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    with pytest.raises(PuppeteerError, match="cannot be read"):
        import_settings(path, current=FULL)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InvalidSetting, match="JSON"):
        import_settings(path, current=FULL)
    assert path.exists()
