# SPDX-License-Identifier: Apache-2.0
"""The pieces under the tracker and the retargeting: windows, face choice, head, eyes, coverage, filters."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.geometry import rotation_from_angles
from engine.track.coverage import Coverage, soft_limit
from engine.track.expression import load_expression_basis
from engine.track.eyes import combine_by_visibility, normalise_openness, read_eyes
from engine.track.face_mesh import _sound_may_fail
from engine.track.head import measure_sizes, take_apart
from engine.track.smoothing import FaceSmoother, OneEuroFilter
from engine.track.window import FaceBox, Window, choose_face, follow, hide_others, window_for
from tests.helpers.performers import Performer

HD = (1280, 720)


def test_biggest_face_first_then_the_nearest_then_none_out_of_reach() -> None:
    small, big = FaceBox(100, 100, 80), FaceBox(900, 300, 200)
    assert choose_face([small, big]) is big
    assert choose_face([small, big], last=FaceBox(150, 120, 80)) is small
    assert choose_face([big], last=FaceBox(100, 100, 80), reach_px=120) is None
    assert choose_face([]) is None


def test_window_is_a_square_inside_the_frame_or_the_whole_frame() -> None:
    far = window_for(FaceBox(20, 700, 100), size_wh=HD)
    assert (far.left_px, far.top_px, far.width_px, far.height_px) == (0, 720 - 320, 320, 320)
    near = window_for(FaceBox(640, 360, 400), size_wh=HD)
    assert (near.width_px, near.height_px) == HD


def test_window_stands_still_drifts_after_the_face_and_gives_up_in_time() -> None:
    face = FaceBox(640, 360, 100)
    window = window_for(face, size_wh=HD)
    assert follow(window, FaceBox(650, 355, 100), size_wh=HD) is window
    drifted = follow(window, FaceBox(672, 360, 100), size_wh=HD)
    assert drifted is not None
    assert 0 < drifted.left_px - window.left_px <= 6
    assert follow(window, FaceBox(760, 360, 100), size_wh=HD) is None
    assert follow(window, FaceBox(640, 360, 180), size_wh=HD) is None
    whole = window_for(FaceBox(640, 360, 400), size_wh=HD)
    assert follow(whole, FaceBox(640, 360, 400), size_wh=HD) is whole
    assert follow(whole, FaceBox(640, 360, 90), size_wh=HD) is None


def test_window_cut_is_contiguous_and_exact() -> None:
    rgb = np.arange(20 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 30, 3)
    cut = Window(5, 4, 10, 8, 3.0).cut(rgb)
    assert cut.flags.c_contiguous
    np.testing.assert_array_equal(cut, rgb[4:12, 5:15])


def test_bystanders_are_painted_out_of_a_copy() -> None:
    rgb = np.full((100, 200, 3), 7, np.uint8)
    rgb.setflags(write=False)
    me, other = FaceBox(50, 50, 20), FaceBox(195, 95, 20)
    painted = hide_others(rgb, [me, other], chosen=me)
    assert (painted[90:, 190:] == 128).all()
    assert (painted[40:60, 40:60] == 7).all()
    assert hide_others(rgb, [me], chosen=me) is rgb


def test_taking_apart_and_placing_is_exact() -> None:
    landmarks = Performer(width=1.2).landmarks(yaw=0.3, pitch=-0.2, roll=0.4, jaw=0.2)
    pose, shape = take_apart(landmarks)
    np.testing.assert_allclose(pose.place(shape), landmarks, atol=1e-3)
    with pytest.raises(ShapeError):
        take_apart(landmarks[:468])


def test_sizes_follow_the_face() -> None:
    plain, wide = (measure_sizes(Performer(width=w).shape()) for w in (1.0, 1.3))
    assert wide.mouth_width == pytest.approx(1.3 * plain.mouth_width, rel=0.02)
    assert wide.eye_width > 1.2 * plain.eye_width
    assert wide.face_height == pytest.approx(plain.face_height, rel=0.01)


def test_openness_reads_the_same_at_any_angle_and_size() -> None:
    readings = [
        read_eyes(take_apart(Performer(size_px=size).landmarks(yaw=yaw))[1]).openness
        for size, yaw in ((50, 0.0), (200, 0.5))
    ]
    np.testing.assert_allclose(readings[0], readings[1], rtol=1e-3)


def test_openness_is_zero_when_shut_one_at_rest_and_monotonic() -> None:
    resting = np.array([0.2, 0.3])
    np.testing.assert_allclose(normalise_openness(resting, resting=resting), 1)
    np.testing.assert_allclose(normalise_openness(np.full(2, 0.06), resting=resting), 0)
    steps = [normalise_openness(np.full(2, x), resting=resting) for x in np.linspace(0, 0.6, 60)]
    assert (np.diff(steps, axis=0) >= 0).all()
    assert np.max(steps) <= 1.7


def test_the_far_eye_hands_over_when_the_head_turns() -> None:
    values = np.array([1.0, 0.0])
    np.testing.assert_allclose(combine_by_visibility(values, yaw_rad=0.0), values)
    np.testing.assert_allclose(combine_by_visibility(values, yaw_rad=0.8), [1, 1])  # looks right: left eye is far
    np.testing.assert_allclose(combine_by_visibility(values, yaw_rad=-0.8), [0, 0])


def test_expression_estimate_reads_an_open_jaw_and_not_a_wide_face() -> None:
    basis = load_expression_basis()
    spoken = basis.estimate(take_apart(Performer().landmarks(jaw=0.3))[1])
    assert spoken[14, 1] - spoken[13, 1] > 0.15
    wide_shape = take_apart(Performer(width=1.15).landmarks())[1]
    raw = np.sqrt(((wide_shape - basis.neutral) ** 2).sum(1).mean())
    assert np.sqrt((basis.estimate(wide_shape) ** 2).sum(1).mean()) < 0.4 * raw


def test_soft_limit_passes_inside_and_never_exceeds_the_margin() -> None:
    low, high, margin = np.array([-1.0]), np.array([2.0]), np.array([0.5])
    x = np.linspace(-10, 10, 401)
    y = np.array([soft_limit(np.array([v]), low=low, high=high, margin=margin)[0] for v in x])
    inside = (x >= -1) & (x <= 2)
    np.testing.assert_allclose(y[inside], x[inside])
    assert y.min() >= -1.5
    assert y.max() <= 2.5
    assert np.abs(np.diff(y)).max() <= 0.05 + 1e-9
    assert (np.diff(y) >= 0).all()


def test_coverage_grows_with_the_set() -> None:
    reference = Performer().landmarks()
    pose, _ = take_apart(reference)
    turned = [Performer().landmarks(yaw=yaw, grow=grow) for yaw, grow in ((0.7, 1.0), (-0.5, 1.4))]
    alone, whole = Coverage.of(pose), Coverage.of(pose, np.stack([reference, *turned]))
    assert whole.high[0] == pytest.approx(0.7, abs=0.01)
    assert whole.low[0] == pytest.approx(-0.5, abs=0.01)
    assert whole.high[5] == pytest.approx(np.log(1.4), abs=0.01)
    assert alone.high[0] < 0.3
    turn = rotation_from_angles(yaw_rad=0.6)
    limited = whole.limit(turn=turn, offset=np.zeros(2), log_scale=0.1)
    np.testing.assert_array_equal(limited[0], turn)


def test_one_euro_passes_the_first_value_holds_still_and_converges() -> None:
    one = OneEuroFilter(min_cutoff_hz=1.0, beta=0.0)
    np.testing.assert_array_equal(one.filter(np.array([3.0]), time_ns=0), [3.0])
    values = [one.filter(np.array([5.0]), time_ns=i * 40_000_000)[0] for i in range(1, 60)]
    assert values == sorted(values)
    # First step of an exponential filter: 1 / (1 + 1 / (2 pi f dt)).
    assert values[0] == pytest.approx(3 + 2 / (1 + 1 / (2 * np.pi * 0.04)))
    assert values[-1] == pytest.approx(5.0, abs=1e-3)


def test_one_euro_repeats_on_the_same_time_and_restarts_after_gaps() -> None:
    one = OneEuroFilter(min_cutoff_hz=1.0, beta=0.0, max_gap_s=0.5)
    one.filter(np.array([0.0]), time_ns=1_000_000_000)
    assert one.filter(np.array([9.0]), time_ns=1_000_000_000)[0] == 0.0
    assert one.filter(np.array([9.0]), time_ns=1_600_000_000)[0] == 9.0  # a gap
    assert one.filter(np.array([4.0]), time_ns=1_500_000_000)[0] == 4.0  # back in time
    one.reset()
    assert one.filter(np.array([1.0]), time_ns=1_510_000_000)[0] == 1.0


def test_one_euro_follows_fast_motion_sooner() -> None:
    slow, quick = (OneEuroFilter(min_cutoff_hz=1.0, beta=b) for b in (0.0, 5.0))
    for step in range(6):
        value = np.array([float(step)])
        late, soon = (f.filter(value, time_ns=step * 40_000_000)[0] for f in (slow, quick))
    assert 5 - soon < 0.5 * (5 - late)


def test_steadiness_slows_every_part() -> None:
    shape = np.zeros((478, 3))
    moved = []
    for steadiness in (0.0, 1.0):
        smoother = FaceSmoother(steadiness=steadiness)
        for time_ns, value in ((0, 0.0), (40_000_000, 0.02)):
            parts = smoother.smooth(
                rotvec=np.full(3, value), position=np.full(3, value), log_scale=value, shape=shape + value,
                time_ns=time_ns,
            )  # fmt: skip
        moved.append([float(np.mean(part)) for part in parts])
    assert (np.array(moved[0]) > 1.5 * np.array(moved[1])).all()


def test_a_sound_system_that_does_not_start_does_not_keep_the_tracker_from_loading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = builtins.__import__

    def refuse(name: str, *args: object, **options: object) -> object:
        if name == "sounddevice" and sys.modules.get(name, name) is not None:
            raise RuntimeError("Error initializing PortAudio")
        return really(name, *args, **options)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with _sound_may_fail(), pytest.raises(ImportError):  # which MediaPipe bears
        import sounddevice  # noqa: F401
    assert "sounddevice" not in sys.modules
