# SPDX-License-Identifier: Apache-2.0
"""Shared libraries that the wheels expect from a Linux system, and how Debian and Ubuntu provide them."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from engine.launch import LaunchError, say

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ensure_system_libraries",
    "has_display",
    "has_tensorrt_rtx_wheels",
    "install_system_packages",
    "missing_system_packages",
]

# soname → Debian package. cv2 links the first group; the offscreen renderer of the tests the second; Qt the third.
RUN_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libxcb.so.1": "libxcb1",
}
TEST_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
}
GUI_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
_MESA_DRIVERS = "libgl1-mesa-dri"  # loaded by Mesa at run time, so no soname to look for


def has_display() -> bool:
    """Return whether a window can be opened here."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def has_tensorrt_rtx_wheels() -> bool:
    """Return whether NVIDIA publishes TensorRT for RTX for this system; it needs no GPU to build engines."""
    return sys.platform in ("linux", "win32") and platform.machine().lower() in ("x86_64", "amd64")


def missing_system_packages(libraries: dict[str, str]) -> list[str]:
    """Return the Debian packages of those shared libraries that cannot be loaded; nothing on other systems."""
    if not sys.platform.startswith("linux"):
        return []
    missing: dict[str, None] = {}
    for soname, package in libraries.items():
        try:
            ctypes.CDLL(soname)
        except OSError:
            missing[package] = None
    return list(missing)


def ensure_system_libraries(*, tests: bool, gui: bool) -> None:
    """Install what the wheels expect from the system, as root on Debian and Ubuntu.

    Raises:
        LaunchError: something is missing and a person must install it; the message holds the exact command.
    """
    libraries = dict(RUN_LIBRARIES)
    if tests:
        libraries.update(TEST_LIBRARIES)
    if gui:
        libraries.update(GUI_LIBRARIES)
    missing = missing_system_packages(libraries)
    if "libegl-mesa0" in missing:
        missing.append(_MESA_DRIVERS)
    if missing:
        install_system_packages(missing)


def install_system_packages(packages: Sequence[str]) -> None:
    """Install Debian packages as root.

    Raises:
        LaunchError: not root, no apt-get, or it failed; the message holds the exact command.
    """
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    shown = " ".join(command)
    if not shutil.which("apt-get"):
        raise LaunchError(f"System libraries are missing; Debian calls them: {' '.join(packages)}. Install them.")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise LaunchError(f"System libraries are missing. Install them with:  sudo {shown}")
    say(f"Installing system libraries: {' '.join(packages)}")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for step in (["apt-get", "update"], command):
        done = subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise LaunchError(f"Cannot install system libraries: {reason[-1]}. The command was:  {shown}")
