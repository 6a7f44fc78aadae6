#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual-camera host: a small separate program that keeps a virtual camera fed.

It is licensed differently from the rest (`COPYING.GPL-2.0` beside it) because it uses pyvirtualcam (GPL-2.0); it
imports nothing of Bunraku and talks to the app at arm's length: pictures come through shared memory (layout in
`shared_ring.py`), commands through standard input, reports leave as JSON lines on standard output.

    python -m engine.sinks.vcam_host --ring NAME --fps 30 [--backend NAME] [--device NAME] …

It hands the newest picture to the driver at its own pace. When no new one has come for `--hold-s`, the app being
busy, restarting or dead, it shows the holding card, which lies ready-made in the shared memory. When the app is gone
(standard input at its end, or another parent process) it keeps the card up for `--linger-s`, so that a call does not
lose its camera while the app restarts, and makes room when a new app writes another token into `--token-file`.

Reports: {"event": "ready", "backend", "device", "fps"} · {"event": "failed", "kind": "missing" | "format" |
"library" | "ring" | "driver", "message"} · {"event": "showing", "what": "live" | "card"} · {"event": "orphaned"} ·
{"event": "ended"}
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import struct
import sys
import threading
import time
from multiprocessing import resource_tracker, shared_memory
from typing import Any

import numpy as np

__all__ = ["RingReader", "main"]

_MAGIC, _VERSION = b"BNRKRING", 1
_SEQUENCE_AT, _BEAT_AT, _STAMPS_AT, _PIXELS_AT = 64, 72, 128, 4096
_TOKEN_EVERY_S = 0.2  # how often an orphaned host looks for a successor
_FORMAT_WORDS = ("width", "height", "resolution", "unsupported format", "pixel format", "frame size")


class RingReader:
    """The reading end of the ring described in `shared_ring.py`."""

    def __init__(self, name: str) -> None:
        self._memory = _attach(name)
        buffer = self._memory.buf
        assert buffer is not None
        magic, version, self.width_px, self.height_px, slots = struct.unpack_from("<8s4I", buffer, 0)
        if (magic, version) != (_MAGIC, _VERSION):
            self._memory.close()
            raise ValueError(f"shared memory {name} has layout {magic!r} {version}, expected {_MAGIC!r} {_VERSION}")
        picture = self.height_px * self.width_px * 3
        self._slots = slots
        self._sequence = np.frombuffer(buffer, "<u8", 1, _SEQUENCE_AT)
        self._beat = np.frombuffer(buffer, "<u8", 1, _BEAT_AT)
        self._stamps = np.frombuffer(buffer, "<u8", slots, _STAMPS_AT)
        pixels: Any = np.frombuffer(buffer, np.uint8, picture * (slots + 1), _PIXELS_AT)
        self._pictures = pixels.reshape(slots + 1, self.height_px, self.width_px, 3)
        self.card = self._pictures[0].copy()
        self._shown, self._spare = np.empty_like(self.card), np.empty_like(self.card)
        self._seen = 0

    def newest(self) -> np.ndarray[Any, Any] | None:
        """Return the newest picture if it is a new one; it stays whole until the next new one is returned."""
        number = int(self._sequence[0])
        if number == self._seen:
            return None
        slot = number % self._slots
        if int(self._stamps[slot]) != number:
            return None
        np.copyto(self._spare, self._pictures[slot + 1])
        if int(self._stamps[slot]) != number:  # overtaken by the writer while copying; the next round gets it
            return None
        self._seen = number
        self._shown, self._spare = self._spare, self._shown
        shown: np.ndarray[Any, Any] = self._shown
        return shown

    def beat(self) -> None:
        """Tell the app that the driver took another picture."""
        self._beat[0] += 1

    def close(self) -> None:
        """Let go of the memory; the app owns it."""
        with contextlib.suppress(AttributeError):
            del self._sequence, self._beat, self._stamps, self._pictures
            self._memory.close()


def _attach(name: str) -> shared_memory.SharedMemory:
    """Open the app's memory without becoming its owner.

    Before Python 3.13 opening also registers the memory with a resource tracker, which would delete it under the app
    when this program ends (CPython issue 82300).
    """
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return shared_memory.SharedMemory(name=name)
    finally:
        resource_tracker.register = register


class _App:
    """What is known about the app that started this program."""

    def __init__(self, token_file: str, token: str) -> None:
        self.closing = threading.Event()
        self._token_file, self._token = token_file, token
        self._parent = os.getppid()
        self._ended = threading.Event()
        self._next_look_s = 0.0
        threading.Thread(target=self._listen, name="stdin", daemon=True).start()

    @property
    def gone(self) -> bool:
        return self._ended.is_set() or os.getppid() != self._parent

    def replaced(self) -> bool:
        """Whether another app wants the device."""
        if not self._token_file or time.monotonic() < self._next_look_s:
            return False
        self._next_look_s = time.monotonic() + _TOKEN_EVERY_S
        try:
            with open(self._token_file, encoding="utf-8") as file:
                return file.read() != self._token
        except OSError:
            return False

    def forget(self) -> None:
        """Remove the token, if it is still ours."""
        if self._token_file and not self.replaced():
            with contextlib.suppress(OSError):
                os.remove(self._token_file)

    def _listen(self) -> None:
        # os.read, since a daemon thread inside sys.stdin's lock would break the interpreter's shutdown.
        with contextlib.suppress(OSError, ValueError):
            said = b""
            while data := os.read(sys.stdin.fileno(), 4096):
                said += data
                if b"close\n" in said.replace(b"\r", b""):
                    self.closing.set()
                    return
        self._ended.set()


def _report(event: str, **fields: object) -> None:
    # A dead app leaves nobody to report to.
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def _open_camera(options: argparse.Namespace, ring: RingReader, app: _App) -> Any:
    """Open the device; on failure report why and return None. It ends too when nobody waits for it any more."""
    try:
        import pyvirtualcam
    except ImportError as error:
        _report("failed", kind="library", message=str(error))
        return None
    if options.backend_module:
        spec = importlib.util.spec_from_file_location("vcam_backend_module", options.backend_module)
        if spec is None or spec.loader is None:
            _report("failed", kind="library", message=f"cannot import {options.backend_module}")
            return None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    known = list(pyvirtualcam.camera.BACKENDS)
    if options.backend and options.backend not in known:
        message = f"there is no back-end '{options.backend}'; known are: {', '.join(known)}"
        _report("failed", kind="missing", message=message)
        return None
    give_up_s = time.monotonic() + options.retry_s
    while True:
        try:
            return pyvirtualcam.Camera(
                ring.width_px, ring.height_px, options.fps, device=options.device, backend=options.backend
            )
        except Exception as error:  # noqa: BLE001 - back-ends raise what they like; the app shows their words
            message = str(error)
            kind = "format" if any(word in message.lower() for word in _FORMAT_WORDS) else "missing"
            if kind == "format" or time.monotonic() >= give_up_s or app.gone:
                _report("failed", kind=kind, message=message)
                return None
        if app.closing.wait(0.1):
            return None


def _feed(camera: Any, ring: RingReader, app: _App, options: argparse.Namespace) -> None:
    """Send pictures until the app says close, or is gone for long enough or replaced."""
    period_s = 1.0 / options.fps
    picture, showing, orphaned_s = ring.card, "", 0.0
    fresh_s = -float("inf")
    due_s = time.monotonic()
    while not app.closing.is_set():
        now_s = time.monotonic()
        if (new := ring.newest()) is not None:
            picture, fresh_s = new, now_s
        what = "live" if now_s - fresh_s < options.hold_s else "card"
        if what != showing:
            showing = what
            _report("showing", what=what)
        camera.send(picture if what == "live" else ring.card)
        ring.beat()
        if app.gone:
            if not orphaned_s:
                orphaned_s = now_s
                _report("orphaned")
            if now_s - orphaned_s >= options.linger_s or app.replaced():
                return
        due_s = max(due_s + period_s, now_s)  # a blocked driver is not followed by a burst
        app.closing.wait(max(0.0, due_s - time.monotonic()))


def main(arguments: list[str] | None = None) -> int:
    """Run the host; return 0 after a normal end and 1 after a failure, which has been reported."""
    parser = argparse.ArgumentParser(prog="vcam_host", description="Feeds a virtual camera from shared memory.")
    parser.add_argument("--ring", required=True, help="name of the shared memory")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--backend", help="pyvirtualcam back-end; default: the first that works")
    parser.add_argument("--device", help="device, such as /dev/video10; default: the first free one")
    parser.add_argument("--backend-module", help="Python file that registers a back-end, run before opening")
    parser.add_argument("--hold-s", type=float, default=0.7, help="show the card after this long without a picture")
    parser.add_argument("--linger-s", type=float, default=20.0, help="stay this long after the app is gone")
    parser.add_argument("--retry-s", type=float, default=0.0, help="try this long to open the device")
    parser.add_argument("--token-file", default="", help="another token in it asks an orphaned host to end")
    parser.add_argument("--token", default="")
    options = parser.parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C in the terminal is the app's business: it says "close" when it is done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    app = _App(options.token_file, options.token)
    try:
        ring = RingReader(options.ring)
    except (OSError, ValueError) as error:
        _report("failed", kind="ring", message=str(error))
        return 1
    camera = _open_camera(options, ring, app)
    if camera is None:
        ring.close()
        return 1
    _report("ready", backend=camera.backend, device=camera.device, fps=options.fps)
    try:
        _feed(camera, ring, app, options)
    except Exception as error:  # noqa: BLE001 - a driver's error of any kind ends the host; the app restarts it
        _report("failed", kind="driver", message=str(error))
        return 1
    finally:
        with contextlib.suppress(Exception):
            camera.close()
        ring.close()
        app.forget()
    _report("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
