# SPDX-License-Identifier: Apache-2.0
"""Calibration: what is taken as a neutral pose, what is refused, and why."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import CalibrationRejected, NoFaceInDriver, ShapeError
from engine.track.calibration import Calibrator, Neutral, find_neutral, make_neutral, rescale_neutral
from engine.track.eyes import AVERAGE_OPEN
from engine.types import TrackedMotion
from tests.helpers.performers import FRAME_NS, Performer, motion_of

PERSON = Performer(width=1.1)


def calibrate(faces: list[dict[str, float]], *, quality: float = 1.0) -> Neutral | None:
    calibrator = Calibrator()
    for i, face in enumerate(faces):
        taken = calibrator.add(motion_of(PERSON.landmarks(**face), frame=i, quality=quality))
        if taken is not None:
            return taken
    return None


def test_half_a_second_of_rest_is_taken_and_averaged() -> None:
    rng = np.random.default_rng(1)
    calibrator, taken = Calibrator(), None
    for i in range(14):
        assert taken is None
        assert calibrator.progress == pytest.approx(min(1.0, max(i - 1, 0) * 0.08), abs=0.001)
        noisy = PERSON.landmarks() + rng.normal(0, 0.5, (478, 3))
        taken = calibrator.add(motion_of(noisy, frame=i))
    assert taken is not None
    assert np.abs(taken.landmarks_px - PERSON.landmarks()).mean() < 0.2
    assert taken.quality > 0.8
    assert calibrator.progress == 0.0


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([{}] * 7 + [{"eyes": 0.2}] * 2 + [{}] * 7, "you blinked"),
        ([{"eyes": 0.1}] * 16, "the eyes were shut"),
        ([{"jaw": 0.2}] * 16, "the mouth was open"),
        ([{"yaw": 0.6}] * 16, "the head was turned or tilted"),
        ([{"roll": 0.5}] * 16, "the head was turned or tilted"),
        ([{"yaw": 0.03 * i - 0.2} for i in range(16)], "the face moved too much"),
    ],
    ids=["blink", "shut", "mouth", "turned", "tilted", "moving"],
)
def test_what_is_not_neutral_is_refused_with_a_reason(faces: list[dict[str, float]], reason: str) -> None:
    with pytest.raises(CalibrationRejected, match=reason) as caught:
        calibrate(faces)
    assert caught.value.fields["reason"] == reason
    assert caught.value.hint


def test_a_badly_seen_face_is_refused() -> None:
    with pytest.raises(CalibrationRejected, match="not seen well enough"):
        calibrate([{}] * 16, quality=0.3)


def test_after_a_refusal_or_a_pause_the_half_second_starts_again() -> None:
    calibrator = Calibrator()
    with pytest.raises(CalibrationRejected):  # noqa: PT012 - the refusal comes at the end of the window
        for i in range(14):
            calibrator.add(motion_of(PERSON.landmarks(jaw=0.3), frame=i))
    assert calibrator.progress == 0.0
    calibrator.add(motion_of(PERSON.landmarks(), frame=20))
    calibrator.add(motion_of(PERSON.landmarks(), frame=25))
    assert calibrator.progress > 0
    calibrator.add(motion_of(PERSON.landmarks(), frame=60))  # the face was lost for more than a second
    assert calibrator.progress == 0.0


def recording() -> list[TrackedMotion]:
    """Speaks and turns; frames 30-49 are neutral."""
    faces = [{"jaw": 0.1 + 0.1 * np.sin(i), "yaw": 0.3} for i in range(30)]
    faces += [{}] * 20
    faces += [{"jaw": 0.2, "eyes": 0.3, "pitch": 0.3}] * 30
    return [motion_of(PERSON.landmarks(**face), frame=i) for i, face in enumerate(faces)]


def test_the_most_neutral_half_second_of_a_recording_is_found() -> None:
    neutral = find_neutral(recording())
    np.testing.assert_allclose(neutral.landmarks_px, PERSON.landmarks(), atol=0.05)
    assert neutral.quality > 0.8
    assert 30 * FRAME_NS <= neutral.captured_ns < 50 * FRAME_NS, "a frame that shows it can be found again"


def test_a_short_or_single_frame_recording_gives_its_best_frame() -> None:
    best = find_neutral([recording()[0], recording()[40], recording()[60]])
    np.testing.assert_allclose(best.landmarks_px, PERSON.landmarks(), atol=0.05)
    assert best.captured_ns == 40 * FRAME_NS
    assert find_neutral(recording()[40:41]).quality > 0.8


def test_who_speaks_throughout_gets_a_neutral_with_less_of_it() -> None:
    talking = [motion_of(PERSON.landmarks(jaw=0.3), frame=i) for i in range(20)]
    neutral = find_neutral(talking)
    assert neutral.quality < 0.2
    gap, spoken, rest = (face[14, 1] - face[13, 1] for face in (
        neutral.landmarks_px, PERSON.landmarks(jaw=0.3), PERSON.landmarks()
    ))  # fmt: skip
    assert gap < rest + 0.5 * (spoken - rest)


def test_resting_eyes_are_not_read_off_a_blink() -> None:
    blinking = [motion_of(PERSON.landmarks(eyes=0.15), frame=i) for i in range(20)]
    assert (find_neutral(blinking).resting_openness >= 0.12).all()
    assert make_neutral(PERSON.landmarks(eyes=0.1)).resting_openness == pytest.approx([AVERAGE_OPEN] * 2)


def test_a_recording_without_a_face_is_refused() -> None:
    with pytest.raises(NoFaceInDriver):
        find_neutral([])


def test_neutral_checks_its_shape_and_is_read_only() -> None:
    with pytest.raises(ShapeError):
        make_neutral(np.zeros((5, 3)))
    with pytest.raises(ShapeError):
        Neutral(np.zeros((5, 3), np.float32), np.ones(2))
    assert not make_neutral(PERSON.landmarks()).landmarks_px.flags.writeable


@pytest.mark.parametrize("to_wh", [(320, 240), (1280, 960), (640, 480), (960, 480)])
def test_a_neutral_pose_is_carried_to_frames_of_another_size(to_wh: tuple[int, int]) -> None:
    from_wh = (640, 480)
    performer = Performer(size_px=80.0, centre_px=((from_wh[0] - 1) / 2, (from_wh[1] - 1) / 2))
    neutral = make_neutral(performer.landmarks())
    moved = rescale_neutral(neutral, from_wh=from_wh, to_wh=to_wh)
    ratio = to_wh[1] / from_wh[1]
    expected = Performer(size_px=80.0 * ratio, centre_px=((to_wh[0] - 1) / 2, (to_wh[1] - 1) / 2)).landmarks()
    np.testing.assert_allclose(moved.landmarks_px, expected, atol=1e-3)
    np.testing.assert_array_equal(moved.resting_openness, neutral.resting_openness)
