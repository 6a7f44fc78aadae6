# SPDX-License-Identifier: Apache-2.0
"""Webcams: which there are (on a fake device tree), how one is chosen, and what happens when it fails."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.capture import _choose
from engine.capture.base import Camera, CameraInfo
from engine.capture.devices import FoundCamera, find_cameras, is_virtual_output, list_virtual_cameras
from engine.capture.opencv import OpenCvCamera
from engine.clock import NS_PER_S, FakeClock
from engine.cv import cv2
from engine.errors import CameraBusy, CameraMissing, CameraStalled

_CAPTURE, _METADATA, _OUTPUT = 0x1, 0x800000, 0x2


@pytest.fixture
def device_tree(tmp_path: Path) -> tuple[Path, Path]:
    """Two webcams (one with a metadata node), one of them without a serial number, and our own output."""
    sys_root, dev_root = tmp_path / "sys", tmp_path / "dev"
    (dev_root / "v4l" / "by-id").mkdir(parents=True)
    (dev_root / "v4l" / "by-path").mkdir()
    names = {0: "HD Pro Webcam C920", 1: "HD Pro Webcam C920", 2: "Cheap Cam", 9: "Bunraku", 10: "OBS Virtual Camera"}
    for number, name in names.items():
        node = sys_root / "class" / "video4linux" / f"video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(name + "\n")
        (dev_root / f"video{number}").touch()
    (dev_root / "v4l" / "by-id" / "usb-046d_C920_ABC-video-index0").symlink_to("../../video0")
    for number in (0, 2):
        link = dev_root / "v4l" / "by-path" / f"pci-0000:00:14.0-usb-0:{number}:1.0-video-index0"
        link.symlink_to(f"../../video{number}")
    return sys_root, dev_root


def find(device_tree: tuple[Path, Path], caps: dict[str, int | None] | None = None) -> list[FoundCamera]:
    known = {"video0": _CAPTURE, "video1": _METADATA, "video2": _CAPTURE, "video9": _OUTPUT, "video10": _CAPTURE}
    answers = {**known, **(caps or {})}
    sys_root, dev_root = device_tree
    return find_cameras(
        platform="linux", sys_root=sys_root, dev_root=dev_root, query_caps=lambda node: answers[node.name]
    )


def test_lists_capture_nodes_with_stable_ids(device_tree: tuple[Path, Path]) -> None:
    found = find(device_tree)
    assert [(camera.info.id, camera.info.name, Path(str(camera.node)).name) for camera in found] == [
        ("usb-046d_C920_ABC-video-index0", "HD Pro Webcam C920", "video0"),
        ("pci-0000:00:14.0-usb-0:2:1.0-video-index0", "Cheap Cam", "video2"),
    ]


def test_lists_virtual_cameras_by_what_they_take(device_tree: tuple[Path, Path]) -> None:
    sys_root, dev_root = device_tree
    caps: dict[str, int | None] = {"video9": _OUTPUT, "video10": None}

    def found() -> list[tuple[str, str]]:
        cameras = list_virtual_cameras(
            platform="linux",
            sys_root=sys_root,
            dev_root=dev_root,
            query_caps=lambda node: caps.get(node.name, _CAPTURE),
        )
        return [(camera.name, Path(camera.id).name) for camera in cameras]

    assert found() == [("Bunraku", "video9"), ("OBS Virtual Camera", "video10")]
    caps.update(video2=_OUTPUT | _CAPTURE, video10=_CAPTURE)  # one that somebody sends to gives out, and takes no more
    assert found() == [("Cheap Cam", "video2"), ("Bunraku", "video9")]


def test_lists_a_camera_whose_driver_does_not_answer(device_tree: tuple[Path, Path]) -> None:
    assert [camera.info.name for camera in find(device_tree, {"video2": None})][-1] == "Cheap Cam"


def test_no_video_subsystem_means_no_camera(tmp_path: Path) -> None:
    assert find_cameras(platform="linux", sys_root=tmp_path, dev_root=tmp_path) == []


@pytest.mark.parametrize("name", ["Bunraku", "OBS Virtual Camera", "Dummy video device (0x0000)", "v4l2loopback-1"])
def test_virtual_outputs_are_hidden(name: str) -> None:
    assert is_virtual_output(name)
    assert not is_virtual_output("Logitech BRIO")


def test_choose_by_id_node_number_or_name(device_tree: tuple[Path, Path]) -> None:
    found = find(device_tree)
    for wanted in (found[1].info.id, str(found[1].node), "1", "cheap"):
        assert _choose(wanted, found) is found[1]
    with pytest.raises(CameraMissing, match="fits several"):
        _choose("C", found)
    with pytest.raises(CameraMissing, match="fits no camera") as caught:
        _choose("Logitech", found)
    assert found[0].info.id in caught.value.hint


class FakeDevice:
    """A VideoCapture that delivers what it is told to, one `next` at a time."""

    def __init__(self, clock: FakeClock, *, frames: int, opened: bool = True, fps: float = 20.0) -> None:
        self.clock, self.left, self.opened, self.step_s = clock, frames, opened, 1 / fps
        self.hanging, self.released = threading.Event(), threading.Event()
        self.wishes: list[int] = []

    def isOpened(self) -> bool:
        return self.opened

    def get(self, key: int) -> float:
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG")),
        }[key]

    def read(self) -> tuple[bool, Any]:
        if self.left == 0:
            return False, None
        if self.left < 0:
            self.hanging.wait(30)
            return False, None
        self.left -= 1
        self.clock.advance(s=self.step_s)
        picture = np.zeros((480, 640, 3), np.uint8)
        picture[..., 0] = 200  # blue in OpenCV's order
        return True, picture

    def release(self) -> None:
        self.released.set()


def open_fake(device: FakeDevice, clock: FakeClock, *, stall_s: float = 20.0) -> OpenCvCamera:
    def opener(node: str | int, wishes: list[int]) -> FakeDevice:
        device.wishes = wishes
        return device

    return OpenCvCamera(0, info=CameraInfo("id", "Cam"), clock=clock, opener=opener, stall_s=stall_s)


def test_camera_asks_for_motion_jpeg_first_and_delivers_rgb() -> None:
    clock = FakeClock()
    device = FakeDevice(clock, frames=40)
    with open_fake(device, clock) as camera:
        frame = camera.read()
        assert isinstance(camera, Camera)
        assert frame is not None
        assert frame.rgb[0, 0].tolist() == [0, 0, 200]
        assert camera.info.fourcc == "MJPG"
        assert device.released.wait(20)
        # The driver claims 30 fps and delivers 20.
        assert camera.info.fps == pytest.approx(20, rel=1e-3)
    assert device.wishes[:2] == [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")]
    assert dict(zip(device.wishes[::2], device.wishes[1::2], strict=True))[cv2.CAP_PROP_FRAME_WIDTH] == 1280


def test_camera_that_goes_away_is_missing() -> None:
    clock = FakeClock()
    camera = open_fake(FakeDevice(clock, frames=1), clock)
    assert camera.read() is not None
    with pytest.raises(CameraMissing, match="is gone"):
        camera.read()
    camera.close()
    assert camera.read() is None


def test_camera_that_hangs_is_stalled() -> None:
    clock = FakeClock()
    device = FakeDevice(clock, frames=-1)
    camera = open_fake(device, clock, stall_s=0.01)
    with pytest.raises(CameraStalled, match="no frame"):
        camera.read()
    device.hanging.set()
    camera.close()
    assert device.released.wait(20)


def test_camera_that_cannot_be_opened_is_busy_or_missing(tmp_path: Path) -> None:
    device = FakeDevice(FakeClock(), frames=0, opened=False)
    with pytest.raises(CameraBusy):
        OpenCvCamera(0, info=CameraInfo("id", "Cam"), opener=lambda node, wishes: device)
    with pytest.raises(CameraMissing):
        OpenCvCamera(str(tmp_path / "video7"), info=CameraInfo("id", "Cam"), opener=lambda node, wishes: device)
    assert device.released.is_set()


def test_measured_rate_follows_the_clock() -> None:
    clock = FakeClock()
    device = FakeDevice(clock, frames=200, fps=12.5)
    with open_fake(device, clock) as camera:
        assert device.released.wait(20)
        assert camera.info.fps == pytest.approx(12.5, rel=1e-3)
    assert clock.now_ns() == NS_PER_S + 200 * NS_PER_S * 2 // 25
