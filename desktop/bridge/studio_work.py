# SPDX-License-Identifier: Apache-2.0
"""The studio's long work: taking pictures in, looking at them, rebuilding them. On a thread of `Jobs`.

Imported there: the engine's libraries take a second or two to load.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from desktop.bridge.jobs import Advance
from desktop.bridge.studio_views import Look, image_of
from engine.app import FaceAnalyser
from engine.errors import OutputUnwritable, SourceError
from engine.sets.draft import SetDraft
from engine.sets.judge import analyse_draft, judge_draft
from engine.sets.make import Added, Instruments, add_files
from engine.sources.analysis import AnalysedPicture
from engine.sources.framing import choose_boxes, crop_of_box
from engine.sources.manifest import Crop
from engine.sources.picture import decode_picture
from engine.track.face_mesh import FaceMeshTracker
from engine.warp import open_warper
from engine.warp.warper import Warper

__all__ = ["add_image", "add_paths", "between", "look_at", "rebuild"]


def add_paths(draft: SetDraft, paths: Sequence[Path], advance: Advance) -> Added:
    """Add pictures, folders and videos; see `add_files`."""
    with closing(FaceAnalyser()) as analyser:
        return add_files(draft, paths, instruments=Instruments(analyser, FaceMeshTracker), advance=advance)


def add_image(draft: SetDraft, image: QImage, name: str, advance: Advance) -> Added:
    """Add a picture that is no file yet.

    Raises:
        OutputUnwritable: there is no room for it on the disk.
    """
    folder = Path(tempfile.mkdtemp(prefix="bunraku-"))
    path = folder / f"{name}.png"
    try:
        if not image.save(str(path)):
            raise OutputUnwritable("The picture could not be taken over.", hint=f"Is the disk full? ({folder})")
        return add_paths(draft, [path], advance)
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


def between(source_set: str, out: Path, *, seconds: float, advance: Advance) -> Path:
    """Write the looping video of what lies between a set's pictures.

    Raises:
        PuppeteerError: as `engine.app.interpolate`.
    """
    from engine.app.interpolate import InterpolateJob, interpolate

    complete = False
    try:
        interpolate(InterpolateJob((), out, source_set=source_set, seconds=seconds, loop=True), advance=advance)
        complete = True
    finally:
        if not complete:
            with suppress(OSError):
                out.unlink(missing_ok=True)
    return out


def rebuild(draft: SetDraft, before: Look | None, advance: Advance) -> Look:
    """Look at a draft and rebuild every picture from the others.

    Raises:
        EngineError: the model cannot run here.
    """
    with closing(open_warper()) as warper:
        assert isinstance(warper, Warper)
        return look_at(draft, before, advance, warper=warper)


def look_at(draft: SetDraft, before: Look | None, advance: Advance, *, warper: Warper | None = None) -> Look:
    """Look at every picture of a draft. before: the last look, which saves work. warper: rebuilds the pictures.

    Raises:
        EngineError: the model failed.
    """
    known = before.images if before is not None else {}
    images: dict[bytes, QImage] = {}
    for entry in draft.entries:
        data = draft.files[entry.file]
        if data in known:
            images[data] = known[data]
            continue
        try:
            picture = decode_picture(data, label=entry.file)
        except SourceError:
            continue  # `analyse_draft` has the sentence
        images[data] = image_of(picture.rgb, picture.alpha)
    with closing(FaceAnalyser()) as analyser:
        analysed = analyse_draft(draft, analyser)
        report = judge_draft(draft, analyser, warper=warper, advance=advance)
    rebuilt = {draft.files[v.file]: v.rebuilt for v in report.verdicts if v.rebuilt is not None}
    if warper is None and before is not None:
        rebuilt = {data: one for data, one in before.rebuilt.items() if data in images}
    landmarks = {file: _shares(found) for file, found in analysed.items() if isinstance(found, AnalysedPicture)}
    return Look(draft, report, _boxes(draft, analysed), images, rebuilt, landmarks)


def _shares(found: AnalysedPicture) -> NDArray[np.float32]:
    width, height = found.picture.size_wh
    return found.landmarks_px / np.array([width, height, width], np.float32)


def _boxes(draft: SetDraft, analysed: Mapping[str, AnalysedPicture | SourceError]) -> dict[str, Crop]:
    """Return every picture's portrait box: of those in use as the set has them, of the others as if alone."""
    found = [(e, p) for e in draft.entries if isinstance(p := analysed.get(e.file), AnalysedPicture)]
    used = [(entry, picture) for entry, picture in found if entry.enabled]
    alone = [[each] for each in found if not each[0].enabled]
    boxes: dict[str, Crop] = {}
    for group in (used, *alone):
        chosen = choose_boxes([picture for _, picture in group], [entry.crop for entry, _ in group])
        for (entry, picture), box in zip(group, chosen, strict=True):
            boxes[entry.file] = entry.crop or crop_of_box(box, size_wh=picture.picture.size_wh)
    return boxes
