# SPDX-License-Identifier: Apache-2.0
"""Where driving frames come from: webcams, videos, pictures, a test pattern. First stage of the data flow."""

from __future__ import annotations

from pathlib import Path

from engine.capture.base import Camera, CameraInfo
from engine.capture.devices import FoundCamera, find_cameras, list_cameras
from engine.clock import Clock
from engine.errors import CameraMissing, DriverUnreadable

__all__ = ["Camera", "CameraInfo", "list_cameras", "open_camera"]

_CAMERA = "camera:"
_SYNTHETIC = "synthetic"


def open_camera(
    spec: str | Path,
    *,
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 30.0,
    paced: bool = True,
    loop: bool = False,
    clock: Clock | None = None,
) -> Camera:
    """Open whatever a performer may drive a character with.

    Args:
        spec: `camera:ID`, `camera:NAME` or `camera:NUMBER` for a webcam, `synthetic` for a test pattern, else the path
            of a video, a picture or a folder of pictures.
        width_px, height_px: asked of a webcam, used for the test pattern.
        fps: asked of a webcam; rate of pictures and the test pattern; upper limit of a paced video.
        paced: files are delivered in real time, as a webcam would; otherwise as fast as they are read.
        loop: files start again at their end.

    Raises:
        CameraMissing, CameraBusy: no such webcam, or it cannot be opened.
        DriverUnreadable: the file is missing, empty, broken or of no known kind.
    """
    text = str(spec)
    if text.startswith(_CAMERA):
        from engine.capture.opencv import OpenCvCamera

        found = _choose(text.removeprefix(_CAMERA), find_cameras())
        return OpenCvCamera(found.node, info=found.info, width_px=width_px, height_px=height_px, fps=fps, clock=clock)
    from engine.capture.clips import PICTURE_SUFFIXES, Clip, PictureClip, SyntheticClip
    from engine.capture.replay import ReplayCamera
    from engine.capture.video import VideoClip

    clip: Clip
    if text == _SYNTHETIC:
        clip = SyntheticClip(width_px=width_px, height_px=height_px, fps=fps)
        return ReplayCamera(clip, paced=paced, clock=clock)
    path = Path(spec)
    try:
        if path.is_dir() or (path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES):
            clip = PictureClip(path, fps=fps)
        elif path.exists():
            clip = VideoClip(path)
        else:
            raise DriverUnreadable(f"The driving file does not exist: {path}.", hint="Check the path.", path=text)
    except PermissionError as error:
        raise DriverUnreadable(
            f"The driving file may not be read: {path}.", hint="Check its permissions.", path=text
        ) from error
    return ReplayCamera(clip, paced=paced, loop=loop, max_fps=fps, clock=clock)


def _choose(wanted: str, found: list[FoundCamera]) -> FoundCamera:
    """Find a camera by id, device node, number or a part of its name that fits only one."""
    for number, camera in enumerate(found):
        if wanted in (camera.info.id, str(camera.node), str(number)):
            return camera
    named = [camera for camera in found if wanted and wanted.lower() in camera.info.name.lower()]
    if len(named) == 1:
        return named[0]
    if not found:
        raise CameraMissing(
            "No camera is connected.", hint="Plug one in, or drive with a video file instead.", wanted=wanted
        )
    known = ", ".join(f"{camera.info.id} ({camera.info.name})" for camera in found)
    what = "fits several cameras" if named else "fits no camera"
    raise CameraMissing(f"camera:{wanted} {what}.", hint=f"Choose one of: {known}.", wanted=wanted)
