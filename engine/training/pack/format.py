# SPDX-License-Identifier: Apache-2.0
"""Pack format, version 1, and its manifest. Values and their JSON; any thread.

    manifest.json                 written last, so that its presence means a whole pack
    landmarks.npz                 of all frames, in the manifest's order of items; see `engine.training.pack.landmarks`
    licences/*.txt                licence texts as they came with the sources
    <split>/<group>/NAME.mp4      a clip, H.264 4:2:0, square; `bunraku eval --clips PACK/dev/GROUP` takes the folder
    <split>/<group>/NAME.jpg      a still
    <split>/mattes/<group>/NAME.mp4|.jpg   its matte, grey, 255 on the person, frame by frame
    .gitignore                    keeps the pack out of every repository: some pictures show real people

Splits are `train` and `dev`. Kinds are `clip` and `still`. A frame without a tracked face stays in the video and is
flagged in landmarks.npz; it is left out on load. manifest.json holds version, side_px, fps, seed, the settings and
tool versions of the build, `groups` (origin and licence), `items` and `skipped` (source → reason).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.errors import PackInvalid
from engine.files import write_whole

__all__ = [
    "FORMAT",
    "KINDS",
    "LANDMARKS",
    "MANIFEST",
    "SPLITS",
    "VERSION",
    "PackManifest",
    "StoredGroup",
    "StoredItem",
    "parse_item",
    "read_manifest",
    "write_manifest",
]

FORMAT, VERSION = "bunraku-pack", 1
MANIFEST, LANDMARKS = "manifest.json", "landmarks.npz"
SPLITS = ("train", "dev")
KINDS = ("clip", "still")
_SUFFIX = {"clip": ".mp4", "still": ".jpg"}


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A folder of items. licence: short name; licence_file: its text in the pack, empty where none came with it."""

    split: str
    name: str
    origin: str
    licence: str
    licence_file: str = ""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A clip or still. frames: in the file; tracked: of these, with a face. matte: exact, mediapipe or alpha.

    source: path below the source folder. sha256, matte_sha256: of the two files, hexadecimal.
    """

    name: str
    split: str
    group: str
    kind: str
    frames: int
    tracked: int
    fps: int
    matte: str
    source: str
    licence: str
    sha256: str
    matte_sha256: str

    @property
    def label(self) -> str:
        """What it is called in messages and in `PackItem.name`."""
        return f"{self.group}/{self.name}"

    @property
    def file(self) -> str:
        return f"{self.split}/{self.group}/{self.name}{_SUFFIX[self.kind]}"

    @property
    def matte_file(self) -> str:
        return f"{self.split}/mattes/{self.group}/{self.name}{_SUFFIX[self.kind]}"


@dataclass(frozen=True, slots=True)
class PackManifest:
    """Everything a pack says about itself."""

    side_px: int
    fps: int
    seed: int
    settings: Mapping[str, Any]
    tools: Mapping[str, str]
    groups: tuple[StoredGroup, ...]
    items: tuple[StoredItem, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)


def write_manifest(folder: Path, manifest: PackManifest) -> None:
    """Write manifest.json in one step.

    Raises:
        OSError: as the system says.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **asdict(manifest)}, indent=1, ensure_ascii=False)
    write_whole(folder / MANIFEST, text + "\n")


def read_manifest(folder: Path) -> PackManifest:
    """Read a pack's manifest.

    Raises:
        PackInvalid: no such pack, another version, or a manifest that does not follow the format.
    """
    if not folder.is_dir():
        raise PackInvalid(f"The pack does not exist: {folder}.", hint="Build it with `pack build`.", path=str(folder))
    path = folder / MANIFEST
    try:
        tree = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        hint = "Run the same `pack build` again to finish it, or name another folder."
        raise PackInvalid(f"The folder is no finished pack: it has no {MANIFEST} ({folder}).", hint=hint) from error
    except (OSError, ValueError) as error:
        raise PackInvalid(f"The pack's manifest cannot be read: {error} ({path}).", hint="Build it again.") from error
    return _parse(tree, path)


def _parse(tree: Any, where: Path) -> PackManifest:
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise PackInvalid(f"The manifest is not one of a training pack ({where}).", path=str(where))
    if tree.get("version") != VERSION:
        what = f"The pack has format version {tree.get('version')}, this Bunraku reads version {VERSION} ({where})."
        raise PackInvalid(what, hint="Build it again with this version.", path=str(where))
    try:
        values = {f.name: tree[f.name] for f in fields(PackManifest)}
        values["groups"] = tuple(StoredGroup(**entry) for entry in values["groups"])
        values["items"] = tuple(parse_item(entry) for entry in values["items"])
        return PackManifest(**values)
    except (KeyError, TypeError, ValueError) as error:
        what = f"The pack's manifest does not follow the format: {error} ({where})."
        raise PackInvalid(what, hint="Build it again.", path=str(where)) from error


def parse_item(entry: Mapping[str, Any]) -> StoredItem:
    """Return the item in a JSON table.

    Raises:
        TypeError, ValueError: keys or values that the format does not know.
    """
    item = StoredItem(**entry)
    if item.split not in SPLITS or item.kind not in KINDS or item.frames < 1:
        raise ValueError(f"item {item.label} has split {item.split}, kind {item.kind}, {item.frames} frames")
    # Names become paths: a manifest from elsewhere must not reach outside its folder.
    if any(part != Path(part).name or part in ("", ".", "..") for part in (item.group, item.name)):
        raise ValueError(f"item {item.label!r} is no plain file name")
    return item
