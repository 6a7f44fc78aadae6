# SPDX-License-Identifier: Apache-2.0
"""Notices a camera that works and is of no use: black, frozen or far too slow. Capture thread.

A closed privacy shutter, a driver that repeats its last picture and a camera that gives five pictures a second raise
no error anywhere; the performer only sees a puppet that does not move. Each is a reason to be degraded and one
sentence, said once, and is over with the first picture that differs. Measured on a sparse grid of pixels, 0.02 ms a
frame at 720p; frames are passed on untouched.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine import state as states
from engine.capture.base import CameraInfo
from engine.clock import NS_PER_S
from engine.errors import CameraImpaired
from engine.status import Status
from engine.types import Frame

__all__ = ["PictureWatch"]

_GRID = 16  # every so many pixels, in both directions
_BLACK_LEVEL = 24  # of 255: sensor noise in the dark stays below, a face in a lit room has far brighter spots
_BLACK_AFTER_NS = NS_PER_S  # a hand over the lens for a moment is no fault
_FROZEN_AFTER_NS = 2 * NS_PER_S  # no sensor gives the very same bytes for so long
_LEAST_FRAMES = 5  # a pause between two pictures proves nothing
_SLOW_HZ = 10.0  # below, motion is a slide show
_NOT_SLOW_HZ = 12.0
_CLAIMED_HZ = 15.0  # a source that says it has so few pictures is not broken
_RATE_SHARE = 0.15  # weight of the newest interval: settled after about ten
_WAITED_SHARE = 0.6  # of the time between two pictures
_RATE_FRAMES = 10  # before the rate is believed

_BLACK = CameraImpaired(
    "The camera sends only black pictures.",
    hint="Open its privacy shutter, switch on a light, and close other programs that use it.",
)
_FROZEN = CameraImpaired(
    "The camera repeats the same picture.", hint="Unplug it and plug it in again, or restart the program it comes from."
)
_SLOW = CameraImpaired(
    f"The camera sends fewer than {_SLOW_HZ:.0f} pictures a second.",
    hint="Give it more light, or plug it into another USB port without a hub.",
)


class PictureWatch:
    """Looks at every frame of one camera.

    Args:
        info: of the camera as opened. Stills and slow sources that say so are not taken for faults.
        status: told the reasons and the sentences.
    """

    def __init__(self, info: CameraInfo, status: Status) -> None:
        self._status = status
        self._may_stand_still = info.frame_count > 0  # a file: one picture, or a clip of a test card
        self._may_be_slow = 0 < info.fps < _CLAIMED_HZ
        self._last: NDArray[np.uint8] | None = None
        self._last_ns = 0
        self._black, self._same = _Spell(_BLACK_AFTER_NS), _Spell(_FROZEN_AFTER_NS)
        self._interval_s = 0.0
        self._waited_ns: int | None = None
        self._waited_share = 1.0
        self._intervals = 0
        self._noted: set[str] = set()

    def look(self, frame: Frame, *, waited_ns: int | None = None) -> None:
        """Judge the next frame. waited_ns: for how long the reader waited for it; None where nobody measured.

        A reader that hardly waits is itself too slow: that is the processor's fault and not the camera's.
        """
        self._waited_ns = waited_ns
        grid = frame.rgb[::_GRID, ::_GRID]
        now_ns, last = frame.captured_ns, self._last
        black = int(grid.max()) <= _BLACK_LEVEL
        same = last is not None and last.shape == grid.shape and np.array_equal(last, grid)
        # Pure black repeats itself too; one sentence is enough.
        self._note(states.CAMERA_BLACK, self._black.lasts(black, now_ns), _BLACK)
        frozen = self._same.lasts(same and not black and not self._may_stand_still, now_ns)
        self._note(states.CAMERA_FROZEN, frozen, _FROZEN)
        self._note(states.CAMERA_SLOW, self._is_slow(now_ns), _SLOW)
        self._last, self._last_ns = grid.copy(), now_ns

    def close(self) -> None:
        """Clear what this camera was blamed for."""
        for reason in tuple(self._noted):
            self._note(reason, False, _BLACK)

    def _is_slow(self, now_ns: int) -> bool:
        interval_s = (now_ns - self._last_ns) / NS_PER_S
        if self._last is None or not 0 < interval_s < 1.0:  # a pause is the stall watch's business
            return states.CAMERA_SLOW in self._noted
        self._intervals += 1
        share = max(_RATE_SHARE, 1.0 / self._intervals)
        self._interval_s += share * (interval_s - self._interval_s)
        if self._may_be_slow or self._intervals < _RATE_FRAMES:
            return False
        if self._waited_ns is not None:
            self._waited_share += share * (min(1.0, self._waited_ns / NS_PER_S / interval_s) - self._waited_share)
            if self._waited_share < _WAITED_SHARE:
                return False
        limit_hz = _NOT_SLOW_HZ if states.CAMERA_SLOW in self._noted else _SLOW_HZ
        return self._interval_s > 1.0 / limit_hz

    def _note(self, reason: str, holds: bool, error: CameraImpaired) -> None:
        if holds == (reason in self._noted):
            return
        (self._noted.add if holds else self._noted.discard)(reason)
        self._status.note(reason, holds)
        if holds:
            self._status.warn(reason, error)


class _Spell:
    """Whether something has been so for long enough, and for enough frames."""

    def __init__(self, least_ns: int) -> None:
        self._least_ns, self._since_ns, self._count = least_ns, 0, 0

    def lasts(self, holds: bool, now_ns: int) -> bool:
        if not holds:
            self._count = 0
            return False
        self._since_ns = self._since_ns if self._count else now_ns
        self._count += 1
        return self._count >= _LEAST_FRAMES and now_ns - self._since_ns >= self._least_ns
