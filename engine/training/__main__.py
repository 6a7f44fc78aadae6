# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training`: build a training pack, train a model on it, time it beside its peers."""

from __future__ import annotations

import sys

import typer

from engine.errors import PuppeteerError
from engine.training.ablations import ablate
from engine.training.pack.cli import app as pack_app
from engine.training.peers.cli import time_peers
from engine.training.train.cli import train
from engine.training.train.judge_cli import judge_weights

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Build a training pack; train a model.")
app.add_typer(pack_app, name="pack")
app.command()(train)
app.command("judge")(judge_weights)
app.command()(ablate)
app.command("peers")(time_peers)


def main() -> None:
    """Run the command line; an error ends in one sentence and the error class's exit code."""
    try:
        app()
    except PuppeteerError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
