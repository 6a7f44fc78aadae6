# SPDX-License-Identifier: Apache-2.0
"""Changing the character while the pipeline runs: encoded beside the running one, switched between two frames."""

from __future__ import annotations

import threading

from engine.pipeline.render_loop import RenderLoop
from engine.status import Status
from engine.types import SourceSet
from engine.worker import Worker

__all__ = ["SetChanger"]


class SetChanger:
    """Prepares source sets on threads of their own; the latest one asked for wins. Thread: any.

    workers: the threads that may still be preparing.
    """

    def __init__(self, loop: RenderLoop, status: Status) -> None:
        self._loop, self._status = loop, status
        self._lock = threading.Lock()
        self._newest = 0
        self.workers: list[Worker] = []

    def change(self, source_set: SourceSet) -> None:
        """Begin to prepare a set; returns at once."""
        with self._lock:
            self._newest = mine = self._newest + 1

        def prepare(stopping: threading.Event) -> None:
            renderer = self._loop.renderer
            if renderer is None:
                self._loop.command(lambda renderer: renderer.set_source_set(source_set))
                return
            prepared = renderer.prepare(source_set)
            if mine == self._newest and not stopping.is_set():
                self._loop.command(lambda renderer: renderer.use(prepared))

        worker = Worker("prepare", prepare, on_error=lambda error: self._status.warn("source set", error))
        self.workers = [*(one for one in self.workers if one.alive), worker]
        worker.start()
