# SPDX-License-Identifier: Apache-2.0
"""The sound of a recording, laid beside its pictures by the time at which both were captured. The recorder's thread.

Sound cards and cameras have clocks of their own, so samples are not merely counted: every block says when it was heard,
and where counting and clock differ by more than an ear forgives (a pause, a lost block, a card that runs fast), silence
is put in or samples are left out. Sound before the first picture and after the last is cut off.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from engine.clock import NS_PER_S
from engine.errors import FormatRejected
from engine.types import SoundBlock

if TYPE_CHECKING:
    from av.container import OutputContainer

__all__ = ["SoundSource", "SoundTrack"]

_BITS_PER_S = 160_000
_PATIENCE_S = 1.0  # twice the microphone's buffer
_LOOK_S = 0.02
_SLACK_S = 0.02  # below, picture and sound agree for everybody (ITU-R BT.1359: noticed from 45 ms on)


class SoundSource(Protocol):
    """What a recorder needs of a microphone."""

    @property
    def rate(self) -> int:
        """Samples a second."""
        ...

    @property
    def channels(self) -> int:
        """1 or 2."""
        ...

    @property
    def fault(self) -> str:
        """Why no more comes; empty while it works."""
        ...

    @property
    def level(self) -> float:
        """The newest peak; 1 is full scale."""
        ...

    def take(self) -> Sequence[SoundBlock]:
        """Return what was heard since the last call, oldest first; does not wait."""
        ...

    def close(self) -> None:
        """Let go of the device; a second call does nothing."""
        ...


class SoundTrack:
    """One stream of AAC in a container.

    Args:
        container: open, nothing written yet. first_ns: when the first picture was captured.
    """

    def __init__(self, source: SoundSource, container: OutputContainer, *, first_ns: int) -> None:
        self._source, self._container, self._first_ns = source, container, first_ns
        self._layout = "mono" if source.channels == 1 else "stereo"
        stream = container.add_stream("aac", rate=source.rate, layout=self._layout)
        if not isinstance(stream, AudioStream):
            raise FormatRejected("The AAC encoder did not give a sound stream.", hint="Install PyAV from a wheel.")
        stream.bit_rate = _BITS_PER_S
        self._stream = stream
        self._waiting: deque[SoundBlock] = deque()
        self._slack = 0  # of the first block, which is laid exactly
        self._position = 0  # samples written

    def write(self, *, until_ns: int) -> None:
        """Write what was heard before a picture's time."""
        self._waiting.extend(self._source.take())
        while self._waiting and self._waiting[0].at_ns < until_ns:
            block = self._waiting.popleft()
            count = -(-(until_ns - block.at_ns) * self._source.rate // NS_PER_S)
            if count < len(block.samples):  # the rest may be later than the last picture, and is cut off then
                rest_ns = block.at_ns + count * NS_PER_S // self._source.rate
                self._waiting.appendleft(SoundBlock(rest_ns, block.samples[count:]))
            self._place(SoundBlock(block.at_ns, block.samples[:count]))

    def cut(self, *, from_ns: int, gap_ns: int) -> None:
        """Leave out a time in which nothing was recorded: what comes after it follows on what was heard before."""
        self.write(until_ns=from_ns)
        self._first_ns += gap_ns

    def collect(self, *, until_ns: int, patience_s: float = _PATIENCE_S) -> None:
        """Wait for what was heard up to a time but lies in the driver's buffer yet; not for a microphone that ended."""
        ends_s = time.monotonic() + patience_s
        while True:
            self._waiting.extend(self._source.take())
            newest = self._waiting[-1] if self._waiting else None
            heard_ns = newest.at_ns + len(newest.samples) * NS_PER_S // self._source.rate if newest else 0
            if heard_ns >= until_ns or self._source.fault or time.monotonic() > ends_s:
                return
            time.sleep(_LOOK_S)

    def finish(self, *, end_ns: int) -> None:
        """Write what is left before the end, with silence where nothing was heard, and end the stream."""
        last = self._sample_at(end_ns)
        self._waiting.extend(self._source.take())
        while self._waiting and self._position < last:
            self._place(self._waiting.popleft(), last=last)
        self._encode(self._silence(last - self._position))
        self._container.mux(self._stream.encode(None))

    def _place(self, block: SoundBlock, *, last: int | None = None) -> None:
        begin = self._sample_at(block.at_ns)
        samples, gap = block.samples, begin - self._position
        if abs(gap) <= self._slack:
            gap = 0
        if gap < 0:
            samples = samples[-gap:]
        if last is not None:
            samples = samples[: max(0, last - self._position - max(0, gap))]
        if not len(samples):
            return
        if gap > 0:
            self._encode(self._silence(gap))
        self._encode(samples)
        self._slack = round(_SLACK_S * self._source.rate)

    def _sample_at(self, at_ns: int) -> int:
        return round((at_ns - self._first_ns) * self._source.rate / NS_PER_S)

    def _silence(self, count: int) -> NDArray[np.float32]:
        return np.zeros((max(0, count), self._source.channels), np.float32)

    def _encode(self, samples: NDArray[np.float32]) -> None:
        """Encode (n, channels) float32."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts = self._source.rate, self._position
        frame.time_base = Fraction(1, self._source.rate)
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))
