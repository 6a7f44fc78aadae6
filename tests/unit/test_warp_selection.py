# SPDX-License-Identifier: Apache-2.0
"""Which pictures are used, over time: at most two, no flicker, no pop but the wanted one, no long memory."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from engine.headpose import HeadDescriptor
from engine.warp.selection import SourceChoice, SourceSelector
from tests.helpers.selection_scene import FRAME_NS, NAMES, face_costs, head_of, make_selector, mix, weights_of

MS = 1_000_000
BLINK = [head_of()] * 10 + [head_of(eyes=0.0)] * 3 + [head_of()] * 10


def run(
    selector: SourceSelector, heads: Iterable[HeadDescriptor], *, step_ns: int = FRAME_NS, start_ns: int = 0
) -> list[SourceChoice]:
    return [selector.choose(head, start_ns + i * step_ns) for i, head in enumerate(heads)]


def names(choice: SourceChoice) -> list[str]:
    return [NAMES[i] for i in choice.pick]


def assert_same(a: SourceChoice, b: SourceChoice) -> None:
    for field in ("pick", "log_stage", "log_face", "share"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_one_picture_is_one_pick_whatever_happens() -> None:
    selector = make_selector("front")
    for choice in run(selector, BLINK):
        assert choice.pick.tolist() == [0]
        assert choice.log_stage.tolist() == choice.log_face.tolist() == [0.0]
        assert choice.share.tolist() == [1.0]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_more_pictures_are_two_picks(count: int) -> None:
    for choice in run(make_selector(*NAMES[:count]), BLINK):
        assert choice.pick.dtype == np.int64
        assert len(set(choice.pick.tolist())) == 2
        assert choice.share.shape == (count,)
        assert choice.share.sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_of_this_very_head_is_the_stage(name: str) -> None:
    choice = make_selector().choose(mix(name, name, 0.0), 0)
    assert names(choice)[0] == name
    assert choice.share.argmax() == NAMES.index(name)
    assert choice.log_face.tolist() == [0.0, 0.0], "a first choice is not faded in"
    assert np.exp(choice.log_stage).tolist() == pytest.approx([1.0, 0.0], abs=1e-3)


def test_the_face_may_come_from_another_picture_than_the_head() -> None:
    assert names(make_selector().choose(head_of(yaw=0.3, eyes=0.0), 0)) == ["right", "shut"]
    assert names(make_selector().choose(head_of(pitch=0.26, eyes=0.0), 0)) == ["down", "shut"]


def test_the_face_keeps_to_the_view_of_the_stage() -> None:
    """A head moved aside takes its hair from the picture taken there, though its pose fits the other better."""
    right = head_of(yaw=0.5)
    front = dataclasses.replace(head_of(), origin=right.origin + np.float32(0.3))
    choice = SourceSelector([front, right]).choose(dataclasses.replace(head_of(yaw=0.2), origin=right.origin), 0)
    assert choice.pick.tolist() == [1, 0]
    assert choice.share[0] < 0.1, "cheeks of one view beside the ears of another"


@pytest.mark.parametrize("closed_frames", [1, 3])
def test_a_blink_is_there_when_it_happens(closed_frames: int) -> None:
    closing = [head_of()] * 10 + [head_of(eyes=0.0)] * closed_frames
    choices = run(make_selector(), closing)
    assert "shut" not in names(choices[9])
    seen = [i for i, choice in enumerate(choices) if names(choice)[1] == "shut" and choice.log_face[1] == 0.0]
    assert seen, "the closed eyes never came"
    assert seen[0] <= 11


def test_a_blink_after_speech_replaces_the_mouth_at_once() -> None:
    spoken = [head_of(mouth=0.12 * (i % 3)) for i in range(10)]
    choices = run(make_selector(), [*spoken, *[head_of(eyes=0.0)] * 3])
    assert names(choices[9])[1] == "mouth"
    assert [names(choice)[1] for choice in choices[10:]] in (["shut"] * 3, ["mouth", "shut", "shut"])


def test_a_blink_does_not_move_the_stage() -> None:
    assert {names(choice)[0] for choice in run(make_selector(), BLINK)} == {"front"}


PAIRS = [("front", "right"), ("front", "up"), ("front", "mouth"), ("mouth", "smile"), ("front", "shut")]


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_jitter_around_the_midpoint_switches_nothing(pair: tuple[str, str]) -> None:
    midpoint = crossover(*pair)
    choices = run(make_selector(), [mix(*pair, midpoint + 0.02 * (-1) ** i) for i in range(60)])
    assert len({names(choice)[0] for choice in choices}) == 1
    assert len({tuple(names(choice)) for choice in choices[2:]}) == 1  # two frames to settle on the other one
    for choice in choices[1:]:
        np.testing.assert_array_equal(choice.log_stage, choices[0].log_stage)


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_the_same_jitter_would_switch_a_selector_without_memory(pair: tuple[str, str]) -> None:
    midpoint = crossover(*pair)
    selector = make_selector()
    stages = set()
    for i in range(4):
        selector.reset()
        stages.add(names(selector.choose(mix(*pair, midpoint + 0.02 * (-1) ** i), i * FRAME_NS))[0])
    assert stages == set(pair)


def crossover(a: str, b: str) -> float:
    """Return the share of b from which on a fresh selector prefers it as the stage."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        fresh = make_selector(a, b).choose(mix(a, b, middle), 0)
        low, high = (middle, high) if fresh.pick[0] == 0 else (low, middle)
    return (low + high) / 2


def test_slot_one_does_not_follow_noise_between_two_equal_rivals() -> None:
    rng = np.random.default_rng(5)
    # the mouth asks for one picture and the lids for another, about equally
    noisy = [head_of(mouth=0.13, eyes=0.35 + rng.normal(0, 0.01)) for _ in range(60)]
    choices = run(make_selector("front", "mouth", "shut"), noisy)
    assert len({tuple(choice.pick.tolist()) for choice in choices}) == 1


def test_a_turn_crosses_the_stage_and_completes() -> None:
    turning = [head_of(yaw=yaw) for yaw in (*np.linspace(0, 0.5, 12), *[0.5] * 8)]
    choices = run(make_selector(), turning, step_ns=FRAME_NS)
    assert names(choices[0])[0] == "front"
    assert names(choices[-1])[0] == "right"
    assert np.exp(choices[-1].log_stage[0]) == pytest.approx(1.0, abs=1e-6)
    assert sum(names(a)[0] != names(b)[0] for a, b in itertools.pairwise(choices)) == 1


def test_a_crossing_that_has_begun_is_completed_whatever_the_head_does() -> None:
    selector = make_selector()
    selector.choose(head_of(), 0)
    time_ns = 0
    for i in range(400):  # turn until the crossing is under way
        time_ns = i * 2 * MS
        choice = selector.choose(head_of(yaw=0.28), time_ns)
        crossed = float(weights_of(choice, len(NAMES))[0][NAMES.index("right")])
        if 0.1 < crossed < 0.9:
            break
    else:
        pytest.fail("no crossing began")
    weights = []
    for i in range(100):
        choice = selector.choose(head_of(yaw=0.1, mouth=0.3), time_ns + (i + 1) * 2 * MS)
        weights.append(weights_of(choice, len(NAMES))[0][NAMES.index("right")])
    peak = int(np.argmax(weights))
    assert weights[peak] == pytest.approx(1.0, abs=1e-3)
    assert np.diff(weights[: peak + 1]).min() > 0, "it goes one way"


def slow_acting(seconds: float) -> list[HeadDescriptor]:
    """A head that looks about and smiles, slower than anything urgent, one sample a millisecond."""
    t = np.arange(0, seconds, 1e-3)
    yaw, pitch = 0.5 * np.sin(2 * np.pi * t / 8), 0.2 * np.sin(2 * np.pi * t / 11)
    smile = np.maximum(0, 0.1 * np.sin(2 * np.pi * t / 5))
    return [head_of(yaw=y, pitch=p, smile=s) for y, p, s in zip(yaw, pitch, smile, strict=True)]


def test_weights_are_continuous_in_time() -> None:
    heads = slow_acting(8.0)
    choices = run(make_selector(), heads, step_ns=MS)
    weights = [weights_of(choice, len(NAMES)) for choice in choices]
    stage, face = (np.stack(w) for w in zip(*weights, strict=True))
    share = np.stack([choice.share for choice in choices])
    assert len({tuple(choice.pick.tolist()) for choice in choices}) >= 5, "else nothing happened that could jump"
    limit = 4 * 1e-3 / 0.06  # a millisecond of the faster fade, hurried as much as a fade may be
    assert np.abs(np.diff(stage, axis=0)).max() < limit
    change = np.diff(face, axis=0)
    urgent = np.flatnonzero(change.max(1) > limit)
    assert len(urgent) <= 4
    for i in urgent:
        # only what fits clearly better may appear at once
        fits = face_costs(heads[i + 1]).mean(1)
        assert fits[choices[i].pick[1]] - fits[choices[i + 1].pick[1]] > 0.15
    for i, picture in np.argwhere(change < -limit):
        # what else vanishes at once drew little: its share counts half the stage and half the face
        assert i in urgent or 2 * share[i, picture] - stage[i, picture] < 0.18
    assert ((change != 0) & (np.abs(change) < limit)).sum() > 50, "most changes are fades"


def test_the_wanted_jump_is_a_jump() -> None:
    """Continuity is given up for a blink alone; else the test above would forbid what the one before demands."""
    choices = run(make_selector(), [head_of()] * 5 + [head_of(eyes=0.0)], step_ns=MS)
    before, after = (weights_of(choice, len(NAMES))[1][NAMES.index("shut")] for choice in choices[-2:])
    assert (before, after) == (0.0, 1.0)


def test_reset_leaves_no_memory() -> None:
    used, fresh = make_selector(), make_selector()
    run(used, [head_of(yaw=y, mouth=abs(y)) for y in np.linspace(-0.4, 0.4, 17)])
    used.reset()
    heads = [head_of(yaw=y) for y in np.linspace(0.4, -0.1, 9)]
    for a, b in zip(run(used, heads, start_ns=10**12), run(fresh, heads, start_ns=10**12), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize(
    "jump_ns", [-1, -(10**10), 500 * MS + 1, 10**10], ids=["1 ns back", "10 s back", "gap", "10 s"]
)
def test_times_that_run_back_or_leave_a_gap_forget(jump_ns: int) -> None:
    selector = make_selector()
    run(selector, [head_of(yaw=0.5)] * 5)
    after = head_of(yaw=-0.5, mouth=0.3)
    assert_same(selector.choose(after, 4 * FRAME_NS + jump_ns), make_selector().choose(after, 0))


@pytest.mark.parametrize("pause_ns", [0, 10 * MS])
def test_short_pauses_do_not_forget(pause_ns: int) -> None:
    selector = make_selector()
    run(selector, [head_of(yaw=0.5)] * 5)
    choice = selector.choose(head_of(yaw=0.2), 4 * FRAME_NS + pause_ns)
    assert names(choice)[0] == "right"
    assert names(make_selector().choose(head_of(yaw=0.2), 0))[0] == "front"


def test_no_time_moves_nothing() -> None:
    selector = make_selector()
    first = selector.choose(head_of(), 0)
    for _ in range(5):
        choice = selector.choose(head_of(yaw=0.3), 0)
        np.testing.assert_array_equal(choice.log_stage, first.log_stage)


def test_heads_beyond_every_picture_stay_finite() -> None:
    selector = make_selector()
    for i, yaw in enumerate((0.0, 1.4, -1.4, 0.0, 1.5)):
        choice = selector.choose(head_of(yaw=yaw, mouth=2.0 * (i % 2)), i * FRAME_NS)
        for array in (choice.log_stage, choice.log_face, choice.share):
            assert np.isfinite(array).all()
        assert choice.share.sum() == pytest.approx(1.0, abs=1e-6)


def test_an_unused_second_picture_does_not_change_for_nothing() -> None:
    """Where the stage picture itself fits, no other adds anything, and slot 1 stays as it is."""
    selector = make_selector()
    picks = {tuple(c.pick.tolist()) for c in run(selector, [head_of(smile=0.002 * (i % 3)) for i in range(40)])}
    assert len(picks) == 1
