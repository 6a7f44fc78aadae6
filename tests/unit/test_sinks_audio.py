# SPDX-License-Identifier: Apache-2.0
"""Sound of the driving video in the finished recording."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.sinks.audio import add_audio
from engine.sinks.mp4 import Mp4Sink
from engine.types import Composite
from engine.watermark.gate import seal

RATE = 48_000


def write_video(path: Path, *, seconds: float, codec: str | None, delay_s: float = 0.0) -> None:
    """A driving video of grey pictures; its sound, if any, is silence with one click in the middle."""
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("libx264", rate=25)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=RATE, layout="mono") if codec else None
        for index in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + round(delay_s * 25), Fraction(1, 25)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        if sound is not None:
            samples = np.zeros(round((seconds + delay_s) * RATE), np.float32)
            middle = round((seconds / 2 + delay_s) * RATE)
            samples[middle : middle + 2000] = np.sin(np.arange(2000) / 4)
            for start in range(0, len(samples) - 1023, 1024):
                block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
                out.mux(sound.encode(block))
            out.mux(sound.encode(None))


def write_recording(path: Path, *, seconds: float) -> None:
    with Mp4Sink(path, fps=25) as sink:
        for index in range(round(seconds * 25)):
            canvas = Composite(index * 40_000_000, np.full((128, 128, 3), 40, np.uint8))
            sink.send(seal(canvas, rendered_ns=0))


def click_s(path: Path) -> float:
    """When the loudest moment is heard."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
        loudness = [float(np.abs(frame.to_ndarray()).max()) for frame in frames]
        return float(frames[int(np.argmax(loudness))].time)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "pcm_s16le"])
def test_sound_arrives_at_its_time(tmp_path: Path, codec: str) -> None:
    source, video = tmp_path / "driver.mkv", tmp_path / "out.mp4"
    write_video(source, seconds=2.0, codec=codec)
    write_recording(video, seconds=2.0)
    with av.open(str(video)) as before:
        pictures = sum(1 for _ in before.decode(video=0))
        comment = before.metadata["comment"]
    assert add_audio(video, source=source)
    with av.open(str(video)) as after:
        assert sum(1 for _ in after.decode(video=0)) == pictures
        assert after.metadata["comment"] == comment
    assert click_s(video) == pytest.approx(1.0, abs=0.1)
    assert not list(tmp_path.glob("*.part"))


def test_time_starts_with_the_pictures(tmp_path: Path) -> None:
    source, video = tmp_path / "driver.mkv", tmp_path / "out.mp4"
    write_video(source, seconds=2.0, codec="aac", delay_s=1.0)
    write_recording(video, seconds=2.0)
    assert add_audio(video, source=source)
    assert click_s(video) == pytest.approx(1.0, abs=0.1)


def test_sound_ends_with_the_recording(tmp_path: Path) -> None:
    source, video = tmp_path / "driver.mkv", tmp_path / "out.mp4"
    write_video(source, seconds=4.0, codec="aac")
    write_recording(video, seconds=1.0)
    assert add_audio(video, source=source)
    with av.open(str(video)) as file:
        assert file.duration / av.time_base == pytest.approx(1.0, abs=0.1)


def test_a_silent_source_changes_nothing(tmp_path: Path) -> None:
    source, video = tmp_path / "driver.mp4", tmp_path / "out.mp4"
    write_video(source, seconds=0.5, codec=None)
    write_recording(video, seconds=0.5)
    before = video.read_bytes()
    assert not add_audio(video, source=source)
    assert video.read_bytes() == before


def test_an_unreadable_source_costs_the_sound_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = tmp_path / "out.mp4"
    write_recording(video, seconds=0.5)
    before = video.read_bytes()
    (tmp_path / "driver.mp4").write_bytes(b"no video")
    assert not add_audio(video, source=tmp_path / "driver.mp4")
    assert video.read_bytes() == before
    assert "could not be copied" in caplog.text
