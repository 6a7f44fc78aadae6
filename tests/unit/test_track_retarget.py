# SPDX-License-Identifier: Apache-2.0
"""Retargeting: whose face it is, what moves, and how far."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.config import MotionSettings
from engine.errors import ShapeError
from engine.geometry import angles_from_rotation
from engine.landmarks import (
    BROWS,
    EYES,
    IRISES,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from engine.track.calibration import Neutral, make_neutral
from engine.track.eyes import read_eyes
from engine.track.head import take_apart
from engine.track.retarget import Retargeter
from tests.helpers.performers import Performer, motion_of

DRIVER = Performer(width=1.25, height=0.9, size_px=95)
OTHER_DRIVER = Performer(width=0.85, height=1.1, size_px=60, centre_px=(900, 500))
CHARACTER = (Performer(width=0.95, height=1.05).landmarks(yaw=0.05) - np.array([320, 240, 0])) / 280


def neutral_of(driver: Performer) -> Neutral:
    return make_neutral(driver.landmarks())


def drive(landmarks: np.ndarray, *, neutral: Neutral | None = None, **settings: float) -> np.ndarray:
    """Retarget one frame unsmoothed; neutral defaults to DRIVER's."""
    retargeter = Retargeter(
        CHARACTER,
        neutral=neutral_of(DRIVER) if neutral is None else neutral,
        settings=MotionSettings(**settings),
        smoothed=False,
    )
    return retargeter.retarget(motion_of(landmarks)).keypoints


def test_output_is_portrait_space_float32_with_the_frame_time() -> None:
    query = Retargeter(CHARACTER, neutral=neutral_of(DRIVER)).retarget(motion_of(DRIVER.landmarks(), frame=7))
    assert query.keypoints.dtype == np.float32
    assert query.captured_ns == 7 * 40_000_000
    assert np.abs(query.keypoints[:, :2]).max() < 1


def test_character_must_have_all_points() -> None:
    with pytest.raises(ShapeError):
        Retargeter(np.zeros((68, 3)))


@pytest.mark.parametrize("driver", [DRIVER, OTHER_DRIVER], ids=["wide", "long"])
def test_neutral_of_any_face_shape_gives_exactly_the_character(driver: Performer) -> None:
    keypoints = drive(driver.landmarks(), neutral=neutral_of(driver))
    np.testing.assert_allclose(keypoints, CHARACTER, atol=1e-5)


@pytest.mark.parametrize(
    "face", [{"jaw": 0.25}, {"eyes": 0.1}, {"gaze": 0.08}, {"brows": 0.1}, {"yaw": 0.2}, {"pitch": -0.15, "jaw": 0.1}]
)
def test_the_same_expression_of_two_people_looks_the_same_on_the_character(face: dict[str, float]) -> None:
    first = drive(DRIVER.landmarks(**face), neutral=neutral_of(DRIVER))
    second = drive(OTHER_DRIVER.landmarks(**face), neutral=neutral_of(OTHER_DRIVER))
    moved = np.linalg.norm((first - CHARACTER)[:, :2], axis=1).max()
    assert moved > 0.015
    # The drivers' widths differ by half; what of that reaches the character stays well under the motion itself.
    assert np.linalg.norm((first - second)[:, :2], axis=1).max() < 0.35 * moved


def test_a_person_retargeted_onto_themself_is_reproduced() -> None:
    own = (DRIVER.landmarks() - np.array([320, 240, 0])) / 280
    retargeter = Retargeter(own, neutral=neutral_of(DRIVER), smoothed=False)
    for face in ({"jaw": 0.3}, {"eyes": 0.6}, {"gaze": -0.05}, {"brows": 0.1}, {"yaw": 0.2, "roll": 0.1, "grow": 1.05}):
        frame = DRIVER.landmarks(**face)
        expected = (frame - np.array([320, 240, 0])) / 280
        got = retargeter.retarget(motion_of(frame)).keypoints
        assert np.linalg.norm((got - expected)[:, :2], axis=1).max() < 0.01, face


def test_blink_shuts_the_characters_lids_on_its_own_geometry() -> None:
    shut = drive(DRIVER.landmarks(eyes=0.2))
    own_gap = np.linalg.norm(CHARACTER[list(RIGHT_UPPER_LID)] - CHARACTER[list(RIGHT_LOWER_LID)], axis=1)
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        gap = np.linalg.norm(shut[list(upper)] - shut[list(lower)], axis=1)
        assert (gap < 0.1 * own_gap.max()).all()
        low, high = CHARACTER[list(upper), 1] - 1e-3, CHARACTER[list(lower), 1] + 1e-3
        assert ((shut[list(upper), 1] > low) & (shut[list(upper), 1] < high)).all()


def test_wink_shuts_one_eye_only() -> None:
    wink = DRIVER.landmarks()
    wink[list(RIGHT_UPPER_LID)] = wink[list(RIGHT_LOWER_LID)]
    own = read_eyes(take_apart(CHARACTER)[1]).openness
    got = read_eyes(take_apart(drive(wink))[1]).openness
    assert got[0] < 0.15 * own[0]
    assert got[1] == pytest.approx(own[1], rel=0.05)


def test_gaze_follows_and_stays_inside_the_eye() -> None:
    small, huge = drive(DRIVER.landmarks(gaze=0.06)), drive(DRIVER.landmarks(gaze=3.0))
    assert (small[list(IRISES), 0] > CHARACTER[list(IRISES), 0] + 0.003).all()
    eye = CHARACTER[list(EYES), 0]
    assert eye.min() < huge[[468, 473], 0].min()
    assert huge[[468, 473], 0].max() < eye.max()


def test_open_mouth_opens_and_closed_lips_do_not_cross() -> None:
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    opened = drive(DRIVER.landmarks(jaw=0.3))
    gap = opened[lower, 1] - opened[upper, 1]
    assert gap[4] > (CHARACTER[lower, 1] - CHARACTER[upper, 1])[4] + 0.04
    # A performer calibrated with parted lips closes them: the character's lips meet, no further.
    parted = make_neutral(DRIVER.landmarks(jaw=0.12))
    closed = drive(DRIVER.landmarks(), neutral=parted)
    touching = np.minimum(CHARACTER[lower, 1] - CHARACTER[upper, 1], 0)
    assert (closed[lower, 1] - closed[upper, 1] >= touching - 2e-3).all()


@pytest.mark.parametrize(
    ("gain", "face", "points"),
    [
        ("eyes", {"eyes": 0.7, "gaze": 0.06}, (*EYES, *IRISES)),
        ("mouth", {"jaw": 0.3}, LIPS),
        ("brows", {"brows": 0.15}, BROWS),
    ],
)
def test_gain_zero_freezes_its_region_and_gain_two_exaggerates(
    gain: str, face: dict[str, float], points: tuple[int, ...]
) -> None:
    index = list(points)
    move = [drive(DRIVER.landmarks(**face), **{gain: value})[index] - CHARACTER[index] for value in (0.0, 1.0, 1.5)]
    size = [float(np.abs(change[:, :2]).max()) for change in move]
    assert size[0] < 1e-5
    assert size[1] > 0.005
    assert size[2] > 1.1 * size[1]


def test_head_gain_scales_the_turn_and_zero_freezes_the_head() -> None:
    frame = DRIVER.landmarks(yaw=0.2, pitch=0.1, roll=0.1, move_px=(20, 5), grow=1.05)
    np.testing.assert_allclose(drive(frame, head=0.0), CHARACTER, atol=1e-5)
    own = angles_from_rotation(take_apart(CHARACTER)[0].rotation)
    yaws = [angles_from_rotation(take_apart(drive(frame, head=h))[0].rotation)[0] - own[0] for h in (0.5, 1.0)]
    assert yaws == pytest.approx([0.1, 0.2], abs=0.02)


def test_head_turns_about_the_characters_own_axes() -> None:
    """A performer who sits turned away and nods makes a frontal character nod, not roll."""
    aside = make_neutral(DRIVER.landmarks(yaw=0.5))
    rest = take_apart(DRIVER.landmarks(yaw=0.5))[0].rotation
    nodding = take_apart(DRIVER.landmarks(yaw=0.5, pitch=-0.2))[0].rotation
    assert abs(angles_from_rotation(nodding)[2] - angles_from_rotation(rest)[2]) < 0.01
    keypoints = drive(DRIVER.landmarks(yaw=0.5, pitch=-0.2), neutral=aside)
    own, got = (angles_from_rotation(take_apart(face)[0].rotation) for face in (CHARACTER, keypoints))
    assert got[1] - own[1] == pytest.approx(-0.2, abs=0.02)
    assert abs(got[0] - own[0]) < 0.02
    assert abs(got[2] - own[2]) < 0.02


def test_translation_is_measured_in_face_sizes() -> None:
    near, far = Performer(size_px=160), Performer(size_px=40)
    by_near = drive(near.landmarks(move_px=(32, 16)), neutral=neutral_of(near))
    by_far = drive(far.landmarks(move_px=(8, 4)), neutral=neutral_of(far))
    np.testing.assert_allclose(by_near, by_far, atol=1e-4)
    assert (by_near[:, 0] - CHARACTER[:, 0]).mean() == pytest.approx(0.2 * take_apart(CHARACTER)[0].scale, rel=0.02)


def test_motion_beyond_the_set_is_stopped_softly_and_a_wider_set_allows_more() -> None:
    own_yaw = angles_from_rotation(take_apart(CHARACTER)[0].rotation)[0]
    side = (Performer(width=0.95, height=1.05).landmarks(yaw=0.65) - np.array([320, 240, 0])) / 280
    reached = {}
    for name, coverage in (("alone", None), ("with side view", np.stack([CHARACTER, side]))):
        retargeter = Retargeter(CHARACTER, coverage=coverage, neutral=neutral_of(DRIVER), smoothed=False)
        faces = [retargeter.retarget(motion_of(DRIVER.landmarks(yaw=yaw))).keypoints for yaw in (0.3, 0.6, 0.9, 1.2)]
        reached[name] = [angles_from_rotation(take_apart(face)[0].rotation)[0] - own_yaw for face in faces]
    for yaws in reached.values():
        assert yaws == sorted(yaws)
    assert reached["alone"][-1] < 0.55
    assert reached["with side view"][1] == pytest.approx(0.6, abs=0.03)


def test_absolute_motion_copies_the_head_and_opens_the_mouth_without_any_neutral() -> None:
    retargeter = Retargeter(CHARACTER, settings=MotionSettings(motion=0), smoothed=False)
    frame = DRIVER.landmarks(yaw=0.2, jaw=0.3)
    keypoints = retargeter.retarget(motion_of(frame)).keypoints
    wanted, got = (angles_from_rotation(take_apart(face)[0].rotation) for face in (frame, keypoints))
    assert got == pytest.approx(wanted, abs=0.02)
    shape, own = take_apart(keypoints)[1], take_apart(CHARACTER)[1]
    assert (shape[14, 1] - shape[13, 1]) - (own[14, 1] - own[13, 1]) > 0.1


def test_without_a_neutral_the_settings_cannot_ask_for_relative_motion() -> None:
    frame = motion_of(DRIVER.landmarks(yaw=0.1, jaw=0.2))
    answers = [
        Retargeter(CHARACTER, settings=MotionSettings(motion=m), smoothed=False).retarget(frame).keypoints
        for m in (0.0, 1.0)
    ]
    np.testing.assert_array_equal(*answers)


def test_absolute_motion_leaks_little_of_the_drivers_face_shape() -> None:
    """The width of the jaw and the length of the face stay the character's own."""
    for driver in (DRIVER, OTHER_DRIVER):
        keypoints = drive(driver.landmarks(), neutral=neutral_of(driver), motion=0.0)
        shape, own = take_apart(keypoints)[1], take_apart(CHARACTER)[1]
        theirs = take_apart(driver.landmarks())[1]
        leak = np.sqrt(((shape - own) ** 2).sum(1).mean())
        difference = np.sqrt(((theirs - own) ** 2).sum(1).mean())
        assert leak < 0.45 * difference


def test_blend_between_absolute_and_relative_is_continuous() -> None:
    frame = DRIVER.landmarks(yaw=0.15, pitch=0.1, jaw=0.2)
    blended = [drive(frame, motion=m) for m in np.linspace(0, 1, 21)]
    steps = [float(np.abs(b - a).max()) for a, b in itertools.pairwise(blended)]
    whole = float(np.abs(blended[-1] - blended[0]).max())
    assert whole > 0.01
    assert max(steps) < 0.12 * whole


def test_smoothing_calms_noise_and_keeps_up_with_speech() -> None:
    noise = np.random.default_rng(5).normal(0, 0.4, (60, 478, 3))
    still = DRIVER.landmarks()
    spread = {}
    for steadiness in (0.0, 0.5, 1.0):
        retargeter = Retargeter(CHARACTER, neutral=neutral_of(DRIVER), settings=MotionSettings(steadiness=steadiness))
        faces = [retargeter.retarget(motion_of(still + n, frame=i)).keypoints for i, n in enumerate(noise)]
        spread[steadiness] = float(np.std(faces[20:], axis=0).mean())
    raw = Retargeter(CHARACTER, neutral=neutral_of(DRIVER), smoothed=False)
    unsmoothed = float(np.std([raw.retarget(motion_of(still + n)).keypoints for n in noise], axis=0).mean())
    assert unsmoothed > spread[0.0] > spread[0.5] > spread[1.0]
    assert spread[0.5] < 0.5 * unsmoothed
    speaking = Retargeter(CHARACTER, neutral=neutral_of(DRIVER))
    for i in range(10):
        speaking.retarget(motion_of(still, frame=i))
    opening = [speaking.retarget(motion_of(DRIVER.landmarks(jaw=0.3), frame=10 + i)).keypoints for i in range(3)]
    target = raw.retarget(motion_of(DRIVER.landmarks(jaw=0.3))).keypoints
    done = [(face[14, 1] - CHARACTER[14, 1]) / (target[14, 1] - CHARACTER[14, 1]) for face in opening]
    assert done[1] > 0.8


def test_settings_character_and_neutral_change_live() -> None:
    retargeter = Retargeter(CHARACTER, smoothed=True)
    retargeter.retarget(motion_of(DRIVER.landmarks(), frame=0))
    retargeter.neutral = neutral_of(DRIVER)
    retargeter.settings = MotionSettings(mouth=0.0, steadiness=0.0)
    assert retargeter.settings.mouth == 0.0
    assert retargeter.neutral is not None
    other = CHARACTER * 0.8
    retargeter.set_character(other)
    retargeter.reset()
    query = retargeter.retarget(motion_of(DRIVER.landmarks(jaw=0.2), frame=100))
    np.testing.assert_allclose(query.keypoints[list(LIPS)], other[list(LIPS)], atol=1e-4)
