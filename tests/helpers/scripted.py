# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for camera, tracker, retargeter and warper that do exactly what a test says.

Driving frames are painted in `RAW_RGB`, a colour that nothing else in the pipeline makes: a test that finds it in an
output frame has caught raw camera pixels.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from types import TracebackType

import numpy as np

from engine.assets import load_canonical_face
from engine.capture.base import CameraInfo
from engine.clock import FakeClock
from engine.compose.compositor import Compositor
from engine.config import LiveSettings, MotionSettings, OutputSettings
from engine.renderer import Renderer
from engine.stages import Spares
from engine.types import Frame, OutputFrame, Query, SourceImage, SourceSet, TrackedMotion, WarpedPortrait

__all__ = [
    "FPS",
    "PERSON_RGB",
    "RAW_RGB",
    "SIZE_WH",
    "BesideWarper",
    "ReadingWarper",
    "ScriptedCamera",
    "ScriptedRetargeter",
    "ScriptedTracker",
    "ScriptedWarper",
    "driving_frame",
    "make_renderer",
    "make_source_set",
    "shows_person",
    "shows_raw",
]

RAW_RGB = (255, 0, 255)
PERSON_RGB = (200, 120, 40)
SIZE_WH = (320, 180)
FPS = 30.0
_PERIOD_NS = round(1e9 / FPS)
_CENTRE = (SIZE_WH[1] // 2, SIZE_WH[0] // 2)


def driving_frame(index: int, *, at_ns: int | None = None) -> Frame:
    """Return a raw camera frame in the unmistakable colour."""
    rgb = np.empty((48, 64, 3), np.uint8)
    rgb[:] = RAW_RGB
    return Frame(index, index * _PERIOD_NS if at_ns is None else at_ns, rgb)


def shows_raw(frame: OutputFrame) -> bool:
    """Whether any pixel looks like the raw camera's colour."""
    far = np.abs(frame.rgb.astype(int) - RAW_RGB).max(axis=2)
    return bool((far < 40).any())


def shows_person(frame: OutputFrame) -> float:
    """Return how much of the character's colour is in the middle of the frame: 1 fully, 0 not at all."""
    return float(1 - np.abs(frame.rgb[_CENTRE].astype(int) - PERSON_RGB).max() / max(PERSON_RGB))


def make_source_set(name: str = "maya") -> SourceSet:
    """Return a source set of one tiny picture."""
    picture = np.zeros((16, 16, 3), np.uint8)
    image = SourceImage("front", picture, picture[..., 0].copy(), np.zeros((478, 3), np.float32))
    return SourceSet(name, (image,))


class ScriptedCamera:
    """Reads what the test puts: frames, None for the end, or an exception to raise."""

    def __init__(self, *items: Frame | BaseException | None) -> None:
        self._items: queue.Queue[Frame | BaseException | None] = queue.Queue()
        for item in items:
            self._items.put(item)
        self.closed = threading.Event()
        self.info = CameraInfo("scripted", "Scripted", 64, 48, FPS)

    def put(self, item: Frame | BaseException | None) -> None:
        """Let the next `read` return or raise this."""
        self._items.put(item)

    def read(self) -> Frame | None:
        """Return the next item, waiting for one."""
        item = self._items.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """End a waiting read."""
        self.closed.set()
        self._items.put(None)

    def __enter__(self) -> ScriptedCamera:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ScriptedTracker:
    """Finds a face in every frame but those listed."""

    def __init__(self, *, lost: set[int] | None = None, error_at: dict[int, BaseException] | None = None) -> None:
        self.lost = lost if lost is not None else set()
        self.error_at = error_at or {}
        self.resets = 0
        self.closed = False

    def track(self, frame: Frame) -> TrackedMotion | None:
        """Follow the script."""
        if frame.index in self.error_at:
            raise self.error_at[frame.index]
        if frame.index in self.lost:
            return None
        return TrackedMotion(frame.index, frame.captured_ns, load_canonical_face() * np.float32(40) + np.float32(100))

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def close(self) -> None:
        """Note it."""
        self.closed = True


class ScriptedRetargeter:
    """Passes everything through."""

    def __init__(self) -> None:
        self.settings = MotionSettings()
        self.neutral = None
        self.resets = 0
        self.characters = 0

    def set_character(self, character: np.ndarray, *, coverage: np.ndarray | None = None) -> None:
        """Count."""
        assert coverage is not None
        assert coverage.shape[1:] == character.shape
        self.characters += 1

    def retarget(self, motion: TrackedMotion) -> Query:
        """Return the motion's own points."""
        return Query(motion.captured_ns, motion.landmarks_px.copy())

    def reset(self) -> None:
        """Count."""
        self.resets += 1


class PreparedName(str):
    """A set's name, as what a `ScriptedWarper` has prepared."""

    __slots__ = ()
    shown = 16
    warning = None


class ScriptedWarper:
    """Shows a person of one colour, a little darker with every source set used."""

    description = "engine: scripted"
    side_px = 64

    def __init__(self, *, error_at: dict[int, BaseException] | None = None) -> None:
        self.error_at = error_at or {}
        self.warped = 0
        self.resets = 0
        self.used: list[str] = []
        self.closed_on = ""
        self._backdrop = np.full((64, 64, 3), 30, np.uint8)

    def prepare(self, source_set: SourceSet) -> PreparedName:
        """Return the name."""
        if not source_set.images:
            raise ValueError("empty")
        return PreparedName(source_set.name)

    def use(self, prepared: PreparedName) -> None:
        """Note it."""
        self.used.append(prepared)

    def warp(self, query: Query) -> WarpedPortrait:
        """Return the person over all of the portrait."""
        self.warped += 1
        if self.warped in self.error_at:
            raise self.error_at[self.warped]
        rgba = np.empty((64, 64, 4), np.uint8)
        rgba[:] = (*PERSON_RGB, 255)
        return WarpedPortrait(query.captured_ns, rgba, self._backdrop, np.ones(1, np.float32))

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def close(self) -> None:
        """Note the thread: the one that rendered must free the GPU."""
        self.closed_on = threading.current_thread().name


class BesideWarper(ScriptedWarper):
    """A warper that draws in two steps and paints how often it has, so that no two frames are alike."""

    def __init__(self, *, error_at: dict[int, BaseException] | None = None) -> None:
        super().__init__(error_at=error_at)
        self.begun: Query | None = None

    def start(self, query: Query) -> None:
        """Keep the query."""
        assert self.begun is None, "one frame at a time"
        self.begun = query

    def finish(self) -> WarpedPortrait:
        """Draw it."""
        assert self.begun is not None, "a frame was begun"
        query, self.begun = self.begun, None
        return self.warp(query)

    def warp(self, query: Query) -> WarpedPortrait:
        """Show the person with a stripe that grows."""
        portrait = super().warp(query)
        rgba = portrait.rgba.copy()
        rgba[: self.warped % 32, :, 1] = 255
        return replace(portrait, rgba=rgba)


class ReadingWarper(ScriptedWarper):
    """A warper that needs the driving portrait, and notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.portraits: list[np.ndarray | None] = []
        self.neutrals: list[np.ndarray | None] = []
        self.shares: list[float] = []

    def set_motion(self, share: float) -> None:
        """Note it."""
        self.shares.append(share)

    def set_neutral(self, portrait: np.ndarray | None) -> None:
        """Note it."""
        self.neutrals.append(portrait)

    def warp(self, query: Query) -> WarpedPortrait:
        """Note the portrait and show the person."""
        self.portraits.append(query.portrait)
        return super().warp(query)


def make_renderer(
    *,
    tracker: ScriptedTracker | None = None,
    warper: ScriptedWarper | None = None,
    settings: LiveSettings | None = None,
    clock: FakeClock | None = None,
    spares: Spares | None = None,
) -> Renderer:
    """Return a renderer made of scripted parts and the real compositor and gate."""
    settings = settings or LiveSettings(output=OutputSettings(size_wh=SIZE_WH))
    return Renderer(
        tracker or ScriptedTracker(),
        ScriptedRetargeter(),
        warper or ScriptedWarper(),
        Compositor(settings.output),
        settings=settings,
        clock=clock,
        spares=spares,
    )
