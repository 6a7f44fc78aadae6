# SPDX-License-Identifier: Apache-2.0
"""The state machine: the legal walk, and a refusal for every other one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import state as s
from engine.state import Phase, PipelineState

_MOVES = {
    "begin": s.begin,
    "finish_loading": s.finish_loading,
    "stop": s.stop,
    "finish_stopping": s.finish_stopping,
    "lose": lambda state: s.degrade(state, s.TRACKING_LOST),
    "stall": lambda state: s.degrade(state, s.CAMERA_STALLED),
    "find": lambda state: s.clear(state, s.TRACKING_LOST),
    "resume": lambda state: s.clear(state, s.CAMERA_STALLED),
    "fail": lambda state: s.fail(state, RuntimeError("broken")),
}
_LEGAL = {
    (Phase.IDLE, Phase.LOADING),
    (Phase.LOADING, Phase.RUNNING),
    (Phase.LOADING, Phase.STOPPING),
    (Phase.RUNNING, Phase.DEGRADED),
    (Phase.RUNNING, Phase.STOPPING),
    (Phase.DEGRADED, Phase.RUNNING),
    (Phase.DEGRADED, Phase.STOPPING),
    (Phase.STOPPING, Phase.IDLE),
    (Phase.FAILED, Phase.LOADING),
}


def test_a_whole_life() -> None:
    state = s.finish_loading(s.begin(PipelineState()))
    assert state.phase is Phase.RUNNING
    state = s.degrade(s.degrade(state, s.TRACKING_LOST), s.CAMERA_STALLED)
    assert str(state) == "degraded (tracking lost, camera stalled)"
    assert state.live
    state = s.clear(state, s.TRACKING_LOST)
    assert state.phase is Phase.DEGRADED
    state = s.clear(state, s.CAMERA_STALLED)
    assert state.phase is Phase.RUNNING
    assert s.finish_stopping(s.stop(state)) == PipelineState()


def test_first_error_stays_and_survives_stopping() -> None:
    error = RuntimeError("first")
    state = s.fail(s.fail(s.begin(PipelineState()), error), RuntimeError("second"))
    assert s.finish_stopping(s.stop(state)).error is error
    assert "first" in str(state)
    assert s.begin(state).phase is Phase.LOADING


def test_reasons_outside_a_live_pipeline_are_ignored() -> None:
    idle = PipelineState()
    assert s.degrade(idle, s.BLANKED) is idle
    assert s.clear(idle, s.BLANKED) is idle


def test_illegal_moves_name_both_states() -> None:
    with pytest.raises(ValueError, match="the pipeline is idle, expected loading"):
        s.finish_loading(PipelineState())


@given(st.lists(st.sampled_from(sorted(_MOVES)), max_size=40))
def test_no_walk_leaves_the_legal_moves(walk: list[str]) -> None:
    state = PipelineState()
    for name in walk:
        try:
            after = _MOVES[name](state)
        except ValueError:
            continue
        if after.phase is not state.phase:
            assert (state.phase, after.phase) in _LEGAL or after.phase is Phase.FAILED
        assert (after.phase is Phase.DEGRADED) == bool(after.reasons)
        assert (after.phase is Phase.FAILED) == (after.error is not None)
        state = after
