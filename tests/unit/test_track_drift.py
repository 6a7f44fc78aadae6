# SPDX-License-Identifier: Apache-2.0
"""The suggestion to calibrate again comes once, for a lasting change, and not for a glance."""

from __future__ import annotations

import numpy as np
import pytest

from engine.assets import load_canonical_face
from engine.clock import NS_PER_S
from engine.geometry import rotation_from_rotvec
from engine.track.calibration import make_neutral
from engine.track.drift import DriftWatch
from engine.types import TrackedMotion

_LOOKS = 20


def landmarks(*, yaw_deg: float = 0.0, scale: float = 100.0) -> np.ndarray:
    turn = rotation_from_rotvec((0.0, np.radians(yaw_deg), 0.0))
    return (load_canonical_face() @ turn.T * scale + 200).astype(np.float32)


def speaks(watch: DriftWatch, neutral: object, seconds: float, start_s: float = 0.0, **pose: float) -> list[float]:
    """Return when it spoke, feeding ten frames a second."""
    spoken = []
    for n in range(int(seconds * 10)):
        at_s = start_s + n / 10
        motion = TrackedMotion(n, round(at_s * NS_PER_S), landmarks(**pose))
        if watch.look(motion, neutral):  # type: ignore[arg-type]
            spoken.append(at_s)
    return spoken


@pytest.mark.parametrize("pose", [{"yaw_deg": 20.0}, {"yaw_deg": -20.0}, {"scale": 150.0}, {"scale": 65.0}])
def test_a_lasting_change_is_told_once(pose: dict[str, float]) -> None:
    watch, neutral = DriftWatch(window=_LOOKS), make_neutral(landmarks())
    assert len(speaks(watch, neutral, 60, **pose)) == 1


@pytest.mark.parametrize("pose", [{"yaw_deg": 8.0}, {"scale": 120.0}, {}])
def test_a_small_change_is_not(pose: dict[str, float]) -> None:
    watch, neutral = DriftWatch(window=_LOOKS), make_neutral(landmarks())
    assert speaks(watch, neutral, 60, **pose) == []


def test_a_glance_is_not_and_another_neutral_starts_anew() -> None:
    watch, neutral = DriftWatch(window=_LOOKS), make_neutral(landmarks())
    assert speaks(watch, neutral, 8) == []
    assert speaks(watch, neutral, 4, start_s=8, yaw_deg=30) == []
    assert speaks(watch, neutral, 20, start_s=12, yaw_deg=30) != []
    turned = make_neutral(landmarks(yaw_deg=30))
    assert speaks(watch, turned, 30, start_s=40, yaw_deg=30) == []
    assert len(speaks(watch, turned, 30, start_s=80)) == 1


def test_without_a_neutral_there_is_nothing_to_drift_from() -> None:
    assert speaks(DriftWatch(window=_LOOKS), None, 30, yaw_deg=40) == []
