# SPDX-License-Identifier: Apache-2.0
"""The virtual camera through its real host process, watched from the other end as a call app would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.clock import FakeClock
from engine.errors import (
    Closed,
    FormatRejected,
    OutputUnwritable,
    ShapeError,
    VirtualCameraBusy,
    VirtualCameraLost,
    VirtualCameraMissing,
)
from engine.sinks import shared_ring, vcam_device, virtual_camera
from engine.sinks.shared_ring import SharedRing
from engine.sinks.vcam_host import RingReader
from engine.sinks.vcam_host import main as host_main
from engine.sinks.virtual_camera import VirtualCameraSink, missing_hint
from engine.types import Composite
from engine.watermark.gate import has_mark, holding_card
from tests.helpers.marked_frames import marked_frame, marked_frames
from tests.helpers.vcam_viewer import BACKEND_MODULE, CallApp, same_picture

_SIZE_WH = (320, 180)
_ROOT = Path(__file__).resolve().parents[2]
_LONG_S = 3600.0  # a hold that never ends within a test


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcam_device.platformdirs, "user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))


@pytest.fixture
def call() -> Iterator[CallApp]:
    app = CallApp(_SIZE_WH)
    yield app
    app.close()


def _card() -> object:
    return holding_card(_SIZE_WH, "Waiting for the camera")


def _open(call: CallApp, **options: object) -> VirtualCameraSink:
    sink = VirtualCameraSink(
        *_SIZE_WH, 30.0, "socket", call.device, card=_card(), backend_module=BACKEND_MODULE, **options
    )
    call.accept()
    return sink


def _send_until_shown(sink: VirtualCameraSink, clock: FakeClock | None = None) -> int:
    """Send until the host takes frames again; return how often it was away."""
    lost = 0
    frame = marked_frame(size_wh=_SIZE_WH)
    while True:
        try:
            sink.send(frame)
        except VirtualCameraLost:
            lost += 1
            if clock is not None:
                clock.advance(s=0.05)
            host = sink._host
            if host is not None:
                host.answered.wait(30)
            continue
        return lost


def test_every_picture_a_call_sees_is_marked_and_the_first_is_the_card(call: CallApp) -> None:
    with _open(call, hold_s=_LONG_S) as sink:
        assert sink.device == call.device
        assert np.array_equal(call.read(), _card().rgb)
        frames = marked_frames(5, size_wh=_SIZE_WH)
        for frame in frames:
            sink.send(frame)
        before = call.read_until(frames[-1].rgb)
        known = [_card().rgb, *(frame.rgb for frame in frames)]
        assert all(any(np.array_equal(picture, one) for one in known) for picture in before), "no torn picture"
        assert has_mark(call.read())


def test_host_keeps_its_own_pace_and_repeats_the_last_picture(call: CallApp) -> None:
    with _open(call, hold_s=_LONG_S) as sink:
        frame = marked_frame(size_wh=_SIZE_WH)
        sink.send(frame)
        call.read_until(frame.rgb)
        for _ in range(20):
            assert np.array_equal(call.read(), frame.rgb)


def test_card_comes_when_the_app_is_busy_and_goes_when_it_is_back(call: CallApp) -> None:
    with _open(call, hold_s=0.1) as sink:
        frame = marked_frame(size_wh=_SIZE_WH)
        sink.send(frame)
        call.read_until(frame.rgb)
        call.read_until(_card().rgb)
        again = marked_frame(20, size_wh=_SIZE_WH)
        sink.send(again)
        call.read_until(again.rgb)


def test_closing_closes_the_device_and_leaves_nothing(call: CallApp, tmp_path: Path) -> None:
    sink = _open(call)
    host = sink._host
    sink.close()
    sink.close()
    while call.read() is not None:
        pass
    assert host.process.returncode == 0
    assert not any((tmp_path / "cache").glob("*.token"))
    with pytest.raises(Closed):
        sink.send(marked_frame(size_wh=_SIZE_WH))


def test_a_killed_host_is_reported_and_replaced(call: CallApp) -> None:
    with _open(call, hold_s=_LONG_S) as sink:
        sink.send(marked_frame(size_wh=_SIZE_WH))
        first_pid = sink.host_pid
        sink._host.process.kill()
        sink._host.process.wait()
        with pytest.raises(VirtualCameraLost, match="host ended: exit code"):
            sink.send(marked_frame(size_wh=_SIZE_WH))
        call.accept()
        _send_until_shown(sink)
        assert sink.host_pid not in (0, first_pid)
        call.read_until(marked_frame(size_wh=_SIZE_WH).rgb)


def test_a_device_that_stays_away_is_tried_again_with_pauses(call: CallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_camera, "_WAIT_S", 0.0)  # each host gives up at once
    clock = FakeClock()
    with _open(call, clock=clock) as sink:
        sink._host.process.kill()
        sink._host.process.wait()
        call.close()
        starts: list[int] = []
        start_host = sink._start_host

        def counted() -> object:
            starts.append(clock.now_ns())
            return start_host()

        sink._start_host = counted
        for _ in range(100):
            with pytest.raises(VirtualCameraLost):
                sink.send(marked_frame(size_wh=_SIZE_WH))
            if sink._host is not None:
                sink._host.process.wait(30)
            clock.advance(s=0.1)
        pauses = np.diff(starts) / 1e9
        assert len(starts) < 10
        assert (np.diff(pauses)[:3] > 0).all(), "each pause is longer than the one before"


def test_a_device_that_comes_back_is_opened_by_the_host_that_waits_for_it(call: CallApp) -> None:
    with _open(call, hold_s=_LONG_S) as sink:
        frame = marked_frame(size_wh=_SIZE_WH)
        call.unplug()
        sink._host.process.wait(30)
        with pytest.raises(VirtualCameraLost, match="host ended"):
            sink.send(frame)
        waiting = sink.host_pid
        for _ in range(3):
            with pytest.raises(VirtualCameraLost, match="being opened again"):
                sink.send(frame)
        call.plug_in()
        call.accept()
        _send_until_shown(sink)
        assert sink.host_pid == waiting, "no new process, no pause"
        call.read_until(frame.rgb)


def test_a_host_that_waits_for_its_device_ends_when_told(call: CallApp) -> None:
    sink = _open(call)
    call.unplug()
    sink._host.process.wait(30)
    with pytest.raises(VirtualCameraLost):
        sink.send(marked_frame(size_wh=_SIZE_WH))
    host = sink._host
    sink.close()
    assert host.process.returncode == 1, "by itself, not killed"


def test_a_blocking_driver_never_blocks_the_app(call: CallApp) -> None:
    clock = FakeClock()
    with _open(call, hold_s=_LONG_S, clock=clock) as sink:
        frame = marked_frame(size_wh=_SIZE_WH)
        first_pid = sink.host_pid
        beats, still = -1, 0
        while still < 50:  # nobody reads: the host fills the pipe and then hangs in its driver
            sink.send(frame)
            still = still + 1 if sink._ring.beat == beats else 0
            beats = sink._ring.beat
            sink._host.reader.join(0.01)
        clock.advance(s=5)
        with pytest.raises(VirtualCameraLost, match="took no picture for 4 s"):
            sink.send(frame)
        call.accept()
        _send_until_shown(sink, clock)
        assert sink.host_pid != first_pid
        call.read_until(frame.rgb)


def test_a_driver_error_is_passed_on_in_its_own_words(call: CallApp) -> None:
    with _open(call, hold_s=_LONG_S) as sink:
        call._connection.close()  # the next pictures break the driver's pipe
        sink._host.process.wait(30)
        with pytest.raises(VirtualCameraLost, match=r"host ended: .*(pipe|reset|abort)"):
            sink.send(marked_frame(size_wh=_SIZE_WH))


_DYING_APP = """
    import sys
    from pathlib import Path
    from engine.sinks import vcam_device
    vcam_device.platformdirs.user_cache_dir = lambda *a, **k: sys.argv[2]
    from engine.sinks.virtual_camera import VirtualCameraSink
    from engine.watermark.gate import holding_card
    from tests.helpers.marked_frames import marked_frame
    from tests.helpers.vcam_viewer import BACKEND_MODULE
    sink = VirtualCameraSink(
        320, 180, 30.0, "socket", sys.argv[1], card=holding_card((320, 180), "Waiting for the camera"),
        backend_module=BACKEND_MODULE, hold_s=0.3, linger_s=float(sys.argv[3]),
    )
    sink.send(marked_frame(size_wh=(320, 180)))
    print(sink.host_pid, flush=True)
    sys.stdin.read()
"""


def _start_dying_app(call: CallApp, cache: Path, linger_s: float) -> subprocess.Popen[str]:
    app = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_DYING_APP), call.device, str(cache), str(linger_s)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    call.accept()
    assert int(app.stdout.readline()) > 0
    return app


def test_card_stays_after_the_app_died_and_the_host_ends_by_itself(call: CallApp, tmp_path: Path) -> None:
    with _start_dying_app(call, tmp_path / "cache", linger_s=1.0) as app:
        call.read_until(marked_frame(size_wh=_SIZE_WH).rgb)
        app.kill()
    call.read_until(_card().rgb)
    count, last = 0, None
    while (picture := call.read()) is not None:
        last, count = picture, count + 1
    assert count > 3, "the call keeps its camera for a while"
    assert same_picture(last, _card().rgb)


def test_a_restarted_app_takes_the_device_over(call: CallApp, tmp_path: Path) -> None:
    with _start_dying_app(call, tmp_path / "cache", linger_s=_LONG_S) as app:
        app.kill()
    sink = VirtualCameraSink(
        *_SIZE_WH, 30.0, "socket", call.device, card=_card(), backend_module=BACKEND_MODULE, hold_s=_LONG_S
    )
    with sink:
        while call.read() is not None:  # ends only if the orphaned host gave way
            pass
        call.accept()
        sink.send(marked_frame(size_wh=_SIZE_WH))
        call.read_until(marked_frame(size_wh=_SIZE_WH).rgb)


def test_a_second_app_on_the_same_device_is_told_and_the_first_goes_on(call: CallApp, tmp_path: Path) -> None:
    with _start_dying_app(call, tmp_path / "cache", linger_s=0.0) as app:
        with pytest.raises(VirtualCameraBusy) as caught:
            _open(call)
        assert str(caught.value) == (
            f"The virtual camera {call.device} is fed by another Bunraku (process {app.pid}). "
            "End that one first, or choose another device (--device)."
        )
        assert caught.value.exit_code == 6
        assert call.read() is not None, "the call still gets the first one's pictures"
        app.kill()


def test_a_device_found_by_itself_is_held_too(call: CallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNRAKU_TEST_DEVICE", call.device)  # what the stand-in takes for the first free device
    first = VirtualCameraSink(*_SIZE_WH, 30.0, "socket", card=_card(), backend_module=BACKEND_MODULE)
    call.accept()
    with first:
        assert first.device == call.device
        with pytest.raises(VirtualCameraBusy, match=f"process {os.getpid()}"):
            _open(call)
    with _open(call) as second:
        assert second.device == call.device


def test_where_no_device_is_left_the_one_who_has_it_is_named(call: CallApp) -> None:
    with (
        _open(call),
        pytest.raises(VirtualCameraBusy, match=rf"is free: one is fed by another Bunraku \(process {os.getpid()}\)"),
    ):
        VirtualCameraSink(*_SIZE_WH, 30.0, "socket", card=_card(), backend_module=BACKEND_MODULE)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or any(Path("/dev").glob("video*")), reason="this machine may have a device"
)
def test_without_a_device_the_drivers_own_words_and_the_fix_are_shown() -> None:
    with pytest.raises(VirtualCameraMissing) as caught:
        VirtualCameraSink(*_SIZE_WH, 30.0, card=_card())
    sentence = str(caught.value)
    assert "'v4l2loopback' backend:" in sentence
    assert "modprobe v4l2loopback exclusive_caps=1 card_label=Bunraku" in sentence
    assert caught.value.exit_code == 6


def test_an_unknown_back_end_lists_the_known_ones() -> None:
    with pytest.raises(VirtualCameraMissing, match=r"no back-end 'nonsense'; known are: .*socket"):
        VirtualCameraSink(*_SIZE_WH, 30.0, "nonsense", card=_card(), backend_module=BACKEND_MODULE)


def test_a_refused_size_is_a_format_error() -> None:
    size_wh = (2004, 180)
    with pytest.raises(FormatRejected, match=r"refuses 2004x180 pixels: .*unsupported width 2004"):
        VirtualCameraSink(
            *size_wh, 30.0, "socket", "127.0.0.1:1", card=holding_card(size_wh, "x"), backend_module=BACKEND_MODULE
        )


def test_only_marked_frames_of_the_right_size_are_taken(call: CallApp) -> None:
    with pytest.raises(ShapeError):
        VirtualCameraSink(*_SIZE_WH, 30.0, card=Composite(0, np.zeros((180, 320, 3), np.uint8)))
    with pytest.raises(FormatRejected):
        VirtualCameraSink(640, 360, 30.0, card=_card())
    with _open(call) as sink:
        with pytest.raises(ShapeError):
            sink.send(Composite(0, np.zeros((180, 320, 3), np.uint8)))
        with pytest.raises(FormatRejected):
            sink.send(marked_frame(size_wh=(640, 360)))


def test_a_device_that_never_opens_is_given_up(call: CallApp) -> None:
    with pytest.raises(VirtualCameraMissing, match="did not open within 0 s"):
        VirtualCameraSink(
            *_SIZE_WH, 30.0, "socket", call.device, card=_card(), backend_module=BACKEND_MODULE, start_s=0.0
        )


def test_without_shared_memory_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_ring.shared_memory, "SharedMemory", refuse)
    with pytest.raises(OutputUnwritable, match="no shared memory"):
        VirtualCameraSink(*_SIZE_WH, 30.0, card=_card())


def test_a_host_that_cannot_be_started_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_camera.sys, "executable", "/no/such/python")
    with pytest.raises(OutputUnwritable, match="host cannot be started"):
        VirtualCameraSink(*_SIZE_WH, 30.0, card=_card())


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"kind": "library", "message": "No module named 'pyvirtualcam'"}, "pip install 'bunraku[vcam]'"),
        ({}, "ended without a word"),
    ],
)
def test_other_reasons_have_their_sentence_too(report: dict[str, str], words: str) -> None:
    error = virtual_camera._opening_error(report, _SIZE_WH)
    assert isinstance(error, VirtualCameraMissing)
    assert words in str(error)


@pytest.mark.parametrize(("platform", "word"), [("win32", "OBS"), ("darwin", "OBS"), ("linux", "modprobe")])
def test_every_system_has_its_fix(platform: str, word: str) -> None:
    assert word in missing_hint(platform)


def test_ring_gives_whole_new_pictures_only() -> None:
    ring = SharedRing(_card())
    try:
        reader = RingReader(ring.name)
        assert np.array_equal(reader.card, _card().rgb)
        assert reader.newest() is None
        first, second = marked_frames(2, size_wh=_SIZE_WH)
        ring.write(first)
        ring.write(second)
        shown = reader.newest()
        assert np.array_equal(shown, second.rgb)
        assert reader.newest() is None
        ring.write(first)
        ring._stamps[3 % 3] = 0  # the writer is in the middle of this slot
        assert reader.newest() is None
        assert np.array_equal(shown, second.rgb), "what is shown stays whole"
        reader.beat()
        assert ring.beat == 1
        reader.close()
    finally:
        ring.close()
        ring.close()


def test_ring_refuses_another_layout() -> None:
    ring = SharedRing(_card())
    try:
        ring._memory.buf[8] = 99
        with pytest.raises(ValueError, match="layout"):
            RingReader(ring.name)
    finally:
        ring.close()


def test_host_reports_a_missing_ring_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        handler = signal.getsignal(signal.SIGINT)
        try:
            assert host_main(["--ring", "no-such-memory"]) == 1
        finally:
            signal.signal(signal.SIGINT, handler)
    report = json.loads(capsys.readouterr().out)
    assert (report["event"], report["kind"]) == ("failed", "ring")


def test_host_is_a_program_of_its_own() -> None:
    host = _ROOT / "engine" / "sinks" / "vcam_host.py"
    text = host.read_text(encoding="utf-8")
    assert "SPDX-License-Identifier: GPL-2.0-or-later" in text.splitlines()[1]
    assert "from engine" not in text
    assert "import engine" not in text
    for command in ([sys.executable, "-m", "engine.sinks.vcam_host"], [sys.executable, str(host)]):
        result = subprocess.run([*command, "--help"], cwd=_ROOT, capture_output=True, text=True, check=True)
        assert "--ring" in result.stdout
