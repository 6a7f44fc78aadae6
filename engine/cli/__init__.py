# SPDX-License-Identifier: Apache-2.0
"""The command line `bunraku`: reads options, calls `engine.app`, prints. Main thread.

Nothing heavy is imported before a command needs it, so that `bunraku --help` answers at once.

    commands.py   demo, animate, run
    measure.py    bench, eval, compare
    soak.py       soak
    checking.py   verify
    library.py    cameras, doctor
    sets.py       set list, show, check, edit, export, import
    sets_make.py  set new, add, capture
    set_options.py  the options they share
    options.py    the options they share
    guard.py      errors → one sentence and an exit code
    console.py    progress bars and the log file
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; `argv` stands in for the process's own arguments."""
    import signal

    from engine.cli.commands import app
    from engine.memory import limit_arenas

    limit_arenas()

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt  # a recording is then closed as with Ctrl-C

    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    try:
        app(args=None if argv is None else list(argv), prog_name="bunraku")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
