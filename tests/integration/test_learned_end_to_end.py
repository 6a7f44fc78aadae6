# SPDX-License-Identifier: Apache-2.0
"""A model with learned keypoints through the command line: tracked for real, cut for real, sealed like any other."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.app import build_renderer
from engine.app.demo import builtin_clip
from engine.capture import open_camera
from engine.cli.commands import app
from engine.runtime import manifest as module
from engine.warp.learned_warper import LearnedWarper
from engine.watermark.gate import has_mark
from tests.helpers.tiny_learned import write_learned_model

pytestmark = pytest.mark.slow
pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def _tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)
    for kind in ("fomm", "fv2v"):
        write_learned_model(tmp_path / "models" / kind, kind)


def test_animate_takes_the_neutral_picture_from_the_driving_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neutrals: list[np.ndarray | None] = []
    true_set_neutral = LearnedWarper.set_neutral

    def noting(self: LearnedWarper, portrait: np.ndarray | None) -> None:
        neutrals.append(portrait)
        true_set_neutral(self, portrait)

    monkeypatch.setattr(LearnedWarper, "set_neutral", noting)
    out = tmp_path / "out.mp4"
    words = f"animate --set otto --sources 2 --driving {builtin_clip()} --out {out} --model fomm --seconds 0.3"
    result = CliRunner().invoke(app, [*words.split(), "--size", "256x256"])
    assert result.exit_code == 0, result.stderr
    assert "fp32, fomm, 64², N=2" in result.stdout
    (picture,) = neutrals
    assert picture is not None
    assert picture.std() > 10, "it is a picture of somebody"
    with av.open(str(out)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == 8
    assert all(has_mark(each) for each in pictures)


def test_a_wrong_model_name_is_one_sentence() -> None:
    words = f"animate --set otto --driving {builtin_clip()} --out x.mp4 --model fom"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 7
    assert result.stderr == "There is no model 'fom'; shipped models: fomm, fv2v. Choose one of them.\n"


def test_the_renderer_switches_sets_with_a_learned_model(tmp_path: Path) -> None:
    with build_renderer("otto", model="fv2v", sources=1) as renderer, open_camera(builtin_clip(), paced=False) as clip:
        frame = clip.read()
        assert frame is not None
        before = renderer.render(frame).rgb
        from engine.app import load_sources

        renderer.set_source_set(load_sources("amara", side_px=64))
        after = renderer.render(frame).rgb
        assert np.abs(before.astype(int) - after).mean() > 5
        assert renderer.last_timings.warp_ns > 0
