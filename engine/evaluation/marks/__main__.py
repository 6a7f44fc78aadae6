# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.evaluation.marks`: see the package. A tool for whoever changes a mark, so no part of `bunraku`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidSetting, PuppeteerError
from engine.evaluation.machine import describe_machine, write_json
from engine.evaluation.marks.attacks import ATTACKS
from engine.evaluation.marks.report import MarksReport, marks_tables
from engine.evaluation.marks.scenes import Scene, flat_scenes, picture_scenes, rendered_scenes
from engine.evaluation.marks.strangers import measure_strangers
from engine.evaluation.marks.survival import measure_cost, measure_survival

__all__ = ["main"]

_SAY_EVERY = 20  # scenes; 500 unmarked pictures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and return the exit code."""
    given = _parser().parse_args(argv)
    try:
        report = _measure(given)
        _print(report)
        if given.json is not None:
            write_json(report.as_dict(), given.json)
    except PuppeteerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    return 0


def _measure(given: argparse.Namespace) -> MarksReport:
    size_wh = _size(given.size)
    kept: list[NDArray[np.uint8]] = []  # unmarked frames, for the false alarms and the cost

    def scenes() -> Iterator[Scene]:
        yield from rendered_scenes(given.rendered, size_wh=size_wh, model=given.model) if given.rendered else ()
        yield from picture_scenes(given.pictures, size_wh=size_wh, most=given.most)
        yield from flat_scenes(size_wh=size_wh) if given.flat else ()

    def kept_scenes() -> Iterator[Scene]:
        for scene in scenes():
            kept.append(scene.frames[-1])
            yield scene

    survivals, psnr = measure_survival(
        kept_scenes(),
        attacks=ATTACKS if given.survival else {},
        seed=given.seed,
        advance=lambda done: _say("scenes", done, _SAY_EVERY),
    )
    if not kept:
        raise InvalidSetting("There is nothing to measure.", hint="Give --rendered or --pictures.")
    strangers = None
    if given.unmarked:
        say = lambda done: _say("unmarked pictures", done, 25 * _SAY_EVERY)  # noqa: E731 - as short as it is clear
        strangers = measure_strangers(kept, given.unmarked, seed=given.seed, advance=say)
    return MarksReport(describe_machine(), size_wh, survivals, psnr, measure_cost(kept[0]), strangers)


def _say(what: str, done: int, every: int) -> None:
    if done % every == 0:
        sys.stderr.write(f"{done} {what}\n")


def _print(report: MarksReport) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 140  # a file has no width of its own, and a wrapped table cannot be read
    for table in marks_tables(report):
        console.print(table)


def _size(text: str) -> tuple[int, int]:
    try:
        width_px, height_px = (int(side) for side in text.lower().split("x"))
    except ValueError as error:
        raise InvalidSetting(f"--size must be WIDTHxHEIGHT such as 1280x720, got {text!r}.") from error
    if width_px % 2 or height_px % 2 or min(width_px, height_px) < 128:
        raise InvalidSetting(f"--size must be even numbers from 128 on, which H.264 needs, got {text!r}.")
    return width_px, height_px


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.evaluation.marks",
        description="Measure both marks: what they survive, what they cost, and how often one is seen where none is. "
        "Every scene is marked, attacked and read blind. Bit accuracy counts the payload's 56 bits after error "
        "correction, one frame at a time; a frame in which nothing is found counts with the bits it seems to say.",
    )
    add = parser.add_argument
    add("--rendered", type=int, default=64, metavar="N", help="scenes of the built-in characters (64)")
    add("--pictures", type=Path, action="append", default=[], metavar="DIR", help="make scenes of pictures below DIR")
    add("--most", type=int, default=160, metavar="N", help="most scenes made of pictures (160)")
    add("--flat", action=argparse.BooleanOptionalAction, default=True, help="holding cards and plain colours too")
    add("--survival", action=argparse.BooleanOptionalAction, default=True, help="attack the scenes")
    add("--unmarked", type=int, default=0, metavar="N", help="variants of unmarked pictures to look at (0)")
    add("--size", default="1280x720", metavar="WxH", help="size of the frames (1280x720)")
    add("--model", default="lite", help="warping model (lite)")
    add("--seed", type=int, default=0, help="of crops, payloads and variants (0)")
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
