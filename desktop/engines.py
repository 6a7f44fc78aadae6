# SPDX-License-Identifier: Apache-2.0
"""What the character runs on while its GPU engine is missing: the processor, with a word. GUI thread.

Whoever chooses a TensorRT back-end wants it, not an error that names a command. So a run that finds no engine is begun
again on OpenVINO, the build begins beside it, and when it is done another run takes the engine up.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.bridge.doorbell import Tasks
from desktop.bridge.engine_build import EngineBuild, EngineStatus, engine_status, is_tensorrt
from desktop.run import Run
from desktop.settings import AppSettings
from desktop.settings_keeper import SettingsKeeper
from desktop.words import Tone, error_words
from engine.errors import EngineMismatch, EngineMissing
from engine.events import Failed, PipelineEvent

__all__ = ["Engines"]

_MEANWHILE = "openvino"


class Engines(QObject):
    """Watches runs for missing engines.

    Signals:
        status(EngineStatus): what there is for the chosen model. told(str, Tone): a word to the user.
    """

    status = Signal(object)
    told = Signal(str, object)

    def __init__(self, run: Run, keeper: SettingsKeeper, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run, self._keeper, self._tasks = run, keeper, tasks
        self._missing: set[tuple[str, str]] = set()  # (model, back-end)
        self.build = EngineBuild(self)
        self.build.done.connect(self._built)
        self.build.failed.connect(self._not_built)
        self.build.cancelled.connect(
            lambda: self.told.emit("The build was cancelled; nothing half is left.", Tone.QUIET)
        )
        keeper.changed.connect(self._follow)

    def backend_for(self, settings: AppSettings) -> str:
        """Return the back-end that a run is to use now."""
        return _MEANWHILE if (settings.model, settings.backend) in self._missing else settings.backend

    def look(self) -> None:
        """Find out what there is for the chosen model."""
        model = self._keeper.now.model
        self._tasks.run("engine status", lambda: engine_status(model), done=self._show, failed=lambda _error: None)

    def begin(self, *, only_here: bool = False) -> None:
        """Build the chosen model's engines. only_here: where they are missing for a GPU of this machine."""
        now = self._keeper.now

        def known(found: EngineStatus) -> None:
            self.status.emit(found)
            if found.flavour and (not only_here or (found.gpu and not found.built)):
                flavour = now.backend.partition(":")[0] if is_tensorrt(now.backend) else found.flavour
                self.build.begin(now.model, flavour=flavour, targets=(found.gpu,) if found.gpu else ())
            elif not found.flavour and not only_here:
                self.told.emit(found.words, Tone.WARN)

        self._tasks.run("engine status", lambda: engine_status(now.model), done=known, failed=lambda _error: None)

    def close(self) -> None:
        """Stop a build that is under way."""
        self.build.close()

    def _show(self, found: EngineStatus) -> None:
        self.status.emit(found)

    def hear(self, event: PipelineEvent) -> bool:
        """Mend what the engine tells of, where it is a missing engine; return whether it is."""
        now = self._keeper.now
        if not isinstance(event, Failed) or not isinstance(event.error, EngineMissing | EngineMismatch):
            return False
        if not is_tensorrt(now.backend) or (now.model, now.backend) in self._missing:
            return False
        self._missing.add((now.model, now.backend))
        words = f"The engine of {now.model} is being built; the character runs on the processor meanwhile."
        self.told.emit(words, Tone.WARN)
        self.begin()
        QTimer.singleShot(0, self, self._run.begin)  # when the failed run has said its last
        return True

    def _built(self, model: str) -> None:
        self._missing = {each for each in self._missing if each[0] != model}
        self.told.emit(f"The engine of {model} is built.", Tone.GOOD)
        self.look()
        if self._keeper.now.model == model and is_tensorrt(self._keeper.now.backend):
            self._run.restart()

    def _not_built(self, error: BaseException) -> None:
        self.told.emit(f"{error_words(error)} The character goes on with what it runs on.", Tone.BAD)

    def _follow(self, before: AppSettings, now: AppSettings) -> None:
        if before.model != now.model:
            self.look()
