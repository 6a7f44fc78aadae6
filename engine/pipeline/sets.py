# SPDX-License-Identifier: Apache-2.0
"""Changing the character while the pipeline runs: encoded beside the running one, switched between two frames."""

from __future__ import annotations

import logging
import threading

from engine.memory import trim_heap
from engine.pipeline.clearance import Clearance
from engine.pipeline.render_loop import RenderLoop
from engine.renderer import Renderer
from engine.status import Status
from engine.types import SourceSet
from engine.worker import Worker

__all__ = ["SetChanger"]

_log = logging.getLogger(__name__)


class SetChanger:
    """Prepares source sets on threads of their own; the latest one asked for wins. Thread: any.

    workers: the threads that may still be preparing.
    """

    def __init__(self, loop: RenderLoop, status: Status, clearance: Clearance) -> None:
        self._loop, self._status, self._clearance = loop, status, clearance
        self._lock = threading.Lock()
        self._newest = 0
        self.workers: list[Worker] = []

    def change(self, source_set: SourceSet) -> None:
        """Begin to prepare a set; returns at once. One that may not go to a sink in use is refused with a `Warned`."""
        with self._lock:
            self._newest = mine = self._newest + 1

        def prepare(stopping: threading.Event) -> None:
            self._clearance.let_set(source_set)
            renderer = self._loop.renderer
            if renderer is None:

                def load(renderer: Renderer) -> None:
                    self._clearance.let_set(source_set)
                    renderer.set_source_set(source_set)

                self._loop.command(load)
                return
            prepared = renderer.prepare(source_set)

            def use(renderer: Renderer) -> None:
                self._clearance.let_set(source_set)  # a sink that asks for consent may have come meanwhile
                renderer.use(prepared)
                # What was shown is free now.
                self._begin(Worker("tidy", lambda _stopping: trim_heap(), on_error=_log_error))

            if mine == self._newest and not stopping.is_set():
                self._loop.command(use)

        worker = Worker("prepare", prepare, on_error=lambda error: self._status.warn("source set", error))
        self._begin(worker)

    def _begin(self, worker: Worker) -> None:
        with self._lock:
            self.workers = [*(one for one in self.workers if one.alive), worker]
            worker.start()


def _log_error(error: BaseException) -> None:
    _log.debug("Free memory was not returned: %s", error)
