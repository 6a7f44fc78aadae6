# SPDX-License-Identifier: Apache-2.0
"""Faces made of numbers, and pictures to go with them: no tracker and no real person needed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from engine.assets import load_canonical_face
from engine.geometry import rotation_from_angles
from engine.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS_INNER_LOWER,
    LIPS_OUTER_LOWER,
    MOUTH_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

__all__ = ["landmarks_at", "make_keypoints", "picture_bytes", "portrait_rgb", "write_picture"]

FACE_RADIUS = 0.28  # canonical RMS radius in portrait space: about half the height, as a portrait cut has it


def make_keypoints(
    *, yaw: float = 0.0, pitch: float = 0.0, mouth: float = 0.0, smile: float = 0.0, eyes: float = 1.0
) -> np.ndarray:
    """Return (478, 3) float32 in portrait space: the canonical face, turned, with mouth open and lids lowered.

    mouth, smile: canonical units, 0.3 is wide open, 0.1 a clear smile. eyes: 1 as in the canonical face, 0 shut.
    """
    face = load_canonical_face().astype(np.float64).copy()
    face[list(LIPS_INNER_LOWER + LIPS_OUTER_LOWER), 1] += mouth
    face[MOUTH_CORNERS[0], 0] -= smile
    face[MOUTH_CORNERS[1], 0] += smile
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        face[list(upper)] = face[list(lower)] + eyes * (face[list(upper)] - face[list(lower)])
    turned = face @ rotation_from_angles(yaw_rad=yaw, pitch_rad=pitch).T
    return (turned * FACE_RADIUS).astype(np.float32)


def landmarks_at(centre_px: tuple[float, float], height_px: float, **face: float) -> np.ndarray:
    """Return (478, 3) float32 landmarks in pixels: a face of this height around this point."""
    points = make_keypoints(**face).astype(np.float64)
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (height_px / (high[1] - low[1]))
    points[:, :2] += centre_px
    return points.astype(np.float32)


def portrait_rgb(size_wh: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """Return (H, W, 3) uint8: a smooth coloured pattern, different per seed."""
    width, height = size_wh
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    phase = np.random.default_rng(seed).uniform(0, 6, 6)
    waves = [np.sin(x / width * 5 + phase[i]) + np.cos(y / height * 4 + phase[i + 3]) for i in range(3)]
    return np.clip(128 + 60 * np.stack(waves, 2), 0, 255).astype(np.uint8)


def picture_bytes(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return an encoded picture."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_picture(path: Path, *, size_wh: tuple[int, int] = (256, 256), seed: int = 0) -> Path:
    """Write a PNG of `portrait_rgb` and return its path."""
    path.write_bytes(picture_bytes(portrait_rgb(size_wh, seed=seed)))
    return path
