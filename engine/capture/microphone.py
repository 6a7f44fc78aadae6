# SPDX-License-Identifier: Apache-2.0
"""Microphones, through PortAudio: which there are, and their sound with the times at which it was heard.

Like a camera, a microphone has an id that survives a restart: its driver system and name. Opened only while a recording
with sound runs. PortAudio calls back on a thread of its own; whoever records takes the blocks from there.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S, Clock, SystemClock
from engine.errors import MicrophoneMissing
from engine.types import SoundBlock

__all__ = ["Microphone", "MicrophoneInfo", "list_microphones", "open_microphone"]

_RATE = 48_000
_BLOCK_S = 0.02
_BUFFER_S = 0.5  # nobody listens live; with the drivers' own 0.1 s a busy computer loses a fifth of the sound
_KEPT_BLOCKS = 1500  # half a minute; a recorder that does not take them for longer has other troubles
_FALL = 0.8  # of the level from block to block: 2 dB in 20 ms, which an eye can follow
_library_lock = threading.Lock()
_open_count = 0


@dataclass(frozen=True, slots=True)
class MicrophoneInfo:
    """id: accepted by `open_microphone`. name: for people. channels: 1 or 2 are used."""

    id: str
    name: str
    channels: int
    rate: int = _RATE


def list_microphones() -> list[MicrophoneInfo]:
    """Return the microphones that are plugged in now.

    Raises:
        MicrophoneMissing: the sound library cannot be loaded; with what to install.
    """
    with _library_lock:
        library = _load()
        if not _open_count:  # PortAudio counts devices once, unless it begins anew, which ends open streams
            library._terminate()
            library._initialize()
        return [info for info, _ in _found(library)]


def open_microphone(microphone_id: str, *, clock: Clock | None = None) -> Microphone:
    """Open a microphone by its id; an empty id means the system's default.

    Raises:
        MicrophoneMissing: there is no such microphone, or it cannot be opened.
    """
    with _library_lock:
        library = _load()
        found = _found(library)
        if not found:
            raise MicrophoneMissing(
                "No microphone is connected.", hint="Plug one in, or record without sound.", wanted=microphone_id
            )
        default = _default_index(library)
        wanted = [
            (info, index) for info, index in found if (info.id == microphone_id if microphone_id else index == default)
        ] or ([] if microphone_id else found[:1])
        if not wanted:
            known = ", ".join(info.name for info, _ in found)
            raise MicrophoneMissing(
                f"The microphone is not connected: {microphone_id}.",
                hint=f"Plug it in, or choose one of: {known}.",
                wanted=microphone_id,
            )
        return Microphone(library, *wanted[0], clock=clock)


class Microphone:
    """An open microphone; a `SoundSource` of `engine.sinks.sound_track`.

    Thread: `take` and `close` on any one thread; PortAudio's own fills it.

    Raises:
        MicrophoneMissing: the device does not open.
    """

    def __init__(self, library: Any, info: MicrophoneInfo, index: int, *, clock: Clock | None = None) -> None:
        global _open_count
        self.info = info
        self._clock: Clock = clock or SystemClock()
        self._blocks: deque[SoundBlock] = deque(maxlen=_KEPT_BLOCKS)
        self._fault = ""
        self._level = 0.0
        try:
            self._stream = library.InputStream(
                samplerate=info.rate,
                blocksize=round(info.rate * _BLOCK_S),
                device=index,
                channels=info.channels,
                dtype="float32",
                latency=_BUFFER_S,
                callback=self._hear,
                finished_callback=self._finished,
            )
            self._closing = False
            self._stream.start()
        except (library.PortAudioError, ValueError) as error:
            raise MicrophoneMissing(
                f"The microphone cannot be opened: {error} ({info.name}).",
                hint="Close other programs that use it, and check that Bunraku may use the microphone.",
                wanted=info.id,
            ) from error
        _open_count += 1

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self.info.rate

    @property
    def channels(self) -> int:
        """1 or 2."""
        return self.info.channels

    @property
    def fault(self) -> str:
        """Why no more comes; empty while it works."""
        return self._fault

    @property
    def level(self) -> float:
        """How loud it is now: the newest peak, 1 is full scale, falling slowly. Thread: any."""
        return self._level

    def take(self) -> list[SoundBlock]:
        """Return what was heard since the last call, oldest first."""
        taken = []
        while self._blocks:
            taken.append(self._blocks.popleft())
        return taken

    def close(self) -> None:
        """Let go of the device; what was heard can still be taken."""
        global _open_count
        if self._closing:
            return
        self._closing = True
        with _library_lock:
            self._stream.close()
            _open_count -= 1

    def _hear(self, samples: NDArray[np.float32], count: int, times: Any, _status: object) -> None:
        """Keep one block, with the time of its first sample on our clock. PortAudio's thread."""
        now_ns = self._clock.now_ns()
        age_s = times.currentTime - times.inputBufferAdcTime
        if not 0 < age_s < 1:  # some drivers do not tell: then it ended just now
            age_s = count / self.info.rate
        peak = float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
        self._level = max(peak, self._level * _FALL)
        self._blocks.append(SoundBlock(now_ns - round(age_s * NS_PER_S), samples.copy()))

    def _finished(self) -> None:
        if not self._closing:
            self._fault = "it was unplugged or taken away"


def _load() -> ModuleType:
    try:
        import sounddevice
    except OSError as error:  # the package is there, PortAudio itself is not
        raise MicrophoneMissing(
            "Sound cannot be recorded: the PortAudio library is not installed.",
            hint="Debian, Ubuntu: sudo apt install libportaudio2; then start Bunraku again.",
        ) from error
    except ImportError as error:
        raise MicrophoneMissing(
            "Sound cannot be recorded: the package sounddevice is not installed.", hint="Run: python3 run.py"
        ) from error
    except Exception as error:  # sounddevice's own, from an audio system that is set up wrongly
        raise MicrophoneMissing(
            f"Sound cannot be recorded: PortAudio does not start: {error}.", hint="Mend the system's sound settings."
        ) from error
    module: ModuleType = sounddevice
    return module


def _found(library: Any) -> list[tuple[MicrophoneInfo, int]]:
    """Return (microphone, PortAudio's number) of all inputs; a name that several drivers offer is listed for each."""
    systems = [system["name"] for system in library.query_hostapis()]
    found = []
    for index, device in enumerate(library.query_devices()):
        if device["max_input_channels"] < 1:
            continue
        system = systems[device["hostapi"]]
        name = device["name"] if len(systems) < 2 else f"{device['name']} ({system})"
        channels, rate = min(2, device["max_input_channels"]), round(device["default_samplerate"]) or _RATE
        found.append((MicrophoneInfo(f"{system}:{device['name']}", name, channels, rate), index))
    return found


def _default_index(library: Any) -> int:
    return int(library.default.device[0])
