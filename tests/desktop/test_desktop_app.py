# SPDX-License-Identifier: Apache-2.0
"""How the program ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def exit_code(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    return done.returncode, done.stdout


def test_a_thread_that_does_not_end_does_not_hold_the_program() -> None:
    code, out = exit_code(
        """
        import sys, threading
        from desktop.app import leave
        # Not a daemon: an ordinary exit would wait for it, for ever.
        threading.Thread(target=threading.Event().wait, name="bunraku-render").start()
        print("saved", flush=True)
        sys.exit(leave(3))
        """
    )
    assert (code, out) == (3, "saved\n")


def test_otherwise_the_exit_is_an_ordinary_one() -> None:
    code, out = exit_code(
        """
        import atexit, sys
        from desktop.app import leave
        atexit.register(print, "tidied up")
        sys.exit(leave(0))
        """
    )
    assert (code, out) == (0, "tidied up\n")
