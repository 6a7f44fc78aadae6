# SPDX-License-Identifier: Apache-2.0
"""The whole program on its built-in content: tracked for real, warped for real, into files that play."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.app import AnimateJob, animate, build_renderer, load_sources
from engine.app.demo import builtin_clip
from engine.app.live import LiveJob, open_live
from engine.app.offline import neutral_of
from engine.assets import asset_path
from engine.capture import open_camera
from engine.cli.commands import app
from engine.config import LiveSettings, OutputSettings
from engine.errors import CameraMissing, DriverUnreadable, InvalidSetting, SourceSetMissing
from engine.watermark.gate import has_mark

pytestmark = pytest.mark.slow

SMALL = LiveSettings(output=OutputSettings(size_wh=(256, 256)))


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.fixture(scope="module")
def animated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the built-in clip, driving a set of three pictures."""
    folder = tmp_path_factory.mktemp("animated")
    job = AnimateJob(
        source_set="otto",
        driving=str(builtin_clip()),
        out=folder / "out.mp4",
        sheet=folder / "out.png",
        sources=3,
        limit_s=2.0,
        settings=SMALL,
    )
    lines: list[str] = []
    steps: list[tuple[int, int | None]] = []
    done = animate(job, announce=lines.append, advance=lambda count, total: steps.append((count, total)))
    assert (done.frame_count, done.lost_count, done.complete) == (50, 0, True)
    assert steps[-1] == (50, 50)
    assert len(lines) == 1
    assert lines[0].startswith("engine: openvino")
    assert "N=3" in lines[0]
    return folder


def test_the_character_moves_and_every_frame_is_marked(animated: Path) -> None:
    pictures = pictures_of(animated / "out.mp4")
    assert len(pictures) == 50
    assert all(has_mark(picture) for picture in pictures)
    face = np.stack(pictures)[:, 60:200, 60:200].astype(np.float32)
    assert np.abs(face[1:] - face[:-1]).mean(axis=(1, 2, 3)).max() > 0.5
    assert face.std(axis=0).mean() > 2.0


def test_the_sheet_is_a_picture(animated: Path) -> None:
    with Image.open(animated / "out.png") as sheet:
        assert min(sheet.size) > 400


def test_a_neutral_is_found_in_the_built_in_clip() -> None:
    neutral = neutral_of(str(builtin_clip()))
    assert neutral.landmarks_px.shape == (478, 3)
    assert np.isfinite(neutral.landmarks_px).all()


def test_a_live_run_from_a_file_ends_by_itself(tmp_path: Path) -> None:
    job = LiveJob("amara", str(builtin_clip()), tmp_path / "take.mp4", virtual_camera=False, sources=1, settings=SMALL)
    with open_live(job) as pipeline:
        pipeline.start()
        assert pipeline.wait(120)
        assert pipeline.state.error is None
    pictures = pictures_of(tmp_path / "take.mp4")
    assert pictures
    assert all(has_mark(picture) for picture in pictures)


class TestMistakes:
    """What is wrong is said before anything is written or loaded."""

    def test_no_output(self) -> None:
        with pytest.raises(InvalidSetting, match="go nowhere"):
            open_live(LiveJob("amara", "synthetic", virtual_camera=False))

    def test_no_camera(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("engine.capture.find_cameras", list)
        with pytest.raises(CameraMissing):
            open_live(LiveJob("amara", "camera:0", tmp_path / "take.mp4", virtual_camera=False))
        assert not (tmp_path / "take.mp4").exists()

    def test_no_driving_file(self, tmp_path: Path) -> None:
        with pytest.raises(DriverUnreadable, match="does not exist"):
            animate(AnimateJob("amara", "none.mp4", tmp_path / "out.mp4"))
        assert not (tmp_path / "out.mp4").exists()

    def test_no_such_set(self) -> None:
        with pytest.raises(SourceSetMissing, match="Did you mean otto"):
            build_renderer("ottto")

    @pytest.mark.parametrize("count", [0, 9])
    def test_more_pictures_than_there_are(self, count: int) -> None:
        with pytest.raises(InvalidSetting, match=r"from 1 to 8"):
            load_sources("amara", count=count)

    def test_a_failed_run_keeps_an_earlier_file(self, tmp_path: Path, animated: Path) -> None:
        out = tmp_path / "out.mp4"
        shutil.copy(animated / "out.mp4", out)
        before = out.read_bytes()
        options = ["--set", "amara", "--driving", str(builtin_clip()), "--out", str(out), "--model", "huge"]
        assert CliRunner().invoke(app, ["animate", *options]).exit_code == 7
        assert out.read_bytes() == before


def test_a_picture_of_ones_own_is_analysed(tmp_path: Path) -> None:
    """Without a cache the tracker and the matte do the work; the second time the user's cache answers."""
    shutil.copy(asset_path("source_sets", "freya.bunraku", "front.webp"), tmp_path / "me.webp")
    first = load_sources(tmp_path / "me.webp")
    again = load_sources(tmp_path / "me.webp")
    assert len(first.images) == 1
    np.testing.assert_array_equal(first.images[0].keypoints, again.images[0].keypoints)
    assert 0.1 < (first.images[0].alpha > 127).mean() < 0.9


def test_the_synchronous_core_in_ten_lines() -> None:
    with open_camera(builtin_clip(), paced=False) as camera, build_renderer("jun", sources=2) as renderer:
        frame = camera.read()
        assert frame is not None
        output = renderer.render(frame)
    assert has_mark(output.rgb)
    assert output.rgb.shape == (720, 1280, 3)
