# SPDX-License-Identifier: Apache-2.0
"""Find an interpreter that the wheels fit; every candidate is run, since a version manager's stub may not work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from engine.launch import LaunchError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEWEST", "OLDEST", "Python", "find_python", "probe_python", "python_candidates"]

OLDEST, NEWEST = (3, 10), (3, 12)  # what the wheels of mediapipe 0.10.21 cover

_PROBE = (
    "import importlib.util as u, json, sys;"
    "print(json.dumps([list(sys.version_info[:3]), bool(u.find_spec('venv') and u.find_spec('ensurepip'))]))"
)


class Python:
    """An interpreter that runs. command: how to start it. can_make_venv: venv and ensurepip are there."""

    def __init__(self, command: Sequence[str], version: Sequence[int], can_make_venv: bool) -> None:
        self.command, self.version, self.can_make_venv = list(command), tuple(version), can_make_venv

    @property
    def fits(self) -> bool:
        """Whether the wheels exist for this version."""
        return OLDEST <= self.version[:2] <= NEWEST

    @property
    def version_text(self) -> str:
        """The version as a person writes it."""
        return ".".join(str(part) for part in self.version)


def probe_python(command: Sequence[str]) -> Python | None:
    """Run an interpreter and return what it is, or None where it does not run."""
    try:
        done = subprocess.run([*command, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True)
        version, can_make_venv = json.loads(done.stdout)
        return Python(command, version, can_make_venv)
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None


def python_candidates() -> list[list[str]]:
    """Return the commands that may start a fitting Python, best first: this one, then the newest."""
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    commands = [[sys.executable]] if sys.executable else []
    if os.name == "nt":
        commands += [["py", f"-3.{minor}"] for minor in minors]
    commands += [[f"python3.{minor}"] for minor in minors]
    return [*commands, ["python3"], ["python"]]


def find_python() -> Python:
    """Return a Python 3.10-3.12 of this machine, one that can make virtual environments if there is one.

    Raises:
        LaunchError: there is none; the message says which to install and how.
    """
    fallback: Python | None = None
    seen: set[str] = set()
    for command in python_candidates():
        python = probe_python(command)
        if python is None:
            continue
        if python.fits and python.can_make_venv:
            return python
        if python.fits and fallback is None:
            fallback = python  # its venv module can be had from the system's packages
        seen.add(python.version_text)
    if fallback is not None:
        return fallback
    have = ", ".join(sorted(seen)) or "none"
    raise LaunchError(f"Bunraku needs Python 3.10, 3.11 or 3.12; this machine has: {have}. Install one:  {_how()}")


def _how() -> str:
    if os.name == "nt":
        return "winget install Python.Python.3.12"
    if sys.platform == "darwin":
        return "brew install python@3.12"
    return "sudo apt-get install python3.11 python3.11-venv  (or your system's packages, pyenv or uv)"
