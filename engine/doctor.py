# SPDX-License-Identifier: Apache-2.0
"""Check everything Bunraku needs on this machine; every failing line says how to mend it. Main thread.

A check looks, it changes nothing: no camera is opened and nothing is downloaded. A check that itself breaks is
reported as failed and never hides the others.
"""

from __future__ import annotations

import enum
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.assets import asset_root
from engine.errors import EngineError, MicrophoneMissing, PuppeteerError, VirtualCameraMissing

__all__ = ["Check", "Verdict", "examine"]

_REINSTALL = "Install again: python3 run.py (or: pip install --force-reinstall .)"
_PYTHONS = ((3, 10), (3, 12))
_FREE_NEEDED_GB = 0.5  # a quarter of an hour of recording, and the caches
_TIMEOUT_S = 10.0
_OTHER_BACK_ENDS = {  # package → (what for, extra)
    "torch": ("only needed for training", "train"),
    "tensorrt": ("for NVIDIA data-centre GPUs", "tensorrt"),
    "tensorrt_rtx": ("for NVIDIA RTX GPUs", "rtx"),
}


class Verdict(enum.Enum):
    """How a check ended. MISSING is something optional that is not there."""

    OK = "ok"
    MISSING = "missing"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. found: what there is. fix: what to do; empty when nothing is wrong."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the check for JSON."""
        return {"name": self.name, "verdict": self.verdict.value.lower(), "found": self.found, "fix": self.fix}


def examine() -> list[Check]:
    """Run every check and return the findings in a fixed order."""
    return [finding for check in _CHECKS for finding in _run(check)]


def _run(check: Callable[[], Iterator[Check]]) -> list[Check]:
    name = check.__name__.removeprefix("_check_").replace("_", " ")
    try:
        return list(check())
    except PuppeteerError as error:
        return [Check(name, Verdict.FAILED, error.message, error.hint or _REINSTALL)]
    except Exception as error:  # noqa: BLE001 - a broken library may raise anything; the other checks still matter
        return [Check(name, Verdict.FAILED, f"{type(error).__name__}: {error}", _REINSTALL)]


def _check_python() -> Iterator[Check]:
    oldest, newest = _PYTHONS
    found = f"{platform.python_version()} on {platform.platform(terse=True)} ({sys.executable})"
    fits = oldest <= sys.version_info[:2] <= newest
    yield Check(
        "python", Verdict.OK if fits else Verdict.FAILED, found, "" if fits else "Use Python 3.10, 3.11 or 3.12."
    )


def _check_libraries() -> Iterator[Check]:
    """Compare what is installed with what Bunraku asks for, and find a second cv2."""
    wrong, found = [], []
    for requirement in importlib.metadata.requires("bunraku") or []:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        version = _version(name)
        if not version:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        if not _satisfies(version, requirement[len(name) :].split(";")[0]):
            wrong.append(f"{name} {version} is installed, expected {requirement[len(name) :].split(';')[0].strip()}")
    verdict = Verdict.FAILED if wrong else Verdict.OK
    yield Check("libraries", verdict, "; ".join(wrong) or ", ".join(found), _REINSTALL if wrong else "")
    others = [n for n in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless") if _version(n)]
    if others:
        fix = f"pip uninstall -y {' '.join(others)}; then {_REINSTALL[0].lower()}{_REINSTALL[1:]}"
        yield Check("opencv", Verdict.FAILED, f"a second OpenCV is installed: {', '.join(others)}", fix)


def _version(distribution: str) -> str:
    """Return an installed version, or nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _satisfies(version: str, specifier: str) -> bool:
    """Return whether a version fits bounds such as `>=1.26,<2`; a small part of PEP 440, all that we use."""
    have = _numbers(version)
    for operator, bound in re.findall(r"(==|>=|<=|<|>)\s*([0-9A-Za-z.+]+)", specifier):
        want = _numbers(bound)
        size = max(len(have), len(want))
        left, right = have + (0,) * (size - len(have)), want + (0,) * (size - len(want))
        fits = {"==": left == right, ">=": left >= right, "<=": left <= right, "<": left < right, ">": left > right}
        if not fits[operator]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


def _check_tracking() -> Iterator[Check]:
    from engine.track.face_mesh import FaceMeshTracker

    tracker = FaceMeshTracker()
    tracker.close()
    yield Check("tracking", Verdict.OK, f"MediaPipe {importlib.metadata.version('mediapipe')} loads its models")


def _check_engine() -> Iterator[Check]:
    """Load the shipped model on the default back-end; only look for the others."""
    from engine.runtime.select import open_runner

    runner, reason = open_runner("auto")
    yield Check("engine", Verdict.OK, f"{runner.description} ({reason})")
    runner.close()
    for package, (use, extra) in _OTHER_BACK_ENDS.items():
        if importlib.util.find_spec(package) is not None:
            yield Check(f"package {package}", Verdict.OK, f"{_version(package)}, {use}")
        else:
            yield Check(f"package {package}", Verdict.MISSING, f"not installed; {use}", f"pip install '.[{extra}]'")


def _check_gpu() -> Iterator[Check]:
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Check("gpu", Verdict.MISSING, "no NVIDIA driver; the CPU is used")
        return
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        reason = (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
        yield Check("gpu", Verdict.FAILED, f"nvidia-smi: {reason}", "Install the NVIDIA driver again and restart.")
        return
    yield Check("gpu", Verdict.OK, "; ".join(line.strip() for line in done.stdout.splitlines()))


def _check_cameras() -> Iterator[Check]:
    from engine.capture import list_cameras

    found = list_cameras()
    if found:
        yield Check("cameras", Verdict.OK, "; ".join(f"{info.id} {info.name}" for info in found))
        return
    fix = "Connect a camera, close other programs that use it, and allow access to it in the system's settings."
    if sys.platform.startswith("linux"):
        fix = "Connect a camera; if `ls /dev/video*` shows it, run: sudo usermod -aG video $USER (then log in again)"
    yield Check("cameras", Verdict.MISSING, "none found; video files work without", fix)


def _check_microphones() -> Iterator[Check]:
    """Count them; none is listened to."""
    from engine.capture.microphone import list_microphones

    try:
        found = list_microphones()
    except MicrophoneMissing as error:
        yield Check("microphones", Verdict.MISSING, error.message, error.hint)
        return
    if found:
        yield Check("microphones", Verdict.OK, "; ".join(info.name for info in found))
        return
    fix = "Connect a microphone, and allow access to it in the system's settings."
    yield Check("microphones", Verdict.MISSING, "none found; recordings have no sound", fix)


def _check_virtual_camera() -> Iterator[Check]:
    from engine.sinks.virtual_camera import VirtualCameraSink
    from engine.watermark.gate import holding_card

    card = holding_card((1280, 720), "checking")
    try:
        with VirtualCameraSink(1280, 720, 30.0, card=card) as sink:
            yield Check("virtual camera", Verdict.OK, sink.device)
    except VirtualCameraMissing as error:
        yield Check("virtual camera", Verdict.MISSING, error.message, error.hint)


def _check_video_encoder() -> Iterator[Check]:
    import av

    try:
        codec = av.codec.Codec("libx264", "w")
    except av.FFmpegError as error:
        yield Check("video encoder", Verdict.FAILED, f"no H.264 encoder: {error}", _REINSTALL)
    else:
        yield Check("video encoder", Verdict.OK, f"{codec.long_name} (PyAV {_version('av')})")


def _check_signing() -> Iterator[Check]:
    """Say whose key signs; one is not made for the asking."""
    from engine.provenance.identity import identity_path, own_folder, signing_identity

    if not identity_path().exists() and not own_folder().exists():
        yield Check("signing", Verdict.OK, "the first recording makes this installation's key")
        return
    identity = signing_identity()
    whose = "your certificate" if identity.own else "this installation's key"
    yield Check("signing", Verdict.OK, f"{whose}, {identity.algorithm}, C2PA library {_version('c2pa-python')}")


def _check_disk() -> Iterator[Check]:
    from platformdirs import user_cache_path

    from engine.sources import user_source_sets_dir

    for name, folder in (("disk here", Path.cwd()), ("disk for caches", user_cache_path("bunraku", appauthor=False))):
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        free_gb = shutil.disk_usage(existing).free / 1e9
        found = f"{free_gb:.1f} GB free ({folder})"
        if not os.access(existing, os.W_OK):
            yield Check(name, Verdict.FAILED, f"not writable: {existing}", "Work in a folder that is yours.")
        elif free_gb < _FREE_NEEDED_GB:
            yield Check(name, Verdict.FAILED, found, f"Free at least {_FREE_NEEDED_GB:g} GB.")
        else:
            yield Check(name, Verdict.OK, found)
    yield Check("your source sets", Verdict.OK, str(user_source_sets_dir()))


def _check_models() -> Iterator[Check]:
    """Compare every model file with the hash in its manifest."""
    from engine.runtime.manifest import list_models, load_manifest

    names = list_models()
    if not names:
        yield Check("models", Verdict.FAILED, f"no model in {asset_root() / 'models'}", _REINSTALL)
    for name in names:
        try:
            manifest = load_manifest(name)
            manifest.verify()
        except EngineError as error:
            yield Check(f"model {name}", Verdict.FAILED, error.message, error.hint)
        else:
            yield Check(f"model {name}", Verdict.OK, f"{len(manifest.files)} files match their hashes")


_CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _check_python,
    _check_libraries,
    _check_tracking,
    _check_engine,
    _check_gpu,
    _check_cameras,
    _check_microphones,
    _check_virtual_camera,
    _check_video_encoder,
    _check_signing,
    _check_disk,
    _check_models,
)
