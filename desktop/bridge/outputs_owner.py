# SPDX-License-Identifier: Apache-2.0
"""Keeps virtual camera and recording open across runs, and joins them to the pipeline that runs. GUI thread.

The virtual camera belongs to the window, not to a run: while the engine stops, starts or changes its model, its host
process goes on sending, first the last frame, then the holding card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from desktop.bridge.doorbell import Tasks
from desktop.bridge.outputs import Vcam, open_recording, open_virtual_camera, save_snapshot
from desktop.settings import AppSettings
from desktop.words import Tone
from engine.consent import recording_notes
from engine.errors import Closed, ConsentMissing, MicrophoneMissing
from engine.pipeline import Pipeline
from engine.sinks.base import Sink
from engine.sinks.lent import LentSink
from engine.types import OutputFrame

if TYPE_CHECKING:
    from engine.sinks.mp4 import Mp4Sink
    from engine.sinks.virtual_camera import VirtualCameraSink

__all__ = ["OutputsOwner"]


class OutputsOwner(QObject):
    """Opens, lends and closes the outputs.

    Signals:
        vcam(Vcam, str): where the virtual camera is, and its device. recording(Path | None): the file being written.
        saved(Path): a recording is complete. told(str, Tone): a word to the user. failed(BaseException): something
        could not be opened or written.
    """

    vcam = Signal(object, str)
    recording = Signal(object)
    saved = Signal(object)
    told = Signal(str, object)
    failed = Signal(object)

    def __init__(self, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._pipeline: Pipeline | None = None
        self._vcam: VirtualCameraSink | None = None
        self._vcam_state = Vcam.OFF
        self._wanted = False
        self._again: AppSettings | None = None
        self._mp4: Mp4Sink | None = None
        self.free_microphone: Callable[[], None] = lambda: None
        """Called on a task's thread before a recording opens its microphone: whoever has it must let go."""

    @property
    def vcam_state(self) -> Vcam:
        """Where the virtual camera is."""
        return self._vcam_state

    @property
    def recording_path(self) -> Path | None:
        """The file being written, or None."""
        return self._mp4.path if self._mp4 is not None else None

    @property
    def sound_level(self) -> float | None:
        """How loud what is being recorded is, 1 is full scale; None without a recording with sound."""
        return self._mp4.sound_level if self._mp4 is not None else None

    def lent(self) -> tuple[Sink, ...]:
        """Return the open outputs for a new pipeline."""
        return (LentSink(self._vcam),) if self._vcam is not None else ()

    def attach(self, pipeline: Pipeline) -> None:
        """Join what is open to a pipeline that runs; a second time changes nothing."""
        self._pipeline = pipeline
        if self._vcam is not None:
            self._add(LentSink(self._vcam))

    def detach(self) -> None:
        """The pipeline ends."""
        self._pipeline = None

    def set_vcam(self, wanted: bool, settings: AppSettings) -> None:
        """Switch the virtual camera on or off."""
        self._wanted = wanted
        if wanted and self._vcam_state is Vcam.OFF:
            self._open_vcam(settings)
        elif not wanted and self._vcam_state is Vcam.ON:
            self._close_vcam()
        elif wanted and self._vcam_state is Vcam.CLOSING:
            self._again = settings

    def follow(self, before: AppSettings, now: AppSettings) -> bool:
        """Open the virtual camera anew where it is on and settings need that; return whether size or rate changed."""
        was, output = before.live.output, now.live.output
        resized = (was.size_wh, was.fps) != (output.size_wh, output.fps)
        if (resized or before.device != now.device) and self._vcam_state is Vcam.ON:
            self._again = now
            self._close_vcam()
        return resized

    def start_recording(self, settings: AppSettings) -> None:
        """Write what is sent from now on."""
        if self._mp4 is not None or self._pipeline is None:
            return
        folder, output, microphone = settings.recordings_folder, settings.live.output, settings.microphone
        shown = self._pipeline.source_set
        notes = recording_notes(shown) if shown is not None else {}

        def failed(error: BaseException) -> None:
            if microphone and isinstance(error, MicrophoneMissing):
                self.told.emit(f"This recording has no sound. {error}", Tone.BAD)
                self.start_recording(replace(settings, microphone=""))  # pictures are better than nothing
            else:
                self._recording_failed(error)

        def work() -> Mp4Sink:
            if microphone:
                self.free_microphone()
            return open_recording(folder, output, microphone, notes=notes)

        self._tasks.run(
            "record",
            work,
            done=self._recording_opened,
            failed=failed,
        )

    def stop_recording(self) -> None:
        """Finish the file; the pipeline goes on."""
        if self._mp4 is None:
            return
        if self._pipeline is None:
            return  # the run is ending and closes it
        pipeline = self._pipeline
        self._tasks.run(
            "finish",
            lambda: pipeline.remove_sink("mp4"),
            done=lambda _: self.finish_recording(),
            failed=self.failed.emit,
        )

    def finish_recording(self) -> None:
        """The pipeline has closed the file."""
        if self._mp4 is None:
            return
        mp4, self._mp4 = self._mp4, None
        self.recording.emit(None)
        if mp4.count:
            self.told.emit(f"Recording saved: {mp4.path}", Tone.GOOD)
            if mp4.sound_fault:
                self.told.emit(f"The microphone was lost while recording: {mp4.sound_fault}.", Tone.WARN)
            self.saved.emit(mp4.path)

    def save_snapshot(self, frame: OutputFrame, folder: Path) -> None:
        """Write one frame as a picture."""
        self._tasks.run(
            "snapshot",
            lambda: save_snapshot(folder, frame),
            done=lambda path: self.told.emit(f"Snapshot saved: {path}", Tone.GOOD),
            failed=self.failed.emit,
        )

    def close(self) -> None:
        """Close what is open, waiting for it."""
        if self._vcam is not None:
            self._vcam.close()
            self._vcam = None

    def _open_vcam(self, settings: AppSettings) -> None:
        self._say(Vcam.OPENING)
        output, device = settings.live.output, settings.device

        def failed(error: BaseException) -> None:
            self._wanted = False
            self._say(Vcam.OFF)
            self.failed.emit(error)

        self._tasks.run(
            "virtual camera", lambda: open_virtual_camera(output, device), done=self._vcam_opened, failed=failed
        )

    def _vcam_opened(self, sink: VirtualCameraSink) -> None:
        self._vcam = sink
        self._say(Vcam.ON)
        if not self._wanted:
            self._close_vcam()
        else:
            self._add(LentSink(sink))

    def _close_vcam(self) -> None:
        sink, self._vcam, pipeline = self._vcam, None, self._pipeline
        if sink is None:
            return
        self._say(Vcam.CLOSING)

        def close() -> None:
            if pipeline is not None:
                pipeline.remove_sink(sink.name)
            sink.close()

        self._tasks.run("virtual camera", close, done=lambda _: self._vcam_closed(), failed=self.failed.emit)

    def _vcam_closed(self) -> None:
        self._say(Vcam.OFF)
        again, self._again = self._again, None
        if self._wanted and again is not None:
            self._open_vcam(again)

    def _recording_opened(self, sink: Mp4Sink) -> None:
        if self._add(sink):
            self._mp4 = sink
            self.recording.emit(sink.path)
        else:
            sink.close()  # the run ended meanwhile; a file without a frame is removed
            self.recording.emit(None)

    def _recording_failed(self, error: BaseException) -> None:
        self.recording.emit(None)
        self.failed.emit(error)

    def _add(self, sink: Sink) -> bool:
        if self._pipeline is None:
            return False
        try:
            self._pipeline.add_sink(sink)
        except ConsentMissing as error:
            self._wanted = False
            self.failed.emit(error)
            self._close_vcam()
            return False
        except (Closed, ValueError):  # it has ended, or got this sink when it was built
            return False
        return True

    def _say(self, state: Vcam) -> None:
        self._vcam_state = state
        self.vcam.emit(state, self._vcam.device if self._vcam is not None else "")
