# SPDX-License-Identifier: Apache-2.0
"""A long build that says how far it is and can be stopped.

TensorRT builds inside one call, during which Python's main thread would not see Ctrl-C. The build therefore runs in a
thread of its own and the main thread waits for it: Ctrl-C asks the library to stop, which it does at its next step.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Phases", "make_monitor", "run_stoppable"]

_T = TypeVar("_T")
_WAIT_S = 0.1


class Phases:
    """Nested phases of a build -> the part that is done.

    Args:
        report: called with the innermost phase and the part done, 0 to 1, whenever that changes by a hundredth.
    Thread: the building one.
    """

    def __init__(self, report: Callable[[str, float], None]) -> None:
        self._report, self._open, self._last = report, list[tuple[str, int, int]](), -1
        self._reached = 0.0

    def start(self, name: str, steps: int) -> None:
        """Open a phase inside those that are open."""
        self._open.append((name, 0, max(1, steps)))
        self._tell()

    def step(self, name: str, step: int) -> None:
        """Note that a phase has ended this step, counted from 0."""
        self._open = [(n, step + 1 if n == name else done, steps) for n, done, steps in self._open]
        self._tell()

    def finish(self, name: str) -> None:
        """Close a phase, and what is still open inside it."""
        names = [n for n, _, _ in self._open]
        if name in names:
            del self._open[len(names) - 1 - names[::-1].index(name) :]

    def _tell(self) -> None:
        part = 0.0
        for _, done, steps in reversed(self._open):
            part = min(1.0, (done + part) / steps)
        self._reached = max(self._reached, part)  # a phase that comes in twice must not run backwards
        if int(100 * self._reached) != self._last:
            self._last = int(100 * self._reached)
            self._report(self._open[-1][0], self._reached)


def make_monitor(trt: Any, phases: Phases, stop: threading.Event) -> Any:
    """Return the library's progress monitor; it cancels the build once `stop` is set."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def run_stoppable(work: Callable[[], _T], stop: threading.Event) -> _T:
    """Run `work` in a thread and return what it returns. Main thread.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile. `stop` is set at once; it is raised when `work` has ended,
            because a library cannot be left in the middle. Whatever `work` raises, otherwise.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="engine-build") as pool:
        future = pool.submit(work)
        while True:
            try:
                if wait([future], _WAIT_S).done:
                    break
            except KeyboardInterrupt:
                stop.set()
    if stop.is_set():
        raise KeyboardInterrupt
    return future.result()
