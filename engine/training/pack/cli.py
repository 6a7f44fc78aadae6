# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training pack build | info | shard`. Results go to stdout, progress to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.console import logging_to_file, progress
from engine.errors import PackInvalid
from engine.training.pack.settings import PackSettings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Build, check and cut up training packs.")

_DEFAULT = PackSettings()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


@app.command()
def build(
    sources: Annotated[Path, typer.Option(help="Folder with train/ and dev/: sub-folders of .glb, videos, pictures.")],
    out: Annotated[Path, typer.Option(help="Folder of the pack; a build that was broken off goes on.")],
    seed: Annotated[int, typer.Option(min=0)] = _DEFAULT.seed,
    clips_per_avatar: Annotated[int, typer.Option(min=0, help="Rendered clips, train.")] = _DEFAULT.clips_per_avatar,
    dev_clips_per_avatar: Annotated[int, typer.Option(min=0, help="… dev.")] = _DEFAULT.dev_clips_per_avatar,
    seconds: Annotated[float, typer.Option(help="Length of a rendered clip.")] = _DEFAULT.seconds,
    fps: Annotated[int, typer.Option(help="Frames per second of rendered clips.")] = _DEFAULT.fps,
    stills: Annotated[int, typer.Option(min=0, help="Pictures at most, train; spread over groups.")] = _DEFAULT.stills,
    dev_stills: Annotated[int, typer.Option(min=0, help="… dev.")] = _DEFAULT.dev_stills,
    max_frames: Annotated[int, typer.Option(min=12, help="Longer clips are thinned out.")] = _DEFAULT.max_frames,
    side: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = _DEFAULT.side_px,
    keep_work: Annotated[bool, typer.Option(help="Keep OUT.work, so that the pack can be made larger later.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
) -> None:
    """Render avatars, cut clips and pictures, track and matte them all, and write one pack."""
    from engine.evaluation.protocol import open_instruments
    from engine.training.pack.build import build_pack
    from engine.training.pack.info import describe_build

    settings = PackSettings(
        seed=seed,
        side_px=side,
        fps=fps,
        seconds=seconds,
        clips_per_avatar=clips_per_avatar,
        dev_clips_per_avatar=dev_clips_per_avatar,
        stills=stills,
        dev_stills=dev_stills,
        max_frames=max_frames,
    )
    with (
        logging_to_file(),
        open_instruments() as instruments,
        progress("packing", quiet=quiet, unit="items") as advance,
    ):
        report = build_pack(
            sources, out, settings=settings, instruments=instruments, keep_work=keep_work, advance=advance
        )
    _say(describe_build(out, report))


@app.command()
def info(
    pack: Annotated[Path, typer.Argument(help="Folder of the pack.")],
    quick: Annotated[bool, typer.Option(help="Compare hashes only; decode nothing.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
) -> None:
    """Show what is in a pack and check every file; ends with exit code 3 where one is damaged."""
    from engine.training.pack.info import check_pack, describe_pack

    with progress("checking", quiet=quiet, unit="items") as advance:
        check = check_pack(pack, decode=not quick, advance=advance)
    _say(describe_pack(check))
    if check.faults:
        raise typer.Exit(PackInvalid.exit_code)


@app.command()
def shard(
    pack: Annotated[Path, typer.Argument(help="Folder of the pack.")],
    out: Annotated[Path, typer.Argument(help="New folder for the shards.")],
    megabytes: Annotated[int, typer.Option(min=1, help="Size of a shard.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Order of the items.")] = 1,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
) -> None:
    """Cut a pack into tar shards, for training on more than fits in memory."""
    from engine.training.pack.shards import write_shards

    with progress("cutting", quiet=quiet, unit="items") as advance:
        counts = write_shards(pack, out, shard_bytes=megabytes * 1_000_000, seed=seed, advance=advance)
    _say(", ".join(f"{split}: {count} shards" for split, count in counts.items()) + f" ({out})")
