# SPDX-License-Identifier: Apache-2.0
"""`eval --cross`: a character driven by somebody else, over clips, models and numbers of source pictures.

The driver is a clip. The character is a source set, or frames of the clip half the list further on: a fixed pairing
that keeps the clips of one person, which usually stand together, apart. A character's first picture is its most
frontal and neutral frame, further ones add most (`engine.sources.ordering`). The driver's neutral is the calmest half
second of the clip. What is wanted of the character comes from the app's own retargeter, relative motion, with its
smoothing, run over every frame of the clip; models that find keypoints of their own move relative to the neutral frame.
Every 4th frame is scored, jitter is measured on runs of consecutive frames as in `protocol`. Any one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.app.assembly import load_sources
from engine.errors import InvalidSetting
from engine.evaluation.baseline import PortraitWarper
from engine.evaluation.bench import choose_counts
from engine.evaluation.clips import EvalClip, find_clips, load_clip
from engine.evaluation.cross_scoring import (
    expression_error_px,
    face_colours,
    identity_shape,
    leak_share,
    mean_or_nan,
    shape_distance,
    turn_error_deg,
)
from engine.evaluation.drive import Moment, begin, open_models, show
from engine.evaluation.eval_report import ClipScores, CrossScores, EvalReport, SheetRow
from engine.evaluation.machine import describe_machine
from engine.evaluation.plan import DRIVING_STEP, jitter_runs, telling_moments
from engine.evaluation.protocol import evaluate_all, open_instruments, run_jitter_px
from engine.evaluation.scoring import find_landmarks
from engine.evaluation.sheet import SheetCollector, moments_shown
from engine.geometry import landmarks_from_keypoints
from engine.sources.framing import SquareBox
from engine.sources.ordering import order_pictures
from engine.track.base import Tracker
from engine.track.calibration import find_neutral
from engine.track.retarget import Retargeter
from engine.types import SourceImage, SourceSet, TrackedMotion

__all__ = ["Character", "Driver", "character_of", "evaluate_pair", "run_cross"]

_SIDE_PX = 256
_PROTOCOL = (
    "cross-identity: character = source set, or frames of the clip half the list further on, most frontal and neutral "
    "first; relative motion from the driver's calmest half second; scored = every 4th frame of the driver"
)

Advance = Callable[[int, int | None], None]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Character:
    """Whom to animate. shape: its identity, see `cross_scoring`. colours: (6,) of its first picture's face."""

    source_set: SourceSet
    shape: Array
    colours: Array

    @classmethod
    def of(cls, source_set: SourceSet, faces: Sequence[NDArray[np.float32]]) -> Character:
        """Measure a character: its pictures and the (478, 3) faces that say what it looks like."""
        first = source_set.images[0]
        shape = identity_shape(faces)
        assert shape is not None, "a source set has pictures, and every picture a face"
        return cls(source_set, shape, face_colours(first.rgb, _in_px(first.keypoints, first.rgb.shape[0])))


@dataclass(frozen=True, slots=True, eq=False)
class Driver:
    """Who drives. neutral: frame number of the rest pose."""

    clip: EvalClip
    motions: tuple[TrackedMotion, ...]
    neutral: int
    scored: tuple[int, ...]
    runs: tuple[tuple[int, ...], ...]
    shape: Array

    @classmethod
    def of(cls, clip: EvalClip) -> Driver:
        """Prepare a clip for driving."""
        motions = tuple(
            TrackedMotion(index, int(clip.captured_ns[index]), _in_px(clip.keypoints[index], clip.side_px))
            for index in range(len(clip.frames))
        )
        neutral = int(np.searchsorted(clip.captured_ns, find_neutral(motions).captured_ns))
        scored = list(range(0, len(clip.frames), DRIVING_STEP))
        shape = identity_shape(clip.keypoints[scored])
        assert shape is not None, "a clip has frames"
        return cls(clip, motions, neutral, tuple(scored), jitter_runs(scored, clip.captured_ns), shape)

    @property
    def driving(self) -> tuple[int, ...]:
        """All frames that are rendered, in order."""
        return tuple(sorted({*self.scored, *(index for run in self.runs for index in run)}))

    def moments(self, source_set: SourceSet) -> dict[int, Moment]:
        """Return what is wanted of a character, by frame number; the retargeter sees every frame on the way."""
        keypoints = np.stack([image.keypoints for image in source_set.images])
        retargeter = Retargeter(keypoints[0], coverage=keypoints, neutral=find_neutral(self.motions))
        wanted = [retargeter.retarget(motion) for motion in self.motions]
        return {
            index: Moment(wanted[index].captured_ns, wanted[index].keypoints, self.clip.frames[index])
            for index in self.driving
        }


def character_of(
    clip: EvalClip, *, most_sources: int, matte: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> Character:
    """Make a character of a clip's own frames."""
    order = order_pictures(list(clip.keypoints))[:most_sources]
    images = tuple(
        SourceImage(f"{clip.name} {index}", clip.frames[index], matte(clip.frames[index]), clip.keypoints[index])
        for index in order
    )
    return Character.of(SourceSet(clip.name, images), list(clip.keypoints[::DRIVING_STEP]))


def run_cross(
    clips: Sequence[Path],
    *,
    source_set: str = "",
    models: Sequence[str] = ("lite",),
    source_counts: Sequence[int] = (1, 2, 3, 4, 8),
    backend: str = "auto",
    advance: Advance = lambda _done, _total: None,
) -> EvalReport:
    """Let every clip of some folders drive a character.

    Args:
        source_set: name or path of the character; empty pairs the clips with each other.
        clips, models, source_counts, backend, advance: as `run_eval`.
    Raises:
        InvalidSetting: one clip alone and no source set, or the set has fewer pictures than any of the counts.
        SourceError, DriverError, EngineError: what is needed cannot be opened or fails.
    """
    found = find_clips(clips)
    if len(found) < 2 and not source_set:
        raise InvalidSetting(
            f"--cross pairs clips with each other and needs two or more, got {len(found)}.",
            hint="Name another folder, or a character with --set.",
        )
    fixed = None
    if source_set:
        loaded = load_sources(source_set, side_px=_SIDE_PX)
        source_counts = choose_counts(source_counts, available=len(loaded.images), name=loaded.name)
        fixed = Character.of(loaded, [image.keypoints for image in loaded.images])
    with open_models(models, backend=backend) as opened, open_instruments() as instruments:

        def evaluate(index: int, step: Callable[[int], None]) -> tuple[list[ClipScores], list[SheetRow]]:
            driver = Driver.of(load_clip(found[index].path, tracker=instruments.follower))
            character = fixed or _other_clip(index)
            rows, pictures = evaluate_pair(
                driver,
                character,
                opened.warpers,
                source_counts=source_counts,
                judge=instruments.judge,
                folder=found[index].folder,
                sheet_moments=moments_shown(index, len(found)),
                step=step,
            )
            return rows, pictures

        def _other_clip(index: int) -> Character:
            other = found[(index + len(found) // 2) % len(found)]
            clip = load_clip(other.path, tracker=instruments.follower)
            return character_of(clip, most_sources=max(source_counts), matte=instruments.matte)

        names = [f"{one.folder}/{one.path.name}" for one in found]
        per_clip = len(opened.warpers) * len(source_counts)
        rows, pictures, skipped = evaluate_all(names, evaluate, steps_each=per_clip, advance=advance)
        return EvalReport(
            tuple(rows), _PROTOCOL, opened.engines, opened.titles, skipped, describe_machine(), tuple(pictures)
        )


def evaluate_pair(
    driver: Driver,
    character: Character,
    warpers: Mapping[str, PortraitWarper],
    *,
    source_counts: Sequence[int],
    judge: Tracker,
    folder: str = "",
    sheet_moments: int = 0,
    step: Callable[[int], None] = lambda _done: None,
) -> tuple[list[ClipScores], list[SheetRow]]:
    """Evaluate every warper with every number of source pictures on one pair; arguments as `evaluate_clip`."""
    clip, name = driver.clip, f"{driver.clip.name} → {character.source_set.name}"
    moments = telling_moments(clip.keypoints, driver.scored, count=sheet_moments)
    sheet = SheetCollector(moments, source_counts=source_counts)
    rows: list[ClipScores] = []
    for count in source_counts:
        source_set = SourceSet(name, character.source_set.images).take(count)
        wanted = driver.moments(source_set)
        for model, warper in warpers.items():
            begin(warper, source_set, neutral=clip.frames[driver.neutral])
            outputs = {index: show(warper, moment, side_px=clip.side_px) for index, moment in wanted.items()}
            scores = _score(outputs, wanted, driver, character, judge)
            rows.append(ClipScores(name, model, count, len(driver.scored), scores, folder))
            sheet.keep(model, source_set, clip.frames, outputs)
            step(len(rows))
    order = {model: place for place, model in enumerate(warpers)}
    return sorted(rows, key=lambda row: order[row.model]), sheet.rows()


def _score(
    outputs: Mapping[int, NDArray[np.uint8]],
    wanted: Mapping[int, Moment],
    driver: Driver,
    character: Character,
    judge: Tracker,
) -> CrossScores:
    side_px = driver.clip.side_px
    found = {index: find_landmarks(judge, output) for index, output in outputs.items()}
    wanted_px = {index: _in_px(moment.keypoints, side_px) for index, moment in wanted.items()}
    faces = {index: face for index in driver.scored if (face := found[index]) is not None}
    shape = identity_shape(faces.values())
    colours = [face_colours(outputs[index], face) for index, face in faces.items()]
    known = [colour for colour in colours if np.isfinite(colour).all()]
    nan = float("nan")
    return CrossScores(
        missing=1.0 - len(faces) / len(driver.scored),
        shape_off=nan if shape is None else shape_distance(shape, character.shape),
        shape_driver=nan if shape is None else shape_distance(shape, driver.shape),
        leak=nan if shape is None else leak_share(shape, character=character.shape, driver=driver.shape),
        colour_lab=mean_or_nan([float(np.linalg.norm(colour - character.colours)) for colour in known]),
        expression_px=mean_or_nan([expression_error_px(face, wanted_px[index]) for index, face in faces.items()]),
        turn_deg=mean_or_nan([turn_error_deg(face, wanted_px[index]) for index, face in faces.items()]),
        jitter_px=run_jitter_px(driver.runs, found, wanted_px),
    )


def _in_px(keypoints: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """Return portrait-space keypoints as pixels of a square picture."""
    return landmarks_from_keypoints(keypoints, box=SquareBox(0, 0, side_px).box)
