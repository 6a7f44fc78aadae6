# SPDX-License-Identifier: Apache-2.0
"""What a face does, what a set covers, what is missing; duplicates, blur, colour match, the heat map's arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cv import cv2
from engine.sets.coverage import PITCH_ROWS, TARGETS, YAW_COLUMNS, map_coverage
from engine.sets.person import SAME_PERSON_BELOW, compare_person, likeness_of
from engine.sets.poses import Face, calmest, describe_pose, neutral_of, read_face
from engine.sets.quality import BLURRED, blur_of, near_duplicates
from engine.sources import load_source_set
from engine.sources.colour_match import light_distance, match_colours, skin_tone
from engine.sources.library import find_source_set
from engine.types import SourceImage
from engine.warp.heat import PALETTE, heat_colours, tint
from tests.helpers.source_faces import landmarks_at, make_keypoints, portrait_rgb

CLOSED = -0.08  # the canonical face's lips are parted
FACES: dict[str, dict[str, float]] = {
    "front": {},
    "left": {"yaw": -0.5},
    "right": {"yaw": 0.5},
    "up": {"pitch": 0.26},
    "down": {"pitch": -0.26},
    "mouth_open": {"mouth": 0.35},
    "smile": {"smile": 0.1},
    "eyes_closed": {"eyes": 0.0},
}


def faces_of(*names: str) -> list[Face]:
    return [read_face(make_keypoints(**{"mouth": CLOSED, **FACES[name]})) for name in names]


def test_angles_and_directions_are_read() -> None:
    left, up = faces_of("left", "up")
    assert left.yaw_deg == pytest.approx(-np.degrees(0.5), abs=1)
    assert up.pitch_deg == pytest.approx(np.degrees(0.26), abs=1)
    assert abs(up.yaw_deg) < 1


def test_every_face_is_named() -> None:
    faces = faces_of(*FACES)
    neutral = neutral_of(faces)
    words = {name: describe_pose(face, neutral) for name, face in zip(FACES, faces, strict=True)}
    assert words["front"] == ["front", "neutral"]
    assert words["left"] == ["turned 29° left", "neutral"]
    assert words["right"][0] == "turned 29° right"
    assert words["up"] == ["looking up 15°", "neutral"]
    assert words["down"] == ["looking down 15°", "neutral"]
    assert words["mouth_open"] == ["front", "mouth open"]
    assert words["smile"] == ["front", "smile"]
    assert words["eyes_closed"] == ["front", "eyes closed"]
    assert list(FACES)[calmest(faces)] == "front"


def test_a_high_camera_does_not_make_everybody_look_down() -> None:
    low = [{"mouth": CLOSED, **face, "pitch": face.get("pitch", 0) - 0.3} for face in FACES.values()]
    faces = [read_face(make_keypoints(**face)) for face in low]
    neutral = neutral_of(faces)
    assert describe_pose(faces[0], neutral) == ["front", "neutral"]
    assert "looking up" in describe_pose(faces[3], neutral)[0]


def test_the_map_of_a_whole_set_has_one_hole() -> None:
    cover = map_coverage(faces_of(*FACES))
    assert [hole.key for hole in cover.holes] == ["brows_up"]
    assert cover.score == pytest.approx(1 - 0.3 / sum(t.weight for t in TARGETS))
    level = dict(zip(YAW_COLUMNS, cover.heads[PITCH_ROWS.index("level")], strict=True))
    assert level["left"] == (1,)
    assert level["right"] == (2,)
    assert cover.heads[PITCH_ROWS.index("up")][2] == (3,)
    assert cover.shown["mouth_open"] == (5,)


@pytest.mark.parametrize("missing", [name for name in FACES if name != "front"])
def test_what_is_taken_out_is_missed(missing: str) -> None:
    cover = map_coverage(faces_of(*(name for name in FACES if name != missing)))
    assert missing in [hole.key for hole in cover.holes]
    hole = next(hole for hole in cover.holes if hole.key == missing)
    assert hole.sentence.startswith("no ")
    assert ":" in hole.sentence, "it says what will be invented"


def test_a_single_picture_is_its_own_rest() -> None:
    cover = map_coverage(faces_of("front"))
    assert cover.shown["front"] == (0,)
    assert len(cover.holes) == len(TARGETS) - 1


def test_blur_grows_with_blurring_and_not_with_the_subject() -> None:
    image = load_source_set(find_source_set("amara")).images[0]
    points = (image.keypoints + 1) * 128 - 0.5
    figures = [blur_of(image.rgb, points)]
    for sigma in (1.0, 2.0, 4.0):
        figures.append(blur_of(cv2.GaussianBlur(image.rgb, (0, 0), sigma), points))
    assert figures == sorted(figures)
    assert figures[0] < BLURRED < figures[2]
    assert blur_of(np.full((100, 100, 3), 90, np.uint8), landmarks_at((50, 50), 60)) == 1.0


def test_the_same_picture_twice_is_found() -> None:
    source_set = load_source_set(find_source_set("amara"))
    first = source_set.images[0]
    brighter = SourceImage(
        "again", np.minimum(first.rgb + 2, 255).astype(np.uint8), first.alpha, first.keypoints + 0.002
    )
    assert near_duplicates([*source_set.images, brighter]) == [(0, len(source_set.images))]


def test_colour_match_brings_the_skin_together() -> None:
    images = load_source_set(find_source_set("amara")).images[:3]
    dim = np.rint(images[1].rgb * np.array([0.75, 0.6, 0.5])).astype(np.uint8)
    odd = [images[0], SourceImage("dim", dim, images[1].alpha, images[1].keypoints), images[2]]
    wanted = skin_tone(odd[0])
    before = light_distance(wanted, skin_tone(odd[1]))
    matched = match_colours(odd)
    assert matched[0] is odd[0]
    assert before > 12
    assert light_distance(wanted, skin_tone(matched[1])) < 0.3 * before
    # And the picture is nearer to what it was before somebody dimmed it.
    was, now = (np.abs(rgb.astype(float) - images[1].rgb).mean() for rgb in (dim, matched[1].rgb))
    assert now < 0.5 * was


def test_a_share_has_its_pictures_colour() -> None:
    one = np.zeros((2, 2, 3), np.float32)
    one[..., 2] = 1
    np.testing.assert_array_equal(heat_colours(one), np.tile(PALETTE[2], (2, 2, 1)))


def test_tint_keeps_light_dark_and_alpha() -> None:
    rgba = np.dstack([portrait_rgb((32, 32)), np.full((32, 32), 77, np.uint8)])
    shares = np.zeros((32, 32, 4), np.float32)
    shares[..., 1] = 1
    out = tint(rgba, shares)
    np.testing.assert_array_equal(out[..., 3], rgba[..., 3])
    grey = rgba[..., :3].astype(float) @ [0.299, 0.587, 0.114]
    assert np.corrcoef(out[..., :3].astype(float).sum(-1).ravel(), grey.ravel())[0, 1] > 0.99


def test_the_palette_has_sixteen_different_colours() -> None:
    assert len({tuple(colour) for colour in PALETTE}) == 16
    gaps = np.linalg.norm(PALETTE[:, None].astype(float) - PALETTE[None], axis=-1) + np.eye(16) * 999
    assert gaps.min() > 35


def test_a_stranger_is_told_and_nobody_of_the_set_is() -> None:
    jun, otto = ([likeness_of(image) for image in load_source_set(find_source_set(n)).images] for n in ("jun", "otto"))
    for person in (jun, otto):
        assert max(compare_person(person, i).total for i in range(len(person))) < SAME_PERSON_BELOW
    for stranger in otto:
        verdict = compare_person([*jun[:7], stranger], 7)
        assert verdict.total > SAME_PERSON_BELOW
        assert verdict.total == pytest.approx(verdict.build + verdict.colours)
    assert np.isnan(compare_person(jun[:2], 0).total)


def test_another_exposure_is_no_other_person() -> None:
    images = load_source_set(find_source_set("otto")).images
    darker = replace(images[2], rgb=(images[2].rgb * 0.72).astype(np.uint8))
    people = [likeness_of(image) for image in (*images[:2], darker, *images[3:])]
    assert compare_person(people, 2).total < SAME_PERSON_BELOW
