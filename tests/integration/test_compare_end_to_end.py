# SPDX-License-Identifier: Apache-2.0
"""`compare` and `eval --cross` on a short clip: real tracking, the shipped model beside one with learned keypoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.app.demo import builtin_clip
from engine.assets import asset_path
from engine.cli.commands import app
from engine.runtime import manifest as module
from engine.watermark.gate import has_mark
from tests.helpers.tiny_learned import write_learned_model

pytestmark = pytest.mark.slow
pytest.importorskip("onnx")
FRAMES = 16


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the shipped clip."""
    path = tmp_path_factory.mktemp("clips") / "talk.mp4"
    with av.open(str(builtin_clip())) as source, av.open(str(path), "w") as short:
        stream = short.add_stream_from_template(source.streams.video[0])
        for count, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None or count >= FRAMES:
                break
            packet.stream = stream
            short.mux(packet)
    return path


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped `lite`, and a tiny `fomm`."""
    shutil.copytree(asset_path("models", "lite"), tmp_path / "models" / "lite")
    write_learned_model(tmp_path / "models" / "fomm", "fomm")
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)


def invoke(words: str) -> str:
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.stderr
    return result.stdout


def pictures_of(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Return the frames and their times in seconds."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames], [frame.time or 0.0 for frame in frames]


def columns_of(picture: np.ndarray) -> list[np.ndarray]:
    return [picture[46 : 46 + 256, left : left + 256] for left in range(4, picture.shape[1] - 255, 260)]


def test_a_set_driven_by_a_video_one_column_a_model(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    said = invoke(f"compare --set otto --sources 2 --driving {clip} --models fomm,lite --out {out}")
    assert said.splitlines()[-1] == f"{out}: {FRAMES} frames"
    assert "fomm, 64², N=2" in said
    pictures, times_s = pictures_of(out)
    assert len(pictures) == FRAMES
    np.testing.assert_allclose(np.diff(times_s), np.diff(pictures_of(clip)[1]), atol=1e-4, err_msg="its own times")
    assert all(has_mark(picture) for picture in pictures)
    sources, driving, fomm, lite = columns_of(pictures[-1])
    assert len({each.mean().round(1) for each in (sources, driving, fomm, lite)}) == 4
    first = columns_of(pictures[0])
    np.testing.assert_allclose(sources, first[0], atol=24, err_msg="the sources stand still, but for compression")


def test_a_clip_rebuilds_itself_and_drives_others(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "self.mp4"
    said = invoke(f"compare --clip {clip} --sources 2 --seconds 0.3 --models lite --out {out}")
    assert said.splitlines()[-1] == f"{out}: 8 frames"
    pictures, _ = pictures_of(out)
    _, driving, lite = columns_of(pictures[0])
    assert np.abs(driving.astype(int) - lite).mean() < 4, "the first frame is a source picture"
    other = tmp_path / "other.mp4"
    said = invoke(f"compare --clip {clip} --driving {clip} --seconds 0.2 --absolute --models lite --out {other}")
    assert "N=4" in said
    assert len(pictures_of(other)[0]) == 5


def test_eval_and_cross_take_both_kinds_in_one_run(clip: Path, tmp_path: Path) -> None:
    report, sheet = tmp_path / "cross.json", tmp_path / "cross.png"
    files = f"--json {report} --sheet {sheet}"
    said = invoke(f"eval --cross --set otto --clips {clip} --sources 1 --models fomm,lite {files}")
    assert "talk → otto" not in said, "one clip: its figures are the means"
    plain = json.loads(report.read_text(encoding="utf-8"))
    figures = {row["model"]: row["scores"] for row in plain["clips"]}
    assert set(figures) == {"copy", "fomm", "lite"}
    assert figures["lite"]["missing"] == 0
    assert figures["lite"]["turn_deg"] < figures["copy"]["turn_deg"] + 1
    assert sheet.stat().st_size > 1000
    invoke(f"eval --clips {clip} --sources 1 --models fomm,lite --json {report}")
    plain = json.loads(report.read_text(encoding="utf-8"))
    assert {row["model"] for row in plain["mean"]} == {"copy", "fomm", "lite"}
    assert all(row["folder"] == clip.parent.name for row in plain["clips"])
