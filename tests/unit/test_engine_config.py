# SPDX-License-Identifier: Apache-2.0
"""Settings: limits, files, and errors that say what would be right."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import (
    SETTINGS_VERSION,
    LiveSettings,
    MotionSettings,
    OutputSettings,
    PipelineSettings,
    load_settings,
    save_settings,
    setting_limits,
)
from engine.errors import ConfigVersionError, InvalidSetting, UnknownSetting


def _write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (MotionSettings, "motion", 1.1),
        (MotionSettings, "head", -0.1),
        (MotionSettings, "eyes", float("nan")),
        (MotionSettings, "mouth", "1"),
        (MotionSettings, "brows", True),
        (OutputSettings, "size_wh", (1280,)),
        (OutputSettings, "size_wh", (1280, 20)),
        (OutputSettings, "size_wh", "big"),
        (OutputSettings, "size_wh", (1280.0, 720.0)),
        (OutputSettings, "fps", 0),
        (OutputSettings, "background", ""),
        (OutputSettings, "background", "#12345"),
        (OutputSettings, "background", "#12345g"),
        (OutputSettings, "mirrored", 1),
        (OutputSettings, "watermark_corner", "none"),
        (OutputSettings, "watermark_style", "invisible"),
        (PipelineSettings, "hold_s", float("inf")),
    ],
)
def test_values_outside_their_limits_are_refused(cls: type, field: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=f"{field} must be"):
        cls(**{field: value})
    with pytest.raises(InvalidSetting):
        dataclasses.replace(cls(), **{field: value})


def test_whole_numbers_are_taken_as_numbers() -> None:
    assert MotionSettings(head=2).head == 2.0
    assert isinstance(MotionSettings(head=2).head, float)


def test_there_is_no_way_to_turn_the_watermark_off() -> None:
    names = {field.name for field in dataclasses.fields(OutputSettings)}
    assert {name for name in names if "mark" in name} == {"watermark_corner", "watermark_style"}


def test_limits_for_sliders() -> None:
    assert setting_limits(MotionSettings, "head") == (0.0, 2.0)
    with pytest.raises(UnknownSetting, match="no setting hed"):
        setting_limits(MotionSettings, "hed")


def test_a_missing_file_means_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml") == LiveSettings()


def test_a_partial_file_fills_up_with_defaults(tmp_path: Path) -> None:
    path = _write(tmp_path, 'version = 1\n[output]\nbackground = "green"\nsize_wh = [640, 480]\n')
    assert load_settings(path) == LiveSettings(output=OutputSettings(background="green", size_wh=(640, 480)))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[motion]\nhed = 1\n", UnknownSetting, "Did you mean motion.head?"),
        ("[motoin]\nhead = 1\n", UnknownSetting, "Did you mean motion?"),
        ("[motion]\nzzzzzz = 1\n", UnknownSetting, "Known are: motion, head"),
        ("[motion]\nhead = 3\n", InvalidSetting, "motion.head must be a number from 0 to 2, got 3"),
        ("motion = 3\n", InvalidSetting, "a table, written [motion]"),
        ("version = 99\n", ConfigVersionError, "version 99"),
        ('version = "1"\n', InvalidSetting, "whole number"),
        ("this is no TOML", InvalidSetting, "cannot be read"),
    ],
)
def test_mistakes_in_a_file_say_what_is_right(tmp_path: Path, text: str, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        load_settings(_write(tmp_path, text))
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_saving_keeps_comments_and_can_be_repeated(tmp_path: Path) -> None:
    path = _write(tmp_path, "# mine\n[motion]\nhead = 0.5 # calm\n")
    save_settings(LiveSettings(motion=MotionSettings(head=0.25)), path)
    save_settings(LiveSettings(motion=MotionSettings(head=0.25)), path)
    text = path.read_text(encoding="utf-8")
    assert "# mine" in text
    assert "# calm" in text
    assert load_settings(path).motion.head == 0.25
    assert sorted(p.name for p in tmp_path.iterdir()) == ["settings.toml"], "no half-written file is left"
    assert f"version = {SETTINGS_VERSION}" in text


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InvalidSetting, match="cannot be written"):
        save_settings(LiveSettings(), blocker / "settings.toml")


_UNIT = st.floats(0, 1)
_GAIN = st.floats(0, 2)


@given(
    motion=st.builds(MotionSettings, motion=_UNIT, head=_GAIN, eyes=_GAIN, mouth=_GAIN, brows=_GAIN, steadiness=_UNIT),
    output=st.builds(
        OutputSettings,
        size_wh=st.tuples(st.integers(128, 4096), st.integers(128, 4096)),
        fps=st.floats(1, 240),
        background=st.sampled_from(["source", "green", "#0a1B2c", "a b/ü.png", 'C:\\x\\"q".jpg']),
        mirrored=st.booleans(),
        watermark_corner=st.sampled_from(["top-right", "bottom-left"]),
        watermark_style=st.sampled_from(["dark", "light"]),
    ),
)
def test_every_value_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, motion: MotionSettings, output: OutputSettings
) -> None:
    path = tmp_path_factory.mktemp("settings") / "s.toml"
    settings = LiveSettings(motion=motion, output=output, blanked=True)
    save_settings(settings, path)
    assert load_settings(path) == dataclasses.replace(settings, blanked=False), "the panic key is not remembered"
