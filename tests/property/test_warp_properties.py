# SPDX-License-Identifier: Apache-2.0
"""What holds for any acting at any frame rate, and for any matte."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.warp.layers import fill_holes, separate_person
from engine.warp.plates import claim_rims, make_backdrops
from tests.helpers.selection_scene import NAMES, head_of, make_selector

moments = st.fixed_dictionaries(
    {
        "yaw": st.floats(-0.9, 0.9),
        "pitch": st.floats(-0.5, 0.5),
        "mouth": st.floats(0, 0.4),
        "smile": st.floats(0, 0.15),
        "eyes": st.floats(0, 1.2),
    }
)
steps_ns = st.integers(-50_000_000, 700_000_000)
acting = st.lists(st.tuples(moments, steps_ns), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(acting=acting, count=st.integers(2, len(NAMES)))
def test_every_choice_is_usable_and_repeatable(acting: list[tuple[dict[str, float], int]], count: int) -> None:
    first, second = make_selector(*NAMES[:count]), make_selector(*NAMES[:count])
    time_ns = 0
    for face, step_ns in acting:
        time_ns += step_ns
        head = head_of(**face)
        choice, again = first.choose(head, time_ns), second.choose(head, time_ns)
        assert choice.pick.shape == choice.log_stage.shape == choice.log_face.shape == (2,)
        assert len(set(choice.pick.tolist())) == 2
        assert set(choice.pick.tolist()) <= set(range(count))
        for log in (choice.log_stage, choice.log_face):
            assert log.dtype == np.float32
            assert np.isfinite(log).all()
            assert log.max() <= 0
        assert abs(np.exp(choice.log_stage.astype(float)).sum() - 1) < 1e-3
        assert choice.share.min() >= 0
        assert abs(choice.share.sum() - 1) < 1e-5
        assert set(np.flatnonzero(choice.share).tolist()) <= set(choice.pick.tolist())
        np.testing.assert_array_equal(choice.pick, again.pick)
        np.testing.assert_array_equal(choice.log_face, again.log_face)


@settings(max_examples=40, deadline=None)
@given(acting=acting, last=moments)
def test_a_reset_selector_is_a_new_one(acting: list[tuple[dict[str, float], int]], last: dict[str, float]) -> None:
    used = make_selector()
    for i, (face, _) in enumerate(acting):
        used.choose(head_of(**face), i * 40_000_000)
    used.reset()
    a, b = used.choose(head_of(**last), 0), make_selector().choose(head_of(**last), 0)
    np.testing.assert_array_equal(a.pick, b.pick)
    np.testing.assert_array_equal(a.share, b.share)


mattes = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=12)).map(
    lambda a: a[:, : min(a.shape[1:]), : min(a.shape[1:])]
)


@settings(max_examples=60, deadline=None)
@given(alpha=mattes, seed=st.integers(0, 2**16))
def test_layers_are_defined_for_any_matte(alpha: np.ndarray, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    backdrops = make_backdrops(rgb, alpha)
    claimed = claim_rims(rgb, alpha, backdrops)
    assert (claimed >= alpha).all(), "nothing is taken from the person"
    person = separate_person(rgb, claimed, backdrops)
    assert np.isfinite(backdrops).all()
    assert backdrops.min() >= -1e-3
    assert backdrops.max() <= 255.01
    np.testing.assert_array_equal(person[alpha == 255], rgb[alpha == 255])


@settings(max_examples=60, deadline=None)
@given(
    known=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)),
    seed=st.integers(0, 2**16),
)
def test_filling_keeps_known_pixels_for_any_hole(known: np.ndarray, seed: int) -> None:
    rgb = np.random.default_rng(seed).uniform(10, 250, (*known.shape, 3)).astype(np.float32)
    filled = fill_holes(rgb, known.astype(np.float32))
    np.testing.assert_allclose(filled[known], rgb[known], atol=1e-2)
    if known.any():
        assert filled.min() >= rgb[known].min() * 0.99
        assert filled.max() <= rgb[known].max() + 1e-2
