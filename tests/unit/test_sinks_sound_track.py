# SPDX-License-Identifier: Apache-2.0
"""The microphone's sound in a recording: in step with the pictures, whatever its clock does."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from engine.sinks.mp4 import Mp4Sink
from engine.types import Composite, SoundBlock
from engine.watermark.gate import seal

RATE, FPS = 48_000, 25
START_NS = 5_000_000_000
BLOCK = 960


class ScriptedSound:
    """Clicks at given moments of the pictures' clock. fast: how much faster its own clock runs. lost: blocks."""

    rate, channels = RATE, 1

    def __init__(
        self, clicks_s: list[float], *, begins_s: float = -0.5, fast: float = 0.0, lost: range = range(0)
    ) -> None:
        self.clicks_s, self.fast, self.lost = clicks_s, fast, lost
        self.fault, self.closed = "", 0
        self._begins_s = begins_s
        self._count = 0
        self.now_s = 0.0

    def take(self) -> list[SoundBlock]:
        """Return the blocks that have ended by now."""
        blocks = []
        while (begin_s := self._time(self._count * BLOCK)) + BLOCK / RATE <= self.now_s:
            samples = np.zeros((BLOCK, 1), np.float32)
            for click_s in self.clicks_s:
                at = round((click_s - begin_s) * RATE * (1 + self.fast))
                if 0 <= at < BLOCK:
                    samples[at : at + 200] = 0.9
            if self._count not in self.lost:
                blocks.append(SoundBlock(START_NS + round(begin_s * 1e9), samples))
            self._count += 1
        return blocks

    def close(self) -> None:
        self.closed += 1

    def _time(self, samples: int) -> float:
        return self._begins_s + samples / (RATE * (1 + self.fast))


def record(path: Path, sound: ScriptedSound, *, seconds: float, asleep_s: tuple[float, float] = (0.0, 0.0)) -> None:
    with Mp4Sink(path, fps=FPS, sound=sound, live=True) as sink:
        for index in range(round(seconds * FPS)):
            at_s = index / FPS
            if asleep_s[0] <= at_s < asleep_s[1]:
                continue
            sound.now_s = at_s + 0.05  # a picture arrives a little after it was taken
            # A white picture at the moment of each click: what an eye compares.
            bright = any(abs(at_s - click) < 0.5 / FPS for click in sound.clicks_s)
            canvas = Composite(START_NS + round(at_s * 1e9), np.full((128, 128, 3), 250 if bright else 20, np.uint8))
            sink.send(seal(canvas, rendered_ns=0))


def flashes_and_clicks(path: Path) -> tuple[list[float], list[float]]:
    """Return when pictures flash and clicks begin, in seconds of the file, as a player shows them."""
    with av.open(str(path)) as file:
        flashes = [float(f.time) for f in file.decode(video=0) if f.to_ndarray(format="gray")[64, 64] > 120]
    with av.open(str(path)) as file:
        pieces = [(float(f.time), f.to_ndarray()[0]) for f in file.decode(audio=0)]
    times = np.concatenate([start + np.arange(len(piece)) / RATE for start, piece in pieces])
    loud = times[np.abs(np.concatenate([piece for _, piece in pieces])) > 0.3]
    starts = [float(t) for i, t in enumerate(loud) if i == 0 or t - loud[i - 1] > 0.05]
    return flashes, starts


def test_picture_and_sound_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    sound = ScriptedSound([0.4, 1.2, 2.8])
    record(path, sound, seconds=3.2)
    flashes, clicks = flashes_and_clicks(path)
    offsets_ms = [(click - flash) * 1000 for click, flash in zip(clicks, flashes, strict=True)]
    print(f"sound after picture: {', '.join(f'{ms:+.1f}' for ms in offsets_ms)} ms")
    assert max(map(abs, offsets_ms)) < 5
    assert sound.closed
    with av.open(str(path)) as file:
        lengths = [float(stream.duration * stream.time_base) for stream in file.streams]
    assert lengths == pytest.approx([3.2, 3.2], abs=0.06)


@pytest.mark.parametrize("fast", [0.002, -0.002])
def test_a_sound_card_with_a_wrong_clock_stays_in_step(tmp_path: Path, fast: float) -> None:
    path = tmp_path / "a.mp4"
    record(path, ScriptedSound([0.4, 10.0, 29.2], fast=fast), seconds=30)
    flashes, clicks = flashes_and_clicks(path)
    offsets_ms = [(click - flash) * 1000 for click, flash in zip(clicks, flashes, strict=True)]
    assert max(map(abs, offsets_ms)) < 30, "by counting alone it would be 58 ms"


def test_lost_sound_becomes_silence_of_the_same_length(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    record(path, ScriptedSound([0.4, 2.0], lost=range(50, 80)), seconds=2.4)
    flashes, clicks = flashes_and_clicks(path)
    assert clicks == pytest.approx(flashes, abs=0.025)


def test_after_a_sleep_that_is_cut_from_the_pictures_the_sound_is_still_in_step(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    asleep = range(round(1.3 * RATE / BLOCK), round(11.2 * RATE / BLOCK))
    record(path, ScriptedSound([0.4, 11.2], lost=asleep), seconds=12.0, asleep_s=(0.8, 10.8))
    flashes, clicks = flashes_and_clicks(path)
    assert len(flashes) == 2
    assert flashes[1] < 2.0, "the sleep is cut"
    assert clicks == pytest.approx(flashes, abs=0.025)


def test_what_lies_in_the_drivers_buffer_at_the_end_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    sound = ScriptedSound([0.95])
    late = sound.take
    calls: list[int] = []

    def take() -> list[SoundBlock]:
        """Nothing of the last third of a second until it has been asked for some times after the last picture."""
        calls.append(1)
        sound.now_s = min(sound.now_s, 0.7) if len(calls) < 30 else 1.1
        return late()

    sound.take = take  # type: ignore[method-assign]
    record(path, sound, seconds=1.0)
    flashes, clicks = flashes_and_clicks(path)
    # The encoder's first 21 ms shift picture and sound alike. The nearest picture is the one at 0.96 s.
    assert [flash - click for flash, click in zip(flashes, clicks, strict=True)] == pytest.approx([0.01], abs=0.005)


def test_a_microphone_that_dies_leaves_a_whole_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    sound = ScriptedSound([0.4], lost=range(60, 1000))
    sound.fault = "it was unplugged"
    record(path, sound, seconds=2.0)
    with av.open(str(path)) as file:
        assert float(file.streams.audio[0].duration * file.streams.audio[0].time_base) == pytest.approx(2.0, abs=0.06)
        assert sum(1 for _ in file.decode(video=0)) == 50


def test_without_a_picture_there_is_no_file_and_the_microphone_is_free(tmp_path: Path) -> None:
    sound = ScriptedSound([])
    sink = Mp4Sink(tmp_path / "a.mp4", sound=sound)
    sink.close()
    assert sound.closed
    assert not (tmp_path / "a.mp4").exists()


def test_stereo_stays_stereo(tmp_path: Path) -> None:
    sound = ScriptedSound([0.2])
    sound.channels = 2
    mono = sound.take
    sound.take = lambda: [SoundBlock(b.at_ns, np.repeat(b.samples, 2, axis=1)) for b in mono()]  # type: ignore[method-assign]
    record(tmp_path / "a.mp4", sound, seconds=0.8)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.audio[0].layout.name == "stereo"
