# SPDX-License-Identifier: Apache-2.0
"""A running virtual-camera host, seen from the app: what it reports, and how it is ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Any

__all__ = ["END_S", "HostProcess"]

END_S = 2.0  # for a host that was told to close


@dataclass(eq=False)
class HostProcess:
    """One run of the host program and what it has said."""

    process: subprocess.Popen[str]
    ready: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, Any] = field(default_factory=dict)
    showing: str = ""
    answered: threading.Event = field(default_factory=threading.Event)
    reader: threading.Thread | None = None
    greeted: bool = False

    def listen(self) -> None:
        """Read reports until the host ends; runs on its own thread, so that the host's pipe never fills."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                report = json.loads(line)
            except ValueError:
                continue  # a driver library that prints
            if report.get("event") == "ready":
                self.ready = report
                self.answered.set()
            elif report.get("event") == "failed":
                self.failed = report
            elif report.get("event") == "showing":
                self.showing = report["what"]
        self.answered.set()

    def end(self) -> None:
        """Ask the host to close, then insist."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write("close\n")
            self.process.stdin.flush()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # stuck in its driver
            self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()
        if self.reader is not None:
            self.reader.join(END_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
