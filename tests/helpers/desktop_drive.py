# SPDX-License-Identifier: Apache-2.0
"""Drives the real window for measurements and pictures: waits in its event loop, opens it, goes live, paces a clip.

Offscreen unless QT_QPA_PLATFORM says otherwise: import this before any Qt.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import av
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QStyleFactory

from desktop.app import make_window, parse_args
from desktop.settings import AppSettings, save_app_settings
from desktop.widgets.main_window import MainWindow
from engine.app.demo import builtin_clip
from engine.state import Phase

__all__ = ["PATIENCE_S", "go_live", "make_app", "opened_window", "paced_clip", "spend", "until"]

PATIENCE_S = 300.0


def make_app() -> QApplication:
    """Return the application, dressed as the app's own."""
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    app.setStyle(QStyleFactory.create("Fusion"))
    return app


def until(done: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
    """Let events happen until something is so.

    Raises:
        TimeoutError: it never was.
    """
    ends_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > ends_s:
            raise TimeoutError("what was waited for did not come")
        QCoreApplication.processEvents()
        time.sleep(0.002)


def spend(seconds: float) -> None:
    """Let events happen for so long, in Qt's own loop."""
    loop = QEventLoop()  # not `app.quit`, which closes the window
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


@contextmanager
def opened_window(*, camera: str = "demo", accepted: bool = True) -> Iterator[MainWindow]:
    """Open the window on the built-in set, with settings, characters and caches of its own; close it afterwards."""
    with tempfile.TemporaryDirectory() as place:
        kept = {name: os.environ.get(name) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME")}
        os.environ.update(dict.fromkeys(kept, place))
        settings = Path(place) / "desktop.json"
        save_app_settings(AppSettings(camera=camera, source_set="amara", accepted=accepted, recordings=place), settings)
        window = make_window(parse_args(["--settings", str(settings)]))
        window.begin()
        window.show()
        window.warm_up()
        try:
            yield window
        finally:
            window.close()
            window.deleteLater()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            for name, value in kept.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def go_live(window: MainWindow) -> float:
    """Start and return how long the first picture of the character took, in seconds."""
    shown: list[float] = []
    controller = window.controller

    def note(_frame: object) -> None:
        if controller.shown.last_frame is not None and not shown:
            shown.append(time.monotonic())

    controller.frame.connect(note)
    began_s = time.monotonic()
    controller.start()
    until(lambda: bool(shown) and controller.current.phase is Phase.RUNNING)
    controller.frame.disconnect(note)
    return shown[0] - began_s


def paced_clip(folder: Path, *, fps: int) -> Path:
    """Write the built-in clip, picture by picture, at another rate, and return the file."""
    out = folder / f"driver-{fps}.mp4"
    with av.open(str(builtin_clip())) as source, av.open(str(out), "w") as target:
        stream = target.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "18"})
        shape = source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
        for number, frame in enumerate(source.decode(shape)):
            frame.pts, frame.time_base = number, Fraction(1, fps)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out
