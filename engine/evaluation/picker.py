# SPDX-License-Identifier: Apache-2.0
"""How good the video picker's choice is: N picked frames against N random ones, by what the model makes of them.

    python -m engine.evaluation.picker CLIPS… --count 4 --draws 20 [--json FILE]

Per clip, the picked frames and each random draw become a set; every fourth of the other frames is rebuilt with its own
landmarks and compared with the truth. Random frames are drawn from those that show a face, without any other demand.
Any one thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from engine.evaluation.baseline import PortraitWarper
from engine.evaluation.clips import EvalClip, find_clips, load_clip
from engine.evaluation.drive import begin, open_models, show
from engine.evaluation.metrics import hull_mask, psnr_db
from engine.evaluation.protocol import moment_of, open_instruments
from engine.geometry import to_px
from engine.landmarks import FACE_OVAL
from engine.sets.frames import FrameFacts
from engine.sets.picker import pick_frames
from engine.sets.poses import read_face
from engine.sets.quality import blur_of
from engine.types import SourceImage, SourceSet

__all__ = ["ClipFigures", "facts_of_clip", "score_picker"]

_STEP = 4
Rebuild = Callable[[Sequence[int]], tuple[float, float]]
Matte = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """One clip: mean PSNR over the frame and on the face, of the picked set and of every random draw."""

    clip: str
    frames: int
    picked: tuple[int, ...]
    psnr_db: float
    face_db: float
    random_db: tuple[float, ...]
    random_face_db: tuple[float, ...]

    @property
    def gain_db(self) -> float:
        """By how much the picked set beats the mean draw."""
        return self.psnr_db - float(np.mean(self.random_db))

    @property
    def gain_face_db(self) -> float:
        """… on the face."""
        return self.face_db - float(np.mean(self.random_face_db))


def facts_of_clip(clip: EvalClip) -> list[FrameFacts]:
    """Return what the picker is told of a video, from a clip that is tracked already."""
    side, facts = clip.side_px, list[FrameFacts]()
    for number, (frame, keypoints) in enumerate(zip(clip.frames, clip.keypoints, strict=True)):
        points = (to_px(keypoints, side_px=side)).astype(np.float32)
        points[:, 2] = keypoints[:, 2] * side / 2
        at_ns, speed = int(clip.captured_ns[number]), float("inf")
        if facts:
            moved = float(np.linalg.norm((points - facts[-1].landmarks_px)[:, :2], axis=1).mean())
            seconds = (at_ns - facts[-1].captured_ns) / 1e9
            speed = moved / float(np.ptp(points[:, 1])) / seconds
        inside = bool((np.abs(keypoints[:, :2]) <= 1).all())
        facts.append(FrameFacts(number, at_ns, points, read_face(points), blur_of(frame, points), speed, inside, 1))
    return facts


def score_picker(clip: EvalClip, rebuild: Rebuild, *, count: int, draws: int, seed: int = 1) -> ClipFigures:
    """Compare the picked frames of a clip with random draws.

    Args:
        rebuild: frame numbers of a set's pictures → mean PSNR over the frame and on the face.
    """
    picked = tuple(pick.number for pick in pick_frames(facts_of_clip(clip), count=count, least=count))
    rng = np.random.default_rng(seed)
    total = len(clip.frames)
    random = [rebuild(sorted(map(int, rng.choice(total, len(picked), replace=False)))) for _ in range(draws)]
    full, face = rebuild(picked)
    return ClipFigures(clip.name, total, picked, full, face, tuple(r[0] for r in random), tuple(r[1] for r in random))


def _rebuilder(clip: EvalClip, warper: PortraitWarper, matte: Matte) -> Rebuild:
    mattes: dict[int, NDArray[np.uint8]] = {}

    def rebuild(picks: Sequence[int]) -> tuple[float, float]:
        for index in picks:
            if index not in mattes:
                mattes[index] = matte(clip.frames[index])
        images = [SourceImage(str(i), clip.frames[i], mattes[i], clip.keypoints[i]) for i in picks]
        begin(warper, SourceSet(clip.name, tuple(images)), neutral=None)
        full, face = [], []
        for index in range(_STEP // 2, len(clip.frames), _STEP):
            if index in picks:
                continue
            output = show(warper, moment_of(clip, index), side_px=clip.side_px)
            mask = hull_mask(clip.keypoints[index], groups=[FACE_OVAL], side_px=clip.side_px)
            full.append(psnr_db(output, clip.frames[index]))
            face.append(psnr_db(output, clip.frames[index], mask=mask))
        return float(np.mean(full)), float(np.mean(face))

    return rebuild


def main(
    clips: Annotated[list[Path], typer.Argument(help="Folders of clips, or clips.")],
    count: Annotated[int, typer.Option("--count", min=1, max=16, help="Pictures in a set.")] = 4,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Random sets for each clip.")] = 20,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
) -> None:
    """Compare picked frames with random ones."""
    figures: list[ClipFigures] = []
    with open_models(["lite"], baseline=False) as models, open_instruments() as instruments:
        warper = models.warpers["lite"]
        for found in find_clips(clips):
            clip = load_clip(found.path, tracker=instruments.follower)
            rebuild = _rebuilder(clip, warper, instruments.matte)
            one = score_picker(clip, rebuild, count=count, draws=draws)
            figures.append(one)
            beats = float(np.mean([one.psnr_db > other for other in one.random_db]))
            typer.echo(
                f"{found.folder}/{one.clip}: picked {one.psnr_db:.2f} dB, random {np.mean(one.random_db):.2f} "
                f"± {np.std(one.random_db):.2f}: {one.gain_db:+.2f} dB, face {one.gain_face_db:+.2f} dB; "
                f"beats {beats:.0%} of the draws"
            )
    means = np.mean([one.random_db for one in figures], axis=0)  # of every draw, over the clips
    picked = float(np.mean([one.psnr_db for one in figures]))
    typer.echo(
        f"mean over {len(figures)} clips: picked {picked:.2f} dB; {draws} draws {means.mean():.2f} dB, "
        f"from {means.min():.2f} to {means.max():.2f}; gain {picked - means.mean():+.2f} dB, "
        f"at least {picked - means.max():+.2f} dB; face {np.mean([one.gain_face_db for one in figures]):+.2f} dB"
    )
    if out is not None:
        out.write_text(json.dumps([asdict(one) for one in figures], indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
