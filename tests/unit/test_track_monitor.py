# SPDX-License-Identifier: Apache-2.0
"""The performer's own view and the saved neutral pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cv import shrink
from engine.sinks.lent import LentSink
from engine.sinks.memory import MemorySink
from engine.track.calibration import make_neutral
from engine.track.monitor import TrackingMonitor
from engine.track.neutral_file import load_neutral, neutral_path, save_neutral
from engine.watermark.gate import holding_card
from tests.helpers.scripted import SIZE_WH, ScriptedTracker, driving_frame, make_renderer


def test_the_monitor_is_off_until_it_is_set() -> None:
    renderer, rings = make_renderer(), []
    monitor = TrackingMonitor(lambda: rings.append(1), width_px=32)
    renderer.render(driving_frame(0))
    assert monitor.take() is None
    renderer.monitor = monitor
    renderer.render(driving_frame(1))
    view = monitor.take()
    assert view is not None
    assert view.rgb.shape == (24, 32, 3)
    assert view.landmarks is not None
    motion = ScriptedTracker().track(driving_frame(1))
    assert motion is not None
    np.testing.assert_allclose(view.landmarks, motion.landmarks_px[:, :2] / 2)
    assert view.neutral is None
    assert rings == [1]
    assert monitor.take() is None, "the newest once"


def test_the_monitor_shows_a_lost_face_and_the_ghost() -> None:
    renderer = make_renderer(tracker=ScriptedTracker(lost={1}))
    monitor = TrackingMonitor(lambda: None)
    renderer.monitor = monitor
    motion = ScriptedTracker().track(driving_frame(0))
    assert motion is not None
    renderer.set_neutral(make_neutral(motion.landmarks_px))
    renderer.render(driving_frame(1))
    view = monitor.take()
    assert view is not None
    assert view.landmarks is None
    assert view.neutral is not None


def test_a_small_picture_is_not_enlarged() -> None:
    assert shrink(np.zeros((4, 6, 3), np.uint8), width_px=320).shape == (4, 6, 3)


def test_a_neutral_pose_is_kept_per_person_and_camera(tmp_path: Path) -> None:
    motion = ScriptedTracker().track(driving_frame(0))
    assert motion is not None
    neutral = make_neutral(motion.landmarks_px, quality=0.75)
    path = neutral_path("Ada", "camera:usb/1", folder=tmp_path)
    assert load_neutral(path) is None
    save_neutral(path, neutral)
    read = load_neutral(path)
    assert read is not None
    np.testing.assert_array_equal(read.landmarks_px, neutral.landmarks_px)
    np.testing.assert_array_equal(read.resting_openness, neutral.resting_openness)
    assert read.quality == 0.75
    others = {neutral_path(p, c, folder=tmp_path) for p in ("Ada", "Bo") for c in ("camera:usb/1", "demo")}
    assert len(others) == 4
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_pose_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert load_neutral(path) is None


def test_a_pose_of_other_shape_or_without_numbers_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for landmarks in (np.zeros((5, 3), np.float32), np.full((478, 3), np.nan, np.float32)):
        np.savez(path, landmarks_px=landmarks, resting_openness=np.ones(2), quality=1.0)
        assert load_neutral(path) is None


def test_a_lent_sink_is_open_when_its_borrower_has_closed_it() -> None:
    sink = MemorySink()
    lent = LentSink(sink)
    assert (lent.name, lent.keeps_every_frame) == (sink.name, True)
    card = holding_card(SIZE_WH, "test")
    lent.send(card)
    lent.close()
    lent.send(card)
    assert sink.frames == [card, card]
