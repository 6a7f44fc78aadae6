# SPDX-License-Identifier: Apache-2.0
"""Ablations: every row can be made, a finished one is not trained again, and the table says what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InvalidSetting
from engine.training import ablations as module
from engine.training.ablations import ABLATIONS, ablate
from engine.training.tasks import make_task
from engine.training.train.cli import parse_options


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace training by writing down what was asked for."""
    seen: list[str] = []

    def train(*, out: Path, option: list[str], max_sources: int, **_: object) -> None:
        out.mkdir(parents=True)
        seen.append(f"{out.name} {','.join(option)} {max_sources}")
        figures = {"psnr_db": 20.0 + len(seen), "psnr_face_db": 30.0}
        lines = [{"step": 1}, {"samples": 8, "dev": {"1": figures, "4": figures}}]
        (out / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    monkeypatch.setattr(module, "train", train)
    return seen


@pytest.mark.parametrize("row", ABLATIONS, ids=lambda row: row.name)
def test_every_row_names_real_options(row: module.Ablation) -> None:
    make_task("implicit_warp", options=parse_options(row.options))


def test_finished_rows_are_kept_and_all_are_in_the_table(
    trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(tmp_path / "pack", tmp_path / "out", only=["whole", "one_source"])
    assert trained == ["whole  4", "one_source  1"]
    ablate(tmp_path / "pack", tmp_path / "out", option=["width=8"])
    assert trained[2:] == [
        "no_geometry width=8,geometry=false 4",
        "no_extra width=8,extra=0 4",
        "no_residual width=8,residual=false 4",
        "no_fine width=8,fine=false 4",
    ]
    table = (tmp_path / "out" / "table.md").read_text()
    assert capsys.readouterr().out.endswith(table)
    assert "| the whole model | 8 | 21.00 / 30.00 | 21.00 / 30.00 |" in table
    assert table.count("\n") == 2 + len(ABLATIONS)


def test_an_unknown_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="no ablation 'colour'"):
        ablate(tmp_path, tmp_path, only=["colour"])
