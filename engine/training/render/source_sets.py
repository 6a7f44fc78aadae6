# SPDX-License-Identifier: Apache-2.0
"""Write the built-in source sets: pictures, exact mattes, cached keypoints, set.toml.

Data flow: Recipe → build_set → `<name>.bunraku/`. Format: see `engine.sources.manifest`; the cache holds, per
picture, `cache/<stem>.npz` (keypoints, the picture's hash) and `cache/<stem>.matte.png` (255 on the person).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import tomlkit
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import NoFaceInSource, OutputUnwritable
from engine.training.render.clip import over_background, set_stage
from engine.training.render.finish import FINISHES
from engine.training.render.recipe import PictureRecipe, Recipe, SetRecipe
from engine.training.render.renderer import AvatarRenderer

__all__ = ["LandmarkFinder", "build_set", "write_manifest", "write_picture"]

# (H, W, 3) uint8 RGB → (478, 3) float32 landmarks in pixels, or None without a face.
LandmarkFinder = Callable[[NDArray[np.uint8]], "NDArray[np.float32] | None"]
_WEBP_QUALITY = 95


def build_set(
    recipe: Recipe, entry: SetRecipe, folder: Path, *, avatars: Path, renderer: AvatarRenderer, find: LandmarkFinder
) -> Iterator[str]:
    """Write one source set and yield each picture's file name when it is done.

    Args:
        folder: `<name>.bunraku`, made where missing. find: the landmark tracker; it sees the decoded file.
    Raises:
        NoFaceInSource: the tracker finds no face in a picture, which then is no use as a source.
        OutputUnwritable: a file cannot be written.
    """
    background = set_stage(renderer, entry.scene, avatars)
    for picture in recipe.pictures:
        rgba = renderer.draw(picture.pose(entry.faces))
        canvas, matte = over_background(rgba, background), rgba[..., 3]
        if entry.finish:
            landmarks = find(canvas)
            if landmarks is None:
                raise NoFaceInSource(f"No face is found in {entry.name}/{picture.file}; change its pose or its look.")
            canvas, added = FINISHES[entry.finish](canvas, landmarks)
            matte = np.maximum(matte, added)
        write_picture(folder, picture.file, canvas, matte=matte, find=find, name=entry.name)
        yield picture.file
    write_manifest(
        folder,
        name=entry.name,
        title=entry.title,
        author=recipe.author,
        licence=recipe.licence,
        origin=f"{recipe.origin} ({entry.scene.avatar})",
        scope="a computer-generated character; shows no real person",
        pictures=[_picture_table(picture) for picture in recipe.pictures],
        command="`python -m engine.training.render sets`; edit recipe.toml instead",
    )


def write_picture(
    folder: Path,
    file: str,
    rgb: NDArray[np.uint8],
    *,
    matte: NDArray[np.uint8],
    find: LandmarkFinder,
    name: str = "",
) -> None:
    """Write one picture of a set and its cache; name: of the set, for messages.

    Shapes:
        rgb: (S, S, 3) uint8. matte: (S, S) uint8, 255 on the person.
    Raises:
        NoFaceInSource: `find` finds no face. OutputUnwritable: a file cannot be written.
    """
    data = _encode(".webp", rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    _write(folder / file, data)
    stem = Path(file).stem
    landmarks = find(_decode(data))
    if landmarks is None:
        raise NoFaceInSource(f"No face is found in {name or folder.stem}/{file}; change its pose or its look.")
    _write(folder / "cache" / f"{stem}.npz", _pack(landmarks, data, side_px=rgb.shape[0]))
    _write(folder / "cache" / f"{stem}.matte.png", _encode(".png", matte, [cv2.IMWRITE_PNG_COMPRESSION, 9]))


def _pack(landmarks_px: NDArray[np.float32], data: bytes, *, side_px: int) -> bytes:
    """Return an .npz of keypoints in the picture's own frame, [-1, 1], pixel centres at half integers."""
    keypoints = landmarks_px * np.float32(2 / side_px)
    keypoints[:, :2] += np.float32(1 / side_px - 1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keypoints=keypoints.astype(np.float32), sha256=hashlib.sha256(data).hexdigest())
    return buffer.getvalue()


def write_manifest(
    folder: Path,
    *,
    name: str,
    title: str,
    licence: str,
    origin: str,
    scope: str,
    pictures: Sequence[Any],
    command: str,
    author: str = "Bunraku contributors",
    listed: bool = False,
) -> None:
    """Write set.toml.

    Args:
        pictures: a TOML table for each. command: what made the set. listed: the order of the pictures counts.
    Raises:
        OutputUnwritable: it cannot be written.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(f"Made by {command}."))
    document["format"] = 1
    document["name"], document["title"], document["author"] = name, title, author
    document["licence"], document["origin"] = licence, origin
    if listed:
        document["order"] = "listed"
    document["consent"] = {"kind": "synthetic", "scope": scope}
    tables = tomlkit.aot()
    for table in pictures:
        tables.append(table)
    document["pictures"] = tables
    _write(folder / "set.toml", tomlkit.dumps(document).encode())


def _picture_table(picture: PictureRecipe) -> Any:
    table = tomlkit.table()
    table["file"], table["enabled"], table["notes"] = picture.file, True, picture.notes
    return table


def _encode(kind: str, picture: NDArray[np.uint8], options: list[int]) -> bytes:
    _, data = cv2.imencode(kind, np.ascontiguousarray(picture), options)
    return data.tobytes()


def _decode(data: bytes) -> NDArray[np.uint8]:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return cast("NDArray[np.uint8]", np.ascontiguousarray(bgr[..., ::-1]))


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputUnwritable(f"A source set's file cannot be written ({error.strerror}): {path}.") from error
