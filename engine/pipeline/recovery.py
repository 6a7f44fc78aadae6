# SPDX-License-Identifier: Apache-2.0
"""What is done about a frame that could not be rendered: try the next one, mend the stage, or give up. Render thread.

One failed frame costs one frame: the picture before it is held. After three in a row the stage that failed is made
anew (0.05 s for the tracker, under a second for the warper and its set), and again after growing pauses in which every
frame is tried, while the held picture fades to the holding card. A lost GPU is another matter: nothing is tried before
the model has been loaded again, which is attempted without pause. Only what no repetition can change ends the run at
once.
"""

from __future__ import annotations

from engine import state as states
from engine.clock import NS_PER_S, Clock
from engine.errors import (
    BackendUnavailable,
    ConfigError,
    CudaError,
    EngineMismatch,
    EngineMissing,
    ModelFileMissing,
    ModelMismatch,
    SourceError,
    WatermarkError,
)
from engine.memory import release_memory
from engine.renderer import Renderer
from engine.status import Status

__all__ = ["Recovery"]

_FOR_GOOD = (
    *(WatermarkError, ConfigError, SourceError),
    *(ModelFileMissing, ModelMismatch, EngineMissing, EngineMismatch, BackendUnavailable),
)
_LOST = (CudaError,)  # nothing that lives on the device works after these
_TRIES = 3  # frames, before the stage is made anew
_STEADY_FRAMES = 2  # good ones in a row, before the trouble counts as over: one that flickers is one trouble
_LOST_PAUSE_S = (0.1, 1.0)  # between two attempts to load the model again: as long as an attempt takes, within these
_PAUSE_S = (1.0, 8.0)  # between two repairs that did not help: doubles from the first to the last


class Recovery:
    """Keeps count of failures and mends what failed.

    Args:
        give_up_s: how long without a good frame until the run ends.
    """

    def __init__(self, status: Status, clock: Clock, *, give_up_s: float) -> None:
        self._status, self._clock = status, clock
        self._give_up_ns = round(give_up_s * NS_PER_S)
        self._failures = 0  # in a row
        self._good_frames = 0
        self._troubled = False
        self._repaired = False
        self._since_ns = 0
        self._stage = ""  # what failed last
        self._lost = False
        self._pause_s = 0.0
        self._next_ns = 0

    def failed(self, error: Exception, stage: str) -> None:
        """Note that a frame, or a repair, failed in a stage.

        Raises:
            Exception: the error itself, where it is one for good or has lasted too long.
        """
        now_ns = self._clock.now_ns()
        if not self._failures:
            self._since_ns = now_ns
        self._failures, self._good_frames, self._stage = self._failures + 1, 0, stage
        away = self._lost and isinstance(error, BackendUnavailable)  # a driver that starts again sees no GPU meanwhile
        if (isinstance(error, _FOR_GOOD) and not away) or now_ns - self._since_ns >= self._give_up_ns:
            raise error
        if isinstance(error, _LOST) and not self._lost:
            self._lost, self._next_ns = True, now_ns
        self._troubled = True
        self._status.warn("engine", error)
        self._status.note(states.ENGINE_RECOVERING, True)

    def succeeded(self) -> None:
        """Note a good frame."""
        self._failures, self._pause_s, self._next_ns = 0, 0.0, 0
        if self._troubled:
            self._good_frames += 1
            if self._good_frames >= _STEADY_FRAMES:
                self._troubled = False
                self._status.note(states.ENGINE_RECOVERING, False)
                if self._repaired:  # not before: it takes as long as three frames
                    self._repaired = False
                    release_memory()

    def ready(self, renderer: Renderer) -> bool:
        """Mend what has failed, when it is time; return whether the next frame is worth trying.

        Raises:
            Exception: as `failed`, where mending fails for good.
        """
        if not self._lost and self._failures < _TRIES:
            return True
        started_ns = self._clock.now_ns()
        if started_ns < self._next_ns:
            return not self._lost
        stage = self._stage
        try:
            renderer.repair(stage, lost=self._lost)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may find it gone
            self.failed(error, stage)
        else:
            self._lost, self._repaired = False, True
        self._pause_s = self._next_pause(self._clock.now_ns() - started_ns)
        self._next_ns = self._clock.now_ns() + round(self._pause_s * NS_PER_S)
        return not self._lost

    def _next_pause(self, took_ns: int) -> float:
        if self._lost:
            return min(max(took_ns / NS_PER_S, _LOST_PAUSE_S[0]), _LOST_PAUSE_S[1])
        return min(max(2 * self._pause_s, _PAUSE_S[0]), _PAUSE_S[1])
