# SPDX-License-Identifier: Apache-2.0
"""The evaluation protocol on a tiny clip with warpers whose figures are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import OutputUnwritable
from engine.evaluation.baseline import CopyWarper
from engine.evaluation.eval_report import COPY, EvalReport, Scores, eval_tables, mean_scores
from engine.evaluation.machine import write_json
from engine.evaluation.metrics import l1_255, landmark_distance_px, psnr_db, ssim
from engine.evaluation.protocol import evaluate_clip, plan_clip
from engine.evaluation.scoring import alpha_over
from engine.evaluation.sheet import write_sheet
from engine.geometry import to_px
from engine.types import WarpedPortrait
from tests.helpers.eval_clips import SIDE_PX, BlankWarper, LookupJudge, PerfectWarper, make_clip, whole_matte

CLIP = make_clip()


def evaluate(warpers, counts=(1, 4)):
    return evaluate_clip(CLIP, warpers, source_counts=counts, judge=LookupJudge(CLIP), matte=whole_matte)


def by_key(rows):
    return {(row.model, row.sources): row.scores for row in rows}


def test_plan_keeps_sources_out_of_the_driving_frames():
    sources, driving = plan_clip(CLIP.keypoints, most_sources=4)
    assert sources[0] == 0
    assert len(set(sources)) == 4
    assert not set(sources) & set(driving)
    assert driving == sorted(driving)
    assert len(driving) == math.ceil((30 - 4) / 4)
    shorter, _ = plan_clip(CLIP.keypoints, most_sources=2)
    assert shorter == sources[:2]


def test_second_source_is_the_farthest_face():
    sources, _ = plan_clip(CLIP.keypoints, most_sources=2)
    distances = np.linalg.norm((CLIP.keypoints - CLIP.keypoints[0]).reshape(30, -1), axis=1)
    assert sources[1] == int(distances.argmax())


def test_perfect_warper_scores_perfectly():
    rows, _ = evaluate({"perfect": PerfectWarper(CLIP)})
    for scores in by_key(rows).values():
        for name in ("psnr_db", "psnr_face_db", "psnr_eyes_db", "psnr_mouth_db", "psnr_outer_db", "psnr_background_db"):
            assert getattr(scores, name) == math.inf, name
        assert (scores.l1_255, scores.akd_px, scores.missing, scores.flicker_255) == (0, 0, 0, 0)
        assert scores.ssim == pytest.approx(1)


def test_copy_warper_gives_exactly_the_copy_baseline():
    rows, _ = evaluate({COPY: CopyWarper()}, counts=(1,))
    sources, driving = plan_clip(CLIP.keypoints, most_sources=1)
    first, truths = CLIP.frames[sources[0]], [CLIP.frames[index] for index in driving]
    scores = rows[0].scores
    assert rows[0].frames == len(driving)
    assert scores.psnr_db == pytest.approx(np.mean([min(psnr_db(first, truth), 60) for truth in truths]))
    assert scores.l1_255 == pytest.approx(np.mean([l1_255(first, truth) for truth in truths]))
    assert scores.ssim == pytest.approx(np.mean([ssim(first, truth) for truth in truths]))
    pixels = [to_px(CLIP.keypoints[index][:, :2], side_px=SIDE_PX) for index in (0, *driving)]
    expected = np.mean([landmark_distance_px(pixels[0], other) for other in pixels[1:]])
    assert scores.akd_px == pytest.approx(expected, rel=1e-4)
    assert scores.missing == 0


def test_copying_the_nearest_of_more_pictures_is_no_worse():
    rows, _ = evaluate({COPY: CopyWarper()})
    scores = by_key(rows)
    assert scores[COPY, 4].psnr_db > scores[COPY, 1].psnr_db
    assert scores[COPY, 4].akd_px < scores[COPY, 1].akd_px


def test_lost_faces_are_counted_and_leave_no_distance():
    rows, _ = evaluate({"blank": BlankWarper(CLIP)}, counts=(2,))
    assert rows[0].scores.missing == 1
    assert math.isnan(rows[0].scores.akd_px)
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
    mean = mean_scores([some, other])
    assert (mean.psnr_db, mean.akd_px) == (2.0, 1.0)
    assert math.isnan(mean_scores([]).psnr_db)
    perfect = Scores(**{**known, "psnr_db": math.inf})
    assert mean_scores([perfect, perfect]).psnr_db == math.inf
    assert mean_scores([perfect, Scores(**{**known, "psnr_db": 20.0})]).psnr_db == 40.0
    assert math.isnan(mean_scores([other]).akd_px)


def test_report_as_tables_json_and_sheet(tmp_path: Path):
    warpers = {COPY: CopyWarper(), "perfect": PerfectWarper(CLIP), "blank": BlankWarper(CLIP)}
    rows, band = evaluate(warpers)
    report = EvalReport(tuple(rows), {"perfect": "by hand"}, {"bad.mp4": "no face"}, {"cpu": "x"}, (band, band))
    write_json(report.as_dict(), tmp_path / "eval.json")
    plain = json.loads((tmp_path / "eval.json").read_text())
    means = {(row["model"], row["sources"]): row["scores"] for row in plain["mean"]}
    assert len(means) == 6
    assert means["perfect", 1]["psnr_db"] is None  # infinite
    assert means["perfect", 4]["akd_px"] == 0
    assert means["blank", 4]["missing"] == 1
    assert plain["skipped"] == {"bad.mp4": "no face"}
    assert len(eval_tables(report)) == 1  # one clip: its figures are the means
    (table,) = eval_tables(report)
    assert table.row_count == 6
    write_sheet(report, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        cell, label, gap = 160, 18, 3
        rows_shown = 2 * (2 + 2 * 2)  # two bands of sources, driving, and two models at N = 1 and 4
        assert sheet.height == rows_shown * (cell + label + gap) + gap
        assert sheet.width == 6 * (cell + gap) + gap
        drawn = np.array(sheet)[gap + label : gap + label + cell, gap : gap + cell]
    expected = np.array(Image.fromarray(CLIP.frames[0]).resize((cell, cell), Image.Resampling.BOX))
    np.testing.assert_array_equal(drawn, expected)


def test_reports_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(OutputUnwritable, match="report cannot be written"):
        write_json({}, tmp_path / "no" / "x.json")
    with pytest.raises(OutputUnwritable, match="sheet cannot be written"):
        write_sheet(EvalReport(()), tmp_path / "no" / "x.png")
