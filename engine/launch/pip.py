# SPDX-License-Identifier: Apache-2.0
"""Run pip inside `.venv`, condense what it says to one moving line, and explain its failures in one sentence.

A thread of its own reads pip's output, so that a silent pip cannot stop the progress line.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from engine.launch import ROOT, VENV, LaunchError, say, venv_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

__all__ = ["PipProgress", "explain_pip_failure", "run_pip", "torch_requirement", "torch_source"]

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # PyPI's Linux wheels of torch bring 2 GB of CUDA along
_QUIET = ("--disable-pip-version-check", "--no-input")
_TAIL_LINES = 80

_DISK_FULL = ("No space left on device", "Errno 28", "not enough space on the disk")
_OFFLINE = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Failed to establish a new connection",
    "getaddrinfo failed",
    "Network is unreachable",
    "Read timed out",
    "Connection refused",
    "Connection aborted",
    "Cannot connect to proxy",
)


class PipProgress:
    """Turn pip's lines into one short line that says what is being done."""

    def __init__(self, what: str) -> None:
        self._what, self._amount = what, ""

    @property
    def text(self) -> str:
        """What pip is doing now."""
        return f"{self._what}  {self._amount}".rstrip()

    def read(self, line: str) -> None:
        """Take in one line of pip's output (with `--progress-bar raw`)."""
        progress = re.match(r"Progress (\d+) of (\d+)", line)
        if progress:
            done, total = (int(part) >> 20 for part in progress.groups())
            self._amount = f"{done}/{total} MB" if total else ""
            return
        words = line.split()
        if words[:1] in (["Collecting"], ["Downloading"]) and len(words) > 1:
            self._set(f"{words[0].lower()} {words[1].rsplit('/', 1)[-1]}")
        elif words[:2] == ["Using", "cached"]:
            self._set(f"taking {words[2].rsplit('/', 1)[-1]} from the cache")
        elif line.startswith("Installing collected packages"):
            names = line.partition(":")[2].split(",")
            self._set(f"unpacking {names[0].strip()}" if len(names) == 1 else f"unpacking {len(names)} packages")
        elif line.lstrip().startswith(("Installing build", "Building", "Preparing")):
            self._set("preparing bunraku")

    def _set(self, what: str) -> None:
        self._what, self._amount = what, ""


class _Line:
    """A line that always moves: redrawn on a terminal, elsewhere printed every few seconds."""

    LOG_EVERY_S = 10.0

    def __init__(self) -> None:
        self._started_s = self._logged_s = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        now_s = time.monotonic()
        line = f"  [{now_s - self._started_s:3.0f} s] {text}"
        if self._terminal:
            columns = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r" + line[:columns].ljust(columns))
            sys.stderr.flush()
        elif now_s - self._logged_s >= self.LOG_EVERY_S:
            self._logged_s = now_s
            say(line)

    def clear(self) -> None:
        if self._terminal:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stderr.flush()


def run_pip(args: Sequence[str], *, what: str, bar: bool = True) -> None:
    """Run pip in `.venv` behind one moving line; its full output goes to `.venv/install.log`.

    Args:
        what: the first text of the line. bar: whether this pip knows `--progress-bar raw` (24.1 and later).
    Raises:
        LaunchError: pip failed; the message says why in one sentence.
    """
    options = [*_QUIET, *(["--progress-bar", "raw"] if bar else [])]
    command = [str(venv_path("python")), "-m", "pip", "install", *options, *args]
    log_path = VENV / "install.log"
    with log_path.open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(command)}\n")
        code, tail = _follow(command, PipProgress(what), log)
    if code != 0:
        raise LaunchError(explain_pip_failure(tail, log_name=str(log_path)))


def _follow(command: Sequence[str], progress: PipProgress, log: TextIO) -> tuple[int, list[str]]:
    """Run a command to its end, showing what it does; returns its exit code and its last lines."""
    shown, tail = _Line(), [""]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    ) as child:
        lines = _stream_lines(child)
        try:
            while True:
                try:
                    line = lines.get(timeout=1.0)
                except queue.Empty:
                    line = ""
                if line is None:
                    return child.wait(), tail
                progress.read(line)
                shown.show(progress.text)
                if line and not line.startswith("Progress "):
                    log.write(line + "\n")
                    tail = [*tail[1 - _TAIL_LINES :], line]
        except BaseException:
            child.kill()
            raise
        finally:
            shown.clear()


def _stream_lines(child: subprocess.Popen[str]) -> queue.Queue[str | None]:
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in child.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, name="pip-output", daemon=True).start()
    return lines


def explain_pip_failure(lines: Sequence[str], *, log_name: str) -> str:
    """Return one sentence about a failed pip run, from the last lines it wrote."""
    text = "\n".join(lines)
    if any(mark in text for mark in _DISK_FULL):
        return "The disk is full, so pip could not finish. Free 2 GB (4 GB for the tests) and run this again."
    if any(mark in text for mark in _OFFLINE):
        return f"The package index cannot be reached. Check the network and run this again. (log: {log_name})"
    missing = re.search(r"No matching distribution found for (\S+)", text)
    if missing:
        return (
            f"The package index has no {missing.group(1)} for this Python and system; Bunraku needs Python "
            f"3.10-3.12 on 64-bit Linux, Windows or macOS. (log: {log_name})"
        )
    errors = [line for line in lines if line.lower().startswith("error")] or ["no reason given."]
    return f"pip failed: {errors[-1]} (log: {log_name})"


def torch_requirement() -> str:
    """Return the one torch requirement of pyproject.toml."""
    match = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if match is None:
        raise LaunchError("pyproject.toml no longer pins torch, so run.py cannot choose a build of it.")
    return match.group(1)


def torch_source() -> list[str]:
    """Return the pip options that keep CUDA out where it is of no use.

    None are needed where there is an NVIDIA GPU, outside Linux, and where pip as it is set up on this machine would
    take a CPU build (or has torch already).
    """
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi"):
        return []
    report = VENV / "torch-report.json"
    with contextlib.suppress(LaunchError, OSError, ValueError, LookupError, TypeError):
        question = ["--dry-run", "--no-deps", "--report", str(report), torch_requirement()]
        run_pip(question, what="looking for torch")
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
        if not found or "+cpu" in found[0]["metadata"]["version"]:
            return []
    return ["--index-url", TORCH_CPU_INDEX]
