# SPDX-License-Identifier: Apache-2.0
"""Landmarks of a set's pictures by hand: where to start, what comes of it, and into the set. Any one thread.

The editor of the desktop app and `bunraku set landmarks` are both built on this.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.app.assembly import FaceAnalyser
from engine.errors import NoFaceInSource, SourceSetMissing
from engine.sources.analysis import on_grey
from engine.sources.guides import GuidePoints, fit_landmarks, guides_from_landmarks, template_guides
from engine.sources.manifest import PictureEntry, SetManifest
from engine.sources.picture import Picture, decode_picture
from engine.sources.source_set import read_manifest
from engine.sources.store import open_store

__all__ = ["PictureLandmarks", "look_at_picture", "moved"]


@dataclass(frozen=True, slots=True, eq=False)
class PictureLandmarks:
    """One picture and the landmarks it has or may start from.

    rgb: (H, W, 3) uint8, a cut-out on grey. landmarks_px: (478, 3) float32, pixels of rgb. origin: "saved" by hand,
    "copied" from another picture, "found" by the tracker, or the plain "template".
    """

    rgb: NDArray[np.uint8]
    guides: GuidePoints
    landmarks_px: NDArray[np.float32]
    origin: str


def look_at_picture(folder: Path, picture: str, *, copy_from: str = "") -> PictureLandmarks:
    """Return a picture's landmarks: those saved by hand, else of another picture, else what the tracker finds, else
    the template's over the visible part.

    Args:
        folder: the set. copy_from: a picture of it whose guide points are the start.
    Raises:
        SourceSetMissing: no such set or picture. NoFaceInSource: `copy_from` has no guide points.
        SourceSetInvalid, SourceUnreadable: the set or the picture cannot be read.
    """
    with closing(open_store(folder)) as store:
        manifest = read_manifest(store)
        entry = _entry(manifest, picture)
        decoded = decode_picture(store.read(picture), label=store.label(picture))
    flat, size_wh = on_grey(decoded), decoded.size_wh
    if copy_from:
        guides = _entry(manifest, copy_from).guides
        if guides is None:
            what = f"Picture {copy_from} has no guide points to copy."
            raise NoFaceInSource(what, hint="Place and save them there first.", path=copy_from)
        return PictureLandmarks(flat, guides, fit_landmarks(guides, size_wh=size_wh), "copied")
    if entry.guides is not None:
        return PictureLandmarks(flat, entry.guides, fit_landmarks(entry.guides, size_wh=size_wh), "saved")
    with closing(FaceAnalyser()) as analyser:
        faces = analyser.keypoints(flat)
    if faces:
        return PictureLandmarks(flat, guides_from_landmarks(faces[0], size_wh=size_wh), faces[0], "found")
    guides = _template_on(decoded)
    return PictureLandmarks(flat, guides, fit_landmarks(guides, size_wh=size_wh), "template")


def moved(guides: GuidePoints, changes: dict[str, tuple[float, float]]) -> GuidePoints:
    """Return guide points with some of them elsewhere; see `GuidePoints` for what is refused."""
    return replace(guides, points={**guides.points, **changes})


def _entry(manifest: SetManifest, picture: str) -> PictureEntry:
    for entry in manifest.pictures:
        if entry.file == picture:
            return entry
    known = ", ".join(entry.file for entry in manifest.pictures)
    raise SourceSetMissing(f"The set has no picture called {picture}.", hint=f"It has: {known}.", name=picture)


def _template_on(picture: Picture) -> GuidePoints:
    """Put the template where a head would be: in the upper part of what is visible of a cut-out."""
    width, height = picture.size_wh
    if picture.alpha is None:
        return template_guides(size_wh=picture.size_wh)
    rows = np.flatnonzero((picture.alpha > 127).any(1))
    if not rows.size:
        return template_guides(size_wh=picture.size_wh)
    top, tall = int(rows[0]), int(rows[-1] - rows[0] + 1)
    head = min(tall * 0.45, float(width))  # a bust; of a whole figure the points have to be dragged up
    columns = np.flatnonzero((picture.alpha[top : top + max(1, round(head))] > 127).any(0))
    middle = float(columns.mean()) / width
    return template_guides(size_wh=picture.size_wh, face=(middle, (top + 0.6 * head) / height, 0.55 * head / height))
