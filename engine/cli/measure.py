# SPDX-License-Identifier: Apache-2.0
"""`bench` and `eval`: how fast, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.guard import guarded

__all__ = ["bench", "evaluate"]

JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON too.")]
CountsOption = Annotated[
    str, typer.Option("--sources", metavar="N,N,…", help="How many pictures to use, one run each.")
]


@guarded
def bench() -> None:
    """Measure speed."""


@guarded
def evaluate() -> None:
    """Measure likeness."""
