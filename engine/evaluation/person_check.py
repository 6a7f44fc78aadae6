# SPDX-License-Identifier: Apache-2.0
"""How many strangers the other-person check of a set finds, and how often it suspects the person itself.

    python -m engine.evaluation.person_check --clips PACK/dev/valid --clips PACK/dev/grid --stills dev/london

Hosts are the built-in rendered sets, each clip, all clips of one person together (names alike up to the last
underscore: the same face in other light), and stills (files of one person alike up to the first underscore, or a folder
of one person). Six pictures are drawn; each should pass, and a picture of anybody else put in the place of one should
be told. Any one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from engine.evaluation.clips import find_clips, load_clip
from engine.evaluation.protocol import Instruments, open_instruments
from engine.geometry import keypoints_from_landmarks
from engine.sets.person import SAME_PERSON_BELOW, Likeness, Unlikeness, compare_person, likeness_of
from engine.sources.framing import cut_image, face_box
from engine.sources.library import list_source_sets
from engine.sources.picture import PICTURE_SUFFIXES, read_picture
from engine.sources.source_set import load_source_set
from engine.types import Frame, SourceImage

__all__ = ["draw_trials"]

People: TypeAlias = Mapping[str, Sequence[Likeness]]  # host or person → pictures
_SIZE, _TRIALS, _PER_CLIP = 6, 240, 8
_RATES = (0.005, 0.01, 0.02, 0.05)


def draw_trials(
    hosts: People, people: People, person_of: Mapping[str, str], *, count: int = _TRIALS, seed: int = 0
) -> tuple[list[Unlikeness], list[Unlikeness]]:
    """Return the verdicts on a person's own pictures, and on strangers' among five of them.

    Args:
        hosts: name → at least six pictures of one person. people: everybody's pictures. person_of: host → its person.
    """
    rng = np.random.default_rng(seed)
    own, foreign = list[Unlikeness](), list[Unlikeness]()
    for host, pictures in hosts.items():
        others = [name for name in people if name != person_of[host]]
        for _ in range(-(-count // len(hosts))):
            drawn = [pictures[i] for i in rng.choice(len(pictures), _SIZE, replace=False)]
            own += [compare_person(drawn, index) for index in range(_SIZE)]
            stranger = people[others[int(rng.integers(len(others)))]]
            mixed = [*drawn[:-1], stranger[int(rng.integers(len(stranger)))]]
            foreign.append(compare_person(mixed, _SIZE - 1))
    return own, foreign


def _report(name: str, own: NDArray[np.float64], foreign: NDArray[np.float64]) -> str:
    bounds = [float(np.quantile(own, 1 - rate)) for rate in _RATES]
    found = [float((foreign > bound).mean()) for bound in bounds]
    rates = ", ".join(
        f"{rate:.1%} own: {hit:.0%} (from {bound:.2f})" for rate, hit, bound in zip(_RATES, found, bounds, strict=True)
    )
    return f"{name}: strangers found at {rates}; area {float((foreign[:, None] > own[None]).mean()):.3f}"


def _stills(folder: Path, tools: Instruments, alone: bool, add: Callable[[str, str, SourceImage], None]) -> None:
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES):
        rgb = read_picture(path).rgb
        motion = tools.judge.track(Frame(0, 0, rgb))
        if motion is None:
            continue
        box = face_box(motion.landmarks_px)
        portrait = cut_image(rgb, box, side_px=256)
        person = folder.name if alone else f"{folder.name}/{path.stem.partition('_')[0]}"
        points = keypoints_from_landmarks(motion.landmarks_px, box=box.box)
        add(person, person, SourceImage(path.name, portrait, tools.matte(portrait), points))


def main(
    clips: Annotated[list[Path] | None, typer.Option("--clips", help="Clips, or folders of clips.")] = None,
    stills: Annotated[list[Path] | None, typer.Option("--stills", help="Folders of pictures, NAME_….")] = None,
    alone: Annotated[list[Path] | None, typer.Option("--one-person", help="Folders of one person's pictures.")] = None,
) -> None:
    """Say how many strangers are found, by how often the person itself is suspected."""
    hosts: dict[str, list[Likeness]] = {}
    people: dict[str, list[Likeness]] = {}
    person_of: dict[str, str] = {}

    def add(host: str, person: str, image: SourceImage) -> None:
        seen = likeness_of(image)
        people.setdefault(person, []).append(seen)
        for name in {host, person}:
            hosts.setdefault(name, []).append(seen)
            person_of[name] = person

    for info in list_source_sets():
        source_set = load_source_set(info.path) if info.builtin else None
        if source_set is not None and not source_set.drawn:
            for image in source_set.images:
                add(info.name, info.name, image)
    with open_instruments() as tools:
        for found in find_clips(clips or []):
            tools.follower.reset()
            clip = load_clip(found.path, tracker=tools.follower)
            name = found.path.stem
            person = name.rpartition("_")[0] or name
            for index in np.linspace(0, len(clip.frames) - 1, _PER_CLIP).astype(int):
                rgb = clip.frames[index].copy()
                add(name, person, SourceImage(f"{index}", rgb, tools.matte(rgb), clip.keypoints[index].copy()))
        for folder in stills or []:
            _stills(folder, tools, False, add)
        for folder in alone or []:
            _stills(folder, tools, True, add)
    hosts = {name: pictures for name, pictures in hosts.items() if len(pictures) >= _SIZE}
    typer.echo(f"{len(people)} people, {sum(map(len, people.values()))} pictures, {len(hosts)} hosts")
    own, foreign = draw_trials(hosts, people, person_of)
    for name in ("build", "colours", "total"):
        values = [np.array([getattr(one, name) for one in each]) for each in (own, foreign)]
        typer.echo(_report(name, *values))
    suspected, told = (float(np.mean([v.total > SAME_PERSON_BELOW for v in each])) for each in (own, foreign))
    typer.echo(f"as shipped, from {SAME_PERSON_BELOW:g}: {told:.0%} of strangers, {suspected:.1%} of own pictures")


if __name__ == "__main__":
    typer.run(main)
