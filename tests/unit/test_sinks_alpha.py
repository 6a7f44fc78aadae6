# SPDX-License-Identifier: Apache-2.0
"""Transparent frames: through the gate, into files, and back."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.compose.compositor import Compositor
from engine.config import OutputSettings
from engine.errors import InvalidSetting
from engine.sinks.alpha_video import MovSink, WebmSink
from engine.sinks.base import straight_alpha
from engine.sinks.file import keeps_alpha, open_file_sink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import PngSink
from engine.types import OutputFrame, WarpedPortrait
from engine.watermark.gate import has_mark, seal

SIDE = 160


def frame(at_ns: int = 0) -> OutputFrame:
    """A red disc on nothing, marked."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[..., :3] = (210, 40, 30)
    rgba[..., 3] = np.clip((50 - np.hypot(x - SIDE / 2, y - SIDE / 2)) * 64, 0, 255)
    portrait = WarpedPortrait(at_ns, rgba, np.zeros((SIDE, SIDE, 3), np.uint8), np.ones(1, np.float32))
    settings = OutputSettings(size_wh=(2 * SIDE, SIDE), background="transparent")
    return seal(Compositor(settings).compose(portrait), rendered_ns=at_ns)


def test_the_mark_is_opaque_over_nothing() -> None:
    marked = frame()
    assert marked.alpha is not None
    assert has_mark(marked.rgb)
    corner = marked.alpha[: SIDE // 4, SIDE:]
    assert corner.max() == 255
    assert marked.alpha[-3:, :3].max() == 0
    assert marked.alpha[SIDE // 2, SIDE] == 255


def test_colours_are_freed_of_their_alpha() -> None:
    marked = frame()
    rgba = straight_alpha(marked)
    edge = (rgba[..., 3] > 60) & (rgba[..., 3] < 200)
    edge[: SIDE // 3] = False  # the mark
    assert edge.any()
    assert np.abs(rgba[edge][:, :3].astype(int) - (210, 40, 30)).max() < 12


def test_png_pictures_keep_it(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        sink.send(frame())
    picture = cv2.imread(str(tmp_path / "frame_000001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture[..., [2, 1, 0, 3]], straight_alpha(frame()))


@pytest.mark.parametrize(("kind", "suffix"), [(WebmSink, ".webm"), (MovSink, ".mov")])
def test_video_keeps_it(tmp_path: Path, kind: type[Mp4Sink], suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    with kind(path, 25.0) as sink:
        for index in range(5):
            sink.send(frame(index * 40_000_000))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        # The browser's decoders read VP9's alpha by themselves; ffmpeg needs to be told which one to use.
        if suffix == ".webm":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = [f for packet in file.demux(stream) for f in decoder.decode(packet)]
        else:
            frames = list(file.decode(stream))
        last_s = float(frames[4].pts * stream.time_base)
    assert len(frames) == 5
    rgba = frames[2].to_ndarray(format="rgba")
    assert rgba[-4, 4, 3] < 8
    assert rgba[SIDE // 2, SIDE, 3] > 247
    assert np.abs(rgba[SIDE // 2, SIDE, :3].astype(int) - (210, 40, 30)).max() < 12
    assert last_s == pytest.approx(0.16, abs=2e-3)


def test_names_choose_the_sink(tmp_path: Path) -> None:
    for name, kind in (("a.mp4", Mp4Sink), ("a.webm", WebmSink), ("a.MOV", MovSink), ("pictures", PngSink)):
        with open_file_sink(tmp_path / name, fps=25) as sink:
            assert type(sink) is kind
    assert not keeps_alpha(Path("x.mp4"))
    with pytest.raises(InvalidSetting, match="MP4 has no transparency"):
        open_file_sink(tmp_path / "a.mp4", fps=25, transparent=True)
    with pytest.raises(InvalidSetting, match=r"got a\.gif"):
        open_file_sink(tmp_path / "a.gif", fps=25)
