#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Install and start Bunraku with nothing but Python: the only command a newcomer needs.

    python3 run.py                 install into .venv, then the desktop app, or the demo where no window can open
    python3 run.py ARGS...         the same, then the command line:  bunraku ARGS...
    python3 run.py test [ARGS...]  install the test tools too, run every check, then pytest ARGS...

Standard library only (see `engine.launch`). The folder `.venv` belongs to this file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from engine.launch import ROOT, LaunchError, say, venv_path
from engine.launch.environment import ensure_environment
from engine.launch.system import ensure_system_libraries, has_display, has_tensorrt_rtx_wheels

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command_app", "command_test", "main", "run_checks", "start"]

# The part of the engine that must be covered by tests: a gap there can leak a raw frame or lose one silently.
_CORE = "engine/types.py,engine/slots.py,engine/geometry.py,engine/watermark/*,engine/sinks/*"

_MOST_WORKERS = 4  # each takes up to 2 GB; the training tests keep two cores busy for six minutes whatever there is


def command_app(args: Sequence[str]) -> int:
    """Install where needed, then start the app, the demo or the command line."""
    gui = (ROOT / "desktop" / "app.py").is_file() and has_display()
    ensure_system_libraries(tests=False, gui=gui)
    ensure_environment(["gui", "vcam"] if gui else ["vcam"])
    if args:
        return start([str(venv_path("bunraku")), *args])
    if gui:
        return start([str(venv_path("python")), "-m", "desktop"])
    say("No window can be opened here, so this makes the demo video.")
    return start([str(venv_path("bunraku")), "demo"])


def start(command: Sequence[str]) -> int:
    """Run the installed program and return its exit code; outside Windows it takes this process's place."""
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], list(command))
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the child got the Ctrl-C too and is closing its files


def command_test(args: Sequence[str]) -> int:
    """Install the test tools where needed, run every check and the tests; 1 if any of them fails."""
    gui = (ROOT / "desktop" / "app.py").is_file()
    try:
        ensure_system_libraries(tests=True, gui=gui)
    except LaunchError as error:
        say(f"{error}\nThe tests that need them will fail.")
    # With TensorRT for RTX the tests really build every model's engines, which needs no GPU.
    ensure_environment(
        ["test", "train", "vcam", *(["gui"] if gui else []), *(["rtx"] if has_tensorrt_rtx_wheels() else [])]
    )
    python = str(venv_path("python"))
    whole_suite = not args  # a part of it says nothing about coverage
    # A file's tests stay on one process, which shares what they make; most tests keep one core busy.
    workers = str(max(1, min(os.cpu_count() or 1, _MOST_WORKERS)))
    pytest_args = ["--cov", "--cov-report=", "-n", workers, "--dist", "loadfile"] if whole_suite else list(args)
    checks = [
        ("formatting", [python, "-m", "ruff", "format", "--check", "."]),
        ("lint", [python, "-m", "ruff", "check", "."]),
        ("types", [python, "-m", "mypy"]),
        ("import layers", [str(venv_path("lint-imports"))]),
        ("tests", [python, "-m", "pytest", *pytest_args]),
    ]
    if whole_suite:
        report = ["report", "--include", _CORE, "--fail-under", "95", "--skip-covered", "--show-missing"]
        checks.append(("coverage of the core", [python, "-m", "coverage", *report]))
    return run_checks(checks)


def run_checks(checks: Sequence[tuple[str, list[str]]]) -> int:
    """Run every check, also after a failure, and end with one line per check; 1 if any failed."""
    environment = dict(os.environ, QT_QPA_PLATFORM="offscreen", PYTHONUNBUFFERED="1")
    results = []
    for name, command in checks:
        say(f"\n== {name}")
        started_s = time.monotonic()
        code = subprocess.run(command, cwd=str(ROOT), env=environment).returncode
        results.append((name, code, time.monotonic() - started_s))
    say("\n== summary")
    for name, code, took_s in results:
        say(f"  {name:22} {'ok' if code == 0 else 'FAILED':7} {took_s:6.1f} s")
    return int(any(code != 0 for _, code, _ in results))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return command_test(args[1:]) if args[:1] == ["test"] else command_app(args)
    except LaunchError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Run this again to go on.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
