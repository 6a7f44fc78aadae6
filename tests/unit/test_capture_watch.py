# SPDX-License-Identifier: Apache-2.0
"""Cameras that work and are of no use: black, frozen, slow; and those that only look like it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from engine import state as states
from engine.capture.base import CameraInfo
from engine.capture.watch import PictureWatch
from engine.clock import NS_PER_S, FakeClock
from engine.errors import CameraImpaired
from engine.events import Warned
from engine.status import Status
from engine.types import Frame

_LIVE = CameraInfo("cam", "Camera", 64, 48, 30.0)
_RNG = np.random.default_rng(3)


def _noise(level: int = 120) -> np.ndarray:
    return np.clip(_RNG.integers(-4, 5, (48, 64, 3)) + level, 0, 255).astype(np.uint8)


def _running() -> Status:
    status = Status(FakeClock())
    status.move(states.begin(status.state))
    status.move(states.finish_loading(status.state))
    status.events.drain()
    return status


def _look(watch: PictureWatch, pictures: Iterable[np.ndarray], *, from_s: float = 0.0, fps: float = 30.0) -> float:
    at_s = from_s
    for index, rgb in enumerate(pictures):
        watch.look(Frame(index, round(at_s * NS_PER_S), np.ascontiguousarray(rgb)))
        at_s += 1 / fps
    return at_s


def _said(status: Status) -> list[str]:
    return [str(event.error) for event in status.events.drain() if isinstance(event, Warned)]


def test_a_black_camera_is_named_after_a_second_and_forgiven_with_the_first_picture() -> None:
    status = _running()
    watch = PictureWatch(_LIVE, status)
    at_s = _look(watch, [_noise()] * 3 + [_noise(8) for _ in range(25)])
    assert status.state.reasons == ()
    at_s = _look(watch, [_noise(8) for _ in range(10)], from_s=at_s)
    assert status.state.reasons == (states.CAMERA_BLACK,)
    assert [word for word in _said(status) if "only black pictures" in word and "shutter" in word]
    _look(watch, [_noise()], from_s=at_s)
    assert status.state.reasons == ()


def test_pure_black_is_not_called_frozen_too() -> None:
    status = _running()
    _look(PictureWatch(_LIVE, status), [np.zeros((48, 64, 3), np.uint8)] * 120)
    assert status.state.reasons == (states.CAMERA_BLACK,)


def test_a_frozen_camera_is_named_after_two_seconds_and_forgiven_with_the_first_other_picture() -> None:
    status, still = _running(), _noise()
    watch = PictureWatch(_LIVE, status)
    at_s = _look(watch, [still] * 58)
    assert status.state.reasons == ()
    at_s = _look(watch, [still] * 10, from_s=at_s)
    assert status.state.reasons == (states.CAMERA_FROZEN,)
    assert len(_said(status)) == 1
    _look(watch, [_noise()], from_s=at_s)
    assert status.state.reasons == ()


def test_five_pictures_a_second_are_too_few_unless_the_source_says_so() -> None:
    status = _running()
    watch = PictureWatch(_LIVE, status)
    at_s = _look(watch, (_noise() for _ in range(15)), fps=5.0)
    assert status.state.reasons == (states.CAMERA_SLOW,)
    assert ["fewer than 10 pictures a second" in word for word in _said(status)] == [True]
    _look(watch, (_noise() for _ in range(20)), from_s=at_s)
    assert status.state.reasons == ()
    honest = _running()
    slow = CameraInfo("clip", "Clip", 64, 48, 5.0)
    _look(PictureWatch(slow, honest), (_noise() for _ in range(30)), fps=5.0)
    assert honest.state.reasons == ()


def test_a_reader_that_is_late_by_itself_does_not_blame_the_camera() -> None:
    for waited_s, reasons in ((0.19, (states.CAMERA_SLOW,)), (0.02, ())):
        status = _running()
        watch = PictureWatch(_LIVE, status)
        for index in range(40):
            frame = Frame(index, round(index * 0.2 * NS_PER_S), _noise())
            watch.look(frame, waited_ns=round(waited_s * NS_PER_S))
        assert status.state.reasons == reasons


@pytest.mark.parametrize("what", ["a still file", "a person who sits still", "a pause", "a dim room"])
def test_what_is_no_fault(what: str) -> None:
    status = _running()
    if what == "a still file":
        _look(PictureWatch(CameraInfo("still", "Still", frame_count=1), status), [_noise()] * 120)
    elif what == "a person who sits still":
        _look(PictureWatch(_LIVE, status), (_noise() for _ in range(120)))
    elif what == "a pause":
        still = _noise()
        _look(PictureWatch(_LIVE, status), [still, still], fps=1 / 3600)
    else:
        _look(PictureWatch(_LIVE, status), (_noise(30) for _ in range(60)))
    assert status.state.reasons == ()


def test_another_camera_starts_without_the_blame_of_the_last() -> None:
    status = _running()
    watch = PictureWatch(_LIVE, status)
    _look(watch, [np.zeros((48, 64, 3), np.uint8)] * 60)
    watch.close()
    assert status.state.reasons == ()
    assert all(isinstance(event.error, CameraImpaired) for event in status.events.drain() if isinstance(event, Warned))
