# SPDX-License-Identifier: Apache-2.0
"""The virtual camera's self-test through its real host process: card out, opened as a camera, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.app.vcam_probe import open_again, probe_virtual_camera
from engine.capture.base import CameraInfo
from engine.errors import CameraBusy, VirtualCameraMissing
from engine.sinks import vcam_device
from engine.sinks.virtual_camera import VirtualCameraSink
from engine.types import Frame
from engine.watermark.gate import holding_card
from tests.helpers.vcam_viewer import BACKEND_MODULE, CallApp

SIZE_WH = (320, 180)
CARD = holding_card(SIZE_WH, "This is the test picture")


class CallCamera:
    """What the call app sees, as a camera. spoil: what its driver does to the pictures."""

    info = CameraInfo("call", "call")

    def __init__(self, call: CallApp, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        self._call, self._spoil, self._index = call, spoil, 0
        call.accept()

    def read(self) -> Frame | None:
        picture = self._call.read()
        self._index += 1
        return None if picture is None else Frame(self._index, 0, self._spoil(picture).astype(np.uint8))

    def close(self) -> None:
        """The call app stays."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcam_device.platformdirs, "user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))


@pytest.fixture
def call() -> Iterator[CallApp]:
    app = CallApp(SIZE_WH)
    yield app
    app.close()


def sink_of(call: CallApp) -> VirtualCameraSink:
    waiting = holding_card(SIZE_WH, "Starting")
    return VirtualCameraSink(*SIZE_WH, 30.0, "socket", call.device, card=waiting, backend_module=BACKEND_MODULE)


def coarse(picture: np.ndarray) -> np.ndarray:
    """What a driver with 4:2:0 colour and few levels leaves of a picture."""
    return np.repeat(np.repeat(picture[::2, ::2], 2, axis=0), 2, axis=1) // 8 * 8 + 4


@pytest.mark.parametrize("spoil", [lambda picture: picture, coarse, lambda picture: picture[::2, ::2]])
def test_what_comes_back_as_sent_works(call: CallApp, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    found = probe_virtual_camera(
        CARD, lambda: sink_of(call), open_camera=lambda _device: CallCamera(call, spoil), sent_s=0.2
    )
    assert found.works, found
    assert found.device == call.device
    assert "read back from it as sent" in found.words


def test_another_picture_is_noticed(call: CallApp) -> None:
    found = probe_virtual_camera(
        CARD, lambda: sink_of(call), open_camera=lambda _device: CallCamera(call, lambda p: 255 - p), sent_s=0.2
    )
    assert not found.works
    assert found.likeness_db is not None
    assert "another one than was sent" in found.words


def test_where_it_cannot_be_read_back_the_reason_is_said(call: CallApp) -> None:
    assert open_again("OBS Virtual Camera") is None
    found = probe_virtual_camera(CARD, lambda: sink_of(call), open_camera=open_again, sent_s=0.2)
    assert "took the test picture" in found.words
    assert "under its own name" in found.words

    def busy(_device: str) -> CallCamera:
        raise CameraBusy("The camera is busy.")

    other = CallApp(SIZE_WH)
    found = probe_virtual_camera(CARD, lambda: sink_of(other), open_camera=busy, sent_s=0.2)
    other.close()
    assert "The camera is busy." in found.words


def test_without_a_device_it_is_an_error_with_what_to_do() -> None:
    def fail() -> VirtualCameraSink:
        return VirtualCameraSink(*SIZE_WH, 30.0, "socket", "127.0.0.1:9", card=CARD, backend_module=BACKEND_MODULE)

    with pytest.raises(VirtualCameraMissing, match="is not there"):
        probe_virtual_camera(CARD, fail)
