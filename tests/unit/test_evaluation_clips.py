# SPDX-License-Identifier: Apache-2.0
"""Reading clips: one fixed crop, keypoints in its portrait space, what cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cv import cv2
from engine.errors import DriverUnreadable, NoFaceInDriver
from engine.evaluation.clips import find_clips, list_clips, load_clip
from engine.types import Frame, TrackedMotion
from tests.helpers.source_faces import landmarks_at

SIZE_WH = (200, 160)


class DotTracker:
    """Knows where the face of `write_clip` is: around the white dot, `height_px` tall; blind in some frames."""

    def __init__(self, *, height_px: float = 60.0, blind: frozenset[int] = frozenset()) -> None:
        self.height_px, self.blind, self.resets = height_px, blind, 0

    def track(self, frame: Frame) -> TrackedMotion | None:
        if frame.index in self.blind:
            return None
        y, x = np.unravel_index(int(cv2.GaussianBlur(frame.rgb[..., 1], (9, 9), 0).argmax()), frame.rgb.shape[:2])
        return TrackedMotion(frame.index, frame.captured_ns, landmarks_at((float(x), float(y)), self.height_px))

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        """Nothing is held."""


def write_clip(path: Path, *, frames: int = 20, step_px: int = 1) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE_WH)
    for index in range(frames):
        image = np.full((SIZE_WH[1], SIZE_WH[0], 3), 40, np.uint8)
        cv2.circle(image, (90 + index * step_px, 80), 5, (255, 255, 255), -1)
        writer.write(image)
    writer.release()
    return path


def test_crop_is_fixed_and_keypoints_follow_the_face(tmp_path: Path):
    tracker = DotTracker()
    clip = load_clip(write_clip(tmp_path / "dot.avi"), tracker=tracker, side_px=128)
    assert clip.name == "dot"
    assert clip.frames.shape == (20, 128, 128, 3)
    assert clip.side_px == 128
    assert tracker.resets == 1
    assert (np.diff(clip.captured_ns) > 0).all()
    centres = (clip.keypoints[..., :2].min(1) + clip.keypoints[..., :2].max(1)) / 2
    np.testing.assert_allclose(np.diff(centres[:, 0]), 2 / 120, atol=1e-3)  # one pixel of a 120-pixel box each
    np.testing.assert_allclose(np.median(centres, axis=0), 0, atol=0.02)
    for frame, centre in zip(clip.frames, centres, strict=True):
        y, x = np.unravel_index(int(cv2.GaussianBlur(frame[..., 1], (9, 9), 0).argmax()), (128, 128))
        np.testing.assert_allclose((np.array([x, y]) + 0.5) / 64 - 1, centre, atol=0.03)


def test_frames_without_a_face_are_left_out(tmp_path: Path):
    tracker = DotTracker(blind=frozenset({0, 5, 6}))
    clip = load_clip(write_clip(tmp_path / "dot.avi"), tracker=tracker)
    assert len(clip.frames) == len(clip.keypoints) == len(clip.captured_ns) == 17


def test_long_clips_are_thinned_out_evenly(tmp_path: Path):
    clip = load_clip(write_clip(tmp_path / "dot.avi", frames=40), tracker=DotTracker(), max_frames=15)
    assert len(clip.frames) == 14
    assert np.ptp(np.diff(clip.captured_ns)) <= 1_000_000
    assert clip.captured_ns[1] - clip.captured_ns[0] == pytest.approx(3 * 40_000_000, rel=0.01)


def test_clips_without_enough_faces_are_refused(tmp_path: Path):
    path = write_clip(tmp_path / "dot.avi")
    with pytest.raises(NoFaceInDriver, match=r"dot\.avi shows a face in 0 of its 20 frames"):
        load_clip(path, tracker=DotTracker(blind=frozenset(range(20))))
    with pytest.raises(NoFaceInDriver, match="in 9 of its 20"):
        load_clip(path, tracker=DotTracker(blind=frozenset(range(11))))
    with pytest.raises(NoFaceInDriver, match="in 8 of its 8"):
        load_clip(write_clip(tmp_path / "short.avi", frames=8), tracker=DotTracker())


def test_list_clips(tmp_path: Path):
    for name in ("b.mp4", "a.GIF", "c.txt", "d.mpg"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in list_clips(tmp_path)] == ["a.GIF", "b.mp4", "d.mpg"]
    assert list_clips(tmp_path / "b.mp4") == [tmp_path / "b.mp4"]
    with pytest.raises(DriverUnreadable, match="does not exist"):
        list_clips(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DriverUnreadable, match="holds no video: expected mp4, mpg"):
        list_clips(tmp_path / "empty")


def test_several_folders_are_told_apart_by_name(tmp_path: Path):
    for folder in ("real/dev", "drawn/dev", "more"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.mp4").touch()
    places = [tmp_path / "real/dev", tmp_path / "drawn/dev", tmp_path / "more", tmp_path / "real/dev/a.mp4"]
    found = find_clips(places)
    assert [one.folder for one in found] == ["real/dev", "drawn/dev", "more"]
    assert [one.path.name for one in found] == ["a.mp4"] * 3
    assert [one.folder for one in find_clips(places[:1])] == ["dev"]
    with pytest.raises(DriverUnreadable, match="does not exist"):
        find_clips([*places, tmp_path / "none"])
