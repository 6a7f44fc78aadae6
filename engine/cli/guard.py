# SPDX-License-Identifier: Apache-2.0
"""Errors of a command → one sentence on stderr and an exit code; a traceback only with `--debug`."""

from __future__ import annotations

import contextvars
import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from engine.errors import PuppeteerError

__all__ = ["INTERRUPTED", "debug_wanted", "guarded"]

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C
UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h

debug_wanted: contextvars.ContextVar[bool] = contextvars.ContextVar("debug_wanted", default=False)

_log = logging.getLogger(__name__)
P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that every exception ends as an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from engine.cli.console import log_path, logging_to_file

        with logging_to_file():
            try:
                command(*args, **kwargs)
            except PuppeteerError as error:
                _log.info("%s: %s %s", type(error).__name__, error, dict(error.fields), exc_info=error)
                _end(str(error), error.exit_code, error)
            except KeyboardInterrupt as error:
                _end("Stopped.", INTERRUPTED, error)
            except BrokenPipeError:
                # The reader (`| head`) has all it wants; Python would complain once more while flushing at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            except typer.Exit:
                raise
            except Exception as error:  # noqa: BLE001 - the last stop before the user
                _log.error("unexpected", exc_info=error)
                what = f"Bunraku met an error it did not expect: {type(error).__name__}: {error}"
                _end(f"{what}\nThe details are in {log_path()}", UNEXPECTED, error)

    return run


def _end(sentence: str, code: int, error: BaseException) -> NoReturn:
    typer.echo(sentence, err=True)
    if debug_wanted.get():
        raise error
    raise typer.Exit(code) from None
