# SPDX-License-Identifier: Apache-2.0
"""A lock is its process's own, and goes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.locks import ProcessLock, holder_of

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from engine.locks import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_held_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lock"
    with ProcessLock(path):
        assert holder_of(path) == os.getpid()
        with pytest.raises(BlockingIOError, match=f"held by process {os.getpid()}"):
            ProcessLock(path)
        assert holder_of(path) == os.getpid(), "a refused one changes nothing"
    assert holder_of(path) == 0
    lock = ProcessLock(path)
    lock.close()
    lock.close()


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert holder_of(path) == other.pid
        with pytest.raises(BlockingIOError, match=str(other.pid)):
            ProcessLock(path)
        other.kill()
        other.wait()
    assert path.exists()
    assert holder_of(path) == 0
    ProcessLock(path).close()


def test_what_cannot_be_told_is_nobody(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "none.lock") == 0
    path = tmp_path / "a.lock"
    with ProcessLock(path):
        path.write_text("no number")
        assert holder_of(path) == 0


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        ProcessLock(tmp_path / "file" / "a.lock")
