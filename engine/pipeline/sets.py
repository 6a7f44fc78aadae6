# SPDX-License-Identifier: Apache-2.0
"""Changing the character while the pipeline runs: encoded beside the running one, switched between two frames."""

from __future__ import annotations

import threading

from engine.memory import trim_heap
from engine.pipeline.clearance import Clearance
from engine.pipeline.render_loop import RenderLoop
from engine.renderer import Renderer
from engine.status import Status
from engine.types import SourceSet
from engine.worker import Worker

__all__ = ["SetChanger"]

_LOOK_S, _LOOKS = 0.1, 50


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
            switched = threading.Event()

            def use(renderer: Renderer) -> None:
                try:
                    self._clearance.let_set(source_set)  # a sink that asks for consent may have come meanwhile
                    renderer.use(prepared)
                finally:
                    switched.set()

            if mine == self._newest and not stopping.is_set():
                self._loop.command(use)
                for _ in range(_LOOKS):  # what was shown before is freed then, and not sooner
                    if switched.wait(_LOOK_S) or stopping.is_set():
                        break
            trim_heap()

        worker = Worker("prepare", prepare, on_error=lambda error: self._status.warn("source set", error))
        self.workers = [*(one for one in self.workers if one.alive), worker]
        worker.start()
