# SPDX-License-Identifier: Apache-2.0
"""`bunraku soak`: a minute of it for real, and what it makes of what it saw."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.commands import app
from engine.errors import InvalidSetting
from engine.evaluation.soak import FAULTS, SoakReport, parse_faults, write_plot
from engine.evaluation.soak.report import Episode
from engine.evaluation.soak.resources import Sample


@pytest.mark.slow
def test_a_minute_with_every_kind_of_fault(tmp_path: Path) -> None:
    figures, plot = tmp_path / "soak.json", tmp_path / "soak.png"
    result = CliRunner().invoke(
        app, ["soak", "--minutes", "1", "--size", "320x180", "--json", str(figures), "--plot", str(plot), "--quiet"]
    )
    assert isinstance(result.exception, SystemExit | None), result.exception
    report = json.loads(figures.read_text(encoding="utf-8"))
    assert report["sent"] > 100
    assert (report["unmarked"], report["raw"], report["stuck"], report["failed"]) == (0, 0, [], "")
    assert report["broken_pieces"] == 0
    assert report["pieces"] >= 1
    assert len(report["episodes"]) >= 4
    # How long is a figure of the machine; whether at all is not.
    assert [episode["fault"] for episode in report["episodes"] if episode["recovered_s"] is None] == []
    assert report["verdict"] in result.stdout
    assert plot.stat().st_size > 10_000
    assert result.exit_code == (0 if report["passed"] else 1)


def _report(**changes: object) -> SoakReport:
    minutes = range(121)
    samples = tuple(Sample(m * 60.0, 500 + m / 60, 12, 30, 1, 5, 60.0, 30.0, 2.0) for m in minutes)
    report = SoakReport(
        engine="engine: test",
        machine={"usable_cores": 2},
        seed=1,
        seconds=7200.0,
        sent=1000,
        unmarked=0,
        raw=0,
        longest_gap_s=0.2,
        pieces=3,
        broken_pieces=0,
        failed="",
        stuck=(),
        warnings={},
        episodes=(Episode("unplugged", 10.0, 2.0, 0.1, 0.4),),
        samples=samples,
    )
    return dataclasses.replace(report, **changes)


def test_a_good_run_passes_with_its_slope() -> None:
    report = _report()
    assert report.problems == []
    assert report.slope_mb_h == pytest.approx(1.0)
    assert report.verdict.startswith("PASSED: 120.0 min, 0 unmarked and 0 raw of 1000 frames sent")
    assert "RSS +1.0 MB/h after the first tenth" in report.verdict


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unmarked": 1}, "1 of 1000 frames had no mark"),
        ({"raw": 2}, "2 of 1000 frames showed the driver"),
        ({"sent": 0}, "no frame was sent"),
        ({"failed": "failed (x)"}, "the pipeline failed"),
        ({"stuck": ("sink mp4",)}, "threads did not end: sink mp4"),
        ({"broken_pieces": 1}, "1 of 3 recordings do not play"),
        ({"episodes": (Episode("black", 1.0, 2.0, 0.1, None),)}, "not recovered from: black"),
        ({"episodes": (Episode("black", 1.0, 2.0, None, 0.1),)}, "not noticed: black"),
        ({"episodes": (Episode("gpu-lost", 1.0, 2.0, 0.1, 1.2),)}, "a recovery took 1.20 s"),
    ],
)
def test_what_does_not_pass_is_said(changes: dict[str, object], words: str) -> None:
    report = _report(**changes)
    assert any(words in problem for problem in report.problems)
    assert report.verdict.startswith("NOT PASSED")
    assert words in report.verdict


def test_memory_that_grows_does_not_pass() -> None:
    samples = tuple(dataclasses.replace(s, rss_mb=500 + s.at_s / 600) for s in _report().samples)
    assert any("memory grew by 6.0 MB an hour" in problem for problem in _report(samples=samples).problems)
    short = tuple(dataclasses.replace(s, at_s=s.at_s / 20, rss_mb=500 + s.at_s / 60) for s in _report().samples)
    report = _report(samples=short, seconds=360.0)
    assert report.slope_mb_h is None
    assert any("memory grew by" in problem for problem in report.problems)


def test_times_are_not_judged_while_others_have_the_processor() -> None:
    episodes = (Episode("gpu-lost", 1000.0, 2.0, 0.1, 3.0), Episode("black", 3000.0, 2.0, 0.1, 0.4))
    busy = tuple(dataclasses.replace(s, others=0.6 if 900 < s.at_s < 1100 else 0.1) for s in _report().samples)
    report = _report(episodes=episodes, samples=busy)
    assert report.problems == []
    assert "worst recovery 0.40 s (1 not judged: others had the processor)" in report.verdict
    assert _report(episodes=episodes).problems == ["a recovery took 3.00 s"]


def test_the_heap_has_a_slope_of_its_own() -> None:
    samples = tuple(dataclasses.replace(s, heap_mb=300 - s.at_s / 1800) for s in _report().samples)
    assert _report(samples=samples).heap_slope_mb_h == pytest.approx(-2.0)
    assert "RSS +1.0 MB/h after the first tenth (heap in use -2.0)" in _report(samples=samples).verdict
    assert _report().heap_slope_mb_h is None, "where the C library does not tell"


def test_faults_by_name_by_group_and_none() -> None:
    assert {f.name for f in parse_faults("all")} == set(FAULTS)
    assert [f.name for f in parse_faults("black, model-nan")] == ["black", "model-nan"]
    assert {f.where for f in parse_faults("camera")} == {"camera"}
    assert parse_faults("none") == ()
    with pytest.raises(InvalidSetting, match="no fault 'earthquake'"):
        parse_faults("earthquake")


def test_a_plot_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    write_plot(_report(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    from engine.errors import OutputUnwritable

    with pytest.raises(OutputUnwritable, match="plot cannot be written"):
        write_plot(_report(), tmp_path / "nowhere" / "a.png")
