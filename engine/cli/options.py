# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share, and how they become settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated

import typer

from engine.config import LiveSettings, load_settings
from engine.errors import InvalidSetting

__all__ = [
    "MODEL_NAMES",
    "OUT_HELP",
    "AbsoluteOption",
    "AsJsonOption",
    "BackendOption",
    "BackgroundOption",
    "CameraOption",
    "ContactSheetOption",
    "DeviceOption",
    "FpsOption",
    "JsonFileOption",
    "MirrorOption",
    "ModelOption",
    "QuietOption",
    "ReplaceOption",
    "SecondsOption",
    "SetOption",
    "SettingsOption",
    "SizeOption",
    "SourcesOption",
    "parse_counts",
    "parse_names",
    "parse_size",
    "settings_from",
]

SetOption = Annotated[
    str, typer.Option("--set", metavar="NAME|PATH", help="Source set: a name of `set list` or a path.")
]
# Not by `engine.runtime.manifest.list_models`: that needs numpy, and `--help` must answer at once.
_MODEL_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "models"
MODEL_NAMES = ", ".join(sorted(path.parent.name for path in _MODEL_FOLDER.glob("*/manifest.json")))
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME", help=f"Warping model: {MODEL_NAMES}.")]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="What computes: auto, openvino, openvino:GPU, openvino:NPU, tensorrt_rtx, tensorrt, torch, torch:cuda.",
    ),
]
SourcesOption = Annotated[
    int | None, typer.Option("--sources", min=1, help="Use only the first N pictures of the set.")
]
SizeOption = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Size of the picture that goes out.")]
BackgroundOption = Annotated[
    str | None,
    typer.Option("--background", help='"source", "blur", "green", "transparent", "#rrggbb" or the path of a picture.'),
]
OUT_HELP = ".mp4, or with a transparent background .webm, .mov or a folder for PNG pictures."
MirrorOption = Annotated[bool, typer.Option("--mirror", help="Flip the character left to right.")]
AbsoluteOption = Annotated[
    bool, typer.Option("--absolute", help="Copy positions instead of adding motion to the character's own face.")
]
FpsOption = Annotated[float | None, typer.Option("--fps", help="Frames per second offered to the outputs.")]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE.toml", help="Settings file; the options here win over it.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Virtual-camera device, where there are several.")]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop after so much driving time.")]
ContactSheetOption = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE.png", help="Write a contact sheet too.")
]
JsonFileOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON too.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Take the place of a set of this name.")]
CameraOption = Annotated[str, typer.Option("--camera", metavar="ID", help="Camera of `bunraku cameras`, or a video.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of a text such as 1280x720.

    Raises:
        InvalidSetting: the text is something else.
    """
    match = re.fullmatch(r"(\d+)\s*[xX×]\s*(\d+)", text.strip())
    if match is None:
        raise InvalidSetting(f"--size must be WIDTHxHEIGHT such as 1280x720, got {text!r}.", name="size", value=text)
    return int(match[1]), int(match[2])


def parse_counts(text: str, *, name: str) -> tuple[int, ...]:
    """Return the numbers of a text such as 1,2,4,8.

    Raises:
        InvalidSetting: not a list of whole numbers above zero.
    """
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise InvalidSetting(f"{name} must be numbers such as 1,2,4,8, got {text!r}.", name=name, value=text)
    return counts


def parse_names(text: str) -> list[str]:
    """Return the model names of a text such as fomm,lite.

    Raises:
        InvalidSetting: there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidSetting(f"--models must be names such as lite, got {text!r}.", name="models", value=text)
    return names


def settings_from(
    *,
    settings: Path | None,
    default_size_wh: tuple[int, int],
    size: str | None = None,
    background: str | None = None,
    mirror: bool = False,
    fps: float | None = None,
    absolute: bool = False,
) -> LiveSettings:
    """Return the settings file's values (or the defaults) with the given options on top.

    Raises:
        InvalidSetting: an option or a value of the file is outside its limits, or the file does not exist.
    """
    if settings is not None and not settings.is_file():
        raise InvalidSetting(f"The settings file does not exist: {settings}", path=str(settings))
    base = load_settings(settings) if settings is not None else LiveSettings()
    output: dict[str, object] = {} if settings is not None else {"size_wh": default_size_wh}
    if size is not None:
        output["size_wh"] = parse_size(size)
    if background is not None:
        output["background"] = background
    if mirror:
        output["mirrored"] = True
    if fps is not None:
        output["fps"] = fps
    motion = dataclasses.replace(base.motion, motion=0.0) if absolute else base.motion
    return dataclasses.replace(base, motion=motion, output=dataclasses.replace(base.output, **output))  # type: ignore[arg-type]
