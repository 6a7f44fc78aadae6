# SPDX-License-Identifier: Apache-2.0
"""Every setting, declared once: default, limits and meaning; loaded from and saved to one TOML file.

Plain frozen dataclasses rather than pydantic models, because `dataclasses.replace` then checks the new value too
(pydantic's `model_copy` does not) and because importing them costs nothing. Values are read by the render thread
as one `LiveSettings` reference at the top of each frame; nothing here is ever changed in place.

The file has a `version` and one table per class (`[motion]`, `[output]`, `[pipeline]`). Unknown names are errors
with the nearest known name in the hint. tomlkit keeps a user's comments when a file is saved again.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import ConfigVersionError, InvalidSetting, UnknownSetting
from engine.files import write_whole

__all__ = [
    "SETTINGS_VERSION",
    "WATERMARK_CORNERS",
    "WATERMARK_STYLES",
    "LiveSettings",
    "MotionSettings",
    "OutputSettings",
    "PipelineSettings",
    "load_settings",
    "save_settings",
    "setting_limits",
]

SETTINGS_VERSION = 1
WATERMARK_CORNERS = ("top-right", "top-left", "bottom-right", "bottom-left")
WATERMARK_STYLES = ("dark", "light")
_SIDE_PX = (128, 4096)  # below, the watermark is not legible; above, encoders and virtual cameras refuse
_FPS = (1.0, 240.0)
_HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

T = TypeVar("T")


def _number(default: float, low: float, high: float, help_text: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "help": help_text})


def _choice(choices: tuple[str, ...], help_text: str) -> Any:
    return field(default=choices[0], metadata={"choices": choices, "help": help_text})


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """How the performer's motion reaches the character. All values are unitless."""

    motion: float = _number(1.0, 0.0, 1.0, "0 copies positions (absolute), 1 adds motion to the character's own face")
    head: float = _number(1.0, 0.0, 2.0, "gain of head rotation and position")
    eyes: float = _number(1.0, 0.0, 2.0, "gain of eyelids and gaze")
    mouth: float = _number(1.0, 0.0, 2.0, "gain of lips and jaw")
    brows: float = _number(1.0, 0.0, 2.0, "gain of the eyebrows")
    steadiness: float = _number(0.5, 0.0, 1.0, "0 snappy, 1 steady")

    def __post_init__(self) -> None:
        _check_declared("motion", self)


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What leaves the app. The watermark's corner and style are a choice; having one is not.

    size_wh: canvas in pixels. background: "source" (the pictures' own), "blur" (the same out of focus), "green",
    "#rrggbb", "transparent" (only files can keep that; black elsewhere) or the path of a picture.
    mirrored: flip the character left to right, never the watermark.
    """

    size_wh: tuple[int, int] = (1280, 720)
    fps: float = _number(30.0, *_FPS, "frames per second offered to the virtual camera and recorder")
    background: str = "source"
    mirrored: bool = False
    watermark_corner: str = _choice(WATERMARK_CORNERS, "where the watermark sits")
    watermark_style: str = _choice(WATERMARK_STYLES, "dark or light plate under the watermark's text")

    def __post_init__(self) -> None:
        _check_declared("output", self)
        object.__setattr__(self, "size_wh", _checked_size(self.size_wh))
        if not isinstance(self.background, str) or not self.background.strip():
            raise _invalid(
                "output.background",
                self.background,
                '"source", "blur", "green", "transparent", "#rrggbb" or the path of a picture',
            )
        if self.background.startswith("#") and not _HEX_COLOUR.fullmatch(self.background):
            raise _invalid("output.background", self.background, "a colour as # and six hex digits, such as #20242c")


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Waiting times of the live pipeline."""

    hold_s: float = _number(0.7, 0.0, 10.0, "how long the last pose stays when the face is lost")
    fade_s: float = _number(0.5, 0.0, 10.0, "fade from the last pose to the holding card")
    recover_s: float = _number(0.15, 0.0, 10.0, "fade from the holding card back to the character")
    stall_s: float = _number(0.5, 0.01, 60.0, "a camera silent for longer counts as stalled")
    reopen_first_s: float = _number(0.25, 0.0, 60.0, "wait before a lost camera is opened again; doubles each time")
    reopen_most_s: float = _number(0.5, 0.0, 600.0, "longest wait between two attempts to open a lost camera")
    give_up_s: float = _number(
        60.0, 0.0, 3600.0, "how long a failing engine is made anew before the run ends; 0 ends it at once"
    )
    join_s: float = _number(5.0, 0.1, 60.0, "how long stopping waits for one thread")

    def __post_init__(self) -> None:
        _check_declared("pipeline", self)


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """All settings the render thread reads, as one value. blanked: the panic key; shows the holding card at once."""

    motion: MotionSettings = field(default_factory=MotionSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    blanked: bool = False


_TABLES: Mapping[str, type[Any]] = {
    "motion": MotionSettings,
    "output": OutputSettings,
    "pipeline": PipelineSettings,
}


def setting_limits(cls: type[Any], name: str) -> tuple[float, float]:
    """Return (lowest, highest) of a numeric setting, for sliders and help texts.

    Raises:
        UnknownSetting: the class has no numeric setting of this name.
    """
    numeric = {f.name: (f.metadata["low"], f.metadata["high"]) for f in dataclasses.fields(cls) if "low" in f.metadata}
    if name not in numeric:
        raise _unknown(name, numeric)
    return numeric[name]


def load_settings(path: Path) -> LiveSettings:
    """Read a settings file; a missing file gives the defaults.

    Raises:
        InvalidSetting: not TOML, or a value outside its limits.
        UnknownSetting: a name that does not exist; the hint offers the nearest one.
        ConfigVersionError: written by a newer Bunraku.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except FileNotFoundError:
        return LiveSettings()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise InvalidSetting(
            f"The settings file cannot be read: {error} ({path})", hint="Correct the file or delete it.", path=str(path)
        ) from error
    _check_version(document.pop("version", SETTINGS_VERSION), path)
    _refuse_unknown(document, _TABLES, prefix="")
    return LiveSettings(**{name: _from_table(name, cls, document.get(name, {})) for name, cls in _TABLES.items()})


def save_settings(settings: LiveSettings, path: Path) -> None:
    """Write all settings; comments of an existing file stay. `blanked` is a moment's choice and is not kept.

    Raises:
        InvalidSetting: the file cannot be written, or the existing file is not TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        document["version"] = SETTINGS_VERSION
        for name in _TABLES:
            table = document.setdefault(name, tomlkit.table())
            for key, value in dataclasses.asdict(getattr(settings, name)).items():
                table[key] = list(value) if isinstance(value, tuple) else value
        write_whole(path, tomlkit.dumps(document), durable=True)
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise InvalidSetting(
            f"The settings file cannot be written: {error} ({path})", hint="Check the folder's rights.", path=str(path)
        ) from error


def _check_version(version: object, path: Path) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _invalid("version", version, "a whole number from 1 on")
    if version > SETTINGS_VERSION:
        raise ConfigVersionError(
            f"The settings file has version {version}, this Bunraku reads up to {SETTINGS_VERSION} ({path}).",
            hint="Update Bunraku, or delete the file to start with the defaults.",
            path=str(path),
        )


def _from_table(name: str, cls: type[T], table: object) -> T:
    if not isinstance(table, dict):
        raise _invalid(name, table, f"a table, written [{name}]")
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    _refuse_unknown(table, known, prefix=f"{name}.")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})


def _refuse_unknown(given: Iterable[str], known: Iterable[str], *, prefix: str) -> None:
    for key in given:
        if key not in known:
            raise _unknown(key, known, prefix=prefix)


def _unknown(key: str, known: Iterable[str], *, prefix: str = "") -> UnknownSetting:
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"Did you mean {prefix}{near[0]}?" if near else f"Known are: {', '.join(known)}."
    return UnknownSetting(f"There is no setting {prefix}{key}.", hint=hint, name=f"{prefix}{key}")


def _invalid(name: str, value: object, allowed: str) -> InvalidSetting:
    return InvalidSetting(f"{name} must be {allowed}, got {value!r}.", name=name, value=value, allowed=allowed)


def _checked_size(size_wh: object) -> tuple[int, int]:
    low, high = _SIDE_PX
    if (
        not isinstance(size_wh, tuple | list)
        or len(size_wh) != 2
        or any(not isinstance(side, int) or isinstance(side, bool) or not low <= side <= high for side in size_wh)
    ):
        raise _invalid("output.size_wh", size_wh, f"[width, height] in pixels, each from {low} to {high}")
    return size_wh[0], size_wh[1]


def _check_declared(table: str, value: Any) -> None:
    """Check every field against its declaration: limits, choices, booleans."""
    for declared in dataclasses.fields(value):
        name, given, meta = f"{table}.{declared.name}", getattr(value, declared.name), declared.metadata
        if "low" in meta:
            low, high = meta["low"], meta["high"]
            is_number = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
            if not is_number or not low <= given <= high:
                raise _invalid(name, given, f"a number from {low:g} to {high:g}")
            object.__setattr__(value, declared.name, float(given))
        elif "choices" in meta and given not in meta["choices"]:
            raise _invalid(name, given, "one of " + ", ".join(meta["choices"]))
        elif declared.type == "bool" and not isinstance(given, bool):
            raise _invalid(name, given, "true or false")
