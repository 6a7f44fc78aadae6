# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.evaluation.marks`: see the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from engine.cli.guard import guarded
from engine.cli.options import ModelOption, QuietOption, parse_size

__all__: list[str] = []


@guarded
def measure(
    rendered: Annotated[int, typer.Option("--rendered", min=0, help="Scenes of the built-in characters.")] = 64,
    pictures: Annotated[
        list[Path] | None,
        typer.Option("--pictures", metavar="DIR", help="Folder of pictures to make scenes of; may be given again."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Most scenes made of pictures.")] = 160,
    flat: Annotated[bool, typer.Option(help="Measure holding cards and plain colours too.")] = True,
    survival: Annotated[
        bool, typer.Option(help="Attack the scenes; without, they are only looked at unmarked.")
    ] = True,
    unmarked: Annotated[int, typer.Option("--unmarked", min=0, help="How many unmarked pictures to look at.")] = 0,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the frames.")] = "1280x720",
    model: ModelOption = "lite",
    seed: Annotated[int, typer.Option("--seed", help="Of crops, payloads and variants.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON too.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure both marks: what they survive, what they cost, and how often they are seen where none is.

    Every scene is marked, attacked and read blind; bit accuracy counts the payload's bits after error correction, one
    frame at a time, and a frame in which nothing is found counts with whatever bits it seems to say.
    """
    from rich.console import Console

    from engine.cli.console import progress
    from engine.evaluation.machine import describe_machine, write_json
    from engine.evaluation.marks.attacks import ATTACKS
    from engine.evaluation.marks.report import MarksReport, marks_tables
    from engine.evaluation.marks.scenes import Scene, flat_scenes, picture_scenes, rendered_scenes
    from engine.evaluation.marks.strangers import measure_strangers
    from engine.evaluation.marks.survival import measure_cost, measure_survival

    size_wh = parse_size(size)
    kept: list[NDArray[np.uint8]] = []  # unmarked frames for the false alarms, and one for the cost

    def scenes() -> Iterator[Scene]:
        yield from rendered_scenes(rendered, size_wh=size_wh, model=model) if rendered else ()
        yield from picture_scenes(pictures or [], size_wh=size_wh, most=most)
        yield from flat_scenes(size_wh=size_wh) if flat else ()

    def seen() -> Iterator[Scene]:
        for scene in scenes():
            kept.append(scene.frames[-1])
            yield scene

    with progress("marking", quiet=quiet, unit="scenes") as advance:
        attacks = ATTACKS if survival else {}
        survivals, psnr = measure_survival(seen(), attacks=attacks, seed=seed, advance=lambda done: advance(done, None))
    strangers = None
    if unmarked and kept:
        with progress("unmarked", quiet=quiet, unit="pictures") as advance:
            strangers = measure_strangers(kept, unmarked, seed=seed, advance=lambda done: advance(done, unmarked))
    cost = measure_cost(kept[0]) if kept else None
    report = MarksReport(describe_machine(), size_wh, survivals, psnr, cost, strangers)
    console = Console()
    if not console.is_terminal:
        console.width = 140
    for table in marks_tables(report):
        console.print(table)
    if json_file is not None:
        write_json(report.as_dict(), json_file)


if __name__ == "__main__":
    typer.run(measure)
