# SPDX-License-Identifier: Apache-2.0
"""What is done about a frame that could not be rendered: try the next one, mend the stage, or give up. Render thread.

One failed frame costs one frame: the picture before it is held. Three in a row, or a lost GPU, and the stage that
failed is made anew (0.05 s for the tracker, under a second for the warper and its set), again and again with short
pauses, while the held picture fades to the holding card. Only what no repetition can change ends the run at once.
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
    OutOfDeviceMemory,
    SourceError,
    WatermarkError,
)
from engine.renderer import Renderer
from engine.status import Status

__all__ = ["Recovery"]

_FOR_GOOD = (
    *(WatermarkError, ConfigError, SourceError),
    *(ModelFileMissing, ModelMismatch, EngineMissing, EngineMismatch, BackendUnavailable),
)
_AT_ONCE = (CudaError, OutOfDeviceMemory)  # nothing that holds the device's memory works after these
_TRIES = 3  # frames, before the stage is made anew
_STEADY_FRAMES = 5  # good ones in a row, before the trouble counts as over: one that flickers is one trouble
_PAUSE_S = (0.1, 1.0)  # between two attempts to mend: as long as an attempt takes, within these


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
        self._since_ns = 0
        self._broken = ""  # the stage that has to be made anew
        self._next_ns = 0

    def failed(self, error: Exception, stage: str) -> None:
        """Note that a frame failed in a stage.

        Raises:
            Exception: the error itself, where it is one for good or has lasted too long.
        """
        now_ns = self._clock.now_ns()
        if not self._failures:
            self._since_ns = now_ns
        self._failures, self._good_frames = self._failures + 1, 0
        if isinstance(error, _FOR_GOOD) or now_ns - self._since_ns > self._give_up_ns:
            raise error
        self._troubled = True
        self._status.warn("engine", error)
        self._status.note(states.ENGINE_RECOVERING, True)
        if not self._broken and (self._failures >= _TRIES or isinstance(error, _AT_ONCE)):
            self._broken, self._next_ns = stage, max(self._next_ns, now_ns)

    def succeeded(self) -> None:
        """Note a good frame."""
        self._failures = 0
        if self._troubled:
            self._good_frames += 1
            if self._good_frames >= _STEADY_FRAMES:
                self._troubled = False
                self._status.note(states.ENGINE_RECOVERING, False)

    def ready(self, renderer: Renderer) -> bool:
        """Mend what is broken, when it is time; return whether the next frame is worth trying.

        Raises:
            Exception: as `failed`, where mending fails for good.
        """
        if not self._broken:
            return True
        if (started_ns := self._clock.now_ns()) < self._next_ns:
            return False
        stage = self._broken
        try:
            renderer.repair(stage)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may find it gone
            self.failed(error, stage)
            least_s, most_s = _PAUSE_S
            now_ns = self._clock.now_ns()
            self._next_ns = now_ns + min(max(now_ns - started_ns, round(least_s * NS_PER_S)), round(most_s * NS_PER_S))
            return False
        # If it fails again on its first frame, the next attempt waits too.
        self._broken, self._failures = "", max(self._failures, _TRIES)
        self._next_ns = self._clock.now_ns() + round(_PAUSE_S[0] * NS_PER_S)
        return True
