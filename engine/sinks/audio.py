# SPDX-License-Identifier: Apache-2.0
"""Gives a finished silent recording the sound of the video that drove it. Any thread, after the sink is closed.

The pictures are copied, not encoded again; so is sound that MP4 can hold, anything else becomes AAC. A second file is
written beside the first and takes its place at the end, so that a failure leaves the silent recording as it was.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from engine.files import replacing

__all__ = ["add_audio"]

_log = logging.getLogger(__name__)

_MP4_CODECS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})

_Timed = tuple[Fraction, int, "Packet[Any]"]  # time in s, a tie-breaker, the packet


def add_audio(video: Path, *, source: Path) -> bool:
    """Copy the sound of `source` into the MP4 `video`, which starts where the pictures of `source` start.

    Returns:
        whether there is sound now. Missing or unreadable sound is no error: the recording is complete without.
    """
    try:
        with av.open(str(source)) as heard:
            if not heard.streams.audio or not heard.streams.video:
                return False
            # The new file takes its place last: an open one cannot be replaced on Windows.
            with replacing(video) as part, av.open(str(video)) as seen, _open_out(part) as joined:
                joined.metadata.update(seen.metadata)
                _join(seen, heard, joined)
    except (OSError, av.FFmpegError, ValueError) as error:
        _log.warning("The sound of %s could not be copied: %s", source.name, error)
        return False
    return True


def _open_out(path: Path) -> OutputContainer:
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def _join(seen: InputContainer, heard: InputContainer, joined: OutputContainer) -> None:
    pictures = seen.streams.video[0]
    end_s = Fraction(seen.duration or 0, av.time_base)
    picture_out = joined.add_stream_from_template(pictures)
    sound = heard.streams.audio[0]
    if sound.codec_context.name in _MP4_CODECS:
        sound_out = joined.add_stream_from_template(sound)
        packets = _copied(heard, sound)
    else:
        sound_out = joined.add_stream("aac", rate=sound.rate)
        packets = _encoded(heard, sound, sound_out)
    first = heard.streams.video[0]
    start_s = Fraction(first.start_time or 0) * (first.time_base or 1)
    # In the order of their times: a muxer would otherwise hold one whole stream in memory.
    timed = ((at - start_s, 1, packet) for at, _, packet in packets)
    for at, kind, packet in heapq.merge(_copied(seen, pictures, kind=0), timed, key=lambda item: item[:2]):
        if kind == 1:
            if not 0 <= at < end_s:
                continue
            shift = round(start_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
        packet.stream = sound_out if kind else picture_out
        joined.mux(packet)


def _copied(container: InputContainer, stream: av.VideoStream | AudioStream, *, kind: int = 1) -> Iterator[_Timed]:
    for packet in container.demux(stream):
        if packet.dts is not None:  # the last packet is an empty one that ends the stream
            yield packet.dts * packet.time_base, kind, packet


def _encoded(container: InputContainer, stream: AudioStream, target: AudioStream) -> Iterator[_Timed]:
    for frame in container.decode(stream):
        for packet in target.encode(frame):
            yield (packet.dts or 0) * packet.time_base, 1, packet
    for packet in target.encode(None):
        yield (packet.dts or 0) * packet.time_base, 1, packet
