# SPDX-License-Identifier: Apache-2.0
"""What SECURITY.md promises: no code from files, no network, private files, logs without faces."""

from __future__ import annotations

import ast
import logging
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from engine.app import build_renderer
from engine.app.demo import builtin_clip
from engine.capture import open_camera
from engine.cli import console
from engine.private import write_private
from engine.track.calibration import make_neutral
from engine.track.neutral_file import load_neutral, save_neutral

ROOT = Path(__file__).resolve().parents[2]
MODULES = [p for folder in ("engine", "desktop") for p in sorted((ROOT / folder).rglob("*.py"))] + sorted(
    ROOT.glob("*.py")
)
# Modules that turn bytes of a file into running code.
CODE_FROM_DATA = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
NETWORK = {
    *("socket", "ssl", "http", "urllib", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "xmlrpc"),
    *("requests", "httpx", "aiohttp", "urllib3", "websockets", "asyncio", "socketserver"),
}
LIVE_PATH = [
    p
    for p in MODULES
    if p.relative_to(ROOT).parts[:2]
    in {("engine", n) for n in ("capture", "track", "warp", "compose", "watermark", "sinks", "pipeline", "runtime")}
    or p.name
    in ("renderer.py", "passage.py", "performer.py", "ahead.py", "standby.py", "status.py", "stats.py", "clock.py")
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def calls_of(path: Path) -> list[ast.Call]:
    return [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_makes_code_of_data_or_talks_to_a_network(path: Path) -> None:
    assert not imports_of(path) & CODE_FROM_DATA
    assert not imports_of(path) & NETWORK
    for call in calls_of(path):
        called = ast.unparse(call.func)
        assert called not in ("eval", "exec", "compile", "__import__"), f"line {call.lineno}"
        if called in ("np.load", "numpy.load"):
            allowed = [k.value for k in call.keywords if k.arg == "allow_pickle"]
            assert [ast.unparse(value) for value in allowed] == ["False"], f"line {call.lineno}: allow_pickle=False"
        assert called != "torch.load", f"line {call.lineno}: weights are safetensors"


def test_the_rules_above_see_something() -> None:
    calls = [ast.unparse(call.func) for path in MODULES for call in calls_of(path)]
    assert calls.count("np.load") >= 5
    assert "threading" in set().union(*map(imports_of, MODULES))


@pytest.mark.parametrize("path", LIVE_PATH, ids=name_of)
def test_the_live_path_knows_no_wall_clock(path: Path) -> None:
    """A clock that is set, or summer time, must not reach hold, fade, filters or recordings."""
    walls = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.datetime.utcnow"}
    met = {ast.unparse(call.func) for call in calls_of(path)} & walls
    # A consent ends with a day; nothing is timed by it.
    assert met <= ({"datetime.datetime.now"} if path.name in ("clearance.py", "renderer.py") else set())


def test_no_model_ships_as_a_pickle() -> None:
    assets = [p for p in (ROOT / "assets").rglob("*") if p.is_file()]
    assert assets
    assert not [p for p in assets if p.suffix in (".pt", ".pth", ".pkl", ".ckpt", ".bin", ".joblib")]


_WITHOUT_NETWORK = """
    import ctypes, struct, sys
    from pathlib import Path

    def forbid_internet_sockets():
        # A seccomp filter: socket(AF_INET or AF_INET6, …) ends the process, native libraries' calls included.
        load, equal, answer = 0x20, 0x15, 0x06
        allow, kill, socket_call = 0x7FFF0000, 0x80000000, 41
        rules = [(load, 0, 0, 0), (equal, 0, 4, socket_call), (load, 0, 0, 16), (equal, 1, 0, 2), (equal, 0, 1, 10),
                 (answer, 0, 0, kill), (answer, 0, 0, allow)]
        code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
            sys.exit(77)

    forbid_internet_sockets()
    if sys.argv[1] == "probe":
        import socket
        socket.socket(socket.AF_UNIX).close()
        print("local sockets are allowed", flush=True)
        socket.socket(socket.AF_INET)
        print("not reached", flush=True)
    from engine.cli import main
    sys.exit(main(["run", "--set", "otto", "--sources", "2", "--camera", sys.argv[1], "--no-virtual-camera",
                   "--size", "256x256", "--out", sys.argv[2], "--seconds", "2", "--quiet"]))
"""
_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="a seccomp filter for x86-64 Linux"
)


def _run_without_network(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_WITHOUT_NETWORK), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    if done.returncode == 77:
        pytest.skip("this system allows no seccomp filter")
    return done


@_linux
@pytest.mark.slow
def test_a_live_run_opens_no_internet_socket(tmp_path: Path) -> None:
    done = _run_without_network(builtin_clip(), tmp_path / "take.mp4")
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert (tmp_path / "take.mp4").stat().st_size > 1000


@_linux
def test_the_trap_works() -> None:
    done = _run_without_network("probe")
    assert done.returncode == -31, "SIGSYS"
    assert done.stdout == "local sockets are allowed\n"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_what_tells_of_a_face_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    try:
        neutral = tmp_path / "neutral" / "me-cam.npz"
        points = np.random.default_rng(1).random((478, 3)).astype(np.float32) * 100
        save_neutral(neutral, make_neutral(points))
        assert load_neutral(neutral) is not None
        assert (_mode(neutral), _mode(neutral.parent)) == (0o600, 0o700)
        write_private(tmp_path / "again" / "a", b"1")
        write_private(tmp_path / "again" / "a", b"2")
        assert [p.name for p in (tmp_path / "again").iterdir()] == ["a"]
        monkeypatch.setattr(console, "log_path", lambda: tmp_path / "log" / "bunraku.log")
        with console.logging_to_file():
            logging.getLogger("engine").info("hello")
        assert (_mode(tmp_path / "log" / "bunraku.log"), _mode(tmp_path / "log")) == (0o600, 0o700)
    finally:
        os.umask(before)


def test_logs_hold_no_picture_and_no_landmark(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        build_renderer("otto", sources=1) as renderer,
        open_camera(str(builtin_clip()), paced=False) as camera,
    ):
        for _ in range(15):
            renderer.render(camera.read())
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("engine", "desktop"))]
    assert ours, "there is something to look at"
    for line in ours:
        assert len(line) < 500
        assert not re.search(r"array\(|\[\s*-?\d+\.\d+[ ,]+-?\d+\.\d+", line), line
