# SPDX-License-Identifier: Apache-2.0
"""`eval` and `bench` with the real tracker, the shipped model and the shipped clip, as short as can be."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from engine.assets import asset_path
from engine.capture import open_camera
from engine.cv import cv2
from engine.errors import DriverUnreadable
from engine.evaluation import run_bench, run_eval
from engine.evaluation.bench_report import STAGES, WHOLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fourth of the first frames of the shipped clip, and a file that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    with open_camera(asset_path("clips", "driver.mp4"), paced=False) as camera:
        frames = [camera.read() for _ in range(80)]
    height, width = frames[0].rgb.shape[:2]
    writer = cv2.VideoWriter(str(folder / "talk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height))
    for frame in frames[::4]:
        writer.write(np.ascontiguousarray(frame.rgb[..., ::-1]))
    writer.release()
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def test_eval_of_the_shipped_model(clip_folder: Path, caplog: pytest.LogCaptureFixture):
    steps: list[tuple[int, int | None]] = []
    report = run_eval([clip_folder], source_counts=(1, 3), advance=lambda done, total: steps.append((done, total)))
    scores = {(row.model, row.sources): row.scores for row in report.rows}
    assert set(scores) == {("copy", 1), ("copy", 3), ("lite", 1), ("lite", 3)}
    assert list(report.skipped) == [f"{clip_folder.name}/broken.mp4"]
    assert "Clip skipped: The driving video cannot be opened" in caplog.text
    assert steps[-1] == (8, 8)
    for each in map(dataclasses.asdict, scores.values()):
        assert each["missing"] == 0
        assert all(math.isfinite(each[name]) for name in ("akd_px", "ms_ssim", "jitter_px"))
    # What warping is for: the landmarks are where the driver has them.
    assert scores["lite", 3].akd_px < scores["copy", 1].akd_px
    assert scores["lite", 3].psnr_face_db > scores["copy", 1].psnr_face_db
    assert report.engines["lite"].startswith("engine: ")
    assert report.titles == {"lite": "Implicit Warping (lite)"}
    assert len(report.pictures) == 6, "three moments with one and three sources"


def test_eval_without_any_usable_clip(tmp_path: Path):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(DriverUnreadable):
        run_eval([tmp_path], source_counts=(1,))


def test_bench_of_the_shipped_model():
    report = run_bench(seconds=0.3, source_counts=(1, 2), size_wh=(256, 256), with_first_frame=False)
    assert [run.sources for run in report.runs] == [1, 2]
    for run in report.runs:
        assert set(run.stages) == {*STAGES, WHOLE}
        assert run.lost == 0
        assert run.delivered > 0
        assert run.frame_age.p50_ms > 0
        assert run.stages["warp"].p50_ms > 0
    assert " on " in report.engine
    assert not report.engine.startswith("engine:")
    assert "N=" not in report.engine
    json.dumps(report.as_dict(), allow_nan=False)
