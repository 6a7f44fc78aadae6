# SPDX-License-Identifier: Apache-2.0
"""Landmarks by hand: guide points, what follows from them, and their place in set.toml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.app.landmarks import look_at_picture, moved
from engine.assets import asset_path, load_canonical_face
from engine.errors import InvalidSetting, NoFaceInSource, OutputUnwritable, SourceSetInvalid, SourceSetMissing
from engine.geometry import angles_from_rotation, rotation_from_angles
from engine.landmarks import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID, flip_permutation
from engine.sources import load_source_set
from engine.sources.guides import GUIDE_POINTS, REQUIRED_GUIDES, GuidePoints, fit_landmarks, template_guides
from engine.sources.guides_file import load_guides, read_guides, save_guides
from engine.sources.guides_preview import draw_guides
from engine.track.head import take_apart

SIZE = (400, 500)


def anime() -> GuidePoints:
    """Huge eyes, a tiny mouth, no cheekbones."""
    right = {
        "right_eye_outer": (0.29, 0.42), "right_eye_top": (0.36, 0.36), "right_eye_inner": (0.43, 0.42),
        "right_eye_bottom": (0.36, 0.48), "mouth_right": (0.47, 0.60), "right_brow": (0.36, 0.30),
        "right_cheek": (0.24, 0.45),
    }  # fmt: skip
    middle = {"nose_tip": (0.5, 0.53), "chin": (0.5, 0.68), "lip_top": (0.5, 0.598), "lip_bottom": (0.5, 0.61)}
    left = {name.replace("right", "left"): (1 - x, y) for name, (x, y) in right.items()}
    return GuidePoints({**right, **middle, **left})


def project(yaw_deg: float) -> np.ndarray:
    """Return a canonical face turned by an angle, pixels."""
    rotation = rotation_from_angles(yaw_rad=np.radians(yaw_deg))
    return load_canonical_face().astype(np.float64) @ rotation.T * 80 + np.array([200.0, 240.0, 0.0])


def as_guides(landmarks: np.ndarray) -> GuidePoints:
    points = {n: tuple(float(v) for v in (landmarks[i, :2] + 0.5) / SIZE) for n, i in GUIDE_POINTS.items()}
    return GuidePoints(points)


def test_landmarks_lie_on_the_guide_points() -> None:
    guides = anime()
    landmarks = fit_landmarks(guides, size_wh=SIZE)
    for name, (x, y) in guides.points.items():
        wanted = np.array([x, y]) * SIZE - 0.5
        off = np.linalg.norm(landmarks[GUIDE_POINTS[name], :2] - wanted)
        assert off < (4.0 if name.endswith(("top", "bottom")) else 0.01), name  # a lid's peak may lie beside the middle


def test_a_symmetric_face_stays_symmetric_and_frontal() -> None:
    landmarks = fit_landmarks(anime(), size_wh=SIZE)
    mirrored = landmarks[flip_permutation()] * (-1, 1, 1) + (SIZE[0] - 1, 0, 0)
    assert np.abs(mirrored - landmarks)[:, :2].max() < 2.0
    yaw, pitch, roll = np.degrees(angles_from_rotation(take_apart(landmarks)[0].rotation))
    assert max(abs(yaw), abs(pitch), abs(roll)) < 6


def test_the_template_gives_the_canonical_face_back() -> None:
    landmarks = fit_landmarks(template_guides(size_wh=SIZE), size_wh=SIZE)
    _, shape = take_apart(landmarks)
    assert np.abs(shape - load_canonical_face())[:468, :2].max() < 0.12


@pytest.mark.parametrize("yaw_deg", [-35.0, -15.0, 20.0, 40.0])
def test_the_turn_is_found(yaw_deg: float) -> None:
    truth = project(yaw_deg)
    landmarks = fit_landmarks(as_guides(truth), size_wh=SIZE)
    yaw, _, _ = np.degrees(angles_from_rotation(take_apart(landmarks)[0].rotation))
    assert yaw == pytest.approx(yaw_deg, abs=9)
    assert np.linalg.norm(landmarks[:, :2] - truth[:, :2], axis=1).mean() < 4  # pixels, of a face 260 high


def test_a_given_turn_wins() -> None:
    landmarks = fit_landmarks(replace(anime(), yaw_deg=25.0), size_wh=SIZE)
    yaw, _, _ = np.degrees(angles_from_rotation(take_apart(landmarks)[0].rotation))
    assert yaw == pytest.approx(25, abs=8)


def test_lids_keep_their_order_even_when_shut() -> None:
    shut = moved(anime(), {"left_eye_top": (0.64, 0.46), "left_eye_bottom": (0.64, 0.461)})
    landmarks = fit_landmarks(shut, size_wh=SIZE)
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        assert (landmarks[list(lower), 1] > landmarks[list(upper), 1]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: {n: p[n] for n in REQUIRED_GUIDES[:-1]}, "chin"),
        (lambda p: {**p, "ear": (0.5, 0.5)}, "no guide point called ear"),
        (lambda p: {**p, "chin": (0.5, 9.0)}, "chin must lie"),
        (lambda p: {**p, "chin": (0.5, float("nan"))}, "chin must lie"),
        (lambda p: {**p, "right_eye_outer": (0.9, 0.4)}, "left of its left eye"),
    ],
)
def test_wrong_points_are_said(change: object, says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        GuidePoints(change(dict(anime().points)))  # type: ignore[operator]


def cut_out_set(folder: Path) -> Path:
    folder.mkdir()
    for file in ("front.png", "smile.png"):
        rgba = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        rgba[60:, 80:320] = (240, 200, 180, 255)
        Image.fromarray(rgba).save(folder / file)
    return folder


def test_a_set_of_drawings_loads_by_its_guide_points(tmp_path: Path) -> None:
    folder = cut_out_set(tmp_path / "doll")
    for file in ("front.png", "smile.png"):
        save_guides(folder, file, anime())
    loaded = load_source_set(folder, cache_dir=tmp_path / "cache")  # no tracker is needed
    assert len(loaded.images) == 2
    assert loaded.cutout
    assert np.isfinite(loaded.images[0].keypoints).all()


def test_saving_keeps_what_else_is_in_the_file(tmp_path: Path) -> None:
    folder = cut_out_set(tmp_path / "doll")
    text = 'format = 1\nname = "doll"  # mine\n\n[[pictures]]\nfile = "front.png"\nnotes = "first"\n'
    (folder / "set.toml").write_text(text)
    save_guides(folder, "front.png", replace(anime(), yaw_deg=12.0))
    after = (folder / "set.toml").read_text()
    assert 'name = "doll"  # mine' in after
    assert 'notes = "first"' in after
    found = look_at_picture(folder, "front.png")
    assert found.origin == "saved"
    assert found.guides.yaw_deg == 12.0
    assert found.guides.points["chin"] == pytest.approx(anime().points["chin"], abs=1e-4)
    save_guides(folder, "front.png", None)
    assert "guides" not in (folder / "set.toml").read_text()


def test_points_are_copied_to_the_next_picture(tmp_path: Path) -> None:
    folder = cut_out_set(tmp_path / "doll")
    save_guides(folder, "front.png", anime())
    start = look_at_picture(folder, "smile.png", copy_from="front.png")
    assert start.origin == "copied"
    assert set(start.guides.points) == set(anime().points)
    with pytest.raises(NoFaceInSource, match="no guide points to copy"):
        look_at_picture(folder, "front.png", copy_from="smile.png")


def test_wrong_files_are_said(tmp_path: Path) -> None:
    folder = cut_out_set(tmp_path / "doll")
    with pytest.raises(SourceSetMissing, match="no picture called nose"):
        save_guides(folder, "nose.png", anime())
    with pytest.raises(OutputUnwritable, match="built-in"):
        save_guides(asset_path("source_sets", "mika.bunraku"), "front.webp", anime())
    file = tmp_path / "guides.toml"
    for text, says in (("", "empty"), ("chin = 3", "chin must be"), ("chin = [1, 2", "cannot be read")):
        file.write_text(text)
        with pytest.raises(SourceSetInvalid, match=says):
            load_guides(file)
    with pytest.raises(SourceSetInvalid, match="missing"):
        read_guides({"chin": [0.5, 0.5]}, where="pictures[1].guides", label="set.toml")


def test_the_preview_shows_the_points() -> None:
    rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    plain = draw_guides(rgb, fit_landmarks(anime(), size_wh=SIZE))
    named = draw_guides(rgb, fit_landmarks(anime(), size_wh=SIZE), guides=anime())
    assert max(plain.size) == 1000
    assert np.asarray(named).sum() > np.asarray(plain).sum() > 0


def test_what_lies_around_an_eye_does_not_follow_its_lids() -> None:
    shut = {"left_eye_top": (0.64, 0.455), "left_eye_bottom": (0.64, 0.46)}
    around = 257  # skin above the left eye's crease
    open_eye = fit_landmarks(anime(), size_wh=SIZE)
    carried = fit_landmarks(moved(anime(), shut), size_wh=SIZE)
    held = fit_landmarks(moved(anime(), shut), size_wh=SIZE, rest=anime())
    assert np.linalg.norm((held - open_eye)[around, :2]) < 0.2 * np.linalg.norm((carried - open_eye)[around, :2])
    upper = list(LEFT_UPPER_LID)
    assert np.allclose(held[upper], carried[upper], atol=1e-3)
