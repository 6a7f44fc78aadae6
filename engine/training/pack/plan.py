# SPDX-License-Identifier: Apache-2.0
"""Which items a pack will have: folders of sources → a list in building order. Reads names only; any thread.

The source folder has `train/` and `dev/`, each with one folder per group: avatars (`*.glb`, rendered), videos and
GIFs (clips), pictures (stills). A group may mix them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SourceUnreadable
from engine.evaluation.clips import CLIP_SUFFIXES
from engine.sources.picture import PICTURE_SUFFIXES
from engine.training.pack.format import SPLITS
from engine.training.pack.settings import PackSettings, rank_of

__all__ = ["PlannedItem", "make_plan"]

_AVATAR = ".glb"
_MATTES = "mattes"  # a folder of the pack itself, so no group can be called that


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item to make. method: render, cut or picture. take: number of a rendered clip of its avatar."""

    split: str
    group: str
    name: str
    method: str
    source: Path
    take: int = 0

    @property
    def kind(self) -> str:
        return "still" if self.method == "picture" else "clip"

    @property
    def label(self) -> str:
        return f"{self.split}/{self.group}/{self.name}"


def make_plan(sources: Path, settings: PackSettings) -> list[PlannedItem]:
    """List the items of a pack; more clips or stills only add to what fewer would give.

    Raises:
        SourceUnreadable: no such folder, or neither split holds anything.
    """
    hint = "Name a folder with train/ and dev/, each with sub-folders of .glb avatars, videos or pictures."
    if not sources.is_dir():
        raise SourceUnreadable(f"The source folder does not exist: {sources}.", hint=hint, path=str(sources))
    plan: list[PlannedItem] = []
    for split in SPLITS:
        folder = sources / split
        groups = sorted(p for p in folder.iterdir() if p.is_dir() and p.name != _MATTES) if folder.is_dir() else []
        moving = [item for group in groups for item in _moving(split, group, settings)]
        plan += moving + _stills(split, groups, settings)
    if not plan:
        what = f"The source folder holds no avatar, video or picture: {sources}."
        raise SourceUnreadable(what, hint=hint, path=str(sources))
    return plan


def _moving(split: str, group: Path, settings: PackSettings) -> Iterator[PlannedItem]:
    # Takes of one avatar follow each other: loading it costs as much as many frames.
    for name, path in _named(p for p in _files(group) if p.suffix.lower() == _AVATAR):
        for take in range(settings.clips_in(split)):
            yield PlannedItem(split, group.name, f"{name}_{take:02d}", "render", path, take)
    for name, path in _named(p for p in _files(group) if p.suffix.lower() in CLIP_SUFFIXES):
        yield PlannedItem(split, group.name, name, "cut", path)


def _stills(split: str, groups: list[Path], settings: PackSettings) -> list[PlannedItem]:
    """Choose stills: every group gives as many as the others where it has them."""
    waiting: list[list[PlannedItem]] = []
    for group in groups:
        paths = [p for p in _files(group) if p.suffix.lower() in PICTURE_SUFFIXES and p.suffix.lower() != ".gif"]
        found = [PlannedItem(split, group.name, name, "picture", path) for name, path in _named(paths)]
        waiting.append(sorted(found, key=lambda item: rank_of(settings.seed, item.label)))
    chosen: list[PlannedItem] = []
    left = settings.stills_in(split)
    while left > 0 and any(waiting):
        for queue in waiting:
            if queue and left > 0:
                chosen.append(queue.pop(0))
                left -= 1
    return sorted(chosen, key=lambda item: (item.group, item.name))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _named(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Give every file a plain name of its own: letters, digits, - and _ (tar shards split names at dots)."""
    taken: set[str] = set()
    for path in paths:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem)[:80].strip("-") or "item"
        if name in taken:
            name = next(f"{name}-{k}" for k in range(2, len(taken) + 3) if f"{name}-{k}" not in taken)
        taken.add(name)
        yield name, path
