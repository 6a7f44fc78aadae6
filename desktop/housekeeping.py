# SPDX-License-Identifier: Apache-2.0
"""Collects garbage on the GUI thread and nowhere else, in small portions. GUI thread.

Python collects on whichever thread happens to allocate. Where that is the engine's, it may delete the window's objects
there, and Qt crashes; and a full look at all that the libraries have loaded takes 60 to 100 ms, for which Python's lock
keeps every thread waiting, the one that renders included. So what is loaded at the start is set aside for good, and a
timer does the rest.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

from engine.memory import trim_heap

__all__ = ["Housekeeper"]

_LOOK_MS = 500
_LOOKS_BETWEEN_RETURNS = 60


class Housekeeper(QObject):
    """Takes garbage collection over between `begin` and `close`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._looks = 0
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.timeout.connect(self._look)

    def begin(self) -> None:
        """From now on, no other thread collects."""
        gc.disable()
        self._timer.start()

    def set_aside(self) -> None:
        """Never look again at what there is now; for once, when the libraries are loaded and nothing is live."""
        gc.collect()
        gc.freeze()

    def collect(self) -> None:
        """Look at everything that was not set aside."""
        gc.collect()

    def close(self) -> None:
        """Leave it to Python again."""
        self._timer.stop()
        gc.enable()

    def _look(self) -> None:
        """Do what Python would have done by now: generation by generation, by its own thresholds.

        Twice a minute the C library gives back what is free: 2 ms, and the window takes no more after an hour.
        """
        self._looks += 1
        if self._looks % _LOOKS_BETWEEN_RETURNS == 0:
            trim_heap()
        for generation, (count, limit) in enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)):
            if count > limit:
                gc.collect(generation)
