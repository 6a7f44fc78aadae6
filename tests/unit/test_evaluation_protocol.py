# SPDX-License-Identifier: Apache-2.0
"""The evaluation protocol on a tiny clip with warpers whose figures are known."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from engine.errors import OutputUnwritable
from engine.evaluation.baseline import COPY, CopyWarper
from engine.evaluation.eval_report import EvalReport, Scores, mean_scores
from engine.evaluation.machine import write_json
from engine.evaluation.metrics import jitter_px, l1_255, landmark_distance_px, psnr_db, ssim
from engine.evaluation.plan import jitter_runs, plan_clip, telling_moments
from engine.evaluation.protocol import evaluate_clip
from engine.evaluation.scoring import alpha_over
from engine.evaluation.sheet import moments_shown, tile_sources, write_sheet
from engine.evaluation.tables import eval_tables
from engine.geometry import to_px
from engine.landmarks import EYES, IRISES, LIPS
from engine.types import WarpedPortrait
from tests.helpers.eval_clips import (
    SIDE_PX,
    BlankWarper,
    LookupJudge,
    PerfectWarper,
    PortraitWarper,
    make_clip,
    whole_matte,
)

CLIP = make_clip()


def evaluate(warpers, counts=(1, 4), **options):
    return evaluate_clip(CLIP, warpers, source_counts=counts, judge=LookupJudge(CLIP), matte=whole_matte, **options)


def by_key(rows):
    return {(row.model, row.sources): row.scores for row in rows}


def plan(most_sources):
    return plan_clip(CLIP.keypoints, CLIP.captured_ns, most_sources=most_sources)


def test_plan_keeps_sources_out_of_the_driving_frames():
    whole = plan(4)
    assert whole.sources[0] == 0
    assert len(set(whole.sources)) == 4
    assert not set(whole.sources) & set(whole.driving)
    assert list(whole.scored) == sorted(whole.scored)
    assert len(whole.scored) == math.ceil((30 - 4) / 4)
    assert plan(2).sources == whole.sources[:2]


def test_second_source_is_the_farthest_face():
    distances = np.linalg.norm((CLIP.keypoints - CLIP.keypoints[0]).reshape(30, -1), axis=1)
    assert plan(2).sources[1] == int(distances.argmax())


def test_runs_fill_gaps_between_scored_frames_and_stay_few():
    times = np.arange(100, dtype=np.int64) * 40
    scored = list(range(0, 100, 4))
    runs = jitter_runs(scored, times)
    assert len(runs) == 4
    assert all(run == tuple(range(run[0], run[0] + 5)) and run[0] in scored for run in runs)
    assert (runs[0][0], runs[-1][0]) == (0, 92), "they are spread over the clip"


def test_runs_keep_clear_of_sources_and_of_gaps_in_time():
    times = np.arange(24, dtype=np.int64) * 40
    assert jitter_runs([0, 4, 8, 12, 16], times, kept_out=[2, 9, 18]) == ((4, 5, 6, 7, 8), (12, 13, 14, 15, 16))
    times[6:] += 1000  # frames without a face are missing here
    assert jitter_runs([0, 4, 8, 12, 16], times, kept_out=[2, 9, 18]) == ((12, 13, 14, 15, 16),)
    assert jitter_runs([0, 4], np.arange(7, dtype=np.int64), kept_out=[3]) == ((0, 1, 2), (4, 5, 6)), "short if need be"
    assert jitter_runs([0], np.arange(2, dtype=np.int64)) == ()
    assert jitter_runs([0], np.arange(9, dtype=np.int64), kept_out=[1]) == ()


def test_telling_moments_are_far_apart_and_in_order():
    moments = telling_moments(CLIP.keypoints, tuple(range(1, 30)), count=3)
    assert moments == sorted(moments)
    assert len(moments) == 3
    distances = np.linalg.norm((CLIP.keypoints - CLIP.keypoints[0]).reshape(30, -1), axis=1)
    assert int(distances.argmax()) in moments
    assert telling_moments(CLIP.keypoints, (4, 9), count=6) == [4, 9]


def test_perfect_warper_scores_perfectly():
    rows, _ = evaluate({"perfect": PerfectWarper(CLIP)})
    for scores in by_key(rows).values():
        for name in ("psnr_db", "psnr_face_db", "psnr_eyes_db", "psnr_mouth_db", "psnr_outer_db", "psnr_background_db"):
            assert getattr(scores, name) == math.inf, name
        assert (scores.akd_px, scores.akd_eyes_px, scores.akd_mouth_px, scores.missing) == (0, 0, 0, 0)
        assert (scores.l1_255, scores.jitter_px, scores.flicker_255) == (0, 0, 0)
        assert scores.ssim == pytest.approx(1)


def test_copy_warper_gives_exactly_the_copy_baseline():
    rows, _ = evaluate({COPY: CopyWarper()}, counts=(1,))
    made = plan(1)
    first, truths = CLIP.frames[made.sources[0]], [CLIP.frames[index] for index in made.scored]
    scores = rows[0].scores
    assert rows[0].frames == len(made.scored)
    assert scores.psnr_db == pytest.approx(np.mean([min(psnr_db(first, truth), 60) for truth in truths]))
    assert scores.l1_255 == pytest.approx(np.mean([l1_255(first, truth) for truth in truths]))
    assert scores.ssim == pytest.approx(np.mean([ssim(first, truth) for truth in truths]))
    pixels = to_px(CLIP.keypoints[..., :2], side_px=SIDE_PX)
    for figure, points in (("akd_px", range(478)), ("akd_eyes_px", (*EYES, *IRISES)), ("akd_mouth_px", LIPS)):
        part = pixels[:, list(points)]
        expected = np.mean([landmark_distance_px(part[0], part[index]) for index in made.scored])
        assert getattr(scores, figure) == pytest.approx(expected, rel=1e-4), figure
    assert scores.missing == 0
    still = [np.stack([pixels[0]] * len(run)) for run in made.runs]
    moving = [pixels[list(run)] for run in made.runs]
    expected = np.mean([jitter_px(a, b) for a, b in zip(still, moving, strict=True)])
    assert scores.jitter_px == pytest.approx(expected, rel=1e-4)
    assert scores.jitter_px > 0
    assert math.isnan(scores.ms_ssim), "five scales do not fit into 64 pixels"


def test_copying_the_nearest_of_more_pictures_is_no_worse():
    rows, _ = evaluate({COPY: CopyWarper()})
    scores = by_key(rows)
    assert scores[COPY, 4].psnr_db > scores[COPY, 1].psnr_db
    assert scores[COPY, 4].akd_px < scores[COPY, 1].akd_px


def test_lost_faces_are_counted_and_leave_no_distance():
    rows, _ = evaluate({"blank": BlankWarper(CLIP)}, counts=(2,))
    assert rows[0].scores.missing == 1
    assert math.isnan(rows[0].scores.akd_px)
    assert math.isnan(rows[0].scores.jitter_px)
    assert rows[0].scores.psnr_db < 20


def test_every_run_starts_fresh_and_goes_in_order_over_the_same_frames():
    warper = PerfectWarper(CLIP)
    evaluate({"perfect": warper}, counts=(1, 2, 4))
    assert [len(source_set.images) for source_set in warper.sets] == [1, 2, 4]
    assert [image.name for image in warper.sets[0].images] == [image.name for image in warper.sets[2].images[:1]]
    assert len(warper.asked_ns) == 3
    assert warper.asked_ns[0] == warper.asked_ns[1] == warper.asked_ns[2] == sorted(warper.asked_ns[0])
    np.testing.assert_array_equal(warper.sets[0].images[0].alpha, whole_matte(CLIP.frames[0]))


def test_portrait_goes_over_its_own_backdrop():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0], rgba[0, 1] = (200, 100, 0, 255), (200, 100, 0, 51)
    backdrop = np.full((2, 2, 3), 50, np.uint8)
    out = alpha_over(WarpedPortrait(0, rgba, backdrop, np.ones(1, np.float32)))
    assert out[0, 0].tolist() == [200, 100, 0]
    assert out[0, 1].tolist() == [80, 60, 40]
    assert out[1, 1].tolist() == [50, 50, 50]


def test_means_leave_out_what_is_not_known():
    known = dict.fromkeys(Scores.__dataclass_fields__, 1.0)
    some, other = Scores(**known), Scores(**{**known, "akd_px": math.nan, "psnr_db": 3.0})
    mean = mean_scores([some, other], Scores)
    assert (mean.psnr_db, mean.akd_px) == (2.0, 1.0)
    assert math.isnan(mean_scores([], Scores).psnr_db)
    perfect = Scores(**{**known, "psnr_db": math.inf})
    assert mean_scores([perfect, perfect], Scores).psnr_db == math.inf
    assert mean_scores([perfect, Scores(**{**known, "psnr_db": 20.0})], Scores).psnr_db == 40.0
    assert math.isnan(mean_scores([other], Scores).akd_px)


def test_report_as_tables_and_json(tmp_path: Path):
    warpers = {COPY: CopyWarper(), "perfect": PerfectWarper(CLIP), "blank": BlankWarper(CLIP)}
    rows, _ = evaluate(warpers)
    report = EvalReport(tuple(rows), "as said", {"perfect": "by hand"}, {}, {"bad.mp4": "no face"}, {"cpu": "x"})
    write_json(report.as_dict(), tmp_path / "eval.json")
    plain = json.loads((tmp_path / "eval.json").read_text())
    means = {(row["model"], row["sources"]): row["scores"] for row in plain["mean"]}
    assert len(means) == 6
    assert means["perfect", 1]["psnr_db"] is None  # infinite
    assert means["perfect", 4]["akd_px"] == 0
    assert means["blank", 4]["missing"] == 1
    assert plain["skipped"] == {"bad.mp4": "no face"}
    assert plain["protocol"] == "as said"
    assert set(plain["figures"]) == set(Scores.__dataclass_fields__), "every key is explained"
    assert all(plain["figures"].values())
    tables = eval_tables(report)
    assert [table.row_count for table in tables] == [6, 6]  # one clip: its figures are the means


def test_the_sheet_has_labelled_columns_and_a_row_for_each_moment_and_count(tmp_path: Path):
    warpers = {COPY: CopyWarper(), "perfect": PerfectWarper(CLIP), "blank": BlankWarper(CLIP)}
    rows, pictures = evaluate(warpers, counts=(1, 2, 4), sheet_moments=2)
    assert [len(row.sources) for row in pictures] == [1, 4, 1, 4], "fewest and most sources, moment by moment"
    assert all(list(row.outputs) == ["perfect", "blank"] for row in pictures), "the unwarped copy has no column"
    for row in pictures:
        np.testing.assert_array_equal(row.outputs["perfect"], row.driving)
    report = EvalReport(tuple(rows), titles={"perfect": "The Truth"}, pictures=tuple(pictures))
    write_sheet(report, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        drawn = np.array(sheet)
    cell, gap, group, label, header = 192, 4, 14, 116, 44
    assert drawn.shape == (header + 4 * cell + 2 * gap + group + gap, label + 4 * (cell + gap), 3)

    def cell_at(column: int, top: int) -> np.ndarray:
        left = label + column * (cell + gap)
        return drawn[top : top + cell, left : left + cell]

    def shown(picture: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(picture).resize((cell, cell), Image.Resampling.BOX))

    np.testing.assert_array_equal(cell_at(0, header), shown(CLIP.frames[0]))
    np.testing.assert_array_equal(cell_at(1, header), shown(pictures[0].driving))
    np.testing.assert_array_equal(cell_at(2, header + cell + gap), shown(pictures[1].outputs["perfect"]))
    np.testing.assert_array_equal(cell_at(3, header + 2 * cell + gap + group), shown(pictures[2].outputs["blank"]))
    tiles = cell_at(0, header + cell + gap)
    half = np.array(Image.fromarray(pictures[1].sources[1]).resize((96, 96), Image.Resampling.BOX))
    np.testing.assert_array_equal(tiles[:96, 96:], half, err_msg="four source pictures in one cell")


def test_any_number_of_sources_fits_a_cell():
    for count in range(1, 17):
        tiles = tile_sources([np.full((8, 8, 3), 10 * (i + 1), np.uint8) for i in range(count)], side_px=100)
        assert tiles.shape == (100, 100, 3)
        assert {10 * (i + 1) for i in range(count)} <= set(np.unique(tiles))


def test_a_sheet_of_many_clips_stays_readable():
    assert [moments_shown(index, 1) for index in range(1)] == [3]
    assert [moments_shown(index, 6) for index in range(6)] == [2] * 6
    shown = [moments_shown(index, 34) for index in range(34)]
    assert sum(shown) == 12
    assert shown[0] == shown[-1] == 1


def test_a_model_that_finds_its_own_keypoints_gets_the_true_picture_and_copies_positions():
    warper = PortraitWarper()
    rows, _ = evaluate({"own": warper}, counts=(1, 2))
    assert [row.scores.psnr_db for row in rows] == [math.inf, math.inf]
    assert warper.shares == [0.0, 0.0], "absolute motion: it is the same person"
    assert warper.neutrals == [None, None]


def test_folders_have_means_of_their_own():
    (row,), _ = evaluate({COPY: CopyWarper()}, counts=(1,))
    named = [
        dataclasses.replace(row, clip=name, folder=folder, scores=dataclasses.replace(row.scores, psnr_db=psnr))
        for name, folder, psnr in (("a_clip_with_a_long_name", "real", 10.0), ("b", "real", 20.0), ("a", "drawn", 45.0))
    ]
    report = EvalReport(tuple(named))
    assert report.folders == ["real", "drawn"]
    assert [mean.scores.psnr_db for mean in (*report.means("real"), *report.means("drawn"), *report.means())] == [
        15.0,
        45.0,
        25.0,
    ]
    plain = report.as_dict()
    assert plain["folders"]["real"][0]["scores"]["psnr_db"] == 15.0
    assert plain["clips"][2]["folder"] == "drawn"
    titles = [str(table.title) for table in eval_tables(report)]
    assert [title.split("mean over ")[-1] for title in titles[::2]] == [
        "2 clips in real/",
        "1 clip in drawn/",
        "3 clips",
        "Per clip",
    ]


@pytest.mark.parametrize("model", ["lite", "implicit_warp_paper"])
@pytest.mark.parametrize("folder", ["real", ""])
def test_tables_fit_80_columns_with_every_figure_whole(model: str, folder: str):
    (row,), _ = evaluate({model: CopyWarper()}, counts=(1,))
    scores = Scores(*[12.3456] * len(Scores.__dataclass_fields__))
    rows = [
        dataclasses.replace(row, clip=name, folder=folder, scores=dataclasses.replace(scores, missing=1.0))
        for name in ("a_clip_with_a_very_long_name", "b", "c d")
    ]
    console = Console(width=80, file=io.StringIO())
    tables = eval_tables(EvalReport(tuple(rows)))
    for table in tables:
        console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    figures = [line for line in lines if re.search(r"\b1 +12\.35", line)]
    assert len(figures) == 2 + 3, "no row takes two lines"
    assert all("…" not in line.split(" 1 ")[-1] for line in figures), "no figure is cut"
    for heading in ("PSNR", "backg", "SSIM", "MS", "AKD", "jitter", "flicker"):
        assert any(heading in line for line in lines), heading


def test_reports_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(OutputUnwritable, match="report cannot be written"):
        write_json({}, tmp_path / "no" / "x.json")
    with pytest.raises(OutputUnwritable, match="sheet cannot be written"):
        write_sheet(EvalReport(()), tmp_path / "no" / "x.png")
