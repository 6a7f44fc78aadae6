# SPDX-License-Identifier: Apache-2.0
"""Faults that hit the whole program: told to end, killed while recording or saving, started twice, broken files."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.app import build_pipeline
from engine.app.demo import builtin_clip
from engine.cli.commands import app
from engine.config import LiveSettings, MotionSettings, load_settings, save_settings
from engine.errors import InvalidSetting, ModelMismatch
from engine.locks import ProcessLock
from engine.runtime import manifest as manifests
from engine.sinks import vcam_device
from engine.sinks.memory import MemorySink
from engine.watermark.gate import has_mark

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_LIVE_RUN = """
    import sys, threading
    from pathlib import Path
    from engine.app import live
    from engine.cli import main
    from engine.evaluation.bench_live import open_stand_in
    out = Path(sys.argv[1])
    live._open_camera = lambda job: open_stand_in(Path(job.camera), fps=30)  # without an end, as a webcam

    def tell():
        waiting = threading.Event()
        while not (out.exists() and out.stat().st_size > 20_000):
            waiting.wait(0.05)
        print("recording", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    sys.exit(main(["run", "--set", "otto", "--sources", "1", "--camera", sys.argv[2], "--no-virtual-camera",
                   "--size", "256x256", "--out", str(out), "--quiet"]))
"""


def _start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout is not None
    for said in child.stdout:
        if said.strip() == line:
            return
    pytest.fail(f"it ended: {child.stderr.read() if child.stderr else ''}")


def _assert_plays_marked(path: Path) -> None:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) >= 5
    assert all(has_mark(np.ascontiguousarray(rgb)) for rgb in frames[::5])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_told_to_end_it_finishes_its_recording(tmp_path: Path, name: str) -> None:
    out = tmp_path / "take.mp4"
    with _start(_LIVE_RUN, out, builtin_clip()) as child:
        _wait_for(child, "recording")
        child.send_signal(getattr(signal, name))
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Stopped." in said
    assert "Traceback" not in said
    _assert_plays_marked(out)
    assert b"mfra" not in out.read_bytes()[-64:], "an ordinary file, not one in fragments"


@pytest.mark.slow
def test_killed_while_recording_it_leaves_what_plays(tmp_path: Path) -> None:
    out = tmp_path / "take.mp4"
    with _start(_LIVE_RUN, out, builtin_clip()) as child:
        _wait_for(child, "recording")
        child.kill()
    _assert_plays_marked(out)


_SAVING = """
    import sys
    from pathlib import Path
    from engine.config import LiveSettings, MotionSettings, save_settings
    path, value = Path(sys.argv[1]), 0
    while True:
        value = (value + 1) % 200
        save_settings(LiveSettings(motion=MotionSettings(head=value / 100)), path)
        if value == 3:
            print("saving", flush=True)
"""


def test_killed_while_saving_settings_it_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    for _ in range(4):
        with _start(_SAVING, path) as child:
            _wait_for(child, "saving")
            child.kill()
        assert 0 <= load_settings(path).motion.head <= 2, "whole, whichever it is"
        assert path.read_text(encoding="utf-8").count("[motion]") == 1


def test_two_instances_that_save_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    with _start(_SAVING, path) as first, _start(_SAVING, path) as second:
        for child in (first, second):
            _wait_for(child, "saving")
        for _ in range(20):
            assert 0 <= load_settings(path).motion.head <= 2
        first.kill()
        second.kill()
    assert 0 <= load_settings(path).motion.head <= 2


def test_a_second_run_into_one_virtual_camera_is_one_sentence_and_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcam_device.platformdirs, "user_cache_dir", lambda *_a, **_k: str(tmp_path))
    with ProcessLock(tmp_path / "vcam-dev-video10.lock"):  # the first one's
        second = CliRunner().invoke(
            app, ["run", "--set", "otto", "--camera", str(builtin_clip()), "--device", "/dev/video10", "--quiet"]
        )
    assert second.exit_code == 6
    assert second.stderr == (
        f"The virtual camera /dev/video10 is fed by another Bunraku (process {os.getpid()}). "
        "End that one first, or choose another device (--device).\n"
    )


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe", b"[motion\nhead = 1", b"[motion]\nhead = 99\n", b"motion = 3"]
)
def test_a_broken_settings_file_is_one_sentence_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    if content == b"":
        assert load_settings(path) == LiveSettings()
    else:
        with pytest.raises(InvalidSetting) as caught:
            load_settings(path)
        assert len(str(caught.value)) < 400
    assert path.read_bytes() == content


def test_settings_on_a_read_only_disk_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.toml"
    save_settings(LiveSettings(), path)
    before = path.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InvalidSetting, match="Read-only file system"):
        save_settings(LiveSettings(motion=MotionSettings(head=0.5)), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["settings.toml"], "no leftover beside it"


def test_a_damaged_model_file_fails_the_start_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    shutil.copytree(ROOT / "assets" / "models" / "lite", models / "lite")
    graph = models / "lite" / "animate.onnx"
    graph.write_bytes(graph.read_bytes()[:-100] + b"\x00" * 100)
    monkeypatch.setattr(manifests, "asset_root", lambda: tmp_path)
    sink = MemorySink()
    pipeline = build_pipeline(str(builtin_clip()), [sink], "otto")
    with pipeline:
        pipeline.start()
        assert not pipeline.wait_until_live(120)
        assert isinstance(pipeline.state.error, ModelMismatch)
        assert "animate.onnx" in str(pipeline.state.error)
    assert sink.count == 0, "nothing has been sent"
