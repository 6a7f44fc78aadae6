# SPDX-License-Identifier: Apache-2.0
"""Time to the first output frame in a fresh process, as a user meets it: interpreter, libraries, models, one frame.

`measure_first_frame` starts this module as a program and reads its one line of JSON. Any thread.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from engine import errors
from engine.errors import EngineError, PuppeteerError
from engine.evaluation.bench_report import FirstFrame

__all__ = ["main", "measure_first_frame"]

_TIMEOUT_S = 300.0


def measure_first_frame(*, source_set: str, driving: Path, model: str, backend: str, sources: int) -> FirstFrame:
    """Start a fresh process, let it render one frame, and say how long that took.

    Raises:
        EngineError: the process failed; carries its last line. PuppeteerError: what it failed with, if that is ours.
    """
    command = [sys.executable, "-m", "engine.evaluation.first_frame"]
    command += [source_set, str(driving), model, backend, str(sources)]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"No frame came within {_TIMEOUT_S:.0f} s of starting a fresh process.") from error
    total_s = time.monotonic() - start
    if done.returncode:
        lines = (done.stderr.strip() or "it said nothing").splitlines()
        ours = re.fullmatch(r"engine\.errors\.(\w+): (.*)", lines[-1])
        kind = getattr(errors, ours[1], None) if ours else None
        if ours and isinstance(kind, type) and issubclass(kind, PuppeteerError):
            raise kind(ours[2])  # as it would have been said in this process
        raise EngineError(f"Rendering one frame in a fresh process failed: {lines[-1]}")
    # Libraries may write to stdout too; the figures are the last line.
    return FirstFrame(total_s=total_s, **json.loads(done.stdout.strip().splitlines()[-1]))


def main(source_set: str, driving: str, model: str, backend: str, sources: str) -> None:
    """Render one frame and print how long the parts took, as one line of JSON."""
    start = time.monotonic()
    from engine.app import build_renderer
    from engine.capture import open_camera

    imported = time.monotonic()
    with open_camera(driving, paced=False) as camera:
        renderer = build_renderer(source_set, sources=int(sources), model=model, backend=backend)
        built = time.monotonic()
        frame = camera.read()
        if frame is not None:
            renderer.render(frame)
        rendered = time.monotonic()
    times = {"imports_s": imported - start, "build_s": built - imported, "frame_s": rendered - built}
    sys.stdout.write(json.dumps(times) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
