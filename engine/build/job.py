# SPDX-License-Identifier: Apache-2.0
"""Build one model's engines for another program, which reads how far it is: `python -m engine.build.job MODEL`.

Standard output carries one JSON object a line: {"event": "begun", "library", "gpus"}, {"event": "progress", "part",
"phase"} with part from 0 to 1 over all graphs, {"event": "built", "graph", "path", "megabytes", "fresh"} and, last,
{"event": "done"}, {"event": "cancelled"} or {"event": "failed", "message", "hint"}. A line or the end of standard input
cancels the build, so that it never outlives whoever asked for it. A half engine is never left. For people there is
`build_engines.py`.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import PuppeteerError
from engine.runtime.engine_file import default_folder
from engine.runtime.manifest import load_manifest
from engine.runtime.tensorrt_library import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Build and report; returns the exit code of the error's class, or 130 where it was cancelled."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.build.job", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a shipped model's name, e.g. lite")
    parser.add_argument("--flavour", choices=FLAVOURS, default="tensorrt_rtx", help="the builder (default %(default)s)")
    parser.add_argument("--target", action="append", metavar="GPU", help="architecture such as sm89; may be repeated")
    parser.add_argument("--out", type=Path, default=default_folder(), help="where to write (default %(default)s)")
    options = parser.parse_args(argv)
    try:
        threading.Thread(target=_cancel_on_input, daemon=True).start()  # it may interrupt from here on
        _build(options.model, options.flavour, options.target, options.out)
    except PuppeteerError as error:
        _say(event="failed", message=error.message, hint=error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        _say(event="cancelled")
        return INTERRUPTED
    _say(event="done")
    return 0


def _build(model: str, name: str, targets: list[str] | None, folder: Path) -> None:
    from engine.build.engines import build_engine, frame_graphs
    from engine.build.flavour import load_flavour

    manifest = load_manifest(model)
    manifest.verify()
    flavour = load_flavour(name)
    architectures = flavour.architectures(targets)
    graphs = frame_graphs(manifest)
    _say(event="begun", library=f"{flavour.name} {flavour.version}", gpus=list(architectures))
    for number, graph in enumerate(graphs):
        report = _reporter(number, len(graphs))
        engine = build_engine(manifest, graph, folder, flavour=flavour, architectures=architectures, report=report)
        _say(event="built", graph=graph, path=str(engine.path), megabytes=engine.size_bytes / 1e6, fresh=engine.fresh)


def _reporter(number: int, count: int) -> Callable[[str, float], None]:
    def report(phase: str, part: float) -> None:
        _say(event="progress", part=(number + part) / count, phase=phase)

    return report


def _say(**facts: object) -> None:
    with contextlib.suppress(OSError):  # whoever listened is gone; the input ends then too
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def _cancel_on_input() -> None:
    sys.stdin.readline()
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())
