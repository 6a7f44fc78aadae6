# SPDX-License-Identifier: Apache-2.0
"""MediaPipe Face Mesh behind `Tracker`: the only place that knows MediaPipe's faces. Render thread.

478 landmarks with irises. Video mode follows ONE performer: the biggest face at first, after a loss the nearest to
where the performer was; bystanders are painted out of the frame in which the mesh looks for its face. Static mode
is for pictures and returns every face.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.track.window import FaceBox, Window, choose_face, follow, hide_others, window_for
from engine.types import LANDMARK_COUNT, Frame, TrackedMotion

__all__ = ["FaceMeshTracker", "load_solutions", "quiet_native_logs"]

_RECOUNT_NS = 2_000_000_000  # how often bystanders are counted again; the detector costs about 10 ms
_STAY_NS = 1_500_000_000  # for this long after a loss only a face near the last place is taken
_REACH_FACES = 1.5  # … near: within this many face sides
_SEARCH_NS = 100_000_000  # while no face is there at all, how often the far-sighted detector looks
_PICTURE_WINDOW = 2.6  # side of the cut around a face of a picture, in face sides
_SMALL_FACE_PX = 80.0  # below this, landmarks get visibly coarse
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Send what native code writes to standard error to nowhere.

    TensorFlow Lite and absl write to file descriptor 2 before any setting can stop them. Other threads' lines are
    lost for the moment too, so this wraps the loading of a model and its first face, not every frame.
    """
    with _stderr_lock, contextlib.ExitStack() as stack:
        try:
            saved = os.dup(2)
        except OSError:  # a windowed program on Windows has no standard error
            yield
            return
        stack.callback(os.close, saved)
        sink = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, sink)
        os.dup2(sink, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)


@contextlib.contextmanager
def _sound_may_fail() -> Iterator[None]:
    """Let MediaPipe be imported where the sound system does not start: it imports `sounddevice`, for nothing of ours.

    It bears that the package or its library is missing, but not what the package raises itself.
    """
    try:
        import sounddevice  # noqa: F401 - loading it is the point
    except (ImportError, OSError):
        yield
    except Exception:  # noqa: BLE001 - sounddevice's own error, which cannot be imported
        sys.modules["sounddevice"] = None  # type: ignore[assignment]  # for Python: it is not there
        try:
            yield
        finally:
            del sys.modules["sounddevice"]
    else:
        yield


def load_solutions() -> Any:
    """Import MediaPipe's solutions without its start-up chatter."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_native_logs(), warnings.catch_warnings(), _sound_may_fail():
        warnings.simplefilter("ignore")
        import mediapipe
    # Raised by MediaPipe's own use of protobuf 4, once per run, meaningless to our users.
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\) is deprecated", category=UserWarning)
    return mediapipe.solutions


class FaceMeshTracker:
    """MediaPipe Face Mesh with irises.

    Thread: one thread at a time.
    Cost: about 5 ms a frame with one face in view, 10 ms more in a frame that looks for the performer.

    Args:
        static: pictures instead of video: every frame stands alone.
        max_faces: how many faces are told apart (and, in static mode, returned).
        min_confidence: [0, 1], below which a face is no face.
    """

    def __init__(self, *, static: bool = False, max_faces: int = 2, min_confidence: float = 0.5) -> None:
        self._static = static
        self._max_faces = max_faces
        solutions = load_solutions()
        with quiet_native_logs(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._mesh: Any = solutions.face_mesh.FaceMesh(
                static_image_mode=static,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=min_confidence,
                min_tracking_confidence=min_confidence,
            )
            self._far: Any = solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=min_confidence
            )
            # Loads the models now: the first frame must not stutter, and their log lines end here.
            blank = np.zeros((64, 64, 3), np.uint8)
            self._mesh.process(blank)
            self._far.process(blank)
        self._seen_a_face = False
        self.reset()

    def reset(self) -> None:
        """Forget the performer."""
        self._size_wh: tuple[int, int] | None = None
        self._window: Window | None = None
        self._last: FaceBox | None = None
        self._last_seen_ns = 0
        self._last_search_ns: int | None = None
        self._last_count_ns = 0
        self._face_count = 0

    def close(self) -> None:
        """Free both models."""
        for graph in (self._mesh, self._far):
            # MediaPipe raises when a graph is closed twice.
            with contextlib.suppress(ValueError):
                graph.close()

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Return the performer's landmarks, or None while no face is found."""
        if self._static:
            faces = self.track_all(frame)
            return faces[0] if faces else None
        if self._size_wh not in (None, _size_wh(frame)):
            self.reset()  # another camera: old places mean nothing
        self._size_wh = _size_wh(frame)
        landmarks = self._follow(frame)
        if landmarks is None:
            landmarks = self._acquire(frame)
        if landmarks is None:
            return None
        face = FaceBox.around(landmarks)
        self._last, self._last_seen_ns = face, frame.captured_ns
        if self._window is not None:
            self._window = follow(self._window, face, size_wh=_size_wh(frame))
        self._recount(frame)
        return _motion(frame, landmarks, max(self._face_count, 1))

    def track_all(self, frame: Frame) -> list[TrackedMotion]:
        """Return every face of a picture, biggest first; static mode only.

        Small faces in big pictures are found too; drawn faces are tried once more at full frame.
        """
        found: list[NDArray[np.float32]] = []
        for box in sorted(self._detect(frame.rgb), key=lambda face: -face.side_px)[: self._max_faces]:
            window = _picture_window(box, size_wh=_size_wh(frame))
            landmarks = self._run_mesh(window.cut(frame.rgb), window)
            if landmarks is not None and not any(_same_face(landmarks, other) for other in found):
                found.append(landmarks)
        if not found:  # drawn faces, and faces that fill the picture, escape the detector
            whole = Window(0, 0, *_size_wh(frame), 0.0)
            landmarks = self._run_mesh(np.ascontiguousarray(frame.rgb), whole)
            found = [] if landmarks is None else [landmarks]
        return [_motion(frame, landmarks, len(found)) for landmarks in found]

    def _follow(self, frame: Frame) -> NDArray[np.float32] | None:
        """Track on from the last frame."""
        window = self._window
        return None if window is None else self._run_mesh(window.cut(frame.rgb), window)

    def _acquire(self, frame: Frame) -> NDArray[np.float32] | None:
        """Look for the performer with the far-sighted detector, then hand the place to the mesh."""
        self._window = None
        if self._last is None and self._last_search_ns is not None:
            # Nobody there: searching every frame would cost three times the tracking.
            waited_ns = frame.captured_ns - self._last_search_ns
            if 0 <= waited_ns < _SEARCH_NS:
                return None
        self._last_search_ns = frame.captured_ns
        faces = self._detect(frame.rgb)
        if not faces and self._last is None:
            faces = self._detect_in_middle(frame.rgb)
        self._face_count, self._last_count_ns = len(faces), frame.captured_ns
        chosen = self._choose(faces, frame.captured_ns)
        if chosen is None:
            return None
        window = window_for(chosen, size_wh=_size_wh(frame))
        # An empty picture ends whatever the mesh still follows; the next one makes it detect afresh.
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        landmarks = self._run_mesh(window.cut(hide_others(frame.rgb, faces, chosen=chosen)), window)
        self._window = window if landmarks is not None else None
        return landmarks

    def _choose(self, faces: list[FaceBox], now_ns: int) -> FaceBox | None:
        last = self._last
        if last is None:
            return choose_face(faces)
        if now_ns - self._last_seen_ns > _STAY_NS:
            self._last = None
            return choose_face(faces)
        return choose_face(faces, last=last, reach_px=_REACH_FACES * last.side_px)

    def _recount(self, frame: Frame) -> None:
        if self._max_faces > 1 and frame.captured_ns - self._last_count_ns >= _RECOUNT_NS:
            self._face_count, self._last_count_ns = len(self._detect(frame.rgb)), frame.captured_ns

    def _detect(self, rgb: NDArray[np.uint8]) -> list[FaceBox]:
        height, width = rgb.shape[:2]
        found = self._far.process(np.ascontiguousarray(rgb)).detections or []
        boxes = []
        for detection in found:
            box = detection.location_data.relative_bounding_box
            centre_x, centre_y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
            side = max(box.width * width, box.height * height)
            boxes.append(FaceBox(centre_x - 0.5, centre_y - 0.5, side, float(detection.score[0])))
        return boxes

    def _detect_in_middle(self, rgb: NDArray[np.uint8]) -> list[FaceBox]:
        """Look once more at the middle half: a face too far away for the whole frame is most likely there."""
        height, width = rgb.shape[:2]
        left, top = width // 4, height // 4
        faces = self._detect(rgb[top : height - top, left : width - left])
        return [replace(f, centre_x_px=f.centre_x_px + left, centre_y_px=f.centre_y_px + top) for f in faces]

    def _run_mesh(self, rgb: NDArray[np.uint8], window: Window) -> NDArray[np.float32] | None:
        """Run the mesh on a window; landmarks come back in frame pixels, z in the scale of x."""
        # A graph logs once more when it projects its first face.
        with contextlib.nullcontext() if self._seen_a_face else quiet_native_logs():
            faces = self._mesh.process(rgb).multi_face_landmarks
        if not faces:
            return None
        self._seen_a_face = True
        points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
        if points.shape != (LANDMARK_COUNT, 3) or not np.isfinite(points).all():
            return None
        # MediaPipe counts from the picture's edge; here integers are pixel centres.
        points *= np.array([window.width_px, window.height_px, window.width_px], np.float32)
        points += np.array([window.left_px - 0.5, window.top_px - 0.5, 0.0], np.float32)
        return points


def _size_wh(frame: Frame) -> tuple[int, int]:
    return frame.rgb.shape[1], frame.rgb.shape[0]


def _picture_window(face: FaceBox, *, size_wh: tuple[int, int]) -> Window:
    """Return the largest useful cut around a face of a picture, cut off at the picture's edges."""
    half = face.side_px * _PICTURE_WINDOW / 2
    left, top = max(0, int(face.centre_x_px - half)), max(0, int(face.centre_y_px - half))
    right, bottom = min(size_wh[0], int(face.centre_x_px + half)), min(size_wh[1], int(face.centre_y_px + half))
    if right - left < 16 or bottom - top < 16:
        return Window(0, 0, *size_wh, face.side_px)
    return Window(left, top, right - left, bottom - top, face.side_px)


def _same_face(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    a, b = FaceBox.around(first), FaceBox.around(second)
    return a.distance_px(b) < 0.3 * max(a.side_px, b.side_px)


def _motion(frame: Frame, landmarks: NDArray[np.float32], face_count: int) -> TrackedMotion:
    width, height = _size_wh(frame)
    inside = ((landmarks[:, :2] >= -0.5) & (landmarks[:, :2] <= (width - 0.5, height - 0.5))).all(1).mean()
    size = FaceBox.around(landmarks).side_px
    quality = float(inside) * min(1.0, size / _SMALL_FACE_PX)
    return TrackedMotion(
        frame_index=frame.index,
        captured_ns=frame.captured_ns,
        landmarks_px=landmarks,
        quality=quality,
        face_count=face_count,
    )
