# SPDX-License-Identifier: Apache-2.0
"""Makes `assets/models/expression_basis.npz` from landmarks of rendered clips and stills. Offline, numpy only.

Expression statistics come from clips (the spread of one person's shapes about their mean), identity statistics from
people with a closed mouth and open eyes (the spread of those shapes between people). Both are computed on faces that
look roughly into the camera, because tracked depth bends with the angle.

    python -m engine.training.expression_basis --clips DIR --stills DIR --out assets/models/expression_basis.npz
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.geometry import angles_from_rotation
from engine.landmarks import MOUTH_CORNERS
from engine.track.eyes import read_eyes
from engine.track.head import take_apart

__all__ = ["fit_expression_basis", "load_shapes", "main"]

Array = NDArray[np.float64]

_MAX_YAW_RAD, _MAX_PITCH_RAD = 0.35, 0.26
_CLOSED_LIPS = 0.04  # inner lip gap over mouth width
_NOISE = 1e-4  # variance of a tracked coordinate, canonical units squared


def load_shapes(files: list[Path]) -> Array:
    """Return the shapes of all roughly frontal faces of landmark files, (M, 478, 3).

    Each file holds `kp` (T, 478, 3) or (478, 3) and may hold `ok` (T,).
    """
    return np.array(list(_frontal(files))).reshape(-1, 478, 3)


def _frontal(files: list[Path]) -> Iterator[Array]:
    for path in files:
        with np.load(path, allow_pickle=False) as file:
            keypoints = np.atleast_3d(file["kp"].astype(np.float64)).reshape(-1, 478, 3)
            keypoints = keypoints[file["ok"].reshape(-1).astype(bool)] if "ok" in file else keypoints
        for face in keypoints:
            pose, shape = take_apart(face)
            yaw, pitch, _ = angles_from_rotation(pose.rotation)
            if abs(yaw) < _MAX_YAW_RAD and abs(pitch) < _MAX_PITCH_RAD:
                yield shape


def _is_neutral(shapes: Array) -> NDArray[np.bool_]:
    width = np.linalg.norm(shapes[:, MOUTH_CORNERS[0]] - shapes[:, MOUTH_CORNERS[1]], axis=-1)
    gap = (shapes[:, 14, 1] - shapes[:, 13, 1]) / width
    openness = np.array([read_eyes(shape).openness.mean() for shape in shapes])
    neutral: NDArray[np.bool_] = (gap < _CLOSED_LIPS) & (openness > max(0.15, 0.7 * float(np.median(openness))))
    return neutral


def fit_expression_basis(people: list[Array], strangers: Array, *, count: int = 20) -> dict[str, NDArray[np.float16]]:
    """Fit the Wiener filter that reads expression off an unknown face.

    Shapes:
        people: one (M, 478, 3) array of shapes per person. strangers: (S, 478, 3), one shape per person.
        returns: neutral (478, 3), basis and reader (count, 1434).
    """
    within = np.zeros((1434, 1434))
    calm = []
    for shapes in people:
        flat = (shapes - shapes.mean(0)).reshape(-1, 1434)
        within += flat.T @ flat / (len(flat) * len(people))
        still = shapes[_is_neutral(shapes)]
        if len(still) > 5:
            calm.append(still.mean(0))
    known, unknown = np.array(calm), strangers[_is_neutral(strangers)]
    neutral = (known.mean(0) + unknown.mean(0)) / 2
    # The two groups are centred apart: rendered and photographed faces track differently as a whole.
    identity = np.concatenate([known - known.mean(0), unknown - unknown.mean(0)]).reshape(-1, 1434)
    between = identity.T @ identity / len(identity) + _NOISE * np.eye(1434)
    strength, directions = np.linalg.eigh(within)
    strength, directions = strength[::-1][:count], directions[:, ::-1][:, :count]
    basis = (directions * np.sqrt(strength)).T
    reader = basis @ np.linalg.inv(basis.T @ basis + between)
    return {name: a.astype(np.float16) for name, a in (("neutral", neutral), ("basis", basis), ("reader", reader))}


def main() -> None:
    """Read landmark files, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="NPZ files named PERSON_outfit_number.npz")
    parser.add_argument("--stills", type=Path, required=True, help="NPZ files, one face each")
    parser.add_argument("--stills-prefix", default="sfhq", help="take only stills whose name starts so")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    by_person: dict[str, list[Path]] = {}
    for path in sorted(options.clips.glob("*_*_*.npz")):
        by_person.setdefault("_".join(path.stem.split("_")[:3]), []).append(path)
    people = [shapes for files in by_person.values() if len(shapes := load_shapes(files)) > 20]
    strangers = load_shapes(sorted(options.stills.glob(f"{options.stills_prefix}*.npz")))
    np.savez_compressed(options.out, **fit_expression_basis(people, strangers))


if __name__ == "__main__":
    main()
