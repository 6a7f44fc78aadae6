# SPDX-License-Identifier: Apache-2.0
"""Landmarks and matte of every picture of a set: from a cache where one fits, else from the `SourceAnalyser`.

Two caches. `cache/` inside a set's folder travels with the set and is never written here: it is trusted in
built-in sets and where it carries the picture's own hash. The user's cache folder is keyed by the picture's
hash and written here. Any thread.
"""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from engine.errors import NoFaceInSource, SourceSetInvalid, SourceUnreadable
from engine.files import replacing
from engine.geometry import Box, landmarks_from_keypoints
from engine.private import open_private, private_folder
from engine.sources.base import SourceAnalyser
from engine.sources.guides import GuidePoints, fit_landmarks
from engine.sources.picture import Picture, decode_picture
from engine.sources.store import SetStore
from engine.types import LANDMARK_COUNT, freeze

__all__ = ["NEUTRAL_GREY", "AnalysedPicture", "analyse_picture", "default_cache_dir", "on_grey"]

log = logging.getLogger(__name__)

NEUTRAL_GREY = 128  # stands behind cut-out pictures, where there is no background to show

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, SourceUnreadable)


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedPicture:
    """A picture with what the tracker found in it.

    landmarks_px: (478, 3) float32, pixels of `picture.rgb`. matte: (H, W) uint8, 255 on the person. by_hand: the
    landmarks come from guide points.
    """

    picture: Picture
    landmarks_px: NDArray[np.float32]
    matte: NDArray[np.uint8]
    by_hand: bool = False


def default_cache_dir() -> Path:
    """Return the user's cache folder for analysed pictures; the number goes up when what is stored changes."""
    return user_cache_path("bunraku", appauthor=False) / "sources-1"


def analyse_picture(
    picture: Picture,
    *,
    name: str,
    store: SetStore,
    trusted: bool,
    analyser: SourceAnalyser | None,
    cache_dir: Path,
    guides: GuidePoints | None = None,
    rest: GuidePoints | None = None,
) -> AnalysedPicture:
    """Return a picture with its landmarks and matte.

    Args:
        name: the picture's name in `store`, which may hold a cache for it.
        trusted: believe the set's own cache without comparing hashes (built-in sets).
        analyser: asked where no cache fits; None is allowed when all are cached.
        cache_dir: the user's cache of analysed pictures.
        guides: landmarks by hand, which win over whatever a tracker would find. rest: see `fit_landmarks`.
    Raises:
        NoFaceInSource: no face in the picture.
        SourceSetInvalid: nothing cached and no analyser given.
    """
    if guides is not None:
        landmarks_px = fit_landmarks(guides, size_wh=picture.size_wh, rest=rest)
        return _by_hand(picture, name, store, trusted, analyser, landmarks_px)
    found = _from_set_cache(picture, name, store, trusted) or _from_user_cache(picture, cache_dir)
    if found is None:
        if analyser is None:
            what = f"Picture {Path(picture.label).name} has not been analysed yet and no tracker is at hand."
            raise SourceSetInvalid(what, hint=f"Load the set with a tracker. ({picture.label})", path=picture.label)
        found = _ask(picture, analyser)
        _to_user_cache(picture, found, cache_dir)
    landmarks_px, matte = found
    return AnalysedPicture(picture, freeze(landmarks_px), freeze(matte))


def _by_hand(
    picture: Picture,
    name: str,
    store: SetStore,
    trusted: bool,
    analyser: SourceAnalyser | None,
    landmarks_px: NDArray[np.float32],
) -> AnalysedPicture:
    """Return a picture whose landmarks are known; only the matte of one without alpha is looked for."""
    matte = picture.alpha
    if matte is None:
        cached = _from_set_cache(picture, name, store, trusted)
        matte = cached[1] if cached is not None else None
    if matte is None:
        if analyser is None:
            what = f"Picture {Path(picture.label).name} has no matte yet and nothing is at hand to make one."
            raise SourceSetInvalid(what, hint=f"Load the set with a tracker. ({picture.label})", path=picture.label)
        matte = analyser.matte(picture.rgb)
    return AnalysedPicture(picture, freeze(landmarks_px), freeze(np.array(matte, np.uint8)), by_hand=True)


_Found = tuple[NDArray[np.float32], NDArray[np.uint8]]


def _ask(picture: Picture, analyser: SourceAnalyser) -> _Found:
    flat = on_grey(picture)
    faces = analyser.keypoints(flat)
    if not faces:
        what = f"No face was found in picture {Path(picture.label).name}: expected one face, got none."
        hint = (
            "Use a picture where the whole face is visible, switch it off in set.toml, or place its landmarks by hand: "
            f"bunraku set landmarks --help ({picture.label})"
        )
        raise NoFaceInSource(what, hint=hint, path=picture.label)
    if len(faces) > 1:
        log.warning("Picture %s shows %d faces; the biggest is used", picture.label, len(faces))
    landmarks_px = np.array(max(faces, key=_face_area), np.float32)
    matte = analyser.matte(flat) if picture.alpha is None else picture.alpha
    return landmarks_px, np.array(matte, np.uint8)


def on_grey(picture: Picture) -> NDArray[np.uint8]:
    """Put a cut-out on grey: what lies under its transparent part is arbitrary and may confuse the tracker."""
    if picture.alpha is None:
        return picture.rgb
    cover = picture.alpha[..., None].astype(np.float32) / 255.0
    flat: NDArray[np.uint8] = np.rint(picture.rgb * cover + NEUTRAL_GREY * (1.0 - cover)).astype(np.uint8)
    return flat


def _face_area(landmarks_px: NDArray[np.float32]) -> float:
    return float(np.prod(np.ptp(landmarks_px[:, :2], axis=0)))


def _from_set_cache(picture: Picture, name: str, store: SetStore, trusted: bool) -> _Found | None:
    stem = PurePosixPath(name).stem
    points_name, matte_name = f"cache/{stem}.npz", f"cache/{stem}.matte.png"
    width, height = picture.size_wh
    if points_name not in store.names() or width != height:  # the set cache is defined for square pictures only
        return None
    try:
        with np.load(io.BytesIO(store.read(points_name)), allow_pickle=False) as data:
            keypoints = _points(data, "keypoints")
            if not trusted and ("sha256" not in data or str(data["sha256"]) != picture.sha256):
                return None
        if picture.alpha is not None:
            matte = picture.alpha
        else:
            grey = decode_picture(store.read(matte_name), label=store.label(matte_name))
            matte = grey.rgb[..., 0]
            if grey.original_size_wh != picture.original_size_wh:
                raise ValueError(f"the matte is {grey.original_size_wh}, the picture {picture.original_size_wh}")
    except _DAMAGED as error:
        log.warning("The stored landmarks of %s cannot be used and are computed again: %s", picture.label, error)
        return None
    whole = Box((width - 1) / 2.0, (width - 1) / 2.0, float(width))
    return landmarks_from_keypoints(keypoints, box=whole), np.array(matte, np.uint8)


def _from_user_cache(picture: Picture, cache_dir: Path) -> _Found | None:
    path = cache_dir / f"{picture.sha256}.npz"
    if not path.exists():
        return None
    try:
        # From memory: np.load leaves the file open when it is damaged.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
            landmarks_px, matte = _points(data, "landmarks_px"), np.array(data["matte"], np.uint8)
    except _DAMAGED as error:
        log.info("Cached landmarks are damaged and are computed again: %s (%s)", error, path)
        return None
    return (landmarks_px, matte) if matte.shape == picture.rgb.shape[:2] else None


def _points(data: Mapping[str, NDArray[np.float32]], key: str) -> NDArray[np.float32]:
    points = np.array(data[key], np.float32)
    if points.shape != (LANDMARK_COUNT, 3) or not np.isfinite(points).all():
        raise ValueError(f"{key}: expected finite ({LANDMARK_COUNT}, 3), got {points.shape}")
    return points


def _to_user_cache(picture: Picture, found: _Found, cache_dir: Path) -> None:
    try:
        private_folder(cache_dir)
        path = cache_dir / f"{picture.sha256}.npz"
        with replacing(path) as part, open(part, "wb", opener=open_private) as file:
            np.savez_compressed(file, landmarks_px=found[0], matte=found[1])
    except OSError as error:
        # A full or read-only disk costs time on the next start, nothing else.
        log.warning("Landmarks could not be cached: %s (%s)", error, cache_dir)
