# SPDX-License-Identifier: Apache-2.0
"""Engines for NVIDIA GPUs: whether there are any for a model, and building them in a process of its own. GUI thread.

The build is `python -m engine.build.job`, so that TensorRT never loads into the app and a build that goes wrong takes
nothing with it. It ends with the app, and leaves no half engine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from engine.errors import BackendUnavailable, EngineBuildFailed, PuppeteerError
from engine.runtime.engine_file import default_folder, list_engines
from engine.runtime.tensorrt_library import FLAVOURS

__all__ = ["EngineBuild", "EngineStatus", "engine_status", "is_tensorrt"]

_END_MS = 15_000  # TensorRT stops at its next step
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What there is for one model.

    flavour: the builder that is installed; empty for none. gpu: the NVIDIA GPU's architecture, such as sm89; empty
    for none. built: an engine of the model is there (for that GPU, where there is one).
    """

    flavour: str
    gpu: str
    built: bool

    @property
    def words(self) -> str:
        """In a sentence."""
        if not self.flavour:
            return "For NVIDIA GPUs, install TensorRT for RTX: pip install '.[rtx]'."
        if not self.gpu:
            return "No NVIDIA GPU was found, so the processor is used. Engines for RTX GPUs can be built all the same."
        if self.built:
            return f"An engine for this GPU ({self.gpu}) is built: choose {self.flavour} above."
        return f"There is no engine for this GPU ({self.gpu}) yet; the processor is used until it is built."


def is_tensorrt(backend: str) -> bool:
    """Return whether a back-end runs engines that have to be built."""
    return backend.partition(":")[0] in FLAVOURS


def engine_status(model: str, *, folder: Path | None = None) -> EngineStatus:
    """Look at what is installed, plugged in and built; some tenths of a second, on a task thread."""
    flavour = next((name for name in FLAVOURS if importlib.util.find_spec(name) is not None), "")
    gpu = _gpu()
    keys = [record.key for record in list_engines(folder or default_folder()) if not record.fault]
    built = any(k and k.model == model and k.flavour == flavour and (not gpu or gpu in k.architectures) for k in keys)
    return EngineStatus(flavour, gpu, built)


def _gpu() -> str:
    from engine.runtime.cuda import CudaDevice

    try:
        return CudaDevice().architecture
    except PuppeteerError:
        return ""


class EngineBuild(QObject):
    """One build at a time.

    Signals:
        progress(float, str): part done, [0, 1], and a word with the time left. done(str): the model's engines are
        there. cancelled: nothing half is left. failed(BaseException): why there is none. running_changed(bool).
    """

    progress = Signal(float, str)
    done = Signal(str)
    cancelled = Signal()
    failed = Signal(object)
    running_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None, *, folder: Path | None = None) -> None:
        super().__init__(parent)
        self._folder = folder or default_folder()
        self._process: QProcess | None = None
        self._model = ""
        self._began_s = 0.0
        self._last: dict[str, object] = {}

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._process is not None

    @property
    def model(self) -> str:
        """The model that is, or was last, built."""
        return self._model

    def begin(self, model: str, *, flavour: str = "tensorrt_rtx", targets: tuple[str, ...] = ()) -> None:
        """Build a model's engines. targets: GPU architectures; none means all that the builder knows, or the one here.

        While one is under way another does not begin.
        """
        if self._process is not None:
            return
        self._model, self._began_s, self._last = model, time.monotonic(), {}
        arguments = ["-m", "engine.build.job", model, "--flavour", flavour, "--out", str(self._folder)]
        for target in targets:
            arguments += ["--target", target]
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        before = environment.value("PYTHONPATH")
        environment.insert("PYTHONPATH", os.pathsep.join([str(_ROOT), *([before] if before else [])]))
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        process.setStandardErrorFile(QProcess.nullDevice())
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._not_started)
        self._process = process
        process.start(sys.executable, arguments)
        self.running_changed.emit(True)
        self.progress.emit(0.0, "starting")

    def cancel(self) -> None:
        """Stop it at its next step."""
        if self._process is not None:
            self._process.closeWriteChannel()

    def close(self) -> None:
        """Stop it and wait until it is gone."""
        process = self._process
        if process is None:
            return
        process.closeWriteChannel()
        if not process.waitForFinished(_END_MS):
            process.kill()
            process.waitForFinished(_END_MS)

    def _read(self) -> None:
        process = self._process
        while process is not None and process.canReadLine():
            try:
                said = json.loads(bytes(process.readLine().data()))
            except ValueError:
                continue  # a library that prints
            self._last = said
            if said.get("event") == "progress":
                self.progress.emit(float(said["part"]), self._left(float(said["part"])))

    def _left(self, part: float) -> str:
        if part < 0.05:
            return "building"
        left_s = (time.monotonic() - self._began_s) * (1 - part) / part
        return f"about {max(1, round(left_s))} s left"

    def _finished(self, code: int, _status: object) -> None:
        self._read()
        self._end()
        event = self._last.get("event")
        if event == "done":
            self.done.emit(self._model)
        elif event == "cancelled":
            self.cancelled.emit()
        elif event == "failed":
            self.failed.emit(EngineBuildFailed(str(self._last["message"]), hint=str(self._last["hint"])))
        else:
            words = f"The build of '{self._model}' ended without a word (exit code {code})."
            self.failed.emit(EngineBuildFailed(words, hint="Try again; build_engines.py says more."))

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._end()
            self.failed.emit(BackendUnavailable(f"The build cannot be started: {sys.executable} does not run."))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
            self.running_changed.emit(False)
