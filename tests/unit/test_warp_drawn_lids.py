# SPDX-License-Identifier: Apache-2.0
"""Lids of drawn characters: what they cover, where they stop, and that nobody else has them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine.assets import asset_path
from engine.sources import load_source_set
from engine.track.eyes import write_eyes
from engine.track.head import take_apart
from engine.types import Query, SourceSet
from engine.warp import Warper, open_warper
from engine.warp.drawn_lids import DrawnLids, open_lids, shut_pictures
from engine.warp.drawn_shut import shut_eyes


@pytest.fixture(scope="module")
def mika() -> SourceSet:
    return load_source_set(asset_path("source_sets", "mika.bunraku")).take(8)  # as many as others: compiled once


@pytest.fixture(scope="module")
def warper() -> Iterator[Warper]:
    made = open_warper(backend="openvino")
    assert isinstance(made, Warper)
    with made:
        yield made


def looking(source_set: SourceSet, right: float, left: float) -> np.ndarray:
    """The reference picture's face with its lids at these places, 0 shut and 1 at rest."""
    pose, own = take_apart(source_set.images[0].keypoints)
    shape = own.copy()
    write_eyes(shape, neutral=own, openness=np.array([right, left]), gaze_change=np.zeros((2, 3)))
    return pose.place(shape).astype(np.float32)


def eye_box(keypoints: np.ndarray, corners: tuple[int, int]) -> tuple[slice, slice]:
    x, y = ((keypoints[list(corners), :2].mean(0) + 1) * 128).astype(int)
    return slice(y - 14, y + 24), slice(x - 20, x + 20)


def lids_of(source_set: SourceSet) -> DrawnLids:
    points = [image.keypoints for image in source_set.images]
    return DrawnLids(points[0], [points[i] for i in shut_pictures(points)], points, side_px=256)


def test_the_set_says_which_pictures_show_shut_eyes(mika: SourceSet) -> None:
    found = shut_pictures([image.keypoints for image in mika.images])
    assert {mika.images[i].name for i in found} == {"eyes_closed"}


def test_lids_come_down_one_by_one_and_stay_while_they_waver(mika: SourceSet) -> None:
    lids = lids_of(mika)
    wide = looking(mika, 1, 1)
    assert lids.raise_lids(wide) is wide
    assert lids.view(wide, stage=0) is None

    def down(right: float, left: float) -> int:
        view = lids.view(lids.raise_lids(looking(mika, right, left)), stage=0)
        return 0 if view is None else len(view.patches)

    assert [down(1, 1), down(0, 1), down(1, 1), down(0.3, 0.3)] == [0, 1, 0, 2]
    assert [down(0.74, 0.74), down(0.8, 0.8), down(0.74, 0.74)] == [2, 0, 0], "one bound would flicker"
    assert down(0.68, 0.72) == 2, "two lids that are about as low go down together"
    lids.reset()
    assert down(0.74, 0.74) == 0


def test_a_shut_picture_keeps_its_own_shape_but_for_the_lids(mika: SourceSet) -> None:
    names = [image.name for image in mika.images]
    front, shut = mika.images[0].keypoints, mika.images[names.index("eyes_closed")].keypoints
    opened = open_lids(shut, reference=front)
    assert shut_pictures([front, opened]) == []
    assert np.abs(opened[[1, 61, 291, 152], :2] - shut[[1, 61, 291, 152], :2]).max() < 1e-4


def test_a_shut_eye_is_the_drawn_one_and_a_wink_leaves_the_other(mika: SourceSet, warper: Warper) -> None:
    warper.set_sources(mika)
    names = [image.name for image in mika.images]
    shut = mika.images[names.index("eyes_closed")].rgb.astype(int)
    wide = looking(mika, 1, 1)
    right, left = eye_box(wide, (33, 133)), eye_box(wide, (263, 362))
    plain = warper.warp(Query(0, wide)).rgba[..., :3].astype(int)
    wink = warper.warp(Query(10**9, looking(mika, 0, 1))).rgba[..., :3].astype(int)
    # The lash line lies within a pixel or two of the drawn one; all else is the picture's.
    assert np.median(np.abs(wink[right] - shut[right]).max(-1)) <= 3
    assert np.abs(wink[right] - shut[right]).mean() < np.abs(plain[right] - shut[right]).mean() / 3
    assert np.abs(wink[left] - plain[left]).mean() < 2
    # Half-way nothing is a mixture: skin above the lash line, the eye as it is below it.
    half = warper.warp(Query(2 * 10**9, looking(mika, 0.55, 0.55))).rgba[..., :3].astype(int)
    low = (slice(right[0].start + 24, right[0].start + 30), slice(right[1].start + 14, right[1].stop - 14))
    assert np.abs(half[low] - plain[low]).mean() < 12
    shares = warper.source_shares()
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-4)
    assert shares[right][4, 20, names.index("eyes_closed")] > 0.9


def test_eyes_are_drawn_shut_where_no_picture_shows_them(mika: SourceSet) -> None:
    front = mika.images[0]
    rgb, points = shut_eyes(front.rgb, front.keypoints)
    assert shut_pictures([front.keypoints, points]) == [1]
    right = eye_box(front.keypoints, (33, 133))
    iris = np.array([240, 144, 44])  # of the drawing
    assert (np.abs(front.rgb[right].astype(int) - iris).max(-1) < 40).sum() > 40
    assert (np.abs(rgb[right].astype(int) - iris).max(-1) < 40).sum() == 0
    assert (rgb[right].sum(-1) < 250).sum() > 20, "there is a lash line"
    np.testing.assert_array_equal(rgb[200:], front.rgb[200:])


def test_nobody_else_has_such_lids(warper: Warper) -> None:
    otto = load_source_set(asset_path("source_sets", "otto.bunraku"))
    assert not otto.drawn
    assert warper.prepare(otto).shut is None
