# SPDX-License-Identifier: Apache-2.0
"""Feeds a virtual camera through a host process of its own, which outlives hiccups and crashes of the app.

`send` writes into shared memory and returns; a driver that blocks blocks the host. A host that ends or stops taking
pictures is reported once as `VirtualCameraLost` and started again with growing pauses, while the app goes on. The
device itself, its errors and the pyvirtualcam library live in `vcam_host.py`, what the app knows of a running host in
`vcam_process.py`, and who feeds which device in `vcam_device.py`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from engine.clock import NS_PER_S, Clock, SystemClock
from engine.errors import (
    Closed,
    ConsentMissing,
    FormatRejected,
    OutputUnwritable,
    SinkError,
    VirtualCameraLost,
    VirtualCameraMissing,
)
from engine.sinks.base import BaseSink, require_output_frame, require_size
from engine.sinks.shared_ring import SharedRing
from engine.sinks.vcam_device import busy_error, device_file, lock_device, other_feeder, write_token
from engine.sinks.vcam_process import END_S, HostProcess
from engine.types import OutputFrame

__all__ = ["VirtualCameraSink", "missing_hint"]

_HOST_PROGRAM = Path(__file__).with_name("vcam_host.py")
_BLOCKED_NS = 4 * NS_PER_S  # without a picture taken, a driver counts as stuck and the host is replaced
_PAUSES_NS = tuple(int(s * NS_PER_S) for s in (0.0, 0.5, 1.0, 2.0, 5.0))  # before the n-th restart in a row
_WAIT_S = 60.0  # how long a replaced host waits for a device that is gone: it looks ten times a second, at no cost
_TAKEOVER_S = 2.0  # how long a new host tries to get a device that an orphaned one has to leave first


def missing_hint(platform: str = sys.platform) -> str:
    """Return what makes a virtual camera appear on this system."""
    if platform == "win32":
        return "Install OBS Studio (its Virtual Camera comes with it), then start Bunraku before the call app."
    if platform == "darwin":
        return "Install OBS Studio, start its Virtual Camera once and stop it, then start Bunraku before the call app."
    return (
        "Install v4l2loopback (Debian, Ubuntu: sudo apt install v4l2loopback-dkms), then run: "
        "sudo modprobe v4l2loopback exclusive_caps=1 card_label=Bunraku"
    )


class VirtualCameraSink(BaseSink):
    """A camera that other programs can choose.

    Args:
        card: the watermarked holding card (`engine.watermark.gate.holding_card`) of the camera's size, shown by the
            host when the app has nothing newer. backend, device: as pyvirtualcam names them; None takes the first.
        hold_s: how long the last picture stays. linger_s: how long the card stays after the app died.
        start_s: how long the host may take to open the device.
        backend_module: a Python file that registers a back-end in the host.

    State: open after construction; `send` raises `VirtualCameraLost` while the host is away and works again after.

    Raises:
        VirtualCameraMissing: no device; with each back-end's own words and what to install.
        VirtualCameraBusy: another Bunraku feeds the device.
        FormatRejected: the device refuses the size or rate.
        OutputUnwritable: no shared memory.
    """

    name = "virtual camera"
    needs_consent = True

    def __init__(
        self,
        width_px: int,
        height_px: int,
        fps: float,
        backend: str | None = None,
        device: str | None = None,
        *,
        card: OutputFrame,
        hold_s: float = 0.7,
        linger_s: float = 20.0,
        start_s: float = 15.0,
        backend_module: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_output_frame(card)
        self._size_wh = (width_px, height_px)
        require_size(card, self._size_wh, where="The holding card's virtual camera")
        self._clock: Clock = clock or SystemClock()
        self._options = _options(fps, backend, device, hold_s, linger_s, backend_module)
        self._token_file = device_file(device, "token")
        self._lock = lock_device(device) if device is not None else None  # before a host of ours can disturb another's
        self._ring: SharedRing | None = None
        self._restarts = 0
        self._restart_ns = 0
        self._beat = (0, self._clock.now_ns())
        self._host: HostProcess | None = None
        try:
            self._ring = SharedRing(card)
            self._host = self._start_host()
            self._wait_until_open(self._host, start_s)
            if self._lock is None:
                self._lock = lock_device(self.device)  # some drivers let two programs feed one device
        except BaseException:
            self.close()
            raise
        self._beat = (self._ring.beat, self._clock.now_ns())

    @property
    def device(self) -> str:
        """The device's name, as call apps list it or as a path."""
        return str(self._host.ready.get("device", "")) if self._host is not None else ""

    @property
    def showing(self) -> str:
        """What the host shows now: "live" or "card"; empty while there is none."""
        return self._host.showing if self._host is not None else ""

    @property
    def host_pid(self) -> int:
        """The host's process id, 0 while there is none."""
        return self._host.process.pid if self._host is not None else 0

    def send(self, frame: OutputFrame) -> None:
        """Publish a frame; never waits for the driver.

        Raises:
            FormatRejected: the frame's size is not the camera's.
            ConsentMissing: the character's set has no consent note; the host shows the card.
            VirtualCameraLost: the host is away; it is being started again and this frame is not shown.
            Closed: the sink was closed.
        """
        require_output_frame(frame)
        if self._ring is None:
            raise Closed
        require_size(frame, self._size_wh, where="The virtual camera")
        if frame.consented:
            self._ring.write(frame)
        self._check_host(self._ring)
        if not frame.consented:
            raise ConsentMissing(
                "The virtual camera shows the holding card: the character's set has no valid consent note.",
                hint="Say by whose leave its pictures are used.",
            )

    def close(self) -> None:
        """Release the device and end the host."""
        if self._host is not None:
            self._host.end()
            self._host = None
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _wait_until_open(self, host: HostProcess, start_s: float) -> None:
        if not host.answered.wait(start_s):
            raise VirtualCameraMissing(f"The virtual camera did not open within {start_s:.0f} s.", hint=missing_hint())
        if not host.ready:
            if self._lock is None and host.failed.get("kind") == "missing" and (pid := other_feeder()):
                raise busy_error("", pid)
            raise _opening_error(host.failed, self._size_wh)

    def _check_host(self, ring: SharedRing) -> None:
        """Raise if the host is away, and start the next one when it is time."""
        host, now_ns = self._host, self._clock.now_ns()
        if host is not None and host.process.poll() is None:
            if not host.answered.is_set():
                raise VirtualCameraLost("The virtual camera is being opened again.", hint="Wait a moment.")
            if not host.greeted:  # it may have waited for its device; what counts is what it does from now on
                host.greeted, self._beat = True, (ring.beat, now_ns)
            if ring.beat != self._beat[0]:
                self._beat, self._restarts = (ring.beat, now_ns), 0
            if now_ns - self._beat[1] < _BLOCKED_NS:
                return
            reason = f"its driver took no picture for {_BLOCKED_NS // NS_PER_S} s"
            host.process.kill()
        else:
            reason = _last_words(host)
        if host is not None:
            self._release(host)
            self._restart_ns = now_ns + _PAUSES_NS[min(self._restarts, len(_PAUSES_NS) - 1)]
        if now_ns >= self._restart_ns:
            self._restarts += 1
            self._host = self._start_host()
            self._beat = (ring.beat, now_ns)
        raise VirtualCameraLost(
            f"The virtual camera's host ended: {reason}.", hint="It is started again by itself.", reason=reason
        )

    def _release(self, host: HostProcess) -> None:
        host.end()
        self._host = None

    def _start_host(self) -> HostProcess:
        assert self._ring is not None
        token = secrets.token_hex(8)
        takes_over = write_token(self._token_file, token) and self._restarts == 0  # later it would be our own
        command = [sys.executable, str(_HOST_PROGRAM), "--ring", self._ring.name, *self._options]
        command += ["--token-file", str(self._token_file), "--token", token]
        command += ["--retry-s", str(_TAKEOVER_S if takes_over else _WAIT_S if self._restarts else 0.0)]
        # A session of its own: Ctrl-C and a closing terminal reach the app, not the host.
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"},
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise OutputUnwritable(f"The virtual camera's host cannot be started: {error}.") from error
        host = HostProcess(process)
        host.reader = threading.Thread(target=host.listen, name="bunraku-vcam-reports", daemon=True)
        host.reader.start()
        return host


def _options(
    fps: float, backend: str | None, device: str | None, hold_s: float, linger_s: float, module: Path | None
) -> list[str]:
    options = ["--fps", str(fps), "--hold-s", str(hold_s), "--linger-s", str(linger_s)]
    for name, value in (("--backend", backend), ("--device", device), ("--backend-module", module)):
        if value is not None:
            options += [name, str(value)]
    return options


def _last_words(host: HostProcess | None) -> str:
    if host is None:
        return "it could not be started"
    if host.reader is not None:
        host.reader.join(END_S)
    code = host.process.poll()
    return str(host.failed.get("message") or f"exit code {code}")


def _opening_error(report: dict[str, Any], size_wh: tuple[int, int]) -> SinkError:
    """Turn the host's report into the error a user reads."""
    words = str(report.get("message") or "the host ended without a word").strip().replace("\n", "; ")
    if report.get("kind") == "format":
        return FormatRejected(
            f"The virtual camera refuses {size_wh[0]}x{size_wh[1]} pixels: {words}.",
            hint="Choose 1280x720 at 30 fps, which every virtual camera takes.",
            size_wh=size_wh,
        )
    if report.get("kind") == "library":
        return VirtualCameraMissing(
            f"The virtual-camera library is not installed: {words}.", hint="Run: pip install 'bunraku[vcam]'"
        )
    return VirtualCameraMissing(
        f"No virtual camera can be opened: {words.rstrip('.')}.", hint=missing_hint(), reasons=words
    )
