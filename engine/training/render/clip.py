# SPDX-License-Identifier: Apache-2.0
"""Render a score to frames and write them as an H.264 file.

Data flow: Scene + Score → clip_frames → write_mp4. Frames are (S, S, 3) uint8 RGB over the scene's background.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engine.errors import DiskFull, OutputUnwritable
from engine.files import replacing
from engine.sinks.base import is_disk_full
from engine.training.render.background import draw_background
from engine.training.render.loading import load_avatar
from engine.training.render.looks import skin_albedo
from engine.training.render.motion import Score
from engine.training.render.recipe import Scene
from engine.training.render.renderer import AvatarRenderer

__all__ = ["clip_frames", "over_background", "set_stage", "write_mp4"]

# x264's macroblock tree works on 16 macroblocks at a time; with rows that are no multiple of that, equal frames gave up
# to nine different files in 14 runs (64 px, x264 core 165), with multiples or without the tree always the same one.
_TREE_PX = 256


def set_stage(renderer: AvatarRenderer, scene: Scene, avatars: Path) -> NDArray[np.uint8]:
    """Load a scene's avatar into the renderer and return its background.

    Args:
        avatars: folder that is searched for `<scene.avatar>.glb`, sub-folders too.
    Shapes:
        returns: (side_px, side_px, 3) uint8 RGB.
    Raises:
        SourceUnreadable: no such avatar, or a damaged one.
    """
    path = next(iter(sorted(avatars.rglob(f"{scene.avatar}.glb"))), avatars / f"{scene.avatar}.glb")
    avatar = load_avatar(path)
    renderer.load(avatar, scene.look)
    renderer.set_scene(scene.camera, scene.rig(skin_albedo(avatar)))
    backdrop = scene.background
    return draw_background(backdrop.kind, backdrop.colours, renderer.side_px, seed=backdrop.seed)


def over_background(rgba: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (S, S, 4) laid over a background (S, S, 3)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)


def clip_frames(
    renderer: AvatarRenderer, score: Score, background: NDArray[np.uint8], *, fps: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a performance; `set_stage` must come first."""
    for index in range(round(score.duration_s * fps)):
        yield over_background(renderer.draw(score.pose_at(index / fps)), background)


def write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], *, fps: int, crf: int) -> int:
    """Write frames as H.264 and return their number; the file appears only when it is whole.

    Shapes:
        frames: (H, W, 3) RGB, or all (H, W) grey.
    Raises:
        DiskFull, OutputUnwritable: the file cannot be written.
    """
    count = 0
    try:
        with (
            replacing(path) as part,
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as file,
        ):
            stream = file.add_stream("libx264", rate=fps)
            # One thread: the encoder's output then depends on nothing but the frames.
            stream.options = {"crf": str(crf), "preset": "slow", "threads": "1"}
            for frame in frames:
                kind = "rgb24" if frame.ndim == 3 else "gray"
                if count == 0:
                    stream.height, stream.width = frame.shape[:2]
                    if stream.width % _TREE_PX:
                        stream.options = {**stream.options, "x264-params": "mbtree=0"}
                    stream.pix_fmt = "yuv420p" if frame.ndim == 3 else "gray"
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)))
                count += 1
            file.mux(stream.encode())
    except OSError as error:
        kind_of = DiskFull if is_disk_full(error) else OutputUnwritable
        raise kind_of(f"The clip cannot be written ({error.strerror}): {path}.", path=str(path)) from error
    return count
