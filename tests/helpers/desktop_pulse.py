# SPDX-License-Identifier: Apache-2.0
"""How long the GUI thread is held up, and by whom: itself, a lock, or a machine whose processors are with others.

A timer ticks every few milliseconds. What passes between two ticks is split with Linux's own account of the thread:
time on a processor, time in the queue for one, and the rest, asleep. Sleep beyond the tick's own is waiting for a lock
(Python's, mostly). Only the first and the third are the program's doing.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
from PySide6.QtCore import Qt, QTimer

from desktop.bridge.studio_views import Consent
from desktop.widgets.main_window import MainWindow
from engine.assets import asset_root
from tests.helpers.desktop_drive import spend, until

__all__ = ["LIMIT_MS", "Pulse", "measure_pieces"]

LIMIT_MS = 50.0
_TICK_MS = 5


class Pulse:
    """Beats on the GUI thread between `begin` and `end`."""

    def __init__(self) -> None:
        self._timer = QTimer(interval=_TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._account = open(f"/proc/self/task/{threading.get_native_id()}/schedstat", "rb", buffering=0)  # noqa: SIM115
        self._collecting_ns = 0
        self.beats: list[tuple[float, float, float]] = []  # ms: wall, on a processor, waiting for one
        self.collections: list[float] = []

    def begin(self) -> None:
        """Start anew."""
        self.beats.clear()
        self.collections.clear()
        gc.callbacks.append(self._note_collection)
        self._last = self._now()
        self._timer.start()

    def end(self) -> None:
        """Stop."""
        self._timer.stop()
        gc.callbacks.remove(self._note_collection)
        self._beat()

    def close(self) -> None:
        """Let go of the account."""
        self._account.close()

    def figures(self) -> Mapping[str, float]:
        """Return all that was seen, in ms."""
        wall, own, queue = np.array(self.beats).T
        late = wall - _TICK_MS
        held = np.maximum(0.0, wall - own - queue - _TICK_MS)
        blocked = own + held
        return {
            "late_p50_ms": float(np.median(late)),
            "late_p99_ms": float(np.percentile(late, 99)),
            "late_most_ms": float(late.max()),
            "late_over_50_ms": int((late > LIMIT_MS).sum()),
            "own_time_p99_ms": float(np.percentile(own, 99)),
            "own_time_most_ms": float(own.max()),
            "own_time_over_50_ms": int((own > LIMIT_MS).sum()),
            "lock_wait_most_ms": float(held.max()),
            "blocked_most_ms": float(blocked.max()),
            "blocked_over_50_ms": int((blocked > LIMIT_MS).sum()),
            "others_had_the_processor_most_ms": float(queue.max()),
            "others_had_the_processor_over_50_ms": int((queue > LIMIT_MS).sum()),
            "garbage_collection_most_ms": max(self.collections, default=0.0),
            "gui_thread_load": float(own.sum() / wall.sum()),
        }

    def _now(self) -> tuple[float, float, float]:
        own_ns, queue_ns, _turns = os.pread(self._account.fileno(), 96, 0).split()
        return time.perf_counter() * 1e3, int(own_ns) / 1e6, int(queue_ns) / 1e6

    def _beat(self) -> None:
        now = self._now()
        self.beats.append((now[0] - self._last[0], now[1] - self._last[1], now[2] - self._last[2]))
        self._last = now

    def _note_collection(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._collecting_ns = time.perf_counter_ns()
        else:
            self.collections.append((time.perf_counter_ns() - self._collecting_ns) / 1e6)


def measure_pieces(window: MainWindow, pulse: Pulse, *, only: str = "") -> dict[str, float]:
    """Do what a user does, one thing after the other, and return the longest piece of the GUI thread's own time, ms."""
    found: dict[str, float] = {}
    for name, act, wait_s in _acts(window):
        pulse.begin()
        QTimer.singleShot(1, act)
        spend(wait_s)
        pulse.end()
        if only in name:
            said = pulse.figures()
            found[name] = said["own_time_most_ms"]
            words = f"{name:32} own {said['own_time_most_ms']:6.1f} ms, locks {said['lock_wait_most_ms']:6.1f} ms"
            print(f"{words}{'   <-- over' if said['own_time_most_ms'] > LIMIT_MS else ''}", flush=True)
    return found


def _acts(window: MainWindow) -> list[tuple[str, Callable[[], object], float]]:
    """Return (name, what to do, how long to watch)."""
    controller, live, door, pages = window.controller, window.live, window.door, window.pages
    pictures = [asset_root() / "source_sets" / "jun.bunraku" / f"{name}.webp" for name in ("front", "left", "smile")]

    def busy() -> None:
        until(lambda: not door.studio.jobs.busy and door.studio.view.looked)

    def menu() -> None:
        window.menu.popup(window.mapToGlobal(window.rect().center()))
        QTimer.singleShot(300, window.menu.hide)

    def first_picture() -> str:
        return str(door.studio.view.pictures[0].file)

    sections = [
        (f"section {name}, {turn}", live.sections[name].head.click, 1.2)
        for name in ("output", "engine", "plots", "sources", "motion", "camera")
        for turn in ("first click", "second click")
    ]
    return [
        ("nothing", lambda: None, 2.0),
        ("light", lambda: controller.change(theme="light"), 1.5),
        ("dark", lambda: controller.change(theme="dark"), 1.5),
        ("menu, first time", menu, 1.0),
        ("menu, again", menu, 1.0),
        *sections,
        ("performer's picture on", lambda: live.camera.switch.setChecked(True), 1.5),
        ("heat map on", lambda: door._switch_heat(True), 2.0),
        ("heat map off", lambda: door._switch_heat(False), 1.0),
        ("larger window", lambda: window.resize(1920, 1080), 1.5),
        ("smaller window", lambda: window.resize(1280, 800), 1.5),
        ("gallery read again", window.refresh_sets, 3.0),
        ("another character", lambda: controller.select_set("jun"), 5.0),
        ("a notice", lambda: controller.tell("A notice"), 1.0),
        ("diagnostics", window.copy_diagnostics, 1.0),
        ("a slider, settings saved", lambda: controller.change_motion(head=1.2), 1.5),
        ("settings reset", window.settings_menu.reset, 1.5),
        ("calibration", controller.calibrate, 5.0),
        ("hidden", controller.panic, 1.0),
        ("shown again", controller.show_again, 1.5),
        ("snapshot", controller.snapshot, 1.5),
        ("recording begins", lambda: controller.record(True), 2.5),
        ("recording ends", lambda: controller.record(False), 3.0),
        ("studio, first time", door.open_new, 1.5),
        ("studio, pictures added", lambda: door.page.files_given.emit(pictures), 12.0),
        ("studio, light", lambda: controller.change(theme="light"), 1.5),
        ("studio, consent", lambda: door.page.consent.changed.emit(Consent("consented", who="Jun")), 1.5),
        ("studio, a picture picked", lambda: door.page.pictures.setCurrentRow(1), 1.0),
        ("studio, judge", door.page.picture.test.click, 12.0),
        ("landmark editor", lambda: door.open_guides(first_picture()), 1.5),
        ("studio again", door.open, 1.0),
        ("coach", door.open_coach, 4.0),
        ("live page again", lambda: pages.setCurrentWidget(live), 1.0),
        ("virtual camera's help", lambda: pages.setCurrentWidget(window.vcam_help), 1.0),
        ("compare page", lambda: pages.setCurrentWidget(window.compare), 1.0),
        ("compare live", window.compare.live.click, 10.0),
        ("compare live ends", window.compare.back.click, 3.0),
        ("first run", lambda: pages.setCurrentWidget(window.first_run), 1.0),
        ("stop", lambda: (pages.setCurrentWidget(live), controller.stop()), 3.0),
        ("start", controller.start, 6.0),
    ]
