# SPDX-License-Identifier: Apache-2.0
"""Recipe files: what the built-in source sets and clips show, as TOML.

Data flow: recipe.toml → read_recipe → Recipe → source_sets and clip. Unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.errors import InvalidSetting, UnknownSetting
from engine.training.render.finish import FINISHES
from engine.training.render.lights import LIGHT_RIGS, LightRig
from engine.training.render.looks import Look
from engine.training.render.motion import FaceKey, GazeKey, HeadKey, Score, Speech
from engine.training.render.pose import Pose, expression_weights
from engine.training.render.renderer import Camera

__all__ = ["Backdrop", "ClipRecipe", "PictureRecipe", "Recipe", "Scene", "SetRecipe", "read_recipe"]

T = TypeVar("T")


@dataclass(frozen=True)
class Backdrop:
    """Arguments of `draw_background`."""

    kind: str = "gradient"
    colours: Sequence[str] = ("#c8c8c8", "#8a8a8a")
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """One avatar, dressed, lit and framed. brightness: see `LightRig.exposed_for`; albedo 0: as the skin is."""

    avatar: str
    look: Look = field(default_factory=Look)
    lights: str = "studio"
    brightness: float = 1.0
    albedo: float = 0.0
    background: Backdrop = field(default_factory=Backdrop)
    camera: Camera = field(default_factory=Camera)

    def rig(self, skin_albedo: float) -> LightRig:
        """Return the lights, exposed for this avatar.

        Raises:
            InvalidSetting: no rig has this name.
        """
        if self.lights not in LIGHT_RIGS:
            known = ", ".join(sorted(LIGHT_RIGS))
            raise InvalidSetting(f"Unknown lights '{self.lights}'; choose one of {known}.")
        return LIGHT_RIGS[self.lights].exposed_for(self.albedo or skin_albedo, brightness=self.brightness)


@dataclass(frozen=True)
class PictureRecipe:
    """One picture of every set."""

    file: str
    notes: str
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    expression: Mapping[str, float] = field(default_factory=dict)

    def pose(self, faces: Mapping[str, Mapping[str, float]]) -> Pose:
        """Return the pose; a set may replace a picture's expression by its file's stem."""
        expression = faces.get(Path(self.file).stem, self.expression)
        return Pose(
            yaw_deg=self.yaw_deg,
            pitch_deg=self.pitch_deg,
            roll_deg=self.roll_deg,
            gaze_deg=(self.gaze_deg[0], self.gaze_deg[1]),
            weights=expression_weights(expression),
        )


@dataclass(frozen=True)
class SetRecipe:
    """One source set.

    faces: picture stem → expression, where this character needs another than usual. finish: see `finish.FINISHES`.
    """

    name: str
    title: str
    scene: Scene
    finish: str = ""
    faces: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipRecipe:
    """One driving clip."""

    file: str
    scene: Scene
    score: Score
    side_px: int = 512
    fps: int = 25
    crf: int = 23


@dataclass(frozen=True)
class Recipe:
    """Everything that is built in."""

    side_px: int
    author: str
    licence: str
    origin: str
    pictures: Sequence[PictureRecipe]
    sets: Sequence[SetRecipe]
    clips: Sequence[ClipRecipe]


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        InvalidSetting: the file cannot be read, or a value is missing or of the wrong type.
        UnknownSetting: a key is not known.
    """
    try:
        tree: dict[str, Any] = tomlkit.parse(path.read_text("utf-8")).unwrap()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise InvalidSetting(f"The recipe cannot be read: {error} ({path})") from error
    tree["pictures"] = [_build(PictureRecipe, entry, "pictures") for entry in tree.get("pictures", [])]
    tree["sets"] = [_set(entry) for entry in tree.get("sets", [])]
    tree["clips"] = [_clip(entry) for entry in tree.get("clips", [])]
    return _build(Recipe, tree, "the recipe")


def _set(entry: dict[str, Any]) -> SetRecipe:
    finish = entry.get("finish", "")
    if finish and finish not in FINISHES:
        raise InvalidSetting(f"Unknown finish '{finish}'; choose one of {', '.join(FINISHES)}.")
    return _build(SetRecipe, entry | {"scene": _scene(entry.get("scene", {}))}, "sets")


def _clip(entry: dict[str, Any]) -> ClipRecipe:
    score = dict(entry.get("score", {}))
    for name, kind in (("head", HeadKey), ("gaze", GazeKey), ("face", FaceKey), ("speech", Speech)):
        score[name] = tuple(_build(kind, key, f"clips.score.{name}") for key in score.get(name, []))
    return _build(
        ClipRecipe,
        entry | {"scene": _scene(entry.get("scene", {})), "score": _build(Score, score, "clips.score")},
        "clips",
    )


def _scene(entry: dict[str, Any]) -> Scene:
    parts: dict[str, Any] = {}
    for name, kind in (("look", Look), ("background", Backdrop), ("camera", Camera)):
        if name in entry:
            parts[name] = _build(kind, entry[name], f"scene.{name}")
    return _build(Scene, entry | parts, "scene")


def _build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a dataclass from a table."""
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UnknownSetting(f"Unknown key '{name}' in {where}; known are {', '.join(sorted(known))}.")
    for name, entry in known.items():
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise InvalidSetting(f"The key '{name}' is missing in {where}.")
    return kind(**values)
