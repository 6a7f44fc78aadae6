# SPDX-License-Identifier: Apache-2.0
"""The live comparison: the newest moment, sealed, and a face that is gone leaves the last picture."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engine.config import MotionSettings
from engine.errors import ModelFileMissing
from engine.evaluation import live_compare
from engine.evaluation.baseline import CopyWarper
from engine.evaluation.drive import Models
from engine.evaluation.live_compare import LiveCompare, LiveComparison
from engine.types import Frame, SourceImage, SourceSet, TrackedMotion
from engine.watermark.gate import has_mark
from tests.helpers.source_faces import landmarks_at, make_keypoints, portrait_rgb

_LONG_S = 60.0


def character(side_px: int) -> SourceSet:
    picture = portrait_rgb((side_px, side_px), seed=5)
    alpha = np.full((side_px, side_px), 255, np.uint8)
    return SourceSet("anybody", (SourceImage("front", picture, alpha, make_keypoints().astype(np.float32)),))


def driving(index: int) -> tuple[Frame, TrackedMotion]:
    """A driving frame whose pixels tell its index, and the face on it."""
    frame = Frame(index, index * 1_000_000, np.full((360, 640, 3), 10 * index, np.uint8))
    landmarks = np.asarray(landmarks_at((320.0, 180.0), 160.0), np.float32)
    return frame, TrackedMotion(index, frame.captured_ns, landmarks)


class Watcher:
    """Starts a comparison of one model that copies, and waits for what it shows."""

    def __init__(self) -> None:
        self.rings = threading.Semaphore(0)
        self.errors: list[BaseException] = []
        self.ended = threading.Event()
        self.compare = LiveCompare(
            ("copy",), "anybody", motion=MotionSettings(), doorbell=self.rings.release, on_error=self.fail
        )

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.ended.set()

    def after(self, frame: Frame, motion: TrackedMotion | None) -> LiveComparison:
        self.compare(frame, motion, None)
        assert self.rings.acquire(timeout=_LONG_S)
        shown = self.compare.take()
        assert shown is not None
        return shown

    def close(self) -> None:
        self.compare.stop()
        assert self.compare.join(_LONG_S)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Watcher]]:
    @contextmanager
    def open_models(names: tuple[str, ...], *, baseline: bool) -> Iterator[Models]:
        assert not baseline
        yield Models({"copy": CopyWarper()}, {}, {"copy": "Copy"})

    monkeypatch.setattr(live_compare, "open_models", open_models)
    monkeypatch.setattr(live_compare, "load_sources", lambda _name, *, side_px: character(side_px))
    made: list[Watcher] = []

    def make() -> Watcher:
        made.append(Watcher())
        return made[-1]

    yield make
    for each in made:
        each.close()


def you(shown: LiveComparison) -> int:
    """What the driving column's middle shows, to the next ten: the invisible mark moves single levels."""
    return 10 * round(int(shown.frame.rgb[46 + 128, 4 + 260 + 128, 0]) / 10)


def test_a_moment_becomes_a_sealed_picture_of_all_columns(watch: Callable[[], Watcher]) -> None:
    shown = watch().after(*driving(7))
    assert has_mark(shown.frame.rgb)
    assert shown.frame.captured_ns == 7_000_000
    assert you(shown) == 70
    assert list(shown.took_ms) == ["Copy"]
    assert shown.frame.rgb.shape[1] > 3 * 256, "sources, you, one model"


def test_the_newest_moment_wins(watch: Callable[[], Watcher]) -> None:
    watcher = watch()
    watcher.after(*driving(1))
    for index in (2, 3, 4):  # while it rests, or works on one of them
        watcher.compare(*driving(index), None)
    last = 0
    while last != 40:
        assert watcher.rings.acquire(timeout=_LONG_S), "the newest one never came"
        shown = watcher.compare.take()
        assert shown is None or you(shown) > last
        last = you(shown) if shown is not None else last


def test_without_a_face_the_last_picture_stays(watch: Callable[[], Watcher]) -> None:
    watcher = watch()
    watcher.after(*driving(5))
    frame, motion = driving(9)
    assert you(watcher.after(frame, None)) == 50
    assert you(watcher.after(*driving(10))) == 100
    assert motion is not None


def test_it_rests_and_forgets_when_stopped(watch: Callable[[], Watcher]) -> None:
    watcher = watch()
    watcher.after(*driving(1))
    watcher.close()
    watcher.compare(*driving(2), None)
    assert watcher.compare.take() is None
    assert not watcher.errors


def test_what_ends_it_is_told(watch: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str, *, side_px: int) -> SourceSet:
        raise ModelFileMissing("The model is gone.")

    monkeypatch.setattr(live_compare, "load_sources", fail)
    watcher = watch()
    assert watcher.ended.wait(_LONG_S)
    assert "The model is gone" in str(watcher.errors[0])
