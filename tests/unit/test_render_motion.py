# SPDX-License-Identifier: Apache-2.0
"""Scores: keys are reached, stillness is still, blinks close, speech opens, courses are smooth and repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.render.motion import FaceKey, GazeKey, HeadKey, Reach, Score, Speech, random_score
from engine.training.render.pose import Pose


def course(score: Score, fps: int = 100) -> list[Pose]:
    return [score.pose_at(k / fps) for k in range(round(score.duration_s * fps))]


def test_keys_are_reached_and_held() -> None:
    score = Score(
        2.0,
        head=(HeadKey(0.0), HeadKey(1.0, yaw_deg=20, shift_m=(0.0, 0.0, 0.05))),
        gaze=(GazeKey(0.5, right_deg=10),),
        face=(FaceKey(0.0), FaceKey(1.0, {"smile": 1.0})),
        sway=0.0,
    )
    start, middle, end = (score.pose_at(t) for t in (0.0, 0.5, 1.9))
    assert start.yaw_deg == 0
    assert middle.yaw_deg == pytest.approx(10)  # a minimum-jerk move is half done at half time
    assert end.yaw_deg == pytest.approx(20)
    assert end.shift_m[2] == pytest.approx(0.05)
    assert start.gaze_deg[0] == end.gaze_deg[0] == 10
    assert end.weights["LsmileClose"] > 0.9
    assert start.weights.get("LsmileClose", 0.0) == 0


def test_opening_is_still_and_neutral() -> None:
    score = Score(2.0, head=(HeadKey(0.0), HeadKey(2.0)), still_s=0.8, seed=3)
    early, late = score.pose_at(0.7), score.pose_at(1.7)
    assert early.yaw_deg == early.pitch_deg == early.roll_deg == 0
    assert abs(late.yaw_deg) + abs(late.pitch_deg) > 0.05


def test_blink_closes_both_eyes_for_a_moment() -> None:
    score = Score(2.0, blinks_s=(1.0,), sway=0.0)
    closed = [pose.weights["LeyeClose"] for pose in course(score)]
    assert max(closed) == 1.0
    assert score.pose_at(1.0).weights["ReyeClose"] > 0.9
    assert 5 < sum(value > 0.5 for value in closed) < 25  # 50 to 250 ms
    assert closed[0] == closed[150] == 0


def test_lowered_eyes_lower_the_lids() -> None:
    down = Score(1.0, gaze=(GazeKey(0.0, down_deg=12),), sway=0.0).pose_at(0.5)
    assert 0.1 < down.weights["LeyeClose"] < 0.6


def test_speech_opens_the_mouth_only_while_talking() -> None:
    score = Score(4.0, speech=(Speech(1.0, 3.0),), sway=0.0, seed=1)
    lids = {"LeyeClose", "ReyeClose", "LeyeOpen", "ReyeOpen", "Lsquint", "Rsquint", "LlowLid", "RlowLid"}

    def activity(pose: Pose) -> float:
        return sum(value for name, value in pose.weights.items() if name not in lids)

    assert activity(score.pose_at(0.5)) == activity(score.pose_at(3.5)) == 0
    spoken = [activity(score.pose_at(t)) for t in np.arange(1.1, 2.9, 0.04)]
    assert max(spoken) > 0.8
    assert min(spoken) < 0.5 * max(spoken)


@pytest.mark.parametrize("seed", range(4))
def test_random_scores_start_frontal_move_and_repeat(seed: int) -> None:
    score = random_score(seed, 4.0)
    poses = course(score, 25)
    assert abs(poses[0].yaw_deg) + abs(poses[0].pitch_deg) + abs(poses[0].roll_deg) == 0
    yaw = np.array([p.yaw_deg for p in poses])
    assert 15 < np.ptp(yaw) < 90
    assert np.abs(np.diff(yaw)).max() < 16  # degrees per frame of 40 ms: quick, but human
    assert all(0 <= value <= 1 for pose in poses for value in pose.weights.values())
    assert course(random_score(seed, 4.0), 25) == poses


def test_a_wide_reach_is_used_and_moved_in_human_time() -> None:
    reach = Reach(yaw_deg=(8.0, 50.0), pitch_deg=(-25.0, 25.0), roll_deg=20.0)
    poses = [p for seed in range(6) for p in course(random_score(seed, 6.0, reach=reach, talks=False), 25)]
    for angle, most in (("yaw_deg", 50), ("pitch_deg", 25), ("roll_deg", 20)):
        values = np.abs([getattr(p, angle) for p in poses])
        assert 0.8 * most < values.max() < most + 6  # involuntary sway comes on top
    fastest = max(np.abs(np.diff([p.yaw_deg for p in poses[k * 150 : (k + 1) * 150]])).max() for k in range(6))
    assert fastest < 16


def test_seeds_differ() -> None:
    assert random_score(1, 2.0).pose_at(1.5) != random_score(2, 2.0).pose_at(1.5)
