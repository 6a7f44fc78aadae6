# SPDX-License-Identifier: Apache-2.0
"""Offline jobs: every frame, the file's own times, an end in order whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.app import demo, offline
from engine.app.contact_sheet import ContactSheet
from engine.app.demo import builtin_clip, builtin_set, demo_job
from engine.app.offline import render_all
from engine.capture.base import CameraInfo
from engine.errors import ModelFileMissing, NoFaceInDriver
from engine.renderer import Rendered
from engine.sinks.memory import MemorySink
from engine.types import Composite, Frame
from engine.watermark.gate import seal

STEP_NS = 40_000_000
START_NS = 7_000_000_000  # a clip's times need not start at zero


class ListCamera:
    """So many frames, 25 a second."""

    info = CameraInfo("list", "a list of frames", 64, 64, 25.0)

    def __init__(self, count: int) -> None:
        self._left = iter(range(count))

    def read(self) -> Frame | None:
        index = next(self._left, None)
        return None if index is None else Frame(index, START_NS + index * STEP_NS, np.zeros((64, 64, 3), np.uint8))


class StepRenderer:
    """Answers with a plain canvas; says a face was lost in some frames, and is interrupted at one."""

    def __init__(self, *, lost: Sequence[int] = (), interrupted_at: int = -1) -> None:
        self._lost, self._interrupted_at = set(lost), interrupted_at

    def render_ahead(self, frames: Iterable[Frame]) -> Iterator[Rendered]:
        for frame in frames:
            if frame.index == self._interrupted_at:
                raise KeyboardInterrupt
            output = seal(Composite(frame.captured_ns, np.full((128, 128, 3), 60, np.uint8)), rendered_ns=0)
            yield Rendered(frame, output, frame.index in self._lost)


def run(count: int, renderer: StepRenderer, **options: object) -> tuple[offline.Animation, MemorySink]:
    sink = MemorySink()
    return render_all(ListCamera(count), renderer, sink, **options), sink  # type: ignore[arg-type]


def test_every_frame_goes_out_at_its_own_time() -> None:
    steps: list[int] = []
    done, sink = run(30, StepRenderer(lost=[3, 4]), advance=steps.append)
    assert [frame.captured_ns for frame in sink.frames] == [START_NS + i * STEP_NS for i in range(30)]
    assert (done.frame_count, done.lost_count, done.complete) == (30, 2, True)
    assert done.duration_s == pytest.approx(29 * 0.04)
    assert steps == list(range(1, 31))


def test_a_limit_is_in_driving_time() -> None:
    done, sink = run(100, StepRenderer(), limit_s=1.0)
    assert done.frame_count == sink.count == 25


def test_ctrl_c_keeps_what_is_done() -> None:
    done, sink = run(30, StepRenderer(interrupted_at=11))
    assert sink.count == 11
    assert (done.frame_count, done.complete) == (11, False)


def test_no_face_at_all_is_an_error() -> None:
    with pytest.raises(NoFaceInDriver, match="its 5 frames"):
        run(5, StepRenderer(lost=range(5)))


def test_ctrl_c_before_a_face_is_no_error() -> None:
    done, _ = run(5, StepRenderer(lost=range(5), interrupted_at=2))
    assert not done.complete


def test_the_sheet_sees_driver_and_output() -> None:
    sheet = ContactSheet(title="t", moments=4)
    run(10, StepRenderer(), sheet=sheet)
    assert len(sheet._shown()) == 4


@pytest.mark.parametrize(
    ("frame_count", "fps", "limit_s", "expected"),
    [(250, 25.0, None, 250), (250, 25.0, 2.0, 50), (30, 25.0, 2.0, 30), (0, 30.0, 1.0, 30), (0, 30.0, None, None)],
)
def test_how_many_frames_are_expected(
    frame_count: int, fps: float, limit_s: float | None, expected: int | None
) -> None:
    info = CameraInfo("id", "name", fps=fps, frame_count=frame_count)
    assert offline._expected_frames(info, limit_s) == expected


class TestDemoJob:
    def test_writes_into_the_folder(self, tmp_path: Path) -> None:
        job = demo_job(tmp_path)
        assert job.out == tmp_path / "bunraku-demo.mp4"
        assert job.sheet == tmp_path / "bunraku-demo.png"
        assert Path(job.driving) == builtin_clip()
        assert job.source_set == builtin_set()

    def test_another_set_may_be_shown(self, tmp_path: Path) -> None:
        assert demo_job(tmp_path, source_set="otto").source_set == "otto"

    def test_a_missing_clip_is_a_damaged_installation(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(demo, "asset_root", lambda: tmp_path)
        with pytest.raises(ModelFileMissing, match="driving clip that ships"):
            builtin_clip()

    def test_no_set_is_a_damaged_installation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(demo, "list_source_sets", list)
        with pytest.raises(ModelFileMissing, match="source set that ships"):
            builtin_set()
