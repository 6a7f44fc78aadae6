# SPDX-License-Identifier: Apache-2.0
"""File and memory sinks: real times, any size, provenance, and files that play whatever happens."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.errors import Closed, DiskFull, FormatRejected, OutputUnwritable, ShapeError
from engine.sinks import mp4 as mp4_module
from engine.sinks.memory import MemorySink
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import PROVENANCE, PngSink
from engine.sinks.preview import PreviewSink
from engine.sinks.recording_file import _whole_length
from engine.types import Composite
from engine.watermark.gate import has_mark
from tests.helpers.marked_frames import NS_PER_S, marked_frame, marked_frames

_ROOT = Path(__file__).resolve().parents[2]


def _decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def _record_in_child(code: str, path: Path) -> subprocess.Popen[str]:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from engine.sinks.mp4 import Mp4Sink
        from tests.helpers.marked_frames import marked_frames
        path = Path(sys.argv[1])
        """
    ) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("sink", [MemorySink(), PreviewSink()], ids=["memory", "preview"])
def test_unmarked_pictures_are_refused(sink: MemorySink) -> None:
    with pytest.raises(ShapeError, match="OutputFrame"):
        sink.send(Composite(0, np.zeros((8, 8, 3), np.uint8)))


def test_file_sinks_refuse_unmarked_pictures_too(tmp_path: Path) -> None:
    for sink in (Mp4Sink(tmp_path / "a.mp4"), PngSink(tmp_path / "b")):
        with sink, pytest.raises(ShapeError, match="OutputFrame"):
            sink.send(Composite(0, np.zeros((8, 8, 3), np.uint8)))


def test_mp4_keeps_real_times(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clip.mp4"
    at_ms = [0, 33, 67, 500, 500, 499, 1500]  # a pause, a repeated and a backward time
    with Mp4Sink(path, fps=30) as sink:
        for ms in at_ms:
            sink.send(marked_frame(at_ns=7 * NS_PER_S + ms * 1_000_000))
    times = [frame.time for frame in _decode(path)]
    assert len(times) == len(at_ms)
    assert times[:4] == pytest.approx([0, 0.033, 0.067, 0.5], abs=1e-4)
    assert times[-1] == pytest.approx(1.5, abs=1e-4)
    assert (np.diff(times) > 0).all(), "strictly increasing"


def test_mp4_says_that_it_is_synthetic_and_carries_the_mark(tmp_path: Path) -> None:
    with Mp4Sink(tmp_path / "clip.mp4") as sink:
        for frame in marked_frames(5):
            sink.send(frame)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.metadata["comment"] == PROVENANCE
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert all(has_mark(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0))


@pytest.mark.parametrize("size_wh", [(321, 241), (320, 241), (128, 128)])
def test_mp4_takes_odd_sizes(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    with Mp4Sink(tmp_path / "odd.mp4") as sink:
        for frame in marked_frames(3, size_wh=size_wh):
            sink.send(frame)
    decoded = _decode(tmp_path / "odd.mp4")[0]
    assert (decoded.width, decoded.height) == (size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2)


def test_mp4_refuses_another_size(tmp_path: Path) -> None:
    with Mp4Sink(tmp_path / "clip.mp4") as sink:
        sink.send(marked_frame())
        with pytest.raises(FormatRejected, match="opened for 320x240 pixels and got 128x128"):
            sink.send(marked_frame(size_wh=(128, 128), at_ns=1))
    assert len(_decode(tmp_path / "clip.mp4")) == 1


def test_mp4_closes_once_and_takes_nothing_afterwards(tmp_path: Path) -> None:
    sink = Mp4Sink(tmp_path / "clip.mp4")
    sink.send(marked_frame())
    sink.close()
    sink.close()
    with pytest.raises(Closed):
        sink.send(marked_frame())


def test_mp4_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    with Mp4Sink(tmp_path / "clip.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match=r"cannot be created.*clip\.mp4"):
        Mp4Sink(tmp_path / "file" / "clip.mp4")
    with pytest.raises(OutputUnwritable, match="cannot be created"):
        Mp4Sink(tmp_path)
    with pytest.raises(OutputUnwritable, match="cannot be created"):
        PngSink(tmp_path / "file" / "frames")


@pytest.mark.parametrize("fps", [5, 30])
def test_a_killed_recording_plays_up_to_its_last_second(tmp_path: Path, fps: int) -> None:
    path = tmp_path / "killed.mp4"
    child = _record_in_child(
        f"""
        sink = Mp4Sink(path, fps={fps}, live=True)
        for frame in marked_frames({fps * 4}, fps={fps}, size_wh=(128, 128)):
            sink.send(frame)
        print("sent", flush=True)
        sys.stdin.read()
        """,
        path,
    )
    with child:
        assert child.stdout.readline() == "sent\n"
        child.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    frames = _decode(path)
    assert float(frames[-1].time) >= 3.0 - 1 / fps, "of four seconds"
    assert has_mark(frames[-1].to_ndarray(format="rgb24"))


class _SmallDisk:
    """A file on a disk with room for `room` bytes in all; the last write is cut short, as systems do."""

    def __init__(self, file: io.FileIO, room: int) -> None:
        self._inner, self._room, self._highest = file, room, 0

    def write(self, data: memoryview) -> int:
        start = self._inner.tell()
        fits = min(len(data), max(0, self._room - start))
        if fits == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._inner.write(data[:fits])

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def _record_on_small_disk(path: Path, room: int) -> int:
    """Record until the disk is full; return how many frames the sink had taken."""
    sink = Mp4Sink(path, fps=5)
    sink._file._file = _SmallDisk(sink._file._file, room)

    def send_all() -> None:
        for frame in marked_frames(60, fps=5, size_wh=(128, 96)):
            sink.send(frame)

    with pytest.raises(DiskFull, match=path.name):
        send_all()
    sink.close()
    return sink.count


@pytest.mark.parametrize("extra", [0, 1, 9, 40, 104, 120, 400])
def test_wherever_the_disk_fills_up_what_is_left_plays_without_error(tmp_path: Path, extra: int) -> None:
    whole = tmp_path / "whole.mp4"
    sink = Mp4Sink(whole, fps=5)
    for frame in marked_frames(60, fps=5, size_wh=(128, 96)):
        sink.send(frame)
    content = whole.read_bytes()
    fragments = [match.start() - 4 for match in re.finditer(b"moof", content)]
    sink.close()
    path = tmp_path / "full.mp4"
    sent = _record_on_small_disk(path, fragments[3] + extra)
    assert path.read_bytes() == content[: fragments[3]]
    assert 3 <= len(_decode(path)) <= sent


def test_a_disk_full_from_the_start_says_so(tmp_path: Path) -> None:
    _record_on_small_disk(tmp_path / "none.mp4", 0)
    assert (tmp_path / "none.mp4").stat().st_size == 0


def test_a_disk_that_fills_up_with_the_last_fragment_is_told_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    sink = Mp4Sink(path, fps=30)
    for frame in marked_frames(3, size_wh=(128, 96)):
        sink.send(frame)  # still in the encoder
    sink._file._file = _SmallDisk(sink._file._file, 10)
    with pytest.raises(DiskFull, match="ends after 3 frames"):
        sink.close()
    sink.close()


def test_boxes_with_large_sizes_are_followed() -> None:
    box = struct.pack(">I4s", 12, b"ftyp") + b"iso5"
    large = struct.pack(">I4sQ", 1, b"mdat", 20) + b"data"
    torn = struct.pack(">I4sQ", 1, b"mdat", 2000) + b"data"
    fragment = struct.pack(">I4s", 8, b"moof")
    assert _whole_length(io.BytesIO(box + large)) == 32
    assert _whole_length(io.BytesIO(box + torn)) == 12
    assert _whole_length(io.BytesIO(box + fragment)) == 12, "an index without its pictures"
    assert _whole_length(io.BytesIO(box + fragment + large)) == 40
    assert _whole_length(io.BytesIO(box + large[:12])) == 12


def test_an_encoder_fault_is_no_disk_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Mp4Sink(tmp_path / "clip.mp4")
    sink.send(marked_frame())
    monkeypatch.setattr(mp4_module, "even", lambda rgb: (_ for _ in ()).throw(av.error.InvalidDataError(1, "odd")))
    with pytest.raises(OutputUnwritable, match="cannot be continued"):
        sink.send(marked_frame(at_ns=1))
    with pytest.raises(Closed):
        sink.send(marked_frame(at_ns=2))
    sink.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file-size limit to stand for a full disk")
def test_a_full_disk_is_one_sentence_and_the_recording_plays(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    child = _record_in_child(
        """
        import resource, signal
        from engine.errors import DiskFull
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        sink = Mp4Sink(path, fps=30, crf=0)
        try:
            for frame in marked_frames(2000, size_wh=(128, 128)):
                sink.send(frame)
        except DiskFull as error:
            print(error, flush=True)
            print(error.exit_code, sink.count)
        sink.close()
        """,
        path,
    )
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    sentence, figures = output.splitlines()
    assert sentence.startswith("The disk is full: the recording ends after ")
    assert "full.mp4" in sentence
    exit_code, sent = map(int, figures.split())
    assert exit_code == 6
    assert path.stat().st_size <= 150_000
    assert 30 <= len(_decode(path)) <= sent


def test_png_pictures_are_numbered_whole_and_say_what_they_are(tmp_path: Path) -> None:
    frames = marked_frames(3)
    with PngSink(tmp_path / "stills") as sink:
        for frame in frames:
            sink.send(frame)
    names = sorted(path.name for path in (tmp_path / "stills").iterdir())
    assert names == ["frame_000001.png", "frame_000002.png", "frame_000003.png"]
    first = tmp_path / "stills" / names[0]
    assert (cv2.imread(str(first))[..., ::-1] == frames[0].rgb).all()
    assert PROVENANCE.encode() in first.read_bytes()


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(errno.ENOSPC, DiskFull, "disk is full after 1"), (errno.EACCES, OutputUnwritable, "Permission")],
)
def test_png_faults_leave_no_half_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type, words: str
) -> None:
    sink = PngSink(tmp_path)
    sink.send(marked_frame())

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(error, match=words):
        sink.send(marked_frame())
    assert [path.name for path in tmp_path.iterdir()] == ["frame_000001.png"]


def test_memory_keeps_the_newest_and_counts_all() -> None:
    sink = MemorySink(capacity=2)
    frames = marked_frames(4, size_wh=(128, 96))
    for frame in frames:
        sink.send(frame)
    assert sink.frames == frames[2:]
    assert sink.count == 4
    assert sink.wait_for(4, timeout_s=0)
    assert not sink.wait_for(5, timeout_s=0)
    sink.close()
    with pytest.raises(Closed):
        sink.send(frames[0])


def test_preview_rings_and_gives_only_the_newest() -> None:
    rings: list[int] = []
    sink = PreviewSink(lambda: rings.append(1))
    first, second = marked_frames(2, size_wh=(128, 96))
    sink.send(first)
    sink.send(second)
    assert len(rings) == 2
    assert sink.take() is second
    assert sink.take() is None
    sink.close()
    assert sink.take() is None
    with pytest.raises(Closed):
        sink.send(first)
