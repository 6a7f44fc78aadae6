# SPDX-License-Identifier: Apache-2.0
"""How loud the chosen microphone is, while somebody looks: heard here only, kept nowhere. GUI thread.

A microphone may not open twice. So the meter lets go of it before a recording opens it, and then shows what the
recording hears.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.bridge.doorbell import Tasks
from engine.errors import MicrophoneMissing

if TYPE_CHECKING:
    from engine.capture.microphone import Microphone

__all__ = ["SoundLevel"]

_LOOK_MS = 50


class SoundLevel(QObject):
    """Listens to one microphone at a time.

    Args:
        recorded: the level of what is being recorded with sound, or None.

    Signals:
        level(float): the newest peak, 1 is full scale. failed(str): why nothing is heard.
    """

    level = Signal(float)
    failed = Signal(str)

    def __init__(self, tasks: Tasks, recorded: Callable[[], float | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks, self._recorded = tasks, recorded
        self._lock = threading.Lock()
        self._wanted = ""
        self._microphone: Microphone | None = None
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.timeout.connect(self._look)

    def watch(self, microphone: str) -> None:
        """Listen to this one from now on; empty: to none."""
        if microphone == self._wanted and (self._microphone is not None or not microphone):
            return
        self._wanted = microphone
        if microphone:
            self._timer.start()
        else:
            self._timer.stop()
        self._tasks.run("microphone level", self._change, failed=self._refuse)

    def let_go(self) -> None:
        """Close the microphone; returns when it is free. Thread: any."""
        with self._lock:
            microphone, self._microphone = self._microphone, None
            if microphone is not None:
                microphone.close()

    def close(self) -> None:
        """End for good."""
        self._wanted = ""
        self._timer.stop()
        self.let_go()

    def _change(self) -> None:
        """Close what is open and open what is wanted. A task's thread."""
        from engine.capture.microphone import open_microphone

        self.let_go()
        with self._lock:
            if self._wanted and self._microphone is None and self._recorded() is None:
                self._microphone = open_microphone(self._wanted)

    def _look(self) -> None:
        microphone, recorded = self._microphone, self._recorded()
        if recorded is not None:
            self.level.emit(recorded)
        elif microphone is not None:
            microphone.take()  # nobody wants the sound itself
            self.level.emit(microphone.level)
            if microphone.fault:
                self.failed.emit(f"The microphone was lost: {microphone.fault}.")
                self.watch("")

    def _refuse(self, error: BaseException) -> None:
        self._timer.stop()
        self._wanted = ""
        if isinstance(error, MicrophoneMissing):
            self.failed.emit(str(error))
