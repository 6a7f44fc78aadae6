# SPDX-License-Identifier: Apache-2.0
"""Which part of the driving frame the tracker looks at, and which of several faces it follows. Render thread.

MediaPipe's mesh finds its own first face with a detector that misses faces under a fifth of the frame. So a
far-sighted detector looks at the whole frame, one face is chosen, and the mesh is given a window around it that
drifts after the face, slowly enough not to upset the mesh's own tracking from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FaceBox", "Window", "choose_face", "follow", "hide_others", "window_for"]

_WINDOW_PER_FACE = 3.2  # side of the window in face sides; the mesh's detector is at its best at a third
_RESIZE_RATIO = 1.6  # the window is chosen anew when the face grew or shrank by this much
_EDGE_SHARE = 0.42  # … or its centre left the inner part of the window (half side = 0.5)
_DRIFT_DEAD_ZONE = 0.25  # of the face side: the window stands still while a person merely moves on the chair
_DRIFT_PER_FRAME = 0.06  # of the face side, at most; well inside the margin of the mesh's own tracking


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A detected face in pixels of the frame; side is the larger of width and height."""

    centre_x_px: float
    centre_y_px: float
    side_px: float
    score: float = 1.0

    def distance_px(self, other: FaceBox) -> float:
        """Return the distance between the two centres."""
        return float(np.hypot(self.centre_x_px - other.centre_x_px, self.centre_y_px - other.centre_y_px))

    @staticmethod
    def around(landmarks_px: NDArray[np.floating[Any]]) -> FaceBox:
        """Return the box of landmarks, (P, 2|3) pixels."""
        low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
        centre, side = (low + high) / 2, float((high - low).max())
        return FaceBox(float(centre[0]), float(centre[1]), side)


@dataclass(frozen=True, slots=True)
class Window:
    """A whole-pixel rectangle of the frame that the mesh is given."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    face_side_px: float

    def cut(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the window of a frame, C-contiguous; no copy where it is the whole frame."""
        view = rgb[self.top_px : self.top_px + self.height_px, self.left_px : self.left_px + self.width_px]
        return np.ascontiguousarray(view)


def choose_face(faces: list[FaceBox], *, last: FaceBox | None = None, reach_px: float | None = None) -> FaceBox | None:
    """Choose the nearest face to `last`, else the biggest; None where none is within `reach_px` of `last`."""
    if not faces:
        return None
    if last is None:
        return max(faces, key=lambda face: face.side_px)
    nearest = min(faces, key=last.distance_px)
    return nearest if reach_px is None or nearest.distance_px(last) <= reach_px else None


def window_for(face: FaceBox, *, size_wh: tuple[int, int]) -> Window:
    """Return the square window for a face, moved inside the frame; the whole frame where the square does not fit."""
    width, height = size_wh
    side = round(face.side_px * _WINDOW_PER_FACE)
    if side >= min(width, height):
        return Window(0, 0, width, height, face.side_px)
    left = int(np.clip(round(face.centre_x_px - side / 2), 0, width - side))
    top = int(np.clip(round(face.centre_y_px - side / 2), 0, height - side))
    return Window(left, top, side, side, face.side_px)


def follow(window: Window, face: FaceBox, *, size_wh: tuple[int, int]) -> Window | None:
    """Return the window for the next frame, or None where a new one must be chosen with a fresh detection."""
    if (window.width_px, window.height_px) == size_wh:
        shrunk = face.side_px * _WINDOW_PER_FACE * _RESIZE_RATIO < min(size_wh)
        return None if shrunk else window
    offset_x = face.centre_x_px - (window.left_px + window.width_px / 2)
    offset_y = face.centre_y_px - (window.top_px + window.height_px / 2)
    ratio = face.side_px / window.face_side_px
    at_edge = _touches_edge(window, face, size_wh=size_wh)
    if at_edge or not 1 / _RESIZE_RATIO < ratio < _RESIZE_RATIO:
        return None
    if max(abs(offset_x), abs(offset_y)) < _DRIFT_DEAD_ZONE * face.side_px:
        return window
    step = _DRIFT_PER_FRAME * face.side_px
    left = window.left_px + round(float(np.clip(offset_x, -step, step)))
    top = window.top_px + round(float(np.clip(offset_y, -step, step)))
    left = int(np.clip(left, 0, size_wh[0] - window.width_px))
    top = int(np.clip(top, 0, size_wh[1] - window.height_px))
    return Window(left, top, window.width_px, window.height_px, window.face_side_px)


def _touches_edge(window: Window, face: FaceBox, *, size_wh: tuple[int, int]) -> bool:
    """Whether the face's centre nears an edge of the window beyond which the frame goes on."""
    near = (0.5 - _EDGE_SHARE) * window.width_px + face.side_px / 2
    right, bottom = window.left_px + window.width_px, window.top_px + window.height_px
    return bool(
        (window.left_px > 0 and face.centre_x_px - window.left_px < near)
        or (window.top_px > 0 and face.centre_y_px - window.top_px < near)
        or (right < size_wh[0] and right - face.centre_x_px < near)
        or (bottom < size_wh[1] and bottom - face.centre_y_px < near)
    )


def hide_others(rgb: NDArray[np.uint8], faces: list[FaceBox], *, chosen: FaceBox) -> NDArray[np.uint8]:
    """Return the frame with every other face painted grey, so that the mesh can only find the chosen one."""
    others = [face for face in faces if face is not chosen]
    if not others:
        return rgb
    painted = rgb.copy()
    for face in others:
        half = face.side_px * 0.6
        left, right = max(0, int(face.centre_x_px - half)), max(0, int(face.centre_x_px + half))
        top, bottom = max(0, int(face.centre_y_px - half)), max(0, int(face.centre_y_px + half))
        painted[top:bottom, left:right] = 128
    return painted
