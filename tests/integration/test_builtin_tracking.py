# SPDX-License-Identifier: Apache-2.0
"""The real tracker on the shipped content: it finds every face where the caches say."""

from __future__ import annotations

from collections.abc import Iterator

import av
import cv2
import numpy as np
import pytest

from engine.assets import asset_path
from engine.track.face_mesh import FaceMeshTracker
from engine.types import Frame

SETS = sorted(asset_path("source_sets").glob("*.bunraku"))
# Drawn faces have guide points of their own, which win over whatever a tracker would find.
DRAWN = {folder.stem for folder in SETS if ".guides]" in (folder / "set.toml").read_text(encoding="utf-8")}
TRACKED = [folder for folder in SETS if folder.stem not in DRAWN]


@pytest.fixture(scope="module")
def picture_tracker() -> Iterator[FaceMeshTracker]:
    tracker = FaceMeshTracker(static=True, max_faces=1)
    yield tracker
    tracker.close()


def test_the_drawn_sets_are_known() -> None:
    assert {"bolt", "mika"} == DRAWN


@pytest.mark.parametrize("folder", TRACKED, ids=lambda p: p.stem)
def test_cached_keypoints_are_those_of_the_tracker(folder: object, picture_tracker: FaceMeshTracker) -> None:
    for path in sorted(folder.glob("*.webp")):  # type: ignore[attr-defined]
        rgb = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        motion = picture_tracker.track(Frame(index=0, captured_ns=0, rgb=rgb))
        assert motion is not None, path
        with np.load(path.parent / "cache" / f"{path.stem}.npz") as cached:
            expected_px = (cached["keypoints"][:, :2] + 1) / 2 * rgb.shape[1] - 0.5
        error_px = np.linalg.norm(motion.landmarks_px[:, :2] - expected_px, axis=1)
        assert error_px.mean() < 3, path  # processors differ in the last bits; a stale cache is off by far more


def test_driving_clip_is_tracked_throughout_and_starts_neutral() -> None:
    tracker = FaceMeshTracker()
    found = []
    with av.open(str(asset_path("clips", "driver.mp4"))) as file:
        for index, picture in enumerate(file.decode(video=0)):
            rgb = np.ascontiguousarray(picture.to_ndarray(format="rgb24"))
            motion = tracker.track(Frame(index=index, captured_ns=index * 40_000_000, rgb=rgb))
            assert motion is not None, index
            found.append(motion.landmarks_px)
    tracker.close()
    faces = np.stack(found)
    height = np.ptp(faces[:, :, 1], axis=1)
    mouth = np.linalg.norm(faces[:, 14, :2] - faces[:, 13, :2], axis=1) / height
    eyes = np.linalg.norm(faces[:, 159, :2] - faces[:, 145, :2], axis=1) / height
    turn = (faces[:, 1, 0] - faces[:, [127, 356], 0].mean(axis=1)) / height
    assert mouth[:20].max() < 0.03  # 0.8 s of closed mouth, open eyes, frontal head
    assert np.ptp(turn[:20]) < 0.03
    assert eyes[:20].min() > 0.8 * np.median(eyes)
    assert mouth.max() > 0.12
    assert turn.min() < -0.1
    assert turn.max() > 0.1
    blinks = np.diff((eyes < 0.6 * np.median(eyes)).astype(int)) > 0
    assert blinks.sum() >= 4
