# SPDX-License-Identifier: Apache-2.0
"""Where the shipped files are: models, source sets, the demo clip, the canonical face."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelFileMissing
from engine.types import freeze

__all__ = ["asset_path", "asset_root", "load_canonical_face"]


def asset_root() -> Path:
    """Return the `assets` folder, beside the `engine` package both in a checkout and when installed."""
    return Path(__file__).resolve().parent.parent / "assets"


def asset_path(*parts: str) -> Path:
    """Return the path of a shipped file.

    Raises:
        ModelFileMissing: the file is not there; the installation is damaged.
    """
    path = asset_root().joinpath(*parts)
    if not path.exists():
        raise ModelFileMissing(
            f"A file that ships with Bunraku is missing: {path}.",
            hint="Install Bunraku again (python3 run.py).",
            path=str(path),
        )
    return path


@functools.cache
def load_canonical_face() -> NDArray[np.float32]:
    """Return MediaPipe's canonical face with irises.

    Shapes:
        returns: (478, 3) float32, read-only; y down, z away from the viewer, centred, unit RMS radius.
    """
    face: NDArray[np.float32] = np.load(asset_path("models", "canonical_face.npy"), allow_pickle=False).astype(
        np.float32
    )
    return freeze(face)
