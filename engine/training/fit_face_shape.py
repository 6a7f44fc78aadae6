# SPDX-License-Identifier: Apache-2.0
"""Fit `assets/models/face_shape.npy`, by which `engine.sets.person` tells one face's build from another's.

    python -m engine.training.fit_face_shape PACK/train/valid --out assets/models/face_shape.npy

Clips of one person share the name up to the last underscore, as the pack builder names them. Principal directions of
people's means and of their own variation together, then whitened by the variation within people.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from engine.capture import open_camera
from engine.evaluation.clips import list_clips
from engine.sets.person import stable_shape
from engine.track.face_mesh import FaceMeshTracker

__all__ = ["fit_directions"]

_DIRECTIONS = 30
_RIDGE = 0.02  # of the mean variance within people: keeps directions that hardly vary from counting too much
_STEP = 3


def fit_directions(people: Mapping[str, NDArray[np.float64]], *, count: int = _DIRECTIONS) -> NDArray[np.float16]:
    """Return the whitening projection, (D, count) float16.

    Args:
        people: name → stable shapes, (M, D); those with a single one only say how people differ.
    """
    means = np.stack([shapes.mean(0) for shapes in people.values()])
    many = [shapes for shapes in people.values() if len(shapes) > 1]
    within = np.concatenate([shapes - shapes.mean(0) for shapes in many])
    weight = np.concatenate([np.full(len(shapes), 1.0 / len(shapes)) for shapes in many])
    stacked = np.concatenate([means - means.mean(0), within * np.sqrt(weight)[:, None]])
    principal = np.linalg.svd(stacked, full_matrices=False)[2][:count].T
    spread = (within @ principal).T * weight @ (within @ principal) / weight.sum()
    spread += np.eye(principal.shape[1]) * np.trace(spread) / principal.shape[1] * _RIDGE
    return (principal @ np.linalg.cholesky(np.linalg.inv(spread))).astype(np.float16)


def _shapes(folder: Path) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[NDArray[np.float64]]] = {}
    with closing(FaceMeshTracker(max_faces=1)) as tracker:
        for path in list_clips(folder):
            tracker.reset()
            with open_camera(str(path), paced=False) as camera:
                while (frame := camera.read()) is not None:
                    motion = tracker.track(frame)
                    if motion is not None and frame.index % _STEP == 0:
                        found.setdefault(path.stem.rpartition("_")[0], []).append(stable_shape(motion.landmarks_px))
    return {name: np.stack(shapes) for name, shapes in found.items()}


def main(
    folder: Annotated[Path, typer.Argument(help="Clips of several people.")],
    out: Annotated[Path, typer.Option("--out", help="The array to write.")],
) -> None:
    """Fit the directions in which people's faces differ."""
    people = _shapes(folder)
    directions = fit_directions(people)
    np.save(out, directions)
    typer.echo(f"{out}: {directions.shape} from {sum(map(len, people.values()))} frames of {len(people)} people")


if __name__ == "__main__":
    typer.run(main)
