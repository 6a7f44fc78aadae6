# SPDX-License-Identifier: Apache-2.0
"""`interpolate`: built-in pictures into a file, end to end, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.app.interpolate import InterpolateJob, interpolate
from engine.assets import asset_path
from engine.cli import main
from engine.config import LiveSettings, OutputSettings
from engine.errors import InvalidSetting
from engine.watermark.gate import has_mark

SET = asset_path("source_sets", "amara.bunraku")


def settings(**output: object) -> LiveSettings:
    return LiveSettings(output=OutputSettings(size_wh=(256, 256), fps=5.0, **output))  # type: ignore[arg-type]


def test_a_turn_begins_and_ends_with_its_pictures(tmp_path: Path) -> None:
    job = InterpolateJob(
        ("front", "left"), tmp_path / "out", source_set="amara", seconds=1.0, model="lite", settings=settings()
    )
    steps: list[int] = []
    done = interpolate(job, advance=lambda count, _total: steps.append(count))
    assert done.complete
    assert done.frame_count == 5 == steps[-1]
    frames = [cv2.imread(str(path)) for path in sorted((tmp_path / "out").glob("*.png"))]
    assert len(frames) == 5
    for frame, name in ((frames[0], "front"), (frames[-1], "left")):
        picture = cv2.resize(cv2.imread(str(SET / f"{name}.webp")), (256, 256), interpolation=cv2.INTER_AREA)
        assert np.abs(frame[40:].astype(int) - picture[40:]).mean() < 3.0  # below the mark
    assert all(has_mark(np.ascontiguousarray(frame[..., ::-1])) for frame in frames)


def test_the_command_loops_over_pictures_with_alpha(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "loop.webm"
    pictures = [str(SET / f"{name}.webp") for name in ("front", "smile")]
    options = ["--seconds", "0.8", "--fps", "5", "--loop", "--ease", "smooth", "--size", "256x256", "--model", "lite"]
    code = main(["interpolate", *pictures, *options, "--background", "transparent", "--out", str(out), "-q"])
    assert code == 0, capsys.readouterr().err
    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 4
        assert file.streams.video[0].metadata["alpha_mode"] == "1"


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    for options, says in (
        ({"pictures": ("front",)}, "fewer than two"),
        ({"pictures": ("front", "lfet")}, "Did you mean left"),
        ({"pictures": ("front", "left"), "model": "fomm"}, "finds keypoints of its own"),
    ):
        with pytest.raises(InvalidSetting, match=says):
            interpolate(InterpolateJob(out=out, source_set="amara", **{"model": "lite", **options}))  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="--seconds"):
        InterpolateJob(("a", "b"), out, seconds=0.0)
    with pytest.raises(InvalidSetting, match="--ease"):
        InterpolateJob(("a", "b"), out, easing="bouncy")
    assert not out.exists()
