# SPDX-License-Identifier: Apache-2.0
"""Which cameras are plugged in, with ids that survive a restart and a re-plug.

Linux: `/sys/class/video4linux` names the nodes, `/dev/v4l/by-id` gives the stable id, and the driver is asked whether
a node captures video at all (a webcam has more nodes than one). Windows and macOS: the list FFmpeg gives, in the
order in which OpenCV counts. Virtual cameras are hidden: a puppet fed with its own picture is of no use.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.capture.base import CameraInfo

__all__ = ["FoundCamera", "find_cameras", "is_virtual_output", "list_cameras", "list_virtual_cameras"]

_VIRTUAL = re.compile(
    r"bunraku|virtual cam|obs[- ]?virtual|v4l2[- ]?loopback|loopback|dummy video|unity ?(video )?capture", re.IGNORECASE
)
_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP, _IOR('V', 0, struct v4l2_capability), linux/videodev2.h
_QUERYCAP_SIZE = 104
_DEVICE_CAPS_OFFSET = 88  # after driver[16], card[32], bus_info[32], version, capabilities
_CAP_VIDEO_CAPTURE = 0x1  # V4L2_CAP_VIDEO_CAPTURE
_CAP_VIDEO_CAPTURE_MPLANE = 0x1000
_CAP_VIDEO_OUTPUT = 0x2
_BACKEND_FORMAT = {"win32": "dshow", "darwin": "avfoundation"}


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera and how OpenCV opens it: node is a device path (Linux) or a number."""

    info: CameraInfo
    node: str | int


def list_cameras() -> list[CameraInfo]:
    """Return the cameras a performer may use; virtual outputs are left out."""
    return [found.info for found in find_cameras()]


def find_cameras(
    *,
    platform: str = sys.platform,
    sys_root: Path = Path("/sys"),
    dev_root: Path = Path("/dev"),
    query_caps: Callable[[Path], int | None] | None = None,
) -> list[FoundCamera]:
    """Return the cameras of this machine; the arguments exist for tests."""
    if platform.startswith("linux"):
        found = _find_linux(sys_root, dev_root, query_caps or _query_caps)
    else:
        found = _find_with_ffmpeg(_BACKEND_FORMAT.get(platform, ""))
    return [camera for camera in found if not is_virtual_output(camera.info.name)]


def list_virtual_cameras(
    *,
    platform: str = sys.platform,
    sys_root: Path = Path("/sys"),
    dev_root: Path = Path("/dev"),
    query_caps: Callable[[Path], int | None] | None = None,
) -> list[CameraInfo]:
    """Return the devices that a virtual camera can be: `id` is what `VirtualCameraSink` takes as its device.

    On Linux those are the nodes that take pictures, such as v4l2loopback's; elsewhere cameras known by their names.
    """
    if not platform.startswith("linux"):
        names = [camera.info.name for camera in _find_with_ffmpeg(_BACKEND_FORMAT.get(platform, ""))]
        return [CameraInfo(name, name) for name in names if is_virtual_output(name)]
    found = []
    for entry in sorted((sys_root / "class" / "video4linux").glob("video*"), key=_number_of):
        node, name = dev_root / entry.name, _read_line(entry / "name") or entry.name
        caps = (query_caps or _query_caps)(node)
        if caps & _CAP_VIDEO_OUTPUT if caps is not None else is_virtual_output(name):
            found.append(CameraInfo(str(node), name))
    return found


def is_virtual_output(name: str) -> bool:
    """Whether a device of this name is a virtual camera's output, ours or another program's."""
    return _VIRTUAL.search(name) is not None


def _find_linux(sys_root: Path, dev_root: Path, query_caps: Callable[[Path], int | None]) -> list[FoundCamera]:
    stable = _stable_ids(dev_root)
    found = []
    for entry in sorted((sys_root / "class" / "video4linux").glob("video*"), key=_number_of):
        node = dev_root / entry.name
        caps = query_caps(node)
        # Without an answer (busy, no permission) the camera is listed: opening it will say what is wrong.
        if caps is not None and not caps & (_CAP_VIDEO_CAPTURE | _CAP_VIDEO_CAPTURE_MPLANE):
            continue
        name = _read_line(entry / "name") or entry.name
        found.append(FoundCamera(CameraInfo(id=stable.get(entry.name, entry.name), name=name), str(node)))
    return found


def _stable_ids(dev_root: Path) -> dict[str, str]:
    """Map node names to udev's stable names; by-id is preferred, by-path serves cameras without a serial number."""
    ids: dict[str, str] = {}
    for folder in ("by-path", "by-id"):
        for link in sorted((dev_root / "v4l" / folder).glob("*")):
            ids[link.resolve().name] = link.name
    return ids


def _number_of(entry: Path) -> int:
    digits = entry.name.removeprefix("video")
    return int(digits) if digits.isdigit() else sys.maxsize


def _read_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _query_caps(node: Path) -> int | None:
    """Ask a V4L2 driver what a node can do; None where it does not answer."""
    if sys.platform == "win32":
        return None
    import fcntl

    answer = bytearray(_QUERYCAP_SIZE)
    try:
        with node.open("rb", buffering=0) as device:
            fcntl.ioctl(device, _QUERYCAP, answer)
    except OSError:
        return None
    caps: int = struct.unpack_from("<I", answer, _DEVICE_CAPS_OFFSET)[0]
    return caps


def _find_with_ffmpeg(format_name: str) -> list[FoundCamera]:
    """List DirectShow or AVFoundation cameras; OpenCV counts them in the same order."""
    import av

    enumerate_devices = getattr(av, "enumerate_input_devices", None)  # PyAV 17 and later
    if enumerate_devices is None or not format_name:
        return []
    try:
        devices = enumerate_devices(format_name)
    except (av.FFmpegError, OSError, ValueError):
        return []
    cameras = [device for device in devices if "video" in (getattr(device, "media_types", None) or ["video"])]
    return [
        FoundCamera(CameraInfo(id=device.name, name=device.description or device.name), number)
        for number, device in enumerate(cameras)
    ]
