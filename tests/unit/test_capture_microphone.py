# SPDX-License-Identifier: Apache-2.0
"""Microphones: which there are, what is said where there is none, and the time of what is heard."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.capture import microphone as module
from engine.capture.microphone import MicrophoneInfo, list_microphones, open_microphone
from engine.clock import FakeClock
from engine.errors import MicrophoneMissing


class FakePortAudio:
    """What is used of `sounddevice`, with two inputs and one output on two driver systems."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, refuses: bool = False, devices: int = 3) -> None:
        self.refuses = refuses
        self.begun = 0
        self.closed = 0
        self.default = SimpleNamespace(device=[2, 1])
        self._devices = [
            {"name": "Webcam", "hostapi": 0, "max_input_channels": 1, "default_samplerate": 44100.0},
            {"name": "Loudspeaker", "hostapi": 0, "max_input_channels": 0, "default_samplerate": 48000.0},
            {"name": "Headset", "hostapi": 1, "max_input_channels": 8, "default_samplerate": 48000.0},
        ][:devices]
        self.options: dict[str, Any] = {}

    def _terminate(self) -> None:
        self.begun -= 1

    def _initialize(self) -> None:
        self.begun += 2

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": "ALSA"}, {"name": "JACK"}]

    def query_devices(self) -> list[dict[str, Any]]:
        return self._devices

    def InputStream(self, **options: Any) -> FakePortAudio:
        self.options = options
        return self

    def start(self) -> None:
        if self.refuses:
            raise self.PortAudioError("Device unavailable")

    def close(self) -> None:
        self.closed += 1
        self.options["finished_callback"]()

    def hear(self, samples: np.ndarray, *, age_s: float) -> None:
        times = SimpleNamespace(currentTime=100.0, inputBufferAdcTime=100.0 - age_s)
        self.options["callback"](samples, len(samples), times, None)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakePortAudio]:
    def put(**options: Any) -> FakePortAudio:
        fake = FakePortAudio(**options)
        monkeypatch.setattr(module, "_load", lambda: fake)
        return fake

    return put


def test_inputs_are_listed_anew_each_time(plug: Callable[..., FakePortAudio]) -> None:
    fake = plug()
    assert list_microphones() == [
        MicrophoneInfo("ALSA:Webcam", "Webcam (ALSA)", 1, 44100),
        MicrophoneInfo("JACK:Headset", "Headset (JACK)", 2, 48000),
    ]
    assert fake.begun == 1, "PortAudio has counted again"
    with_stream = open_microphone("JACK:Headset")
    list_microphones()
    assert fake.begun == 1, "not while one is open, which that would end"
    with_stream.close()


@pytest.mark.parametrize(("wanted", "index"), [("ALSA:Webcam", 0), ("", 2)])
def test_one_is_opened_by_id_or_as_the_systems_own(plug: Callable[..., FakePortAudio], wanted: str, index: int) -> None:
    fake = plug()
    open_microphone(wanted).close()
    assert fake.options["device"] == index
    assert fake.closed == 1


def test_a_block_knows_when_it_was_heard(plug: Callable[..., FakePortAudio]) -> None:
    fake, clock = plug(), FakeClock()
    clock.advance(s=10.0)
    microphone = open_microphone("JACK:Headset", clock=clock)
    samples = np.full((960, 2), 0.25, np.float32)
    fake.hear(samples, age_s=0.05)
    samples[:] = 0  # PortAudio uses its buffer again
    fake.hear(samples, age_s=0.0)  # a driver that does not tell
    first, second = microphone.take()
    assert clock.now_ns() - first.at_ns == 50_000_000
    assert (first.samples == 0.25).all()
    assert clock.now_ns() - second.at_ns == 20_000_000, "as long as it lasts"
    assert microphone.take() == []
    assert (microphone.rate, microphone.channels, microphone.fault) == (48_000, 2, "")
    microphone.close()
    microphone.close()
    assert (fake.closed, microphone.fault) == (1, ""), "closing is no fault"


def test_one_that_is_unplugged_says_so(plug: Callable[..., FakePortAudio]) -> None:
    fake = plug()
    microphone = open_microphone("JACK:Headset")
    fake.options["finished_callback"]()
    assert "unplugged" in microphone.fault
    microphone.close()


def test_whatever_is_missing_is_a_sentence(plug: Callable[..., FakePortAudio], monkeypatch: pytest.MonkeyPatch) -> None:
    plug(devices=0)
    assert list_microphones() == []
    with pytest.raises(MicrophoneMissing, match=r"No microphone is connected\. Plug one in"):
        open_microphone("")
    plug()
    with pytest.raises(MicrophoneMissing, match=r"not connected: USB:Gone.*Webcam \(ALSA\), Headset"):
        open_microphone("USB:Gone")
    plug(refuses=True)
    with pytest.raises(MicrophoneMissing, match=r"cannot be opened: Device unavailable.*Close other programs"):
        open_microphone("ALSA:Webcam")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MicrophoneMissing, match=r"sounddevice is not installed.*run\.py"):
        list_microphones()


def test_a_missing_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def importing(name: str, *args: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(MicrophoneMissing, match="apt install libportaudio2"):
        list_microphones()


def test_the_level_is_the_newest_peak_and_falls(plug: Callable[..., FakePortAudio]) -> None:
    fake = plug()
    heard = open_microphone("JACK:Headset")
    assert heard.level == 0.0
    fake.hear(np.array([[0.1, -0.5]], np.float32), age_s=0.1)
    assert heard.level == pytest.approx(0.5)
    fake.hear(np.zeros((4, 2), np.float32), age_s=0.1)
    assert 0.2 < heard.level < 0.5
    heard.close()


def test_a_sound_system_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *args: object, **options: object) -> object:
        if name == "sounddevice":
            raise RuntimeError("Error initializing PortAudio")
        return really(name, *args, **options)

    really = builtins.__import__
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MicrophoneMissing, match="PortAudio does not start"):
        module._load()
