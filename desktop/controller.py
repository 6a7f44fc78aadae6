# SPDX-License-Identifier: Apache-2.0
"""What the window asks for, in one place: run, settings, outputs, safety. Widgets call it and listen to its signals.

GUI thread only; what is slow happens in `Tasks`. Only sealed frames (`OutputFrame`) are ever given out as output. The
parts: `run` (a session's life), `keeper` (settings), `shown` (what may be seen; the panic key), `characters` (source
sets, quick keys), `calibration`, `engines` (GPU engines), `outputs` (virtual camera, recording).
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop.bridge import Tasks
from desktop.bridge.outputs import OPENING
from desktop.bridge.outputs_owner import OutputsOwner
from desktop.bridge.session import Session, SessionRequest, check_background
from desktop.bridge.sound_level import SoundLevel
from desktop.calibration import Calibration
from desktop.characters import Characters
from desktop.engines import Engines
from desktop.gauge import Gauge
from desktop.notice import Notice
from desktop.run import Run
from desktop.settings import AppSettings, Loaded
from desktop.settings_keeper import SettingsKeeper
from desktop.shown import Shown
from desktop.words import Tone, error_words, event_words
from engine.config import LiveSettings
from engine.errors import PuppeteerError
from engine.events import Finished, PipelineEvent, SourceSetReady, Warned
from engine.state import PipelineState

__all__ = ["Controller", "Notice"]


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
        self._first_notice = loaded.notice
        self._monitored = self._closed = False
        self.tasks = Tasks(self)
        self.keeper = SettingsKeeper(loaded.settings, path, self)
        self.shown = Shown(lambda: self.settings.live.output, self)
        self.run = Run(self.tasks, self._request, self)
        self.outputs = OutputsOwner(self.tasks, self)
        self.sound = SoundLevel(self.tasks, lambda: self.outputs.sound_level, self)
        self.outputs.free_microphone = self.sound.let_go
        self.calibration = Calibration(self.run, self.keeper, self.tasks, self)
        self.characters = Characters(self.run, self.keeper, self.tasks, self)
        self.engines = Engines(self.run, self.keeper, self.tasks, self)
        self.gauge = Gauge(self.run, self.keeper, self.shown, self)
        self._wire()

    def _wire(self) -> None:
        run, shown, characters = self.run, self.shown, self.characters
        run.state.connect(shown.show_state)
        run.frame.connect(shown.show_frame)
        run.opening.connect(lambda: shown.show_card(OPENING))
        run.opened.connect(self._opened)
        run.ending.connect(self._ending)
        run.ended.connect(self.outputs.finish_recording)
        run.happened.connect(self._hear)
        run.view.connect(self._show_view)
        shown.frame.connect(self.frame)
        shown.state.connect(self.state)
        self.gauge.figures.connect(self.figures)
        characters.shown.connect(self.set_shown)
        characters.loading.connect(self.set_loading)
        for teller in (characters, self.outputs, self.engines):
            teller.told.connect(self.tell)
        self.keeper.changed.connect(self._settings_changed)
        for part in (run, characters, self.keeper, self.outputs, self.calibration):
            part.failed.connect(self.tell_error)

    @property
    def settings(self) -> AppSettings:
        """The settings now."""
        return self.keeper.now

    @property
    def live(self) -> LiveSettings:
        """What the render thread is to use."""
        return replace(self.settings.live, blanked=self.hidden)

    @property
    def current(self) -> PipelineState:
        """The run's state."""
        return self.shown.now

    @property
    def running(self) -> bool:
        """Whether a run is on or asked for."""
        return self.run.wanted

    @property
    def hidden(self) -> bool:
        """Whether the holding card is shown on purpose."""
        return self.shown.hidden

    @property
    def description(self) -> str:
        """The engine's own line about model and back-end; empty while nothing runs."""
        return self.run.session.description if self.run.session is not None else ""

    def greet(self) -> None:
        """Send everything once, so that a new window shows what is."""
        self.changed.emit(self.settings)
        self.state.emit(self.current)
        self.shown.show_card("Not live")
        if self._first_notice:
            self.tell(self._first_notice, Tone.WARN)
            self._first_notice = ""

    def start(self) -> None:
        """Go live with what is chosen."""
        if self.running or self._closed:
            return
        if not self.settings.camera:
            self.tell("No camera is chosen. Choose one in the Camera panel, or the demo clip.", Tone.WARN)
        elif not self.settings.source_set:
            self.tell("No source set is chosen. Click one in the gallery.", Tone.WARN)
        else:
            self.run.begin()

    def stop(self) -> None:
        """End the run; the virtual camera, if on, shows the holding card."""
        if self.running:
            self.calibration.cancel()
            self.run.end()

    def _request(self) -> SessionRequest:
        now, lent, live, seen = self.settings, self.outputs.lent(), self.live, self._monitored
        backend = self.engines.backend_for(now)
        return SessionRequest(now.camera, now.source_set, now.model, backend, live, now.person, lent, seen)

    def _opened(self, session: Session) -> None:
        """Catch up with what was changed while the libraries loaded."""
        request = session.request
        if request.live != self.live:
            self.run.apply(self.live)
        if request.source_set != self.settings.source_set:
            self.characters.select(self.settings.source_set, again=True)
        if request.monitored != self._monitored:
            session.show_monitor(self._monitored)
        self.outputs.attach(session.pipeline)
        self.set_shown.emit(request.source_set)

    def _ending(self) -> None:
        self.outputs.detach()
        self.shown.show_card(OPENING if self.run.restarting else "Not live")
        self.monitor.emit(None)

    def change(self, **values: object) -> None:
        """Use and remember other settings; those of `AppSettings`, by name."""
        self.keeper.change(**values)

    def change_motion(self, **values: object) -> None:
        """Use other motion settings from the next frame on."""
        self.keeper.change_motion(**values)

    def change_output(self, **values: object) -> None:
        """Use other output settings: at once, or with a new run where size or rate differ."""
        try:
            self.keeper.change_output(**values)
        except PuppeteerError as error:
            self._refused(error)

    def replace_settings(self, settings: AppSettings) -> None:
        """Take up other settings as a whole."""
        names = [each.name for each in fields(AppSettings) if each.name != "source_set"]
        self.change(**{name: getattr(settings, name) for name in names})
        if settings.source_set:
            self.select_set(settings.source_set)

    def choose_background(self, path: Path) -> None:
        """Use a picture as background, once it has proved to be one."""
        self.tasks.run(
            "background",
            lambda: check_background(path),
            done=lambda _: self.change_output(background=str(path)),
            failed=self._refused,
        )

    def _refused(self, error: BaseException) -> None:
        self.tell_error(error)
        self.changed.emit(self.settings)  # whoever showed the other value shows the old one again

    def _settings_changed(self, before: AppSettings, now: AppSettings) -> None:
        self.changed.emit(now)
        if self.outputs.follow(before, now):
            self.shown.show_card(OPENING if self.running else "Not live")
        self.run.follow(before, now, self.live)

    def select_set(self, name: str) -> None:
        """Show another character: prepared beside the running one, switched between two frames."""
        self.characters.select(name)

    def use_profile(self, key: int, *, names: list[str]) -> None:
        """Bring back what a key holds; names: the gallery's sets, which keys that hold nothing stand for."""
        self.characters.use_profile(key, names=names)

    def keep_profile(self, key: int) -> None:
        """Keep source set, motion and background under a key."""
        self.characters.keep_profile(key)

    def panic(self) -> None:
        """Show the holding card at once, here and in every output; pressing again changes nothing."""
        if self.shown.hide():
            self.run.apply(self.live)

    def show_again(self) -> None:
        """Show the character again after `panic`."""
        self.shown.show_again()
        self.run.apply(self.live)

    def watch_performer(self, wanted: bool) -> None:
        """Give out the performer's own view, or no longer; it goes to nobody but this window."""
        self._monitored = wanted
        if self.run.session is not None:
            self.run.session.show_monitor(wanted)
        if not wanted:
            self.monitor.emit(None)

    def record(self, wanted: bool) -> None:
        """Start or end a recording."""
        if wanted and not self.current.live:
            self.tell("There is nothing to record yet. Press Start first.", Tone.WARN)
            self.outputs.recording.emit(self.outputs.recording_path)
        elif wanted:
            self.outputs.start_recording(self.settings)
        else:
            self.outputs.stop_recording()

    def snapshot(self) -> None:
        """Save what is shown now as a picture, watermark and all."""
        frame, folder = self.shown.last_frame, self.settings.recordings_folder
        if frame is None:
            self.tell("There is no picture yet. Press Start first.", Tone.WARN)
        else:
            self.outputs.save_snapshot(frame, folder)

    def calibrate(self) -> None:
        """Count down, then take the performer's neutral pose."""
        if self.current.live:
            self.calibration.count_down()
        else:
            self.tell("Calibration looks at your face. Press Start first.", Tone.WARN)

    def tell(self, text: str, tone: Tone = Tone.QUIET) -> None:
        """Show a notice."""
        self.notice.emit(Notice(text, tone))

    def tell_error(self, error: BaseException) -> None:
        """Show an error as a notice."""
        self.tell(error_words(error), Tone.BAD)

    def close(self) -> None:
        """End everything, waiting for it; the last call."""
        closed, self._closed = self._closed, True
        if closed:
            return
        self.calibration.cancel()
        self.sound.close()
        self.keeper.close()
        self.engines.close()
        self.run.close(wait=self.tasks.close)
        self.outputs.close()

    def _hear(self, event: PipelineEvent) -> None:
        if not self.engines.hear(event) and (said := event_words(event)) is not None:
            self.tell(*said)
        self.calibration.hear(event)
        if isinstance(event, SourceSetReady):
            self.set_loading.emit("")
            self.set_shown.emit(event.name)
        elif isinstance(event, Warned) and event.where == "source set":
            self.set_loading.emit("")
        elif isinstance(event, Finished):
            self.stop()

    def _show_view(self, view: object) -> None:
        if self._monitored:
            self.monitor.emit(view)
