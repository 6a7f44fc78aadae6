# SPDX-License-Identifier: Apache-2.0
"""A performer's neutral pose on disk, one file per person and camera: nobody wants to calibrate at every start."""

from __future__ import annotations

import io
import logging
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from platformdirs import user_data_path

from engine.errors import ShapeError
from engine.private import write_private
from engine.track.calibration import Neutral

__all__ = ["load_neutral", "neutral_path", "save_neutral"]

_log = logging.getLogger(__name__)

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, ShapeError)


def neutral_path(person: str, camera: str, *, folder: Path | None = None) -> Path:
    """Return where the pose of this person before this camera is kept."""
    name = "-".join(re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_")[-80:] or "x" for part in (person, camera))
    return (folder or user_data_path("bunraku", appauthor=False) / "neutral") / f"{name}.npz"


def save_neutral(path: Path, neutral: Neutral) -> None:
    """Write a pose; the file is whole or not there.

    Raises:
        OSError: it cannot be written.
    """
    packed = io.BytesIO()
    np.savez(
        packed,
        landmarks_px=neutral.landmarks_px,
        resting_openness=neutral.resting_openness,
        quality=np.float64(neutral.quality),
    )
    write_private(path, packed.getvalue())


def load_neutral(path: Path) -> Neutral | None:
    """Return a saved pose; None where there is none that can be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
            landmarks = np.array(packed["landmarks_px"], np.float32)
            openness = np.array(packed["resting_openness"], np.float64)
            quality = float(packed["quality"])
        if openness.shape != (2,) or not (np.isfinite(landmarks).all() and np.isfinite(openness).all()):
            raise ValueError("values that are no pose")
        return Neutral(landmarks, openness, quality)
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        _log.info("A saved neutral pose is not used: %s (%s)", error, path)
        return None
