# SPDX-License-Identifier: Apache-2.0
"""Keep `.venv` installed: made once, updated when pyproject.toml changes, made again when it is broken.

A stamp in `.venv` says what was installed, from which pyproject.toml, with which Python. It is removed before any
change and written last, so an interrupted installation never looks finished.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from engine.launch import ROOT, VENV, LaunchError, say, venv_path
from engine.launch.pip import explain_pip_failure, run_pip, torch_requirement, torch_source
from engine.launch.python import Python, find_python, probe_python
from engine.launch.system import install_system_packages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ensure_environment", "environment_state", "install_lock", "read_stamp", "stamp_key", "write_stamp"]

STAMP = VENV / "bunraku-stamp.json"
LOCK = ROOT / ".venv.lock"
DISK_NEEDED_GB = {"run": 2.0, "test": 4.0}  # measured 1.3 GB and 2.7 GB, plus what pip downloads

# Light packages are imported, heavy ones only looked up: this runs at every start. The engine is looked up too: a
# mistake in its source must show as what it is, not as a broken installation.
_PROBE = (
    "import importlib.util as u, sys, typer, rich, pydantic, platformdirs, tomlkit, numpy;"
    "sys.exit(any(u.find_spec(n) is None for n in ('engine', 'cv2', 'av', 'openvino', 'mediapipe', 'PIL', 'c2pa')))"
)


def stamp_key(version: Sequence[int]) -> str:
    """Return a hash of everything that, when it changes, asks for pip again: pyproject.toml, place, Python."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(repr((str(ROOT), tuple(version))).encode())
    return digest.hexdigest()


def read_stamp() -> dict[str, object]:
    """Return the stamp of `.venv`; empty where there is none or it cannot be read."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(version: Sequence[int], extras: Sequence[str]) -> None:
    """Say that the installation with these extras is complete."""
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps({"key": stamp_key(version), "version": list(version), "extras": sorted(extras)}))
    part.replace(STAMP)


def environment_state(extras: Sequence[str]) -> str:
    """Return "ready", "stale" (pip must run again) or "broken" (make it again) for `.venv`."""
    stamp = read_stamp()
    installed, version = stamp.get("extras"), stamp.get("version")
    if not isinstance(installed, list) or not isinstance(version, list):
        return "broken"
    python = probe_python([str(venv_path("python"))])
    if python is None or list(python.version) != version:
        return "broken"
    if stamp.get("key") != stamp_key(version) or not set(extras) <= set(installed):
        return "stale"
    # From inside .venv, so that a checkout in the current folder cannot stand in for the installed package.
    probe = subprocess.run([*python.command, "-c", _PROBE], cwd=str(VENV), capture_output=True)
    return "ready" if probe.returncode == 0 else "broken"


def ensure_environment(extras: Sequence[str]) -> None:
    """Make `.venv` ready with these extras; takes half a second where it already is.

    Raises:
        LaunchError: no fitting Python, no disk space, no network, a missing wheel, an unwritable folder.
    """
    if environment_state(extras) == "ready":
        return
    try:
        with install_lock():
            state = environment_state(extras)  # another run may have finished it meanwhile
            if state != "ready":
                _check_disk("test" if "test" in extras else "run")
                _install(extras, fresh=state == "broken")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise LaunchError(explain_pip_failure(["No space left on device"], log_name="")) from error
        raise LaunchError(f"Cannot write the installation: {error}") from error


@contextlib.contextmanager
def install_lock() -> Iterator[None]:
    """Let one run.py install at a time; the others wait. The system frees the lock of a run that died."""
    with LOCK.open("a+") as file:
        if not _try_lock(file.fileno()):
            say("Another run.py is installing in this folder; waiting for it.")
            while not _try_lock(file.fileno()):
                time.sleep(0.5)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _check_disk(kind: str) -> None:
    free_gb, needed_gb = shutil.disk_usage(str(ROOT)).free / 1e9, DISK_NEEDED_GB[kind]
    if free_gb < needed_gb and not VENV.exists():
        raise LaunchError(
            f"Not enough disk space: {needed_gb:.0f} GB needed, {free_gb:.1f} GB free. "
            f"Free some and run this again. ({ROOT})"
        )


def _install(extras: Sequence[str], *, fresh: bool) -> None:
    started_s = time.monotonic()
    python = find_python() if fresh else probe_python([str(venv_path("python"))])
    if python is None:
        raise LaunchError("The Python inside .venv stopped working. Run this again.")
    if fresh:
        if VENV.exists():
            say("The environment in .venv is incomplete or broken; making it again.")
        say(f"Installing Bunraku into .venv with Python {python.version_text}; this happens once.")
        _make_venv(python)
    else:
        say("Updating the installation in .venv.")
        STAMP.unlink()
    run_pip(["--upgrade", "pip>=24.1"], what="updating pip", bar=False)
    if "train" in extras:
        run_pip([torch_requirement(), *torch_source()], what="looking for torch")
    run_pip(["--editable", f"{ROOT}[{','.join(sorted(extras))}]"], what="looking for packages")
    write_stamp(python.version, extras)
    say(f"Installed in {time.monotonic() - started_s:.0f} s.")


def _make_venv(python: Python) -> None:
    if not python.can_make_venv:
        install_system_packages(["python{}.{}-venv".format(*python.version)])
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    command = [*python.command, "-m", "venv", "--clear", str(VENV)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        reason = done.stdout.strip().splitlines() or ["no reason given"]
        raise LaunchError(f"Cannot make {VENV}: {reason[-1]}")
