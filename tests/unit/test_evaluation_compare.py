# SPDX-License-Identifier: Apache-2.0
"""The canvas of `compare`, what it refuses, and its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli.commands import app
from engine.errors import InvalidSetting, ModelFileMissing
from engine.evaluation.columns import Columns
from engine.evaluation.compare import CompareJob, compare
from engine.evaluation.drive import open_models, title_of
from engine.runtime import manifest as module
from engine.types import Composite
from engine.watermark.gate import seal
from tests.helpers.tiny_learned import write_learned_model


def flat(level: int) -> np.ndarray:
    return np.full((256, 256, 3), level, np.uint8)


class TestColumns:
    @pytest.mark.parametrize("models", [1, 4])
    def test_every_picture_has_its_place(self, models: int) -> None:
        columns = Columns([flat(10)], [f"model {i}" for i in range(models)], caption="who drives whom")
        canvas = columns.draw(flat(40), [flat(100 + i) for i in range(models)])
        assert canvas.shape == (columns.size_wh[1], columns.size_wh[0], 3)
        centres = [canvas[46 + 128, 4 + column * 260 + 128, 0] for column in range(2 + models)]
        assert centres == [10, 40, *range(100, 100 + models)]
        assert canvas[:46].max() > 200, "titles are there"
        assert canvas[-46:].max() > 200, "and the caption"

    def test_the_watermark_covers_no_picture(self) -> None:
        canvas = Columns([flat(10)] * 5, ["a"], caption="c" * 300).draw(flat(40), [flat(90)])
        sealed = seal(Composite(0, canvas), rendered_ns=0, corner="bottom-right").rgb
        visibly = np.abs(sealed.astype(int) - canvas).max(axis=2) > 16  # the invisible mark is everywhere
        changed = np.argwhere(visibly)
        assert changed[:, 0].min() >= 46 + 256
        assert len(changed) > 100
        assert (canvas[changed[:, 0].min() :, changed[:, 1].min() :] == canvas[-1, -1]).all(), "nor the caption"

    def test_a_frame_without_a_face_shows_the_last_one(self) -> None:
        columns = Columns([flat(10)], ["a"], caption="")
        empty = columns.hold()
        assert empty[46 + 128, 260 + 128].tolist() != [40, 40, 40]
        drawn = columns.draw(flat(40), [flat(90)])
        np.testing.assert_array_equal(columns.hold(), drawn)
        assert not np.shares_memory(columns.hold(), drawn)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"models": ()}, "no model to compare"),
        ({}, "exactly one of them; got neither"),
        ({"source_set": "otto", "clip": Path("a.mp4")}, "exactly one of them; got both"),
        ({"source_set": "otto"}, "Nobody drives the source set. Give --driving"),
    ],
    ids=["no model", "no character", "two characters", "no driver"],
)
def test_incomplete_jobs_are_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    out = tmp_path / "x.mp4"
    with pytest.raises(InvalidSetting, match=says):
        compare(CompareJob(**{"models": ("lite",), "out": out, **changed}))
    assert not out.exists()


def test_titles_say_the_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert title_of("lite") == "Implicit Warping (lite)"
    pytest.importorskip("onnx")
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)
    for name, kind in {"fomm": "fomm", "fv2v-long": "fv2v", "implicit_warp_paper": "implicit_warp_paper"}.items():
        write_learned_model(tmp_path / "models" / name, kind)
    assert title_of("fomm") == "FOMM"
    assert title_of("fv2v-long") == "fv2v (fv2v-long)"
    assert title_of("implicit_warp_paper") == "Implicit Warping, as published"


def test_a_missing_model_is_told_before_any_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.warp.open_warper", lambda **_: pytest.fail("loaded"))
    with (
        pytest.raises(ModelFileMissing, match=r"no model 'fomm-x'; shipped models: .*lite"),
        open_models(["lite", "fomm-x"]),
    ):
        pass


class TestCommand:
    def invoke(self, words: str) -> Any:
        return CliRunner().invoke(app, words.split())

    def test_help_says_that_the_driver_is_shown(self) -> None:
        text = " ".join(self.invoke("compare --help").stdout.split())
        assert "It shows the person who drives, which no other command does" in text

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ("compare --models , --set otto --driving x.mp4 --out x.mp4", "--models must be names"),
            ("compare --set otto --out x.mp4", "Nobody drives the source set."),
            ("eval --clips . --set otto", "--set names the character of --cross"),
        ],
        ids=["no model", "no driver", "set without cross"],
    )
    def test_wrong_options_are_one_sentence(self, words: str, says: str) -> None:
        result = self.invoke(words)
        assert result.exit_code == InvalidSetting.exit_code
        assert says in result.stderr
        assert result.stderr.count("\n") == 1
