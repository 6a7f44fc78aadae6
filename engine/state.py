# SPDX-License-Identifier: Apache-2.0
"""The pipeline's states as a pure function; the pipeline owns the current value.

    idle → loading → running ⇄ degraded(reasons) → stopping → idle, and any → failed(error)

A lost face, a silent camera, a stage being mended or a restarting virtual camera are *reasons* for `degraded`;
several can hold at once and the pipeline runs again when the last one is cleared.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

__all__ = [
    "BLANKED",
    "CAMERA_BLACK",
    "CAMERA_FROZEN",
    "CAMERA_LOST",
    "CAMERA_SLOW",
    "CAMERA_STALLED",
    "ENGINE_RECOVERING",
    "TRACKING_LOST",
    "Phase",
    "PipelineState",
    "begin",
    "clear",
    "degrade",
    "fail",
    "finish_loading",
    "finish_stopping",
    "stop",
]

BLANKED = "blanked"
CAMERA_BLACK = "camera black"
CAMERA_FROZEN = "camera frozen"
CAMERA_LOST = "camera lost"
CAMERA_SLOW = "camera slow"
CAMERA_STALLED = "camera stalled"
ENGINE_RECOVERING = "engine recovering"
TRACKING_LOST = "tracking lost"


class Phase(enum.Enum):
    """Where the pipeline is in its life."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PipelineState:
    """One state. reasons: why it is degraded, oldest first. error: what made it fail."""

    phase: Phase = Phase.IDLE
    reasons: tuple[str, ...] = ()
    error: BaseException | None = None

    @property
    def live(self) -> bool:
        """Whether frames leave the pipeline."""
        return self.phase in (Phase.RUNNING, Phase.DEGRADED)

    def __str__(self) -> str:
        detail = str(self.error) if self.error is not None else ", ".join(self.reasons)
        return f"{self.phase.value} ({detail})" if detail else self.phase.value


def begin(state: PipelineState) -> PipelineState:
    """Start: idle, or failed before, → loading."""
    _require(state, "begin", Phase.IDLE, Phase.FAILED)
    return PipelineState(Phase.LOADING)


def finish_loading(state: PipelineState) -> PipelineState:
    """Everything is open: loading → running."""
    _require(state, "finish loading", Phase.LOADING)
    return PipelineState(Phase.RUNNING)


def degrade(state: PipelineState, reason: str) -> PipelineState:
    """Add a reason: running or degraded → degraded; a pipeline that is not live ignores it."""
    if not state.live or reason in state.reasons:
        return state
    return PipelineState(Phase.DEGRADED, (*state.reasons, reason))


def clear(state: PipelineState, reason: str) -> PipelineState:
    """Take a reason away; without any left, degraded → running."""
    if state.phase is not Phase.DEGRADED or reason not in state.reasons:
        return state
    left = tuple(r for r in state.reasons if r != reason)
    return replace(state, reasons=left) if left else PipelineState(Phase.RUNNING)


def stop(state: PipelineState) -> PipelineState:
    """Begin to stop: loading, running or degraded → stopping; a failed pipeline stays failed while it stops."""
    if state.phase is Phase.FAILED:
        return state
    _require(state, "stop", Phase.LOADING, Phase.RUNNING, Phase.DEGRADED)
    return PipelineState(Phase.STOPPING)


def finish_stopping(state: PipelineState) -> PipelineState:
    """All threads have ended: stopping → idle; failed stays, so that the error can still be read."""
    if state.phase is Phase.FAILED:
        return state
    _require(state, "finish stopping", Phase.STOPPING)
    return PipelineState(Phase.IDLE)


def fail(state: PipelineState, error: BaseException) -> PipelineState:
    """Any → failed; the first error stays, since later ones are usually its consequences."""
    if state.phase is Phase.FAILED:
        return state
    return PipelineState(Phase.FAILED, error=error)


def _require(state: PipelineState, move: str, *phases: Phase) -> None:
    if state.phase not in phases:
        wanted = " or ".join(phase.value for phase in phases)
        raise ValueError(f"cannot {move}: the pipeline is {state.phase.value}, expected {wanted}")
