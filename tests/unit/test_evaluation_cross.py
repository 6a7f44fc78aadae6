# SPDX-License-Identifier: Apache-2.0
"""A character driven by somebody else: known answers for every figure, and the pairing."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.errors import InvalidSetting
from engine.evaluation.baseline import COPY, CopyWarper
from engine.evaluation.clips import EvalClip
from engine.evaluation.cross import Character, Driver, character_of, evaluate_pair, run_cross
from engine.evaluation.cross_scoring import (
    expression_error_px,
    face_colours,
    identity_shape,
    leak_share,
    shape_distance,
    turn_error_deg,
)
from engine.evaluation.eval_report import CrossScores, EvalReport
from engine.evaluation.tables import eval_tables
from engine.geometry import keypoints_from_landmarks, rotation_from_angles
from engine.landmarks import FACE_OVAL
from engine.sources.framing import SquareBox
from tests.helpers.eval_clips import SIDE_PX, BlankWarper, LookupJudge, PortraitWarper, make_clip, whole_matte
from tests.helpers.performers import FRAME_NS, Performer
from tests.helpers.source_faces import portrait_rgb

BROAD, TALL = Performer(width=1.15), Performer(height=1.15)


def faces(person: Performer, **still: float) -> list[np.ndarray]:
    return [person.landmarks(yaw=0.2 * np.sin(i), jaw=0.1 * (1 + np.cos(2 * i)), **still) for i in range(10)]


def clip_of(person: Performer, name: str, *, seed: int = 0, frames: int = 24) -> EvalClip:
    """A clip in which a person turns and speaks; every frame looks different."""
    box = SquareBox(int(person.centre_px[0]) - 200, int(person.centre_px[1]) - 200, 400).box
    turning = [
        person.landmarks(yaw=0.3 * np.sin(i / 5), jaw=0.08 * (1 - np.cos(i / 3)), eyes=0.9 + 0.1 * np.cos(i))
        for i in range(frames)
    ]
    rgb = np.stack([np.roll(portrait_rgb((SIDE_PX, SIDE_PX), seed=seed), i, axis=1) for i in range(frames)])
    rgb[:, 0, 0, 0] = np.arange(frames)
    rgb[:, 0, 0, 1] = seed
    keypoints = np.stack([keypoints_from_landmarks(points, box=box) for points in turning])
    return EvalClip(name, rgb, keypoints, np.arange(frames, dtype=np.int64) * FRAME_NS)


class TestIdentity:
    def test_who_it_is_does_not_depend_on_pose_place_or_size(self) -> None:
        shape = identity_shape(faces(BROAD))
        again = identity_shape(faces(BROAD, pitch=0.2, roll=0.3, grow=1.7, move_px=(30.0, -9.0)))
        assert shape is not None
        assert again is not None
        assert shape_distance(shape, again) == pytest.approx(0, abs=0.01)
        stranger = identity_shape(faces(TALL))
        assert stranger is not None
        assert shape_distance(shape, stranger) > 3
        assert identity_shape([]) is None

    def test_a_frontal_frame_says_more_than_a_turned_one(self) -> None:
        front, side = BROAD.landmarks(), TALL.landmarks(yaw=0.8)
        mixed, pure = identity_shape([front, side]), identity_shape([front])
        assert mixed is not None
        assert pure is not None
        assert shape_distance(mixed, pure) < 0.1

    def test_distance_by_hand(self) -> None:
        assert shape_distance(np.zeros((5, 3)), np.tile([0.03, 0.04, 0.0], (5, 1))) == pytest.approx(5.0)

    def test_leak_is_the_share_of_the_way_to_the_driver(self) -> None:
        character, driver = np.zeros((9, 3)), np.tile([0.1, 0.0, 0.0], (9, 1))
        for share in (0.0, 0.3, 1.0, -0.2):
            aside = np.tile([0.0, 0.5, 0.0], (9, 1))  # another fault, but not the driver's
            output = share * driver + aside
            assert leak_share(output, character=character, driver=driver) == pytest.approx(share)
        assert math.isnan(leak_share(driver, character=character, driver=0.3 * driver)), "too much alike to tell"


class TestColours:
    def test_mean_and_spread_inside_the_face(self) -> None:
        clip = clip_of(BROAD, "broad")
        points = (clip.keypoints[0] + 1) * SIDE_PX / 2 - 0.5
        grey = np.full((SIDE_PX, SIDE_PX, 3), 119, np.uint8)
        lightness = 50.03  # of sRGB 119; OpenCV's tables are a little off
        np.testing.assert_allclose(face_colours(grey, points), [lightness, 0, 0, 0, 0, 0], atol=0.25)
        striped = grey.copy()
        striped[::2] = 0
        np.testing.assert_allclose(face_colours(striped, points), [25, 0, 0, 25, 0, 0], atol=1.5)

    def test_what_lies_outside_the_face_does_not_count(self) -> None:
        points = (clip_of(BROAD, "broad").keypoints[0] + 1) * SIDE_PX / 2 - 0.5
        grey = np.full((SIDE_PX, SIDE_PX, 3), 119, np.uint8)
        framed = grey.copy()
        framed[: int(points[list(FACE_OVAL), 1].min()) - 1] = (255, 0, 0)
        np.testing.assert_array_equal(face_colours(framed, points), face_colours(grey, points))
        assert np.isnan(face_colours(grey, points + 500)).all()


class TestMotion:
    def test_the_wanted_face_costs_nothing_in_any_pose(self) -> None:
        wanted = BROAD.landmarks(jaw=0.2)
        found = BROAD.landmarks(jaw=0.2, yaw=0.4, grow=0.5)
        assert expression_error_px(found, wanted) == pytest.approx(0, abs=1e-3)

    def test_a_missed_expression_costs_pixels_of_the_output(self) -> None:
        wanted = BROAD.landmarks(jaw=0.2)
        small = expression_error_px(BROAD.landmarks(jaw=0.1), wanted)
        large = expression_error_px(BROAD.landmarks(), wanted)
        assert large == pytest.approx(2 * small, rel=0.02)
        assert 2 < large < 0.2 * BROAD.size_px, "the lips' share of it, in pixels"
        assert expression_error_px(BROAD.landmarks(grow=2.0), wanted) == pytest.approx(2 * large, rel=1e-3)

    def test_turn_by_hand(self) -> None:
        turned = BROAD.landmarks(yaw=0.3, move_px=(5.0, 0.0))
        assert turn_error_deg(turned, BROAD.landmarks(yaw=0.1)) == pytest.approx(np.degrees(0.2), abs=1e-3)
        assert turn_error_deg(turned @ rotation_from_angles(roll_rad=0.5).T, turned) == pytest.approx(
            np.degrees(0.5), abs=1e-3
        )


class TestPair:
    driver, other = clip_of(BROAD, "broad", seed=1), clip_of(TALL, "tall", seed=2)

    def evaluate(self, warpers, judge, counts=(1, 3), **options):
        character = character_of(self.other, most_sources=max(counts), matte=whole_matte)
        return evaluate_pair(Driver.of(self.driver), character, warpers, source_counts=counts, judge=judge, **options)

    def test_a_copied_picture_is_the_character_and_does_not_move(self) -> None:
        rows, _ = self.evaluate({COPY: CopyWarper()}, LookupJudge(self.other), counts=(1,))
        (row,) = rows
        assert row.clip == "broad → tall"
        assert row.frames == 6
        scores = row.scores
        assert isinstance(scores, CrossScores)
        assert scores.missing == 0
        assert scores.shape_off < 1.5
        assert scores.shape_driver > 10
        assert scores.leak == pytest.approx(0, abs=0.05)
        assert scores.colour_lab == pytest.approx(0, abs=1e-6)
        assert scores.turn_deg > 4
        assert scores.jitter_px > 0, "what was wanted moved"

    def test_a_model_that_shows_the_driver_leaks_all_of_it(self) -> None:
        warper = PortraitWarper()
        rows, _ = self.evaluate({"thief": warper}, LookupJudge(self.driver), counts=(1,))
        scores = rows[0].scores
        assert isinstance(scores, CrossScores)
        assert scores.leak == pytest.approx(1, abs=0.05)
        assert scores.shape_driver < 1.5 < 10 < scores.shape_off
        assert warper.shares == [1.0], "relative motion between strangers"
        (neutral,) = warper.neutrals
        assert any(np.array_equal(neutral, frame) for frame in self.driver.frames)

    def test_no_face_leaves_nothing_to_measure(self) -> None:
        rows, _ = self.evaluate({"blank": BlankWarper(self.driver)}, LookupJudge(self.other))
        for row in rows:
            assert isinstance(row.scores, CrossScores)
            assert row.scores.missing == 1
            assert math.isnan(row.scores.shape_off)
            assert math.isnan(row.scores.jitter_px)

    def test_rows_follow_the_models_and_pictures_the_moments(self) -> None:
        warpers = {COPY: CopyWarper(), "blank": BlankWarper(self.driver)}
        steps: list[int] = []
        rows, pictures = self.evaluate(warpers, LookupJudge(self.other), sheet_moments=1, step=steps.append)
        assert [(row.model, row.sources) for row in rows] == [(COPY, 1), (COPY, 3), ("blank", 1), ("blank", 3)]
        assert steps == [1, 2, 3, 4]
        assert [len(row.sources) for row in pictures] == [1, 3]
        assert list(pictures[0].outputs) == ["blank"]

    def test_the_character_begins_with_its_most_neutral_frame(self) -> None:
        character = character_of(self.other, most_sources=3, matte=whole_matte)
        assert len(character.source_set.images) == 3
        first = character.source_set.images[0].keypoints
        yaws = [abs(turn_error_deg(first, keypoints)) for keypoints in self.other.keypoints]
        assert turn_error_deg(first, TALL.landmarks()) < max(yaws) / 2
        same = Character.of(character.source_set, [image.keypoints for image in character.source_set.images])
        assert shape_distance(same.shape, character.shape) < 0.5

    def test_tables_and_json_explain_themselves(self) -> None:
        rows, _ = self.evaluate({COPY: CopyWarper()}, LookupJudge(self.other))
        report = EvalReport((*rows, *self.evaluate({COPY: CopyWarper()}, LookupJudge(make_clip()))[0]))
        assert set(report.as_dict()["figures"]) == set(CrossScores.__dataclass_fields__)
        console = Console(width=80, file=io.StringIO())
        for table in eval_tables(report):
            console.print(table)
        text = console.file.getvalue()
        assert "leak" in text
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_one_clip_alone_has_nobody_to_drive(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InvalidSetting, match=r"two or more, got 1.*--set"):
        run_cross([tmp_path])
