# SPDX-License-Identifier: Apache-2.0
"""Figures of the window, on the built-in clip and set: `python -m tests.helpers.desktop_bench WHAT [--json FILE]`.

    start      from the process's beginning, and from the click, to the first live picture
    heartbeat  how long the GUI thread is held up while the character is live at --fps, and by whom
    pieces     the longest piece of the GUI thread's own time for everything a user does in the window
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
import time
from pathlib import Path

from PySide6.QtWidgets import QApplication

from desktop.bridge.session import SessionRequest, open_session
from engine.config import LiveSettings
from engine.memory import limit_arenas
from tests.helpers.desktop_drive import PATIENCE_S, go_live, make_app, opened_window, paced_clip, spend, until
from tests.helpers.desktop_pulse import LIMIT_MS, Pulse, measure_pieces
from tests.helpers.desktop_soak import soak

__all__ = ["main"]


def _process_age_s() -> float:
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def bench_start(app: QApplication, _options: argparse.Namespace) -> dict[str, float]:
    """Process and click to the first picture; the click comes at once, while the libraries still load."""
    with opened_window() as window:
        window_s = _process_age_s()
        click_s = go_live(window)
        return {"process_to_window_s": window_s, "process_to_live_s": _process_age_s(), "click_to_live_s": click_s}


def bench_heartbeat(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """What holds the GUI thread up: its own work, a lock, or others that have the processors."""
    with tempfile.TemporaryDirectory() as place:
        clip = paced_clip(Path(place), fps=options.fps)
        with opened_window(camera=str(clip)) as window:
            go_live(window)
            spend(5)
            frames: list[object] = []
            window.controller.frame.connect(frames.append)
            pulse = Pulse()
            pulse.begin()
            spend(options.seconds)
            pulse.end()
            shown = {"seconds": options.seconds, "frames_shown_per_s": len(frames) / options.seconds}
            return {**shown, **pulse.figures()}


def bench_pieces(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """The window's own beginning, then one action after the other, live."""
    began_s = time.thread_time()
    with opened_window() as window:
        found = {"window made and shown": (time.thread_time() - began_s) * 1000}
        go_live(window)
        spend(3)
        found.update(measure_pieces(window, Pulse(), only=options.only))
    over = [name for name, took_ms in found.items() if took_ms > LIMIT_MS]
    print(f"Over {LIMIT_MS:g} ms: {', '.join(over) or 'nothing'}")
    return found


def _rate_alone(seconds: float) -> float:
    request = SessionRequest("demo", "amara", "lite", "auto", LiveSettings())
    session = open_session(request, on_frame=lambda: None, on_event=lambda: None, on_monitor=lambda: None)
    try:
        if not session.pipeline.wait_until_live(PATIENCE_S):
            raise TimeoutError(str(session.pipeline.state))
        time.sleep(5)
        before, began_s = session.stats().delivered["render"], time.monotonic()
        time.sleep(seconds)
        return (session.stats().delivered["render"] - before) / (time.monotonic() - began_s)
    finally:
        session.stop()


def _rate_with_window(app: QApplication, seconds: float) -> float:
    with opened_window() as window:
        go_live(window)
        spend(5)
        session = window.controller.run.session
        assert session is not None
        before, began_s = session.stats().delivered["render"], time.monotonic()
        spend(seconds)
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
    with opened_window() as window:
        go_live(window)
        spend(5)
        session = window.controller.run.session
        assert session is not None
        shown: list[int] = []
        window.controller.frame.connect(lambda frame: shown.append(frame.captured_ns))
        spend(2)
        open_before, began = session.stats().delivered["render"], len(shown)
        spend(2)
        open_after, frames_open = session.stats().delivered["render"], len(shown) - began
        time.sleep(2)
        blocked_after, now_ns = session.stats().delivered["render"], time.monotonic_ns()
        shown.clear()
        until(lambda: bool(shown))
        return {
            "rendered_in_2_s_open": open_after - open_before,
            "shown_in_2_s_open": frames_open,
            "rendered_in_2_s_blocked": blocked_after - open_after,
            "first_shown_is_older_by_ms": (now_ns - shown[0]) / 1e6,
        }


def bench_soak(app: QApplication, options: argparse.Namespace) -> dict[str, float]:
    """Memory, threads and handles while characters are switched."""
    return soak(minutes=options.minutes, switch_s=options.switch_s)


_BENCHES = {
    "start": bench_start,
    "heartbeat": bench_heartbeat,
    "pieces": bench_pieces,
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
        "--switch-s", type=float, default=20.0, help="of the soak: another character every so often; 0 for never"
    )
    parser.add_argument("--fps", type=int, default=30, help="of the heartbeat's input (default %(default)s)")
    parser.add_argument("--only", default="", metavar="WORD", help="of the pieces: print those with this in their name")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args(argv)
    limit_arenas()  # as the app does
    app = make_app()
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
