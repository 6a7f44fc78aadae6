# SPDX-License-Identifier: Apache-2.0
"""Figures of the window, on the built-in clip and set: `python -m tests.helpers.desktop_bench WHAT [--json FILE]`.

    start      from the process's beginning, and from the click, to the first live picture
    heartbeat  how late a timer of the GUI thread is while the character is live
    share      frames per second with the window against the engine alone, in turns, in one run
    blocked    a GUI thread that sleeps for two seconds: what the engine went on to render, what was shown after
    soak       memory, threads and handles over --minutes, with another character every --switch-s

Speed depends on whatever else the machine does, so none of this is a test: the figures are printed for people.
Offscreen unless QT_QPA_PLATFORM says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QStyleFactory

from desktop.app import make_window, parse_args
from desktop.bridge.session import SessionRequest, open_session, warm_up
from desktop.settings import AppSettings, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.config import LiveSettings
from engine.memory import limit_arenas
from engine.state import Phase

__all__ = ["main"]

_PATIENCE_S = 300.0
_TICK_MS = 5
_SAMPLE_S = 15.0


def _until(done: Callable[[], bool], *, timeout_s: float = _PATIENCE_S) -> None:
    ends_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > ends_s:
            raise TimeoutError("what was waited for did not come")
        QCoreApplication.processEvents()
        time.sleep(0.002)


def _spend(app: QApplication, seconds: float) -> None:
    loop = QEventLoop(app)  # not `app.quit`, which closes the window
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()
    loop.deleteLater()


@contextmanager
def _window() -> Iterator[MainWindow]:
    with tempfile.TemporaryDirectory() as place:
        settings = Path(place) / "desktop.json"
        save_app_settings(AppSettings(camera="demo", source_set="amara", accepted=True, recordings=place), settings)
        window = make_window(parse_args(["--settings", str(settings)]))
        window.begin()
        window.show()
        window.controller.tasks.run("warm up", warm_up, failed=window.controller.tell_error)
        try:
            yield window
        finally:
            window.close()


def _go_live(window: MainWindow) -> float:
    """Start and return how long the first picture of the character took, in seconds."""
    shown: list[float] = []
    controller = window.controller

    def note(_frame: object) -> None:
        if controller.shown.last_frame is not None and not shown:
            shown.append(time.monotonic())

    controller.frame.connect(note)
    began_s = time.monotonic()
    controller.start()
    _until(lambda: bool(shown) and controller.current.phase is Phase.RUNNING)
    controller.frame.disconnect(note)
    return shown[0] - began_s


def _process_age_s() -> float:
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def bench_start(app: QApplication, _options: argparse.Namespace) -> dict[str, float]:
    """Process and click to the first picture; the click comes at once, while the libraries still load."""
    with _window() as window:
        window_s = _process_age_s()
        click_s = _go_live(window)
        return {"process_to_window_s": window_s, "process_to_live_s": _process_age_s(), "click_to_live_s": click_s}


def bench_heartbeat(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """Lateness of a 5 ms timer, by the wall and by the GUI thread's own processor time."""
    with _window() as window:
        _go_live(window)
        _spend(app, 5)
        late_ms: list[float] = []
        own_ms: list[float] = []
        last = [time.perf_counter(), time.thread_time()]

        def beat() -> None:
            now = [time.perf_counter(), time.thread_time()]
            late_ms.append((now[0] - last[0]) * 1000 - _TICK_MS)
            own_ms.append((now[1] - last[1]) * 1000)
            last[:] = now

        timer = QTimer(app, interval=_TICK_MS)
        timer.timeout.connect(beat)
        timer.start()
        frames: list[object] = []
        window.controller.frame.connect(frames.append)
        _spend(app, options.seconds)
        timer.stop()
        late, own = np.array(late_ms[1:]), np.array(own_ms[1:])
        return {
            "seconds": options.seconds,
            "frames_shown_per_s": len(frames) / options.seconds,
            "late_p50_ms": float(np.median(late)),
            "late_p99_ms": float(np.percentile(late, 99)),
            "late_most_ms": float(late.max()),
            "late_over_50_ms": int((late > 50).sum()),
            "own_time_p99_ms": float(np.percentile(own, 99)),
            "own_time_most_ms": float(own.max()),
            "own_time_over_50_ms": int((own > 50).sum()),
            "gui_thread_load": float(own.sum() / options.seconds / 1000),
        }


def _rate_alone(seconds: float) -> float:
    request = SessionRequest("demo", "amara", "lite", "auto", LiveSettings())
    session = open_session(request, on_frame=lambda: None, on_event=lambda: None, on_monitor=lambda: None)
    try:
        if not session.pipeline.wait_until_live(_PATIENCE_S):
            raise TimeoutError(str(session.pipeline.state))
        time.sleep(5)
        before, began_s = session.stats().delivered["render"], time.monotonic()
        time.sleep(seconds)
        return (session.stats().delivered["render"] - before) / (time.monotonic() - began_s)
    finally:
        session.stop()


def _rate_with_window(app: QApplication, seconds: float) -> float:
    with _window() as window:
        _go_live(window)
        _spend(app, 5)
        session = window.controller.run.session
        assert session is not None
        before, began_s = session.stats().delivered["render"], time.monotonic()
        _spend(app, seconds)
        return (session.stats().delivered["render"] - before) / (time.monotonic() - began_s)


def bench_share(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """Frames per second, three turns each; the ratio is of the turns' medians."""
    alone, windowed = [], []
    for _ in range(3):
        alone.append(_rate_alone(options.seconds))
        windowed.append(_rate_with_window(app, options.seconds))
        print(f"alone {alone[-1]:.1f} fps, with the window {windowed[-1]:.1f} fps", flush=True)
    share = statistics.median(windowed) / statistics.median(alone)
    return {"alone_fps": statistics.median(alone), "window_fps": statistics.median(windowed), "share": share}


def bench_blocked(app: QApplication, _options: argparse.Namespace) -> dict[str, float]:
    """Two seconds in which the GUI thread does nothing at all."""
    with _window() as window:
        _go_live(window)
        _spend(app, 5)
        session = window.controller.run.session
        assert session is not None
        shown: list[int] = []
        window.controller.frame.connect(lambda frame: shown.append(frame.captured_ns))
        _spend(app, 2)
        open_before, began = session.stats().delivered["render"], len(shown)
        _spend(app, 2)
        open_after, frames_open = session.stats().delivered["render"], len(shown) - began
        time.sleep(2)
        blocked_after, now_ns = session.stats().delivered["render"], time.monotonic_ns()
        shown.clear()
        _until(lambda: bool(shown))
        return {
            "rendered_in_2_s_open": open_after - open_before,
            "shown_in_2_s_open": frames_open,
            "rendered_in_2_s_blocked": blocked_after - open_after,
            "first_shown_is_older_by_ms": (now_ns - shown[0]) / 1e6,
        }


def _sample() -> tuple[float, int, int]:
    """Return resident memory in MB, threads, open handles."""
    status = Path("/proc/self/status").read_text()
    rss_mb = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return rss_mb, int(status.split("Threads:")[1].split()[0]), len(os.listdir("/proc/self/fd"))


def bench_soak(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """Slopes by least squares over the second half of the time, when caches are warm and every set was shown."""
    rows: list[tuple[float, float, int, int, int]] = []
    with _window() as window:
        _go_live(window)
        _until(lambda: bool(window.live.gallery.names))
        names, began_s, turn = window.live.gallery.names, time.monotonic(), 0
        while (spent_s := time.monotonic() - began_s) < options.minutes * 60:
            rss_mb, threads, handles = _sample()
            rows.append((spent_s, rss_mb, threads, handles, threading.active_count()))
            print(f"{spent_s / 60:5.1f} min  {rss_mb:7.1f} MB  {threads} threads  {handles} handles", flush=True)
            if options.switch_s and spent_s // options.switch_s > turn:
                turn += 1
                window.controller.select_set(names[turn % len(names)])
            _spend(app, _SAMPLE_S)
        session = window.controller.run.session
        rendered = session.stats().delivered["render"] if session is not None else 0
    table = np.array([row for row in rows if row[0] >= rows[-1][0] / 2])
    slopes = [float(np.polyfit(table[:, 0] / 3600, table[:, column], 1)[0]) for column in (1, 2, 3)]
    return {
        "minutes": options.minutes,
        "rendered_frames": rendered,
        "rss_first_mb": rows[0][1],
        "rss_half_mb": float(table[0, 1]),
        "rss_last_mb": rows[-1][1],
        "rss_slope_mb_per_h": slopes[0],
        "threads_half": int(table[0, 2]),
        "threads_last": rows[-1][2],
        "handles_half": int(table[0, 3]),
        "handles_last": rows[-1][3],
    }


_BENCHES = {
    "start": bench_start,
    "heartbeat": bench_heartbeat,
    "share": bench_share,
    "blocked": bench_blocked,
    "soak": bench_soak,
}


def main(argv: list[str] | None = None) -> int:
    """Measure one thing and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=_BENCHES)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long a measurement takes (default %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak (default %(default)s)")
    parser.add_argument(
        "--switch-s", type=float, default=60.0, help="of the soak: another character every so often; 0 for never"
    )
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args(argv)
    limit_arenas()  # as the app does
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    app.setStyle(QStyleFactory.create("Fusion"))
    found = _BENCHES[options.what](app, options)
    load = os.getloadavg()
    for name, value in found.items():
        print(f"{name:28} {value:.3g}" if isinstance(value, float) else f"{name:28} {value}")
    print(f"{'load of the machine':28} {load[0]:.1f} over one minute, {load[1]:.1f} over five")
    if options.json:
        options.json.write_text(json.dumps({**found, "load": load}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
