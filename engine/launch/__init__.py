# SPDX-License-Identifier: Apache-2.0
"""What `run.py` is made of: find a Python, make `.venv`, run pip, start programs.

Standard library only, nothing else of the engine is imported, and the syntax stays within Python 3.8, so that an old
Python can still say which one to install. The same holds for `engine/__init__.py`, which comes first. Everything runs
on the main thread.
"""

from __future__ import annotations

__all__ = ["ROOT", "VENV", "LaunchError", "say", "venv_path"]

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


class LaunchError(Exception):
    """Bunraku cannot be installed or started; one sentence that says why and what to do."""


def say(text: str) -> None:
    """Print one line; to stderr, so that a command's own output stays clean."""
    print(text, file=sys.stderr, flush=True)


def venv_path(name: str) -> Path:
    """Return the path of a program inside `.venv`, on this operating system."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name
