# SPDX-License-Identifier: Apache-2.0
"""What the app remembers: one frozen value, one JSON file, written whole or not at all.

A file that cannot be read never stops the app: the defaults are used, the file is kept under another name, and one
sentence says so. What belongs to the engine (`engine.config.LiveSettings`) is checked by its own dataclasses, so that
no value outside its limits gets in from a file. Any thread; no Qt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_config_path, user_videos_path

from engine.config import LiveSettings, MotionSettings, OutputSettings, PipelineSettings
from engine.errors import ConfigVersionError, InvalidSetting, PuppeteerError
from engine.files import write_whole

__all__ = [
    "PROFILE_KEYS",
    "THEMES",
    "AppSettings",
    "Loaded",
    "Profile",
    "export_settings",
    "import_settings",
    "load_app_settings",
    "save_app_settings",
    "settings_path",
    "with_own",
]

VERSION = 1
PROFILE_KEYS = tuple(range(1, 10))
THEMES = ("dark", "light")
_OWN = ("window", "accepted", "camera", "microphone", "device", "virtual_camera", "recordings")  # this machine's

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profile:
    """What one of the keys 1–9 brings back: a source set and, where it was saved with them, motion and background."""

    source_set: str
    motion: MotionSettings | None = None
    background: str | None = None


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Everything the app remembers.

    camera: what `engine.capture.open_camera` takes; empty until one was chosen. person: whose neutral poses are used.
    microphone: heard in recordings; empty for none. device: which virtual camera where there are several.
    accepted: the responsible-use statement was agreed to.
    window: Qt's own description of the window's place, base64. panes: which collapsible parts are open.
    """

    camera: str = ""
    source_set: str = ""
    model: str = "lite"
    backend: str = "auto"
    person: str = "me"
    live: LiveSettings = field(default_factory=LiveSettings)
    virtual_camera: bool = False
    device: str = ""
    recordings: str = ""
    microphone: str = ""
    theme: str = "dark"
    accepted: bool = False
    window: str = ""
    panes: Mapping[str, bool] = field(default_factory=dict)
    profiles: Mapping[int, Profile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise _invalid("theme", self.theme, "one of " + ", ".join(THEMES))
        for name in (
            "camera",
            "source_set",
            "model",
            "backend",
            "person",
            "device",
            "recordings",
            "microphone",
            "window",
        ):
            if not isinstance(getattr(self, name), str):
                raise _invalid(name, getattr(self, name), "text")
        for name in ("virtual_camera", "accepted"):
            if not isinstance(getattr(self, name), bool):
                raise _invalid(name, getattr(self, name), "true or false")

    @property
    def recordings_folder(self) -> Path:
        """Where recordings and snapshots go."""
        return Path(self.recordings).expanduser() if self.recordings else user_videos_path() / "Bunraku"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings read from a file. notice: one sentence for the user where something was wrong; else empty."""

    settings: AppSettings
    notice: str = ""


def settings_path() -> Path:
    """Return where the settings are kept."""
    return user_config_path("bunraku", appauthor=False) / "desktop.json"


def load_app_settings(path: Path) -> Loaded:
    """Read the settings; never fails. A file that cannot be used is kept beside, under a name that says so."""
    try:
        return Loaded(_read(path))
    except FileNotFoundError:
        return Loaded(AppSettings())
    except (OSError, PuppeteerError) as error:
        kept = _set_aside(path)
        where = f"The old file is kept as {kept.name}." if kept is not None else "The old file could not be moved."
        return Loaded(AppSettings(), f"The settings could not be read, so the defaults are used: {error} {where}")


def save_app_settings(settings: AppSettings, path: Path) -> None:
    """Write the settings; a crash leaves the old file or the new one, never half of one.

    Raises:
        InvalidSetting: the file cannot be written.
    """
    try:
        write_whole(path, json.dumps(_to_json(settings), indent=2, ensure_ascii=False), durable=True)
    except OSError as error:
        raise InvalidSetting(
            f"The settings cannot be saved: {error.strerror or error} ({path}).",
            hint="Check that the folder exists and that there is room.",
            path=str(path),
        ) from error


def export_settings(settings: AppSettings, path: Path) -> None:
    """Write the settings for another machine: without consent and what is this machine's own (see `_OWN`).

    Raises:
        InvalidSetting: the file cannot be written.
    """
    save_app_settings(with_own(settings, AppSettings()), path)


def import_settings(path: Path, *, current: AppSettings) -> AppSettings:
    """Read exported settings; consent and what is this machine's own stay as they are.

    Raises:
        InvalidSetting, ConfigVersionError: the file cannot be used; nothing was changed.
    """
    try:
        read = _read(path)
    except OSError as error:
        raise InvalidSetting(
            f"The file cannot be read: {error.strerror or error} ({path}).", hint="Choose another file."
        ) from error
    return with_own(read, current)


def with_own(settings: AppSettings, current: AppSettings) -> AppSettings:
    """Return settings with consent and what is this machine's own taken from those in force."""
    return replace(settings, **{name: getattr(current, name) for name in _OWN})


def _read(path: Path) -> AppSettings:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, not JSON
        raise InvalidSetting(f"The file is not valid JSON: {error}.", path=str(path)) from error
    if not isinstance(data, dict):
        raise _invalid("the file", type(data).__name__, "one JSON object")
    version = data.pop("version", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _invalid("version", version, "a whole number from 1 on")
    if version > VERSION:
        raise ConfigVersionError(f"It was written by a newer Bunraku (version {version}, this one reads {VERSION}).")
    live = data.pop("live", {})
    profiles = data.pop("profiles", {})
    panes = data.pop("panes", {})
    if not isinstance(live, dict) or not isinstance(profiles, dict) or not isinstance(panes, dict):
        raise InvalidSetting("live, profiles and panes must each be a JSON object.")
    return AppSettings(
        **_known(AppSettings, data),
        live=LiveSettings(
            motion=MotionSettings(**_known(MotionSettings, live.get("motion", {}))),
            output=OutputSettings(**_known(OutputSettings, live.get("output", {}))),
            pipeline=PipelineSettings(**_known(PipelineSettings, live.get("pipeline", {}))),
        ),
        profiles={_key(key): _profile(value) for key, value in profiles.items()},
        panes={str(name): bool(is_open) for name, is_open in panes.items()},
    )


def _known(cls: type[T], table: object) -> dict[str, Any]:
    """Return a table's values by name; a name that does not exist is an error, as everywhere."""
    if not isinstance(table, dict):
        raise _invalid(cls.__name__, table, "a JSON object")
    names = {each.name for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in table:
        if name not in names:
            raise InvalidSetting(f"There is no setting {name}.", name=name)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def _key(text: str) -> int:
    if text not in map(str, PROFILE_KEYS):
        raise _invalid("profiles", text, "keys from 1 to 9")
    return int(text)


def _profile(value: object) -> Profile:
    if not isinstance(value, dict) or not isinstance(value.get("source_set"), str):
        raise _invalid("profiles", value, "an object with a source_set")
    motion, background = value.get("motion"), value.get("background")
    if background is not None:
        OutputSettings(background=background)  # checks it
    return Profile(
        value["source_set"],
        MotionSettings(**_known(MotionSettings, motion)) if motion is not None else None,
        background,
    )


def _to_json(settings: AppSettings) -> dict[str, Any]:
    data = dataclasses.asdict(settings)
    data["live"].pop("blanked")  # a moment's choice
    data["profiles"] = {str(key): value for key, value in data["profiles"].items()}
    return {"version": VERSION, **data}


def _set_aside(path: Path) -> Path | None:
    """Rename a file that cannot be used; return its new name, or None where that failed too."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        kept = path.with_name(f"{path.stem}.unreadable-{stamp}{f'-{number}' if number else ''}{path.suffix}")
        if not kept.exists():
            with contextlib.suppress(OSError):
                os.replace(path, kept)
                return kept
            return None
    return None


def _invalid(name: str, value: object, allowed: str) -> InvalidSetting:
    return InvalidSetting(f"{name} must be {allowed}, got {value!r}.", name=name, value=value, allowed=allowed)
