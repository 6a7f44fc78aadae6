# SPDX-License-Identifier: Apache-2.0
"""Models side by side on a driving video: runs `engine.evaluation.compare` beside the window. GUI thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop.bridge.doorbell import Doorbell, Tasks
from desktop.bridge.outputs import free_name
from desktop.bridge.session import camera_spec
from engine.runtime.manifest import list_models, load_manifest

__all__ = ["CompareRun", "compared_models", "live_models"]

COMPARED_S = 6.0
_ORDER = ("fomm", "fv2v", "implicit_warp_paper", "implicit_warp")


class _Cancelled(Exception):
    """The user no longer wants it."""


def compared_models() -> tuple[str, ...]:
    """Return one shipped model of each kind, the one with the smaller picture."""
    manifests = [load_manifest(name) for name in list_models()]
    best = {each.model: each for each in sorted(manifests, key=lambda each: -each.side_px)}
    return tuple(best[kind].name for kind in _ORDER if kind in best)


def live_models(chosen: str) -> tuple[str, ...]:
    """Return the models of a live comparison: FOMM, fv2v and Implicit Warping, the last as chosen where it is one."""
    manifests = {name: load_manifest(name) for name in list_models()}
    own = chosen if chosen in manifests and manifests[chosen].model == "implicit_warp" else ""
    return tuple(
        own if manifests[name].model == "implicit_warp" and own else name
        for name in compared_models()
        if manifests[name].model != "implicit_warp_paper"
    )


def _compare(source_set: str, camera: str, out: Path, advance: Callable[[int, int | None], None]) -> Path:
    from engine.evaluation.compare import CompareJob, compare

    out.parent.mkdir(parents=True, exist_ok=True)
    driving = Path(camera_spec(camera))
    job = CompareJob(compared_models(), out, source_set, driving=driving, limit_s=COMPARED_S)
    advance(0, None)
    compare(job, announce=lambda _line: advance(0, None), advance=advance)  # it can be cancelled between models, too
    return out


class CompareRun(QObject):
    """One comparison at a time.

    Signals:
        progress(int, int): frames done, frames in all (0 where unknown). done(Path): the video. failed(BaseException).
        cancelled: nothing was kept.
    """

    progress = Signal(int, int)
    done = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, tasks: Tasks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._counted: tuple[int, int] = (0, 0)
        self._bell = Doorbell(self)
        self._bell.answered.connect(self._tell_progress)
        self._unwanted = threading.Event()
        self._running = False

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._running

    def begin(self, source_set: str, driver: str, folder: Path) -> None:
        """Compare the models on the first seconds of a video, or of the demo clip."""
        if self._running:
            return
        self._running, self._unwanted = True, threading.Event()
        unwanted = self._unwanted
        out = free_name(folder, "mp4", stem="bunraku-compare")

        def advance(count: int, total: int | None) -> None:
            if unwanted.is_set():
                raise _Cancelled
            self._counted = (count, total or 0)
            self._bell.ring()

        self._tasks.run(
            "compare",
            lambda: _compare(source_set, driver, out, advance),
            done=self._finish,
            failed=lambda error: self._give_up(error, out),
        )

    def cancel(self) -> None:
        """Stop after the frame under way."""
        self._unwanted.set()

    def _tell_progress(self) -> None:
        self.progress.emit(*self._counted)

    def _finish(self, path: Path) -> None:
        self._running = False
        self.done.emit(path)

    def _give_up(self, error: BaseException, out: Path) -> None:
        self._running = False
        out.unlink(missing_ok=True)
        if isinstance(error, _Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
