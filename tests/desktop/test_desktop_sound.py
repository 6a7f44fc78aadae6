# SPDX-License-Identifier: Apache-2.0
"""The level meter: what it says, and that a microphone is open only while it is seen and no recording wants it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from pytestqt.qtbot import QtBot

from desktop.bridge import Tasks
from desktop.bridge.sound_level import SoundLevel
from desktop.widgets.level_meter import LevelMeter
from engine.capture import microphone as microphones
from engine.errors import MicrophoneMissing

WAIT_MS = 60_000


class FakeMicrophone:
    """Heard at half of full scale."""

    def __init__(self, name: str) -> None:
        self.name, self.level, self.fault, self.closed, self.taken = name, 0.5, "", False, 0

    def take(self) -> list[object]:
        self.taken += 1
        return []

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[FakeMicrophone]:
    made: list[FakeMicrophone] = []

    def open_it(name: str) -> FakeMicrophone:
        if name == "gone":
            raise MicrophoneMissing("The microphone is not connected: gone.", hint="Plug it in.", wanted=name)
        assert all(each.closed for each in made), "a microphone may not open twice"
        made.append(FakeMicrophone(name))
        return made[-1]

    monkeypatch.setattr(microphones, "open_microphone", open_it)
    return made


@pytest.fixture
def recorded() -> SimpleNamespace:
    return SimpleNamespace(level=None)


@pytest.fixture
def sound(qtbot: QtBot, recorded: SimpleNamespace) -> Iterator[SoundLevel]:
    tasks = Tasks()
    made = SoundLevel(tasks, lambda: recorded.level)
    yield made
    made.close()
    tasks.close()


def test_it_listens_while_it_is_watched(qtbot: QtBot, sound: SoundLevel, opened: list[FakeMicrophone]) -> None:
    with qtbot.waitSignal(sound.level, timeout=WAIT_MS) as heard:
        sound.watch("one")
    assert heard.args == [0.5]
    sound.watch("two")
    qtbot.waitUntil(lambda: len(opened) == 2, timeout=WAIT_MS)
    assert opened[0].closed
    sound.watch("")
    qtbot.waitUntil(lambda: opened[1].closed, timeout=WAIT_MS)


def test_a_recording_gets_the_microphone_and_is_shown(
    qtbot: QtBot, sound: SoundLevel, opened: list[FakeMicrophone], recorded: SimpleNamespace
) -> None:
    with qtbot.waitSignal(sound.level, timeout=WAIT_MS):
        sound.watch("one")
    sound.let_go()
    assert opened[0].closed, "free when `let_go` returns"
    recorded.level = 0.25
    with qtbot.waitSignal(sound.level, timeout=WAIT_MS) as heard:
        pass
    assert heard.args == [0.25]
    recorded.level = None
    sound.watch("one")
    qtbot.waitUntil(lambda: len(opened) == 2, timeout=WAIT_MS)


def test_why_nothing_is_heard_is_said(qtbot: QtBot, sound: SoundLevel, opened: list[FakeMicrophone]) -> None:
    with qtbot.waitSignal(sound.failed, timeout=WAIT_MS) as said:
        sound.watch("gone")
    assert "not connected" in str(said.args[0])
    with qtbot.waitSignal(sound.level, timeout=WAIT_MS):
        sound.watch("one")
    opened[0].fault = "it was unplugged or taken away"
    with qtbot.waitSignal(sound.failed, timeout=WAIT_MS) as said:
        pass
    assert "unplugged" in str(said.args[0])
    qtbot.waitUntil(lambda: opened[0].closed, timeout=WAIT_MS)


@pytest.mark.parametrize(
    ("peak", "words"), [(0.0, "silent"), (0.01, "quiet"), (0.1, "good"), (0.5, "loud"), (1.0, "too loud")]
)
def test_the_meter_says_what_it_shows(qtbot: QtBot, peak: float, words: str) -> None:
    meter = LevelMeter()
    qtbot.addWidget(meter)
    empty = meter.grab().toImage()
    meter.show_level(peak)
    assert meter.accessibleDescription() == words
    assert (meter.grab().toImage() != empty) == (peak > 0)


def test_the_meter_tells_when_it_can_be_seen(qtbot: QtBot) -> None:
    meter = LevelMeter()
    qtbot.addWidget(meter)
    with qtbot.waitSignal(meter.seen) as told:
        meter.show()
    assert told.args == [True]
    meter.show_level(0.5)
    with qtbot.waitSignal(meter.seen) as told:
        meter.hide()
    assert told.args == [False]
    assert meter.words == "silent"
