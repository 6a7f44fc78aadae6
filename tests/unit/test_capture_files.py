# SPDX-License-Identifier: Apache-2.0
"""Videos, pictures and the test pattern as cameras; every kind of broken file is one sentence."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.capture import open_camera
from engine.capture.base import CameraInfo
from engine.capture.clips import SyntheticClip
from engine.capture.replay import ReplayCamera
from engine.clock import NS_PER_S, FakeClock
from engine.cv import cv2
from engine.errors import CameraMissing, DriverUnreadable
from engine.types import Frame


def write_video(path: Path, *, size_wh: tuple[int, int] = (64, 48), times_ms: list[int] | None = None) -> Path:
    """A clip whose top half is white and whose lower half gets brighter from frame to frame."""
    times_ms = times_ms if times_ms is not None else [40 * i for i in range(10)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "10", "bf": "0", "g": "5"}
        for i, time_ms in enumerate(times_ms):
            rgb = np.full((size_wh[1], size_wh[0], 3), 20 * i + 20, np.uint8)
            rgb[: size_wh[1] // 2] = 255
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_all(camera: object) -> list[Frame]:
    frames = []
    while (frame := camera.read()) is not None:  # type: ignore[attr-defined]
        frames.append(frame)
    return frames


def test_video_delivers_every_frame_with_its_time(tmp_path: Path) -> None:
    with open_camera(write_video(tmp_path / "a.mp4"), paced=False) as camera:
        frames = read_all(camera)
        assert camera.info.width_px == 64
        assert camera.info.fps == pytest.approx(25, rel=0.05)
    assert [frame.captured_ns // 1_000_000 for frame in frames] == [40 * i for i in range(10)]
    assert [frame.index for frame in frames] == list(range(10))
    levels = [int(frame.rgb[40].mean()) for frame in frames]
    assert levels == sorted(levels)
    assert levels[-1] - levels[0] > 100


def test_video_keeps_a_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 40, 200, 210, 900]
    frames = read_all(open_camera(write_video(tmp_path / "v.mp4", times_ms=times), paced=False))
    assert [frame.captured_ns // 1_000_000 for frame in frames] == times


def test_video_with_odd_size_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 37, 51, "rgb24"
        for _ in range(3):
            blue = np.full((51, 37, 3), (0, 0, 255), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(blue, format="rgb24")))
        container.mux(stream.encode())
    frames = read_all(open_camera(path, paced=False))
    assert [frame.rgb.shape for frame in frames] == [(51, 37, 3)] * 3
    assert frames[0].rgb[25, 18].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("matrix", "size_hw", "white"),
    [
        ((0, 1, -1, 0), (64, 48), (slice(None), slice(24, None))),
        ((-1, 0, 0, -1), (48, 64), (slice(24, None), slice(None))),
    ],
    ids=["quarter turn clockwise", "half turn"],
)
def test_phone_video_comes_out_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], size_hw: tuple[int, int], white: tuple[slice, slice]
) -> None:
    path = write_video(tmp_path / "phone.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version, times, ids, reserved; then nine 32-bit numbers
    a, b, c, d = (value * 0x10000 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    with open_camera(path, paced=False) as camera:
        frame = camera.read()
        assert (camera.info.height_px, camera.info.width_px) == size_hw
    assert frame is not None
    expected = np.zeros(size_hw, bool)
    expected[white] = True
    assert ((frame.rgb[..., 0] > 200) == expected).mean() > 0.95


def test_video_cut_off_in_the_middle_keeps_what_decodes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.mkv"
    write_video(path, times_ms=[40 * i for i in range(50)], size_wh=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    with caplog.at_level(logging.WARNING):
        frames = read_all(open_camera(path, paced=False))
    assert 5 < len(frames) < 50
    assert "ends early" in caplog.text


def test_video_with_a_hole_goes_on_behind_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "hole.avi", times_ms=[40 * i for i in range(50)], size_wh=(320, 240))
    data = bytearray(path.read_bytes())
    middle = data.index(b"movi") + 4 + 2000
    data[middle : middle + 1500] = b"\xff" * 1500
    path.write_bytes(data)
    frames = read_all(open_camera(path, paced=False))
    assert 20 < len(frames) < 50
    assert "damaged" in caplog.text
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp4", b"", "0 bytes"),
        ("text.mp4", b"this is no video\n" * 50, "cannot be opened"),
        ("zeros.mkv", bytes(5000), "cannot be opened"),
        ("empty.png", b"", "cannot be opened"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be opened"),
    ],
)
def test_broken_file_is_one_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DriverUnreadable, match=said) as caught:
        open_camera(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_mp4_without_its_index_is_one_sentence(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DriverUnreadable):
        open_camera(path)


def test_missing_file_empty_folder_and_sound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DriverUnreadable, match="does not exist"):
        open_camera(tmp_path / "nowhere.mp4")
    with pytest.raises(DriverUnreadable, match="no picture"):
        open_camera(tmp_path)
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DriverUnreadable, match="no video stream"):
        open_camera(path)


def test_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(DriverUnreadable, match=r"too large: 60000 x 60000|cannot be opened"):
        open_camera(path)


def test_folder_is_read_in_natural_order_and_skips_broken_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), np.full((8, 8, 3), number * 20, np.uint8))
    (tmp_path / "frame_3.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("ignored")
    with caplog.at_level(logging.WARNING):
        frames = read_all(open_camera(tmp_path, paced=False, fps=10))
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [20, 40, 200]
    assert [frame.captured_ns for frame in frames] == [0, NS_PER_S // 10, NS_PER_S // 5]
    assert "frame_3.png" in caplog.text


@pytest.mark.parametrize("kind", ["gray", "alpha", "deep"])
def test_picture_becomes_rgb(tmp_path: Path, kind: str) -> None:
    picture = {
        "gray": np.full((6, 9), 100, np.uint8),
        "alpha": np.dstack([np.full((6, 9, 3), 100, np.uint8), np.zeros((6, 9), np.uint8)]),
        "deep": np.full((6, 9, 3), 100 * 256, np.uint16),
    }[kind]
    path = tmp_path / "ä picture.png"
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    frames = read_all(open_camera(path, paced=False))
    assert [frame.rgb.shape for frame in frames] == [(6, 9, 3)]
    assert (frames[0].rgb == 100).all()


def test_paced_clip_keeps_its_times() -> None:
    clock = FakeClock()
    camera = ReplayCamera(SyntheticClip(width_px=16, height_px=8, fps=25, count=5), clock=clock)
    start = clock.now_ns()
    stamps = [frame.captured_ns - start for frame in read_all(camera)]
    assert stamps == [i * NS_PER_S // 25 for i in range(5)]
    assert camera.skipped == 0


def test_paced_clip_skips_frames_that_are_late() -> None:
    clock = FakeClock()
    camera = ReplayCamera(SyntheticClip(width_px=16, height_px=8, fps=10, count=10), clock=clock)
    start = clock.now_ns()
    assert camera.read() is not None
    clock.advance(s=0.55)  # a slow reader
    late = camera.read()
    assert late is not None
    assert late.captured_ns == clock.now_ns() == start + round(0.55 * NS_PER_S)
    assert camera.skipped == 4
    following = camera.read()
    assert following is not None
    assert following.captured_ns == start + round(0.6 * NS_PER_S)
    assert (following.index, late.index) == (2, 1)


def test_paced_clip_is_thinned_to_the_wanted_rate() -> None:
    clip = SyntheticClip(width_px=8, height_px=8, fps=60, count=60)
    camera = ReplayCamera(clip, clock=FakeClock(), max_fps=30)
    assert camera.info.fps == 30
    assert 29 <= len(read_all(camera)) <= 32


def test_loop_runs_on_with_rising_times() -> None:
    camera = ReplayCamera(SyntheticClip(width_px=8, height_px=8, fps=10, count=3), paced=False, loop=True)
    frames = [camera.read() for _ in range(8)]
    stamps = [frame.captured_ns for frame in frames if frame]
    assert stamps == [i * NS_PER_S // 10 for i in range(8)]


def test_closed_camera_ends() -> None:
    with open_camera("synthetic", width_px=32, height_px=16, paced=False) as camera:
        first, second = camera.read(), camera.read()
        assert first is not None
        assert second is not None
        assert (first.rgb != second.rgb).any()
    assert camera.read() is None
    camera.close()


def test_unknown_camera_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.capture.find_cameras", list)
    with pytest.raises(CameraMissing, match="No camera is connected"):
        open_camera("camera:0")


def test_a_clip_that_decodes_too_slowly_plays_slower_instead_of_not_at_all() -> None:
    clock = FakeClock()

    class Slow:
        info = CameraInfo("slow", "Slow", 8, 8, 30.0)

        def frames(self) -> Iterator[tuple[int, np.ndarray]]:
            for index in range(300):
                clock.advance(s=0.1)  # three times as long as a frame lasts
                yield round(index * NS_PER_S / 30), np.zeros((8, 8, 3), np.uint8)

    with ReplayCamera(Slow(), paced=True, clock=clock) as camera:
        stamps = [frame.captured_ns for frame in iter(camera.read, None)]
    assert len(stamps) > 50, "not only the last one"
    assert max(np.diff(stamps)) <= 0.5 * NS_PER_S
