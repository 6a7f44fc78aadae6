# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training.render`: rebuild the built-in content, or render stills and clips of an avatar.

Needs the `train` extra, an EGL driver and the avatar files (VALID avatars, MIT). Everything is deterministic: the
same recipe, avatars and library versions give the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from engine.assets import asset_root
from engine.cv import cv2
from engine.errors import InvalidSetting, OutputUnwritable, PuppeteerError
from engine.track.face_mesh import FaceMeshTracker
from engine.training.render.background import BACKGROUNDS
from engine.training.render.clip import clip_frames, over_background, set_stage, write_mp4
from engine.training.render.looks import Look
from engine.training.render.motion import random_score
from engine.training.render.pose import EXPRESSIONS, Pose, expression_weights
from engine.training.render.recipe import Backdrop, Recipe, Scene, read_recipe
from engine.training.render.renderer import AvatarRenderer, Camera
from engine.training.render.source_sets import LandmarkFinder, build_set
from engine.types import Frame

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Render rigged avatars: stills, clips, source sets.")
_console = Console(stderr=True)

Avatars = Annotated[Path, typer.Option(help="Folder with the avatars' .glb files; sub-folders are searched.")]
Side = Annotated[int, typer.Option(help="Side of the pictures in pixels.", min=64, max=2048)]


def _recipe_path() -> Path:
    return asset_root() / "source_sets" / "recipe.toml"


def _finder() -> LandmarkFinder:
    """Return a landmark finder for pictures."""
    tracker = FaceMeshTracker(static=True, max_faces=1)

    def find(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        motion = tracker.track(Frame(index=0, captured_ns=0, rgb=rgb))
        return None if motion is None else motion.landmarks_px.copy()

    return find


@app.command()
def sets(
    avatars: Avatars,
    out: Annotated[Path | None, typer.Option(help="Folder for the sets; default: the built-in ones.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file; default: the built-in one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build only this set; may be given again.")] = None,
) -> None:
    """Rebuild the source sets of a recipe."""
    plan = read_recipe(recipe or _recipe_path())
    chosen = [entry for entry in plan.sets if not only or entry.name in only]
    if not chosen:
        raise InvalidSetting(f"The recipe has no such set; it has {', '.join(e.name for e in plan.sets)}.")
    folder, find = out or asset_root() / "source_sets", _finder()
    with AvatarRenderer(plan.side_px) as renderer:
        for entry in chosen:
            where = folder / f"{entry.name}.bunraku"
            steps = build_set(plan, entry, where, avatars=avatars, renderer=renderer, find=find)
            for _ in track(steps, entry.name, total=len(plan.pictures), console=_console):
                pass


@app.command()
def drawn(
    out: Annotated[Path | None, typer.Option(help="Folder for the sets; default: the built-in ones.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Draw only this set; may be given again.")] = None,
) -> None:
    """Draw the characters that are drawn by code; no avatar is needed."""
    from engine.training.drawn.sets import DRAWN, build_drawn

    chosen = [entry for entry in DRAWN if not only or entry.name in only]
    if not chosen:
        raise InvalidSetting(f"There is no such drawn set; there are {', '.join(e.name for e in DRAWN)}.")
    for entry in chosen:
        steps = build_drawn(entry, (out or asset_root() / "source_sets") / f"{entry.name}.bunraku")
        for _ in track(steps, entry.name, console=_console):
            pass


@app.command()
def driver(
    avatars: Avatars,
    out: Annotated[Path | None, typer.Option(help="Folder for the clips; default: the built-in ones.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file; default: the built-in one.")] = None,
) -> None:
    """Rebuild the driving clips of a recipe."""
    plan: Recipe = read_recipe(recipe or _recipe_path())
    folder = out or asset_root() / "clips"
    for entry in plan.clips:
        with AvatarRenderer(entry.side_px, supersample=2) as renderer:
            background = set_stage(renderer, entry.scene, avatars)
            frames = clip_frames(renderer, entry.score, background, fps=entry.fps)
            total = round(entry.score.duration_s * entry.fps)
            shown = track(frames, entry.file, total=total, console=_console)
            write_mp4(folder / entry.file, shown, fps=entry.fps, crf=entry.crf)


@app.command()
def clip(
    avatars: Avatars,
    out: Annotated[Path, typer.Option(help="Folder for the .mp4 files.")],
    avatar: Annotated[list[str], typer.Option(help="File name without .glb; may be given again.")],
    count: Annotated[int, typer.Option(help="Clips per avatar.", min=1)] = 2,
    seconds: Annotated[float, typer.Option(help="Length of a clip.", min=0.2)] = 4.0,
    fps: Annotated[int, typer.Option(min=1, max=120)] = 25,
    side: Side = 256,
    seed: Annotated[int, typer.Option(help="First seed; every clip adds one.")] = 1,
) -> None:
    """Render clips with random motion, light and background, for measuring and training."""
    looks = sorted(BACKGROUNDS)
    with AvatarRenderer(side, supersample=2) as renderer:
        for number, name in enumerate(avatar * count):
            key = seed + number
            rng = np.random.default_rng([key, 5])
            colours = [f"#{value:06x}" for value in rng.integers(0x202020, 0xE0E0E0, 4)]
            scene = Scene(
                avatar=name,
                lights=str(rng.choice(["window", "studio", "evening", "overcast"])),
                background=Backdrop(str(rng.choice([k for k in looks if k != "comic"])), colours, key),
                camera=Camera(frame_m=float(rng.uniform(0.36, 0.42)), tilt_deg=float(rng.uniform(-3, 4))),
            )
            background = set_stage(renderer, scene, avatars)
            frames = clip_frames(renderer, random_score(key, seconds), background, fps=fps)
            shown = track(frames, f"{name} {key}", total=round(seconds * fps), console=_console)
            write_mp4(out / f"{name}_{key}.mp4", shown, fps=fps, crf=15)


@app.command()
def stills(
    avatars: Avatars,
    avatar: Annotated[str, typer.Option(help="File name without .glb.")],
    out: Annotated[Path, typer.Option(help="A .png; RGBA unless a background is given.")],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    expression: Annotated[str, typer.Option(help=f"One of {', '.join(EXPRESSIONS)}.")] = "neutral",
    style: Annotated[str, typer.Option(help="natural, cel or marble.")] = "natural",
    lights: str = "studio",
    background: Annotated[str, typer.Option(help="Kind of background or a picture file; empty: transparent.")] = "",
    side: Side = 512,
) -> None:
    """Render one picture."""
    if expression not in EXPRESSIONS or style not in ("natural", "cel", "marble"):
        raise InvalidSetting(f"Unknown expression '{expression}' or style '{style}'; see --help.")
    look = Look(style=style)  # type: ignore[arg-type]
    scene = Scene(
        avatar=avatar, look=look, lights=lights, background=Backdrop(background or "gradient"), camera=Camera()
    )
    with AvatarRenderer(side) as renderer:
        behind = set_stage(renderer, scene, avatars)
        rgba = renderer.draw(
            Pose(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, weights=expression_weights({expression: 1.0}))
        )
    picture = over_background(rgba, behind)[..., ::-1] if background else cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), picture):
        raise OutputUnwritable(f"The picture cannot be written: {out}.")


def main() -> None:
    """Run the command line; an error ends in one sentence and the error class's exit code."""
    try:
        app()
    except PuppeteerError as error:
        _console.print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
