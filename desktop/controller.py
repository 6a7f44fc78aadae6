# SPDX-License-Identifier: Apache-2.0
"""The one place that owns a run: settings, session, outputs. Widgets call its methods and listen to its signals.

GUI thread only. Everything slow (libraries, models, cameras, drivers, files) happens in `Tasks`; what is newest is
taken from the engine's slots when its doorbell rings. Only sealed frames (`OutputFrame`) are ever given out as output.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from desktop import session as sessions
from desktop.bridge import Doorbell, Tasks
from desktop.calibration import Calibration
from desktop.figures import FigureMeter
from desktop.outputs import card, save_snapshot
from desktop.outputs_owner import OutputsOwner
from desktop.session import Session, SessionRequest
from desktop.settings import AppSettings, Loaded, Profile, save_app_settings
from desktop.words import Tone, error_words
from engine.clock import SystemClock
from engine.config import LiveSettings
from engine.errors import CalibrationRejected, PuppeteerError
from engine.events import (
    Calibrated,
    CalibrationFailed,
    Drifted,
    Failed,
    Finished,
    PipelineEvent,
    SourceSetReady,
    ThreadStuck,
    Warned,
)
from engine.state import BLANKED, Phase, PipelineState
from engine.track.neutral_file import neutral_path
from engine.types import OutputFrame, SourceSet

__all__ = ["Controller", "Notice"]

_SAVE_MS = 500  # a slider sends many values; the last one is written
_POLL_MS = 500
_HIDDEN = "Back in a moment"


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the user that asks for nothing."""

    text: str
    tone: Tone = Tone.QUIET


class Controller(QObject):
    """Runs the engine for the window.

    Signals:
        frame(OutputFrame): a newer picture, sealed. monitor(MonitorView | None): the performer, only if asked for.
        state(PipelineState): the run's state. figures(Figures): twice a second while live.
        notice(Notice): something to tell. changed(AppSettings): the settings are these now.
        set_shown(str): this source set is on screen. set_loading(str): this one is being prepared; empty when done.
    """

    frame = Signal(object)
    monitor = Signal(object)
    state = Signal(object)
    figures = Signal(object)
    notice = Signal(object)
    changed = Signal(object)
    set_shown = Signal(str)
    set_loading = Signal(str)

    def __init__(self, loaded: Loaded, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings, self._path, self._first_notice = loaded.settings, path, loaded.notice
        self.tasks = Tasks(self)
        self._frame_bell, self._event_bell, self._monitor_bell = Doorbell(self), Doorbell(self), Doorbell(self)
        self._frame_bell.answered.connect(self._take_frame)
        self._event_bell.answered.connect(self._take_events)
        self._monitor_bell.answered.connect(self._take_monitor)
        self._session: Session | None = None
        self._phase = PipelineState()
        self._wanted = False  # a run is asked for, whether or not it has begun
        self._opening = self._ending = self._restarting = False
        self._failure: BaseException | None = None
        self._blanked = False
        self._monitored = False
        self._hidden_ns = 0
        self._last_frame: OutputFrame | None = None
        self._newest_set = 0
        self._closed = False
        self.calibration = Calibration(self)
        self.calibration.begun.connect(self._begin_calibration)
        self.outputs = OutputsOwner(self.tasks, self)
        self.outputs.failed.connect(self.tell_error)
        self._meter = FigureMeter()
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._measure)
        self._saver = QTimer(self, interval=_SAVE_MS, singleShot=True)
        self._saver.timeout.connect(self._save)

    # ------------------------------------------------------------------------------------------------------ looking

    @property
    def settings(self) -> AppSettings:
        """The settings now."""
        return self._settings

    @property
    def live(self) -> LiveSettings:
        """What the render thread is to use."""
        return replace(self._settings.live, blanked=self._blanked)

    @property
    def current(self) -> PipelineState:
        """The run's state."""
        return self._phase

    @property
    def running(self) -> bool:
        """Whether a run is on or asked for."""
        return self._wanted

    @property
    def hidden(self) -> bool:
        """Whether the holding card is shown on purpose."""
        return self._blanked

    @property
    def monitored(self) -> bool:
        """Whether the performer's own view is on."""
        return self._monitored

    @property
    def description(self) -> str:
        """The engine's own line about model and back-end; empty while nothing runs."""
        return self._session.pipeline.description if self._session is not None else ""

    def greet(self) -> None:
        """Send everything once, so that a new window shows what is."""
        self.changed.emit(self._settings)
        self._show_state(self._phase)
        self._show_card("Not live")
        if self._first_notice:
            self.tell(self._first_notice, Tone.WARN)
            self._first_notice = ""

    # ---------------------------------------------------------------------------------------------------- run, stop

    def start(self) -> None:
        """Go live with what is chosen."""
        if self._wanted or self._closed:
            return
        if not self._settings.camera:
            self.tell("No camera is chosen. Choose one in the Camera panel, or the demo clip.", Tone.WARN)
            return
        if not self._settings.source_set:
            self.tell("No source set is chosen. Click one in the gallery.", Tone.WARN)
            return
        self._wanted = True
        if self._ending:
            self._restarting = True  # as soon as the camera is free
        elif not self._opening:
            self._open()

    def stop(self) -> None:
        """End the run; the virtual camera, if on, shows the holding card."""
        if not self._wanted:
            return
        self._wanted = self._restarting = False
        self.calibration.cancel()
        if self._session is not None:
            self._end_session()
        elif self._opening:
            self._show_state(PipelineState(Phase.STOPPING))

    def restart(self) -> None:
        """Take up settings that only a new run can use; the virtual camera goes on meanwhile."""
        if self._wanted and self._session is not None:
            self._restarting = True
            self._end_session()

    def _open(self) -> None:
        self._opening, self._failure = True, None
        self._show_state(PipelineState(Phase.LOADING))
        self._show_card("Opening")
        self._meter.reset()
        chosen = self._settings
        request = SessionRequest(
            camera=chosen.camera,
            source_set=chosen.source_set,
            model=chosen.model,
            backend=chosen.backend,
            live=self.live,
            neutral_file=neutral_path(chosen.person, chosen.camera),
            sinks=self.outputs.lent(),
            monitored=self._monitored,
        )
        self.tasks.run(
            "open",
            lambda: sessions.open_session(
                request,
                on_frame=self._frame_bell.ring,
                on_event=self._event_bell.ring,
                on_monitor=self._monitor_bell.ring,
            ),
            done=self._opened,
            failed=self._not_opened,
        )

    def _opened(self, session: Session) -> None:
        self._session, self._opening = session, False
        if not self._wanted or self._outdated(session.request):
            self._restarting = self._wanted  # the user changed their mind while the libraries loaded
            self._end_session()
            return
        if session.request.live != self.live:
            self._apply()
        if session.request.source_set != self._settings.source_set:
            self.select_set(self._settings.source_set, again=True)
        if session.request.monitored != self._monitored:
            session.show_monitor(self._monitored)
        self.outputs.attach(session.pipeline)
        self.set_shown.emit(session.request.source_set)
        self._poll.start()
        self._take_events()

    def _outdated(self, request: SessionRequest) -> bool:
        """Whether a run was begun with what only another run can change."""
        now, was, wanted = self._settings, request.live.output, self._settings.live.output
        same_run = (now.camera, now.model, now.backend) == (request.camera, request.model, request.backend)
        return not same_run or (was.size_wh, was.fps) != (wanted.size_wh, wanted.fps)

    def _not_opened(self, error: BaseException) -> None:
        self._opening = self._wanted = False
        self._show_state(PipelineState(Phase.FAILED, error=error))
        self.tell_error(error)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._ending = True
        self._poll.stop()
        self.outputs.detach()
        self._show_state(PipelineState(Phase.STOPPING))
        self._last_frame = None
        self._show_card("Opening" if self._restarting else "Not live")
        self.monitor.emit(None)
        self.tasks.run("stop", session.stop, done=lambda _: self._ended(session), failed=self._not_opened)

    def _ended(self, session: Session) -> None:
        self._ending = False
        for event in session.pipeline.events():
            if isinstance(event, ThreadStuck):
                self._hear(event)
        self.outputs.finish_recording()
        if self._restarting and self._wanted:
            self._restarting = False
            self._open()
        elif self._failure is not None:
            self._show_state(PipelineState(Phase.FAILED, error=self._failure))
        else:
            self._show_state(PipelineState())

    # ----------------------------------------------------------------------------------------------------- settings

    def change(self, **values: object) -> None:
        """Remember other settings; those of `AppSettings`, by name."""
        before, self._settings = self._settings, replace(self._settings, **values)  # type: ignore[arg-type]
        if self._settings == before:
            return
        self._saver.start()
        self.changed.emit(self._settings)
        sized = (before.live.output.size_wh, before.live.output.fps)
        if sized != (self._settings.live.output.size_wh, self._settings.live.output.fps):
            self.outputs.reopen(self._settings)
            self._show_card("Opening" if self._wanted else "Not live")
            self.restart()
        elif before.live != self._settings.live:
            self._apply()
        if any(getattr(before, name) != getattr(self._settings, name) for name in ("camera", "model", "backend")):
            self.restart()

    def replace_settings(self, settings: AppSettings) -> None:
        """Take up other settings as a whole."""
        names = [each.name for each in fields(AppSettings) if each.name != "source_set"]
        self.change(**{name: getattr(settings, name) for name in names})
        if settings.source_set:
            self.select_set(settings.source_set)

    def change_motion(self, **values: object) -> None:
        """Use other motion settings from the next frame on."""
        motion = replace(self._settings.live.motion, **values)  # type: ignore[arg-type]
        self.change(live=replace(self._settings.live, motion=motion))

    def change_output(self, **values: object) -> None:
        """Use other output settings: at once, or with a new run where size or rate differ."""
        try:
            output = replace(self._settings.live.output, **values)  # type: ignore[arg-type]
        except PuppeteerError as error:
            self.tell_error(error)
            self.changed.emit(self._settings)
            return
        self.change(live=replace(self._settings.live, output=output))

    def choose_background(self, path: Path) -> None:
        """Use a picture as background, once it has proved to be one."""
        from engine.compose.background import load_picture

        self.tasks.run(
            "background",
            lambda: load_picture(path),
            done=lambda _: self.change_output(background=str(path)),
            failed=self._refused,
        )

    def _refused(self, error: BaseException) -> None:
        self.tell_error(error)
        self.changed.emit(self._settings)  # whoever showed the other value shows the old one again

    def _apply(self) -> None:
        if self._session is not None:
            self._session.pipeline.apply(self.live)

    def _save(self) -> None:
        try:
            save_app_settings(self._settings, self._path)
        except PuppeteerError as error:
            self.tell_error(error)

    # --------------------------------------------------------------------------------------------------- characters

    def select_set(self, name: str, *, again: bool = False) -> None:
        """Show another character: prepared beside the running one, switched between two frames."""
        if name == self._settings.source_set and not again:
            return
        before = self._settings.source_set
        self.change(source_set=name)
        if self._session is None:
            return
        self._newest_set = mine = self._newest_set + 1
        model, session = self._settings.model, self._session
        self.set_loading.emit(name)

        def loaded(source_set: SourceSet) -> None:
            if mine == self._newest_set and session is self._session:
                session.pipeline.set_source_set(source_set)

        def failed(error: BaseException) -> None:
            self.tell_error(error)
            if mine == self._newest_set:
                self.set_loading.emit("")
                self.change(source_set=before)

        self.tasks.run("source set", lambda: sessions.load_set(name, model=model), done=loaded, failed=failed)

    def use_profile(self, key: int, *, names: list[str]) -> None:
        """Bring back what a key holds; a key that holds nothing means the set at that place in the gallery."""
        profile = self._settings.profiles.get(key)
        if profile is None:
            profile = Profile(names[key - 1]) if key <= len(names) else None
        if profile is None or profile.source_set not in names:
            self.tell(f"Key {key} holds no source set. Ctrl+{key} keeps the present one there.")
            return
        if profile.motion is not None:
            self.change(live=replace(self._settings.live, motion=profile.motion))
        if profile.background is not None:
            self.change_output(background=profile.background)
        self.select_set(profile.source_set)

    def keep_profile(self, key: int) -> None:
        """Keep source set, motion and background under a key."""
        now = self._settings
        profile = Profile(now.source_set, now.live.motion, now.live.output.background)
        self.change(profiles={**now.profiles, key: profile})
        self.tell(f"Key {key} now brings back {now.source_set} with this motion and background.")

    # ------------------------------------------------------------------------------------------------------- safety

    def panic(self) -> None:
        """Show the holding card at once, here and in every output; pressing again changes nothing."""
        if self._blanked:
            return
        self._hidden_ns = SystemClock().now_ns()
        self._blanked = True
        self._apply()
        self._show_card(_HIDDEN)
        self._show_state(self._phase)

    def show_again(self) -> None:
        """Show the character again after `panic`."""
        self._blanked = False
        self._apply()
        self._show_state(self._phase)

    def watch_performer(self, wanted: bool) -> None:
        """Give out the performer's own view, or no longer; it goes to nobody but this window."""
        self._monitored = wanted
        if self._session is not None:
            self._session.show_monitor(wanted)
        if not wanted:
            self.monitor.emit(None)

    # --------------------------------------------------------------------------------------------- record, calibrate

    def record(self, wanted: bool) -> None:
        """Start or end a recording."""
        if wanted and (self._session is None or not self._phase.live):
            self.tell("There is nothing to record yet. Press Start first.", Tone.WARN)
            self.outputs.recording.emit(self.outputs.recording_path)
        elif wanted:
            self.outputs.start_recording(self._settings)
        else:
            self.outputs.stop_recording()

    def snapshot(self) -> None:
        """Save what is shown now as a picture, watermark and all."""
        frame = self._last_frame
        if frame is None:
            self.tell("There is no picture yet. Press Start first.", Tone.WARN)
            return
        folder = self._settings.recordings_folder
        self.tasks.run(
            "snapshot",
            lambda: save_snapshot(folder, frame),
            done=lambda path: self.tell(f"Snapshot saved: {path}", Tone.GOOD),
            failed=self.tell_error,
        )

    def calibrate(self) -> None:
        """Count down, then take the performer's neutral pose."""
        if self._session is None or not self._phase.live:
            self.tell("Calibration looks at your face. Press Start first.", Tone.WARN)
            return
        self.calibration.count_down()

    def _begin_calibration(self) -> None:
        if self._session is not None:
            self._session.pipeline.calibrate()

    # -------------------------------------------------------------------------------------------------------- words

    def tell(self, text: str, tone: Tone = Tone.QUIET) -> None:
        """Show a notice."""
        self.notice.emit(Notice(text, tone))

    def tell_error(self, error: BaseException) -> None:
        """Show an error as a notice."""
        self.tell(error_words(error), Tone.BAD)

    def close(self) -> None:
        """End everything, waiting for it; the last call."""
        if self._closed:
            return
        self._closed, self._wanted, self._restarting = True, False, False
        self.calibration.cancel()
        self._saver.stop()
        self._save()
        self._end_session()
        self.tasks.close()  # also what is still opening: it is ended by the usual way
        for bell in (self._frame_bell, self._event_bell, self._monitor_bell):
            bell.close()
        self.outputs.close()

    # ------------------------------------------------------------------------------------------- what the engine says

    def _take_frame(self) -> None:
        if self._session is None:
            return
        frame = self._session.preview.take()
        if frame is None or frame.captured_ns < self._hidden_ns:
            return  # rendered while the panic key was on its way
        self._last_frame = frame
        self.frame.emit(frame)

    def _take_monitor(self) -> None:
        if self._session is not None and self._monitored and (view := self._session.monitor.take()) is not None:
            self.monitor.emit(view)

    def _take_events(self) -> None:
        session = self._session
        if session is None:
            return
        for event in session.pipeline.events():
            self._hear(event)
        if session is self._session:
            self._show_state(session.pipeline.state)

    def _hear(self, event: PipelineEvent) -> None:
        if isinstance(event, SourceSetReady):
            self.set_loading.emit("")
            self.set_shown.emit(event.name)
        elif isinstance(event, Calibrated):
            self._calibrated()
        elif isinstance(event, CalibrationFailed):
            # The one that runs by itself at the start goes on trying; only the one asked for is answered.
            if self.calibration.waiting and isinstance(event.error, CalibrationRejected):
                self.calibration.reject(error_words(event.error))
        elif isinstance(event, Drifted):
            self.tell("You sit otherwise than when you calibrated. Calibrate again (Ctrl+N) for a better likeness.")
        elif isinstance(event, Warned):
            self.tell_error(event.error)
            if event.where == "source set":
                self.set_loading.emit("")
        elif isinstance(event, Failed):
            self.tell_error(event.error)
            self._wanted, self._failure = False, event.error
            self._end_session()
        elif isinstance(event, ThreadStuck):
            self.tell(f"The part {event.name} did not end in time; restart Bunraku if a camera stays busy.", Tone.WARN)
        elif isinstance(event, Finished):
            self.stop()

    def _calibrated(self) -> None:
        neutral = self._session.pipeline.neutral if self._session is not None else None
        if neutral is None or not self.calibration.waiting:
            return
        self.calibration.accept(neutral.quality)
        from engine.track.neutral_file import save_neutral

        path = neutral_path(self._settings.person, self._settings.camera)
        self.tasks.run("neutral", lambda: save_neutral(path, neutral), failed=self.tell_error)

    def _measure(self) -> None:
        if self._session is not None and self._phase.live:
            stats = self._session.pipeline.stats()
            steady = self._phase.phase is Phase.RUNNING
            fps = self._settings.live.output.fps
            self.figures.emit(self._meter.measure(stats, wanted_fps=fps, steady=steady))

    def _show_state(self, state: PipelineState) -> None:
        if self._blanked and state.phase is Phase.RUNNING:
            state = PipelineState(Phase.DEGRADED, (BLANKED,))  # it is on its way to the render thread
        self._phase = state
        self.state.emit(state)

    def _show_card(self, reason: str) -> None:
        self.frame.emit(card(self._settings.live.output, _HIDDEN if self._blanked else reason))
