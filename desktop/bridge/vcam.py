# SPDX-License-Identifier: Apache-2.0
"""The virtual camera apart from a run: how to get one on this system, which there are, and whether it works. No Qt."""

from __future__ import annotations

import sys

from desktop.bridge.outputs import card, open_virtual_camera
from engine.config import OutputSettings
from engine.sinks.virtual_camera import missing_hint

__all__ = ["setup_help", "try_virtual_camera", "virtual_camera_names"]


def setup_help(platform: str = sys.platform) -> list[tuple[str, str]]:
    """Return the steps that make a virtual camera appear, each with the command to run, which may be empty."""
    if platform.startswith("linux"):
        return [
            ("Install the driver (Debian, Ubuntu; other systems call it v4l2loopback).",
             "sudo apt install v4l2loopback-dkms"),
            ("Load it. Do this again after a restart, or make it permanent with the next step.",
             "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Bunraku"),
            ("Load it at every start (optional).",
             "printf 'v4l2loopback\\n' | sudo tee /etc/modules-load.d/v4l2loopback.conf && "
             "printf 'options v4l2loopback exclusive_caps=1 card_label=Bunraku\\n' | "
             "sudo tee /etc/modprobe.d/v4l2loopback.conf"),
            ("Run the test below, switch the virtual camera on, and choose Bunraku as camera in the call program.", ""),
        ]  # fmt: skip
    command = "winget install OBSProject.OBSStudio" if platform == "win32" else "brew install --cask obs"
    return [
        (missing_hint(platform), command),
        ("Run the test below, switch the virtual camera on, and choose OBS Virtual Camera in the call program.", ""),
    ]


def virtual_camera_names() -> list[tuple[str, str]]:
    """Return the devices that a virtual camera can be, as (name, device)."""
    from engine.capture.devices import list_virtual_cameras

    return [
        (each.name if each.id == each.name else f"{each.name} ({each.id})", each.id) for each in list_virtual_cameras()
    ]


def try_virtual_camera(output: OutputSettings, device: str) -> str:
    """Send a test card, read it back where the system allows, and return in words what happened.

    Raises:
        SinkError: the camera cannot be opened, or its driver takes no picture.
    """
    from engine.app.vcam_probe import probe_virtual_camera

    picture = card(output, "This is the test picture")
    found = probe_virtual_camera(picture, lambda: open_virtual_camera(output, device))
    return found.words
