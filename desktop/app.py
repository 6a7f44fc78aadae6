# SPDX-License-Identifier: Apache-2.0
"""Starts the desktop app: options, settings, window. `python -m desktop --help` lists the options."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from PySide6.QtWidgets import QApplication, QStyleFactory

from desktop.bridge.instance import AlreadyRunning
from desktop.bridge.session import DEMO_CLIP
from desktop.controller import Controller
from desktop.second_start import bring_to_front, only_one, say_running
from desktop.settings import Loaded, load_app_settings, settings_path
from desktop.widgets.main_window import MainWindow
from engine.memory import limit_arenas

__all__ = ["leave", "main", "make_window", "parse_args"]

_log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m desktop", description="Bunraku's desktop app.")
    parser.add_argument(
        "--camera",
        metavar="WHAT",
        help=f"camera:ID, a video file, '{DEMO_CLIP}' or 'synthetic', instead of the last one",
    )
    parser.add_argument("--set", dest="source_set", metavar="NAME", help="source set, instead of the last one")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="another settings file")
    return parser.parse_args(argv)


def make_window(options: argparse.Namespace) -> MainWindow:
    """Make the window with the settings and options that hold."""
    path = options.settings or settings_path()
    loaded = load_app_settings(path)
    chosen = {
        name: value
        for name, value in (("camera", options.camera), ("source_set", options.source_set))
        if value is not None
    }
    return MainWindow(Controller(Loaded(replace(loaded.settings, **chosen), loaded.notice), path))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app until its window is closed; returns the exit code."""
    options = parse_args(argv)
    limit_arenas()
    app = QApplication(sys.argv[:1])
    app.setApplicationName("bunraku")
    app.setApplicationDisplayName("Bunraku")
    app.setStyle(QStyleFactory.create("Fusion"))
    instance = only_one(options.settings or settings_path())
    if isinstance(instance, AlreadyRunning):
        return say_running(instance)
    window = make_window(options)
    instance.on_ring(lambda: bring_to_front(window))

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _log.error("An error that nobody expected", exc_info=(kind, error, trace))
        window.controller.tell_error(error)

    sys.excepthook = report  # PySide calls it for what a slot raises
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # closing finishes what is being recorded
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: window.close())
    window.begin()
    window.show()
    window.warm_up()
    code = app.exec()
    instance.close()
    return leave(code)


def leave(code: int) -> int:
    """Return the exit code; end the process at once where a thread of ours is still inside a driver or a library.

    By then everything is saved and closed. Waiting for the thread could take for ever, and an ordinary exit would pull
    the library away under it, which ends in an abort.
    """
    if any(thread.name.startswith("bunraku-") for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(code)
    return code
