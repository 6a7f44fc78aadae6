# SPDX-License-Identifier: Apache-2.0
"""The real tracker and matte on a public-domain portrait (NASA, bundled with scikit-image) in made-up scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine.cv import cv2
from engine.errors import ShapeError
from engine.track.base import Tracker
from engine.track.face_mesh import FaceMeshTracker
from engine.track.person_matte import PersonMatte
from engine.types import Frame

Scene = list[tuple[int, int, int]]
_FRAME_NS = 33_000_000


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(256, 256, 3): head and shoulders of the astronaut; the nose tip is at about (127, 132)."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[0:256, 96:352])


@pytest.fixture(scope="module")
def _tracker() -> Iterator[FaceMeshTracker]:
    tracker = FaceMeshTracker()
    yield tracker
    tracker.close()
    tracker.close()


@pytest.fixture
def tracker(_tracker: FaceMeshTracker) -> FaceMeshTracker:
    """One model for all tests, as if just opened."""
    _tracker.reset()
    return _tracker


def scene(portrait: np.ndarray, *faces: tuple[int, int, int]) -> np.ndarray:
    """Return a 720p frame with portraits at (left, top) of this side."""
    frame = np.full((720, 1280, 3), 90, np.uint8)
    for left, top, side in faces:
        frame[top : top + side, left : left + side] = cv2.resize(
            portrait, (side, side), interpolation=cv2.INTER_AREA if side < 256 else cv2.INTER_LINEAR
        )
    return frame


def nose(tracker: FaceMeshTracker, rgb: np.ndarray, index: int) -> tuple[float, float] | None:
    motion = tracker.track(Frame(index, index * _FRAME_NS, rgb))
    return None if motion is None else (float(motion.landmarks_px[4, 0]), float(motion.landmarks_px[4, 1]))


def expected_nose(left: int, top: int, side: int) -> tuple[float, float]:
    return left + 0.50 * side, top + 0.52 * side


@pytest.mark.parametrize("face", [(300, 40, 640), (700, 200, 300), (100, 400, 200)], ids=["near", "middle", "far"])
def test_finds_a_face_anywhere_at_any_distance(
    tracker: FaceMeshTracker, portrait: np.ndarray, face: tuple[int, int, int]
) -> None:
    assert isinstance(tracker, Tracker)
    at = nose(tracker, scene(portrait, face), 0)
    assert at == pytest.approx(expected_nose(*face), abs=0.05 * face[2])


def test_landmarks_agree_between_distances(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    shapes = []
    for face in ((300, 40, 600), (700, 200, 300)):
        tracker.reset()
        for i in range(4):
            motion = tracker.track(Frame(i, i * _FRAME_NS, scene(portrait, face)))
        assert motion is not None
        shapes.append((motion.landmarks_px[:, :2] - face[:2]) / face[2])
        assert 0.9 < motion.quality <= 1
    assert np.abs(shapes[0] - shapes[1]).mean() < 0.006


def test_follows_the_biggest_face_and_stays_with_it(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    for i in range(12):
        me, other = (100 + 6 * i, 100, 420), (800, 250, 260)
        motion = tracker.track(Frame(i, i * _FRAME_NS, scene(portrait, me, other)))
        assert motion is not None
        assert motion.face_count == 2
        assert motion.landmarks_px[4, :2] == pytest.approx(expected_nose(*me), abs=25)


def test_a_bystander_is_not_taken_for_the_performer_at_once(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    me, bystander = (60, 100, 420), (850, 250, 300)
    for i in range(3):
        assert nose(tracker, scene(portrait, me, bystander), i) is not None
    answers = [nose(tracker, scene(portrait, bystander), i) for i in range(3, 70)]
    assert answers[:30] == [None] * 30
    assert answers[-1] == pytest.approx(expected_nose(*bystander), abs=20)


def test_lost_is_none_and_the_face_is_found_again(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    face, empty = (300, 100, 420), scene(portrait)
    assert nose(tracker, scene(portrait, face), 0) is not None
    assert [nose(tracker, empty, i) for i in range(1, 5)] == [None] * 4
    assert nose(tracker, scene(portrait, (320, 110, 420)), 5) is not None


def test_follows_a_walk_through_the_frame(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    for i in range(60):
        face = (40 + 14 * i, 300 - 2 * i, 240)
        at = nose(tracker, scene(portrait, face), i)
        assert at == pytest.approx(expected_nose(*face), abs=20)


def test_frame_size_may_change(tracker: FaceMeshTracker, portrait: np.ndarray) -> None:
    assert nose(tracker, scene(portrait, (300, 100, 420)), 0) is not None
    assert nose(tracker, cv2.resize(portrait, (201, 199)), 1) == pytest.approx((100, 103), abs=10)


def test_static_mode_finds_every_face_of_a_picture_biggest_first(portrait: np.ndarray) -> None:
    tracker = FaceMeshTracker(static=True, max_faces=4)
    faces = ((700, 100, 300), (100, 60, 600))
    found = tracker.track_all(Frame(0, 0, scene(portrait, *faces)))
    assert [motion.face_count for motion in found] == [2, 2]
    for motion, face in zip(found, faces[::-1], strict=True):
        assert motion.landmarks_px[4, :2] == pytest.approx(expected_nose(*face), abs=0.05 * face[2])
    assert tracker.track(Frame(1, 0, scene(portrait))) is None
    first = tracker.track(Frame(2, 0, scene(portrait, *faces)))
    assert first is not None
    np.testing.assert_allclose(first.landmarks_px, found[0].landmarks_px, atol=0.5)
    tracker.close()


def test_models_are_silent(capfd: pytest.CaptureFixture[str], portrait: np.ndarray) -> None:
    tracker = FaceMeshTracker()
    tracker.track(Frame(0, 0, scene(portrait, (300, 40, 640))))
    tracker.close()
    matte = PersonMatte()
    matte.matte(portrait)
    matte.close()
    assert capfd.readouterr() == ("", "")


def test_matte_separates_the_person_from_the_background(portrait: np.ndarray) -> None:
    data = pytest.importorskip("skimage.data")
    astronaut = data.astronaut()
    matte = PersonMatte()
    alpha = matte.matte(astronaut)
    assert (alpha.shape, alpha.dtype) == ((512, 512), np.uint8)
    assert alpha[80:160, 190:250].min() > 250  # face
    assert (alpha[300:500, 150:300] > 240).mean() > 0.98  # suit
    assert alpha[20:120, 400:500].max() < 5  # shuttle model on the right
    assert ((alpha > 10) & (alpha < 245)).mean() < 0.12
    with pytest.raises(ShapeError):
        matte.matte(astronaut[..., 0])
    matte.close()
    matte.close()
