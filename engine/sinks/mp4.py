# SPDX-License-Identifier: Apache-2.0
"""Records H.264 video with the frames' real times; whatever happens, what was written so far plays.

Frames carry the moment at which they were captured, and that is when they are shown: a slow machine records fewer
frames, not a fast-forward. The file is written in fragments of half a second (each with its own index), so a killed
program or a full disk costs the last second of a live recording at most; a normal end turns it into an ordinary MP4
for editors that dislike fragments. A file that ended normally is signed (`engine.provenance`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.clock import NS_PER_S
from engine.consent import notes_of_all
from engine.errors import Closed, DiskFull, FormatRejected, OutputUnwritable, SigningFailed, SinkError
from engine.provenance.signing import sign_recording
from engine.sinks.base import BaseSink, is_disk_full, require_output_frame, require_size, unwritable
from engine.sinks.mp4_notes import rewrite_notes
from engine.sinks.png import PROVENANCE
from engine.sinks.recording_file import RecordingFile
from engine.sinks.sound_track import SoundSource, SoundTrack

if TYPE_CHECKING:
    from av.container import OutputContainer

    from engine.types import OutputFrame, Seal

__all__ = ["Mp4Sink", "even", "video_stream"]

_log = logging.getLogger(__name__)

_TICKS_PER_S = 90_000  # the usual MPEG time base: divides 24, 25, 30 and 60 fps without remainder
_TICKS_PER_NS = Fraction(_TICKS_PER_S, 1_000_000_000)
_LONGEST_GAP_NS = 5 * NS_PER_S  # a live run sends a card in every pause; only a sleeping computer leaves such a gap
_CONTAINER_OPTIONS = {
    "movflags": "+frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented",
    "frag_duration": "500000",  # µs; a second would be the longest loss, and a frame may be late
    "flush_packets": "1",  # otherwise fragments wait in libavformat's buffer and a kill loses more than one
}


class Mp4Sink(BaseSink):
    """Writes frames to an MP4 file; its size is that of the first frame (odd sizes are padded by one pixel).

    Args:
        path: the file; replaced if it exists. fps: about how many frames a second come; only a hint for the encoder.
        crf: constant quality, 0 (lossless) to 51; 20 is visually clean for faces.
        live: frames come from a running pipeline, so that a gap of more than five seconds means that the computer
            slept; it is cut.
        sound: a microphone to be heard; the sink closes it.
        notes: more metadata, MP4 key → text, such as `engine.consent.recording_notes` of the character. Where others
            are shown too, the finished file says so of all (not a WebM, whose notes stay those it began with).

    Raises:
        OutputUnwritable: the file cannot be created.
    """

    name = "mp4"
    keeps_every_frame = True
    media_type: ClassVar[str | None] = "video/mp4"
    """For the signature; None where the format has no place for one."""
    _muxer = "mp4"
    _container_options: ClassVar[dict[str, str]] = _CONTAINER_OPTIONS

    def __init__(
        self,
        path: Path,
        fps: float = 30.0,
        *,
        crf: int = 20,
        preset: str = "veryfast",
        live: bool = False,
        sound: SoundSource | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self._notes = dict(notes or {})
        self.count = 0
        self._live = live
        self._fps = Fraction(fps).limit_denominator(1001)
        # No B-frames: every packet can be written as soon as its frame is encoded.
        self._encoder_options = {"crf": str(crf), "preset": preset, "bf": "0"}
        if live:
            # What the encoder holds back to look ahead is lost with a killed program: at 5 fps three seconds. Looking
            # two frames ahead costs nothing (107 kB and 41.8 dB become 81 kB and 41.1 dB); not at all, 75 % more bytes.
            self._encoder_options["x264-params"] = "rc-lookahead=2:sync-lookahead=0:sliced-threads=1"
        self._file, self._container = self._create()
        self._stream: VideoStream | None = None
        self._sound = sound
        self._track: SoundTrack | None = None
        self._size_wh = (0, 0)
        self._first_ns = self._last_ns = 0
        self._last_tick = -1
        self._seals: dict[Seal, None] = {}  # in the order of their first frame

    @property
    def seals(self) -> tuple[Seal, ...]:
        """What the frames so far were sealed with, each once; for signing."""
        return tuple(self._seals)

    @property
    def sound_level(self) -> float | None:
        """How loud the microphone is, 1 is full scale; None where there is none. Thread: any."""
        return self._sound.level if self._sound is not None else None

    @property
    def sound_fault(self) -> str:
        """Why the sound ended before the pictures; empty where it did not, or there was to be none."""
        return self._sound.fault if self._sound is not None else ""

    def send(self, frame: OutputFrame) -> None:
        """Encode one frame. A frame no later than the one before is shown one tick after it.

        Raises:
            FormatRejected: the size differs from the first frame's.
            DiskFull: no room; the file is finished as far as it goes and plays.
            Closed: the sink was closed.
        """
        require_output_frame(frame)
        if self._container is None:
            raise Closed
        try:
            if self._stream is None:
                self._stream = self._begin(self._container, frame)
            require_size(frame, self._size_wh, where="The recording")
            tick = self._tick_of(frame.captured_ns)
            picture = self._picture(frame)
            picture.pts, picture.time_base = tick, Fraction(1, _TICKS_PER_S)
            self._container.mux(self._stream.encode(picture))
            if self._track is not None:
                self._track.write(until_ns=frame.captured_ns)
        except (OSError, av.FFmpegError) as error:
            raise self._abandon(error) from error
        self._last_tick = tick
        self._seals[frame.seal] = None
        self.count += 1

    def close(self) -> None:
        """Finish the file; one without a single frame is removed.

        Raises:
            DiskFull: no room for the end; what was written before plays.
        """
        container = self._container
        last_ns = self._first_ns + round((self._last_tick + _TICKS_PER_S / self._fps) / _TICKS_PER_NS)
        if self._track is not None and container is not None:
            self._track.collect(until_ns=last_ns)
        if self._sound is not None:
            self._sound.close()
        if container is None:
            return
        try:
            if self._track is not None:
                self._track.finish(end_ns=last_ns)
            if self._stream is not None:
                container.mux(self._stream.encode(None))
            container.close()
        except (OSError, av.FFmpegError) as error:
            raise self._abandon(error) from error
        self._container = self._stream = None  # an encoder keeps its threads and pictures as long as it is known
        self._file.close()
        if self.count == 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
            return
        self._name_all()
        if self.media_type is None:
            return
        try:
            sign_recording(self.path, self.seals, media_type=self.media_type)
        except SigningFailed as error:  # a recording must not be lost, nor a close fail, for want of a signature
            self.unsigned = error
            _log.warning("%s", error)

    def _name_all(self) -> None:
        """Say of every character that was shown whose it is, where more came than the recording began with."""
        shown = {seal.origin.character: seal.origin.note for seal in self._seals if seal.origin.character}
        if len(shown) < 2 or self.media_type is None:
            return
        try:
            rewrite_notes(self.path, notes_of_all(shown))
        except OSError as error:  # it plays and says whom it began with; the signature names them all
            _log.warning("The recording's notes could not be completed: %s (%s)", error, self.path)

    def _create(self) -> tuple[RecordingFile, OutputContainer | None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self._open_file()
        except OSError as error:
            raise unwritable(self.path, error) from error
        container = av.open(file, "w", format=self._muxer, options=self._container_options)
        container.metadata.update({**self._notes, "comment": PROVENANCE})
        return file, container

    def _open_file(self) -> RecordingFile:
        return RecordingFile(self.path)

    def _begin(self, container: OutputContainer, frame: OutputFrame) -> VideoStream:
        height_px, width_px = frame.rgb.shape[:2]
        stream = self._add_stream(container)
        stream.width, stream.height = width_px + width_px % 2, height_px + height_px % 2
        stream.gop_size = max(1, round(self._fps))  # one fragment, and one place to seek to, per second
        stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        self._size_wh = (width_px, height_px)
        self._first_ns = self._last_ns = frame.captured_ns
        if self._sound is not None:
            self._track = SoundTrack(self._sound, container, first_ns=self._first_ns)
        return stream

    def _tick_of(self, captured_ns: int) -> int:
        """Return when a frame is shown: hours of a standing picture are not what happened while a computer slept."""
        gap_ns = captured_ns - self._last_ns
        if self._live and not -_LONGEST_GAP_NS <= gap_ns <= _LONGEST_GAP_NS:
            cut_ns = gap_ns - round(NS_PER_S / self._fps)
            self._first_ns += cut_ns
            if self._track is not None:
                self._track.cut(from_ns=self._last_ns, gap_ns=cut_ns)
        self._last_ns = captured_ns
        return max(self._last_tick + 1, round((captured_ns - self._first_ns) * _TICKS_PER_NS))

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        """Add the video stream with its codec and pixel format."""
        stream = video_stream(container, "libx264", self._fps, self._encoder_options)
        stream.pix_fmt = "yuv420p"
        return stream

    def _picture(self, frame: OutputFrame) -> av.VideoFrame:
        """Return the frame as the encoder takes it."""
        return av.VideoFrame.from_ndarray(even(frame.rgb), format="rgb24")

    def _abandon(self, error: Exception) -> SinkError:
        """Let go of the file after an error and return what to raise; finished fragments stay in it."""
        if self._sound is not None:
            self._sound.close()
        container, self._container, self._stream = self._container, None, None
        fault = self._file.fault
        if fault is None:  # not the file's doing; the end may still be written
            fault = error if isinstance(error, OSError) else None
        with contextlib.suppress(OSError, av.FFmpegError):
            if container is not None:
                container.close()
        self._file.close()
        _log.debug("recording abandoned after %d frames", self.count, exc_info=error)
        if fault is not None and is_disk_full(fault):
            return DiskFull(
                f"The disk is full: the recording ends after {self.count} frames and plays so far ({self.path}).",
                hint="Free some space, then record again.",
                path=str(self.path),
                frames=self.count,
            )
        return OutputUnwritable(
            f"The recording cannot be continued: {error} ({self.path}).",
            hint="What was written so far plays; record to another place.",
            path=str(self.path),
            frames=self.count,
        )


def video_stream(container: OutputContainer, codec: str, fps: Fraction, options: dict[str, str]) -> VideoStream:
    """Add a video stream.

    Raises:
        FormatRejected: this PyAV has no such encoder.
    """
    try:
        stream = container.add_stream(codec, rate=fps, options=options)
    except ValueError as error:  # av.codec.codec.UnknownCodecError
        raise FormatRejected(
            f"There is no {codec} encoder here: {error}.", hint="Install PyAV from a wheel."
        ) from error
    if not isinstance(stream, VideoStream):
        raise FormatRejected(f"The {codec} encoder did not give a video stream.", hint="Install PyAV from a wheel.")
    return stream


def even(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column where H.264's halved colour planes need an even size."""
    height_px, width_px = rgb.shape[:2]
    if height_px % 2 or width_px % 2:
        return np.pad(rgb, ((0, height_px % 2), (0, width_px % 2), (0, 0)), mode="edge")
    return rgb
