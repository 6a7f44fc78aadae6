# SPDX-License-Identifier: Apache-2.0
"""The warper of models with learned keypoints, on graphs whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import InferenceFailed, ModelFileMissing, ShapeError, SourceSetEmpty, TooManySources
from engine.runtime import manifest as module
from engine.types import MAX_SOURCES, Query, SourceImage, SourceSet
from engine.warp import LearnedWarper, Warper, open_warper
from engine.warp.base import NeedsPortrait
from tests.helpers.source_faces import make_keypoints
from tests.helpers.tiny_learned import SIDE_PX, write_learned_model

pytest.importorskip("onnx")


@pytest.fixture
def warper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearnedWarper:
    monkeypatch.setattr(module, "asset_root", lambda: tmp_path)
    write_learned_model(tmp_path / "models" / "tiny", "fomm")
    warper = open_warper(model="tiny", backend="openvino")
    assert isinstance(warper, LearnedWarper)
    return warper


def grey(level: int, *, side_px: int = SIDE_PX) -> np.ndarray:
    return np.full((side_px, side_px, 3), level, np.uint8)


def source_set(*levels: int, side_px: int = SIDE_PX) -> SourceSet:
    alpha = np.zeros((side_px, side_px), np.uint8)
    alpha[side_px // 4 : -side_px // 4, side_px // 4 : -side_px // 4] = 255
    images = [
        SourceImage(f"{i}", grey(level, side_px=side_px), alpha, make_keypoints()) for i, level in enumerate(levels)
    ]
    return SourceSet("greys", tuple(images))


def query(level: int, *, at_ns: int = 7, side_px: int = SIDE_PX) -> Query:
    return Query(at_ns, make_keypoints(), grey(level, side_px=side_px))


def level_of(warper: LearnedWarper, level: int) -> float:
    """Return the output's grey level: the mean of the sources' and, in levels, what the keypoints moved."""
    return float(warper.warp(query(level)).rgba[..., :3].mean())


def test_models_of_both_kinds_open_as_what_they_are(warper: LearnedWarper, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(warper, NeedsPortrait)
    with pytest.raises(ModelFileMissing, match="no model 'nothing'; shipped models: tiny"):
        open_warper(model="nothing")
    monkeypatch.undo()
    with open_warper(model="lite", backend="openvino") as other:
        assert isinstance(other, Warper)
        assert not isinstance(other, NeedsPortrait)


def test_the_portrait_is_opaque_and_stamped(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(100, 140))
    portrait = warper.warp(query(90))
    assert portrait.captured_ns == 7
    assert portrait.rgba.shape == (SIDE_PX, SIDE_PX, 4)
    assert portrait.backdrop.shape == (SIDE_PX, SIDE_PX, 3)
    assert (portrait.rgba[..., 3] == 255).all()
    assert portrait.source_mass.tolist() == [0.5, 0.5]


def own_level(level: int) -> float:
    """Return the output for a character of one grey with its own keypoints: their mean is the mean colour."""
    return 2 * level - 127.5


def test_relative_motion_starts_from_the_first_picture(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(100))
    assert level_of(warper, 200) == pytest.approx(own_level(100), abs=1)
    assert level_of(warper, 224) == pytest.approx(own_level(100) + 24, abs=1), "24 levels brighter move as much"
    assert level_of(warper, 200) == pytest.approx(own_level(100), abs=1)


def test_a_given_neutral_stays_and_the_first_picture_is_forgotten(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(100))
    level_of(warper, 200)
    warper.reset()
    assert level_of(warper, 150) == pytest.approx(own_level(100), abs=1), "the first picture after a reset is neutral"
    warper.set_neutral(grey(140))
    assert level_of(warper, 150) == pytest.approx(own_level(100) + 10, abs=1)
    warper.reset()
    assert level_of(warper, 150) == pytest.approx(own_level(100) + 10, abs=1)
    warper.set_neutral(None)
    assert level_of(warper, 150) == pytest.approx(own_level(100), abs=1)


def test_absolute_and_blended_motion(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(100))
    warper.set_neutral(grey(120))
    absolute, relative = 100 + 150 - 127.5, own_level(100) + 30
    for share, expected in ((1.0, relative), (0.0, absolute), (0.5, (absolute + relative) / 2)):
        warper.set_motion(share)
        assert level_of(warper, 150) == pytest.approx(expected, abs=1.5), share


def test_pictures_of_any_size_are_fitted(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(100, side_px=2 * SIDE_PX))
    warper.set_motion(0.0)
    small = warper.warp(query(150)).rgba
    np.testing.assert_array_equal(warper.warp(query(150, side_px=3 * SIDE_PX)).rgba, small)


def test_bright_and_dark_ends_are_cut_off_and_not_folded(warper: LearnedWarper) -> None:
    warper.set_motion(0.0)
    warper.set_sources(source_set(250))
    assert warper.warp(query(250)).rgba[..., :3].min() == 255
    warper.set_sources(source_set(5))
    assert warper.warp(query(5)).rgba[..., :3].max() == 0


def test_description_names_model_and_count(warper: LearnedWarper) -> None:
    assert warper.description.endswith("fp32, fomm, 64²")
    warper.set_sources(source_set(1, 2, 3))
    assert warper.description.endswith("fp32, fomm, 64², N=3")
    assert warper.side_px == SIDE_PX


def test_what_it_cannot_do_is_said(warper: LearnedWarper) -> None:
    with pytest.raises(SourceSetEmpty, match="No source set is loaded"):
        warper.warp(query(9))
    with pytest.raises(SourceSetEmpty, match="holds no picture"):
        warper.set_sources(source_set())
    with pytest.raises(TooManySources):
        warper.set_sources(source_set(*[9] * (MAX_SOURCES + 1)))
    warper.set_sources(source_set(9))
    with pytest.raises(ShapeError, match=r"Query\.portrait"):
        warper.warp(Query(0, make_keypoints()))
    with pytest.raises(ShapeError, match=r"Query\.portrait"):
        Query(0, make_keypoints(), np.zeros((4, 5, 3), np.uint8))


def test_undefined_pixels_are_an_error(warper: LearnedWarper, monkeypatch: pytest.MonkeyPatch) -> None:
    warper.set_sources(source_set(9))
    monkeypatch.setattr(type(warper._runner), "animate", lambda *_: np.full((3, SIDE_PX, SIDE_PX), np.nan, np.float32))
    with pytest.raises(InferenceFailed, match="undefined pixels"):
        warper.warp(query(9))


def test_closing_frees_and_says_so(warper: LearnedWarper) -> None:
    warper.set_sources(source_set(9))
    with warper as same:
        assert same is warper
    with pytest.raises(SourceSetEmpty):
        warper.warp(query(9))
