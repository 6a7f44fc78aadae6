# SPDX-License-Identifier: Apache-2.0
"""Plays a clip as a camera: paced like a webcam, or as fast as it is read. Capture thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from dataclasses import replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from engine.capture.base import CameraInfo
from engine.capture.clips import Clip
from engine.clock import NS_PER_S, Clock, SystemClock
from engine.types import Frame

__all__ = ["ReplayCamera"]

_LONGEST_SKIP_NS = NS_PER_S // 4


class ReplayCamera:
    """A clip in the place of a camera.

    Args:
        clip: what to play.
        paced: deliver frames when they are due, stamp them with the clock, and skip those already late, as a webcam
            would; otherwise deliver every frame at once with its own time.
        loop: start again at the end, times running on.
        max_fps: a paced clip with more frames a second than this is thinned out.
        clock: time source; a fake one in tests.

    Thread: one reader; `close` may come from any thread and ends a waiting read.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        paced: bool = True,
        loop: bool = False,
        max_fps: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clip = clip
        self._paced = paced
        self._loop = loop
        self._clock: Clock = clock or SystemClock()
        self._closed = threading.Event()
        self._frames = self._endless() if loop else _once(clip)
        self._pending: tuple[int, NDArray[np.uint8]] | None = None
        self._start_ns: int | None = None
        self._last_due_ns: int | None = None
        self._index = 0
        self.skipped = 0
        thinned = paced and max_fps is not None and clip.info.fps > max_fps * 1.01
        # A little under the wanted distance: a frame a hair early still counts.
        self._min_step_ns = round(0.9 * NS_PER_S / max_fps) if thinned and max_fps else 0
        self.info: CameraInfo = replace(clip.info, fps=max_fps) if thinned and max_fps else clip.info

    def read(self) -> Frame | None:
        """Return the next frame; None at the end and after `close`."""
        if self._closed.is_set():
            return None
        due = self._next_due() if self._paced else self._take()
        if due is None:
            return None
        time_ns, rgb = due
        if self._paced:
            assert self._start_ns is not None
            self._clock.wait_until(self._start_ns + time_ns, self._closed)
            if self._closed.is_set():
                return None
            time_ns = self._clock.now_ns()
        frame = Frame(self._index, time_ns, rgb)
        self._index += 1
        return frame

    def close(self) -> None:
        """Stop playing; once the reader has left, the file and its decoder's threads are let go."""
        self._closed.set()
        # Otherwise they wait for a garbage collection: an endless clip refers to itself.
        with contextlib.suppress(ValueError):  # the reader is in it; it closes the camera too when it is out
            self._frames.close()

    def __enter__(self) -> ReplayCamera:
        """Return the camera itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _next_due(self) -> tuple[int, NDArray[np.uint8]] | None:
        """Return the next frame that is not late already; the last frame is always delivered.

        A machine that decodes more slowly than the clip plays would skip for ever: after a quarter of a second the
        clip falls behind instead.
        """
        entered_ns = self._clock.now_ns()
        due = self._take()
        if due is None:
            return None
        if self._start_ns is None:
            self._start_ns = self._clock.now_ns() - due[0]
        while True:
            following = self._take()
            if following is None:
                break
            crowded = self._last_due_ns is not None and due[0] - self._last_due_ns < self._min_step_ns
            if not crowded and self._start_ns + following[0] > self._clock.now_ns():
                self._pending = following
                break
            due = following
            self.skipped += 1
            now_ns = self._clock.now_ns()
            if now_ns - entered_ns > _LONGEST_SKIP_NS:
                self._start_ns = now_ns - due[0]
                break
        self._last_due_ns = due[0]
        return due

    def _take(self) -> tuple[int, NDArray[np.uint8]] | None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return pending
        return next(self._frames, None)

    def _endless(self) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
        """Repeat the clip with times running on."""
        offset_ns = 0
        step_ns = round(NS_PER_S / (self._clip.info.fps or 25.0))
        while True:
            last_ns = -1
            for time_ns, rgb in self._clip.frames():
                last_ns = time_ns
                yield offset_ns + time_ns, rgb
            if last_ns < 0:
                return
            offset_ns += last_ns + step_ns


def _once(clip: Clip) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    yield from clip.frames()
