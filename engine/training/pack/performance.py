# SPDX-License-Identifier: Apache-2.0
"""A random performance of an avatar: dress, light, stage and camera it, and draw what it does. Offline.

Head ±50° yaw, ±25° pitch, ±20° roll; lively gaze, expressions with teeth and tongue, speech; random lights, outfit
and hair colours, backdrop and lens. Everything follows from the seed and the clip's name. Needs an OpenGL driver
(EGL); one thread.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.training.pack.plan import PlannedItem
from engine.training.pack.settings import PackSettings, item_rng
from engine.training.render.avatar import Avatar
from engine.training.render.background import BACKGROUNDS, draw_background
from engine.training.render.clip import over_background
from engine.training.render.lights import random_rig
from engine.training.render.loading import load_avatar
from engine.training.render.looks import Look, skin_albedo
from engine.training.render.motion import MOODS, Reach, Score, random_score
from engine.training.render.renderer import AvatarRenderer, Camera

__all__ = ["Stage"]

_TAKES_A_LOOK = 3  # changing clothes costs as much as a dozen frames
_STYLES, _STYLE_SHARES = ("natural", "cel", "marble"), (0.88, 0.08, 0.04)
_MORE_MOODS = ("sad", "pressed", "disgust", "teeth", "teeth", "tongue_out", "tongue_up", "eyes_closed")
_HAIR = ("#1c1614", "#2e211a", "#4a3222", "#6e4b2d", "#8f6a42", "#b58f5c", "#d8bd8a", "#7a3a20", "#8c8c90", "#c9c9cc")
_BACKDROPS = tuple(sorted(set(BACKGROUNDS) - {"comic"}))
_SUPERSAMPLE, _SHADOW_PX = 2, 768  # 75 instead of 180 ms a frame on one core at 256 px, no difference to be seen


class Stage:
    """Draws performances; keeps the last avatar loaded, since loading costs as much as a dozen frames.

    State:
        perform() any number of times; close() at the end.
    """

    def __init__(self, settings: PackSettings) -> None:
        self._settings = settings
        self._renderer = AvatarRenderer(settings.side_px, supersample=_SUPERSAMPLE, shadow_px=_SHADOW_PX)
        self._path: Path | None = None
        self._look: Look | None = None
        self._avatar: Avatar

    def close(self) -> None:
        """Release the OpenGL context; safe to call twice."""
        self._renderer.close()

    def perform(self, item: PlannedItem) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Draw the frames of one clip.

        Shapes:
            returns: (T, R, R, 3) uint8 RGB over the backdrop, and (T, R, R) uint8, the person's exact alpha.
        Raises:
            SourceUnreadable: the avatar is damaged.
        Cost:
            ≈ 75 ms a frame on one core.
        """
        rng = item_rng(self._settings.seed, item.label)
        self._dress(item)
        rig = random_rig(rng).exposed_for(skin_albedo(self._avatar), brightness=float(rng.uniform(0.8, 1.15)))
        self._renderer.set_scene(_camera(rng), rig)
        kind, colours = str(rng.choice(_BACKDROPS)), [_colour(rng) for _ in range(4)]
        backdrop = draw_background(kind, colours, self._settings.side_px, seed=int(rng.integers(2**31)))
        score, start_s = _score(rng, self._settings, opens_frontal=item.split == "dev")
        rgb, alpha = [], []
        for index in range(self._settings.frames):
            rgba = self._renderer.draw(score.pose_at(start_s + index / self._settings.fps))
            rgb.append(over_background(rgba, backdrop))
            alpha.append(rgba[..., 3])
        return np.stack(rgb), np.stack(alpha)

    def _dress(self, item: PlannedItem) -> None:
        if self._path != item.source:
            self._avatar = load_avatar(item.source)
            self._path, self._look = item.source, None
        dress = f"{item.split}/{item.group}/{item.source.stem}/look {item.take // _TAKES_A_LOOK}"
        look = _random_look(item_rng(self._settings.seed, dress), styled=item.split == "train")
        if look != self._look:
            self._renderer.load(self._avatar, look)
            self._look = look


def _random_look(rng: np.random.Generator, *, styled: bool) -> Look:
    """Return clothes and hair colours; styled: sometimes drawn as a cartoon or in marble."""
    style = str(rng.choice(_STYLES, p=_STYLE_SHARES))
    hair = str(rng.choice(_HAIR)) if rng.random() < 0.75 else _colour(rng)
    return Look(
        style=style if styled else "natural",  # type: ignore[arg-type]
        jacket=_colour(rng) if rng.random() < 0.7 else "",
        top=_colour(rng) if rng.random() < 0.7 else "",
        hair=hair if rng.random() < 0.6 else "",
        lids=float(rng.uniform(0.3, 0.8)),
        shine=float(rng.uniform(0.7, 1.3)),
    )


def _camera(rng: np.random.Generator) -> Camera:
    return Camera(
        frame_m=float(rng.uniform(0.27, 0.42)),  # a face of 0.3 to 0.6 of the frame, as in users' portraits
        raise_m=float(rng.normal(-0.005, 0.012)),
        tilt_deg=float(rng.normal(1.0, 4.0)),
        fov_deg=float(rng.uniform(16.0, 38.0)),
        aside_m=float(rng.normal(0.0, 0.012)),
    )


def _score(rng: np.random.Generator, settings: PackSettings, *, opens_frontal: bool) -> tuple[Score, float]:
    """Return a score and where in it the clip begins; clips that are judged begin frontal, as users are asked to."""
    start_s = 0.25 if opens_frontal or rng.random() < 0.3 else float(rng.uniform(0.5, 2.5))
    wide = float(rng.uniform(0.45, 1.0))  # how much of the whole reach this performer uses
    reach = Reach(yaw_deg=(8.0, 50.0 * wide), pitch_deg=(-25.0 * wide, 25.0 * wide), roll_deg=20.0 * wide)
    moods, talks = (*MOODS, *_MORE_MOODS), bool(rng.random() < 0.5)
    return random_score(
        int(rng.integers(2**31)), start_s + settings.seconds, reach=reach, moods=moods, talks=talks
    ), start_s


def _colour(rng: np.random.Generator) -> str:
    """Return a random `#rrggbb`, dull ones more often than loud ones, as rooms and clothes are."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.beta(1.3, 2.5), rng.uniform(0.12, 0.92))
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
