# SPDX-License-Identifier: Apache-2.0
"""Progress bars and the log file. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from engine.private import open_private, private_folder

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Advance", "log_path", "logging_to_file", "print_tables", "progress", "status_line"]

Advance = Callable[[int, int | None], None]  # (done, total or None where it is unknown)

_LOG_BYTES = 1_000_000
_SAY_EVERY_S = 10.0


def log_path() -> Path:
    """Return where the log is kept."""
    from platformdirs import user_log_path

    return user_log_path("bunraku", appauthor=False) / "bunraku.log"


@contextlib.contextmanager
def logging_to_file() -> Iterator[None]:
    """Keep the engine's log lines in a file of the user's log folder, and show warnings on stderr."""
    logger = logging.getLogger("engine")
    before = logger.level
    handlers: list[logging.Handler] = [_warnings_to_stderr()]
    # A folder that cannot be written costs the log, not the run.
    with contextlib.suppress(OSError):
        path = log_path()
        private_folder(path.parent)
        file = _PrivateLog(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
        handlers.append(file)
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log that only its owner may read: it names files and cameras."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=open_private)  # type: ignore[return-value]


def _warnings_to_stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    # The guard has its own sentence for what ends a run.
    handler.addFilter(lambda record: record.name != "engine.cli.guard")
    return handler


@contextlib.contextmanager
def progress(what: str, *, quiet: bool = False, unit: str = "frames") -> Iterator[Advance]:
    """Show a bar on stderr while the body runs; yields the function to call with (done, total).

    Where stderr is no terminal, a line now and then takes the bar's place.
    """
    if quiet:
        yield lambda _done, _total: None
        return
    if not sys.stderr.isatty():
        yield _spoken(what, unit)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _spoken(what: str, unit: str) -> Advance:
    said_s = time.monotonic()

    def say(done: int, total: int | None) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= _SAY_EVERY_S:
            said_s = time.monotonic()
            sys.stderr.write(f"{what}: {done}{f'/{total}' if total else ''} {unit}\n")

    return say


@contextlib.contextmanager
def status_line(what: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show one line on stderr while the body runs; yields the function that replaces it. Terminals only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(what)) as status:
        yield lambda text: status.update(escape(text))


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables on stdout."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file or pipe has no width of its own, and a wrapped table cannot be read
    for table in tables:
        console.print(table)
